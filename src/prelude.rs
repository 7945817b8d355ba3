//! Names that a tuning program needs in scope: `use twotone::prelude::*;`.

pub use tworoutine::{Wait, tworoutine};
pub use twotone_algorithms::{ChannelStatus, Reason, TuneOutcome, TuneParams, tune};
pub use twotone_hal::{
    Acquire, Batch, Board, BoardHandle, ChannelId, Dbm, Error, ErrorKind, Hertz, ModuleId, Result,
    ToneUpdate,
};
#[cfg(feature = "sim")]
pub use twotone_sim::{Farm, Profile};

pub use crate::array::Array;
pub use crate::map::HardwareMap;
pub use crate::run::{Runner, Target};
