//! Clients of FPGA readout boards: [`twotone_hal::Board`] over each wire protocol.
//!
//! * [`CrsBoard`]: CRS boards, controlled through Tuber over HTTP.
//! * [`TuberClient`]: any Tuber server, for methods that only one board family has.
//! * [`readout`]: receivers of the sample streams that CRS boards multicast.
//! * [`connect_all`]: many boards at once; failures are listed, and the other boards can be used.
//!
//! A client's sockets are driven by the process-wide runtime, so that its handles work from any
//! thread and under any executor; `connect_here` uses the runtime of the caller instead, and
//! `connect_over` any byte stream.
//!
//! ```no_run
//! use twotone_hal::{Acquire, Batch, ChannelId, Hertz, ModuleId, Result, ToneUpdate};
//! use twotone_transport::{ConnectOptions, CrsBoard, Host};
//!
//! /// How much of a tone at 1.2 GHz comes back through the first module of a board.
//! async fn level() -> Result<f64> {
//!     let host = Host::of_serial("0042");
//!     let board = CrsBoard::connect("b0042", host, ConnectOptions::new()).await?.handle();
//!     let mut batch = Batch::new();
//!     batch.set_nco(ModuleId::FIRST, Hertz(1.195e9));
//!     batch.set_tone(ModuleId::FIRST, ToneUpdate::tone(ChannelId::FIRST, Hertz(5e6), 0.001));
//!     let mean = batch.acquire_mean(ModuleId::FIRST, Acquire::new(10).first_channels(1));
//!     let replies = board.run(&batch).await?; // one round trip
//!     Ok(replies.get(mean).mean[0].norm())
//! }
//! ```

mod array;
mod continuity;
mod crs;
mod deadline;
mod host;
mod http;
mod kinds;
mod link;
mod lookup;
mod options;
pub mod readout;
mod stream;
mod tuber;

pub use array::{Connected, connect_all};
pub use crs::CrsBoard;
pub use host::Host;
pub use kinds::{BoardFamily, BoardKind, BoardPlace, Connecting};
pub use lookup::look_up;
pub use options::{ConnectOptions, SampleSource};
pub use stream::{ByteStream, Connector};
pub use tuber::{Reply, TuberClient};
/// The protocols themselves: the calls that a [`TuberClient`] is given, and the values it returns.
pub use twotone_wire as wire;
