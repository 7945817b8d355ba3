//! Clients of FPGA readout boards: [`twotone_hal::Board`] over each wire protocol.
//!
//! * [`CrsBoard`]: CRS boards, controlled through Tuber over HTTP.
//! * [`TuberClient`]: any Tuber server, for what one board family alone has.
//! * [`readout`]: receivers of the sample streams that CRS boards multicast.
//! * [`connect_all`]: many boards at once; what did not connect is told, the rest is there.
//!
//! A client's sockets are driven by the process-wide runtime, so that its handles work from any
//! thread and under any executor; `connect_here` uses the runtime of the caller instead, and
//! `connect_over` any byte stream.

mod array;
mod crs;
mod host;
mod http;
mod link;
mod options;
pub mod readout;
mod stream;
mod tuber;

pub use array::{Connected, connect_all};
pub use crs::CrsBoard;
pub use host::Host;
pub use options::ConnectOptions;
pub use stream::{ByteStream, Connector};
pub use tuber::{Reply, TuberClient};
/// The protocols themselves: what a [`TuberClient`] is told, and what it answers.
pub use twotone_wire as wire;
