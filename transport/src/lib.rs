#![doc = include_str!("../README.md")]

mod array;
mod continuity;
mod crs;
mod deadline;
mod find;
mod formats;
mod group;
mod host;
mod http;
mod interface;
mod kinds;
mod link;
mod lookup;
mod mdns;
mod options;
mod plan;
mod stream;
mod tuber;

pub use array::{Connected, connect_all};
pub use crs::{CrsBoard, CrsStreams, readout};
pub use find::{FindOf, FindOptions, Finding, Searched, Service, Sighting, Way};
pub use host::Host;
pub use interface::Interface;
pub use kinds::{
    BoardFamily, BoardKind, BoardPlace, ConflictsOf, Connecting, FirmwareOf, StreamsOf, UsualStream,
};
pub use lookup::{look_up, look_up_ipv4};
pub use options::{ConnectOptions, FirmwareOptions, SampleSource};
pub use plan::{BoardPlan, Conflict, ModulePlan, PropertyMap};
pub use stream::{ByteStream, Connector};
pub use tuber::{Reply, TuberClient};
/// The wire protocols: calls of [`TuberClient`] and the values that it returns, and the
/// packets of CRS boards.
pub use twotone_wire as wire;
