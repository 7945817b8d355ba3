//! Codecs and sans-IO server halves of the board protocols: bytes in, bytes out.
//!
//! Nothing in this crate opens a socket, reads a clock or starts a task. A client and a server meet in
//! the bytes that are written and read here, so both halves of every protocol live side by side.
//!
//! - [`tuber`]: the remote procedure calls of CRS boards, JSON or CBOR over HTTP.
//! - [`crs`]: the UDP sample streams of CRS boards.

pub mod crs;
pub mod tuber;
