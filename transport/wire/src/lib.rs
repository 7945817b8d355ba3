//! Codecs and sans-IO server halves of the board protocols: bytes in, bytes out.
//!
//! Nothing in this crate opens a socket, reads a clock or starts a task. A client and a server meet
//! in the bytes that are written and read here, so both halves of every protocol live side by side.
//!
//! - [`tuber`]: the remote procedure calls of CRS boards, JSON or CBOR over HTTP.
//! - [`crs`]: the UDP sample streams of CRS boards.
//!
//! A call from end to end, with nothing between the halves but bytes:
//!
//! ```
//! use bytes::BytesMut;
//! use twotone_wire::tuber::{
//!     Answer, Args, BatchWriter, Fault, Format, Head, Interface, Limits, Method, Param, Reply, Server,
//!     Service,
//! };
//!
//! static BOARD: Interface = Interface {
//!     name: "Board",
//!     doc: "Doubles numbers.",
//!     methods: &[Method { name: "double", doc: "Twice x.", params: &[Param::required("x")] }],
//!     properties: &[],
//! };
//!
//! struct Board;
//!
//! impl Service for Board {
//!     fn interface(&self) -> &'static Interface {
//!         &BOARD
//!     }
//!
//!     fn call(&mut self, _: &'static Method, args: &Args<'_>, reply: Reply<'_>) -> Result<(), Fault> {
//!         reply.send(&(2.0 * args.f64("x")?));
//!         Ok(())
//!     }
//! }
//!
//! // The client's half writes a batch, the server's half answers it, the client's half reads on.
//! let mut batch = BatchWriter::new(Format::Json);
//! batch.call("Board", "double").arg(21.0);
//! let (calls, body) = (batch.calls(), batch.finish());
//!
//! let mut answer = BytesMut::new();
//! Server::default().serve(&Head::default(), &body, &mut Board, &mut answer);
//!
//! let mut read = Answer::new(Some("application/json"), &answer, &Limits::ANSWER)?;
//! let element = read.elements(calls)?.next()?.expect("one call, one answer");
//! assert_eq!(element.outcome.expect("no fault").f64()?, 42.0);
//! # Ok::<(), twotone_wire::tuber::DecodeError>(())
//! ```

pub mod crs;
pub mod tuber;
