#![doc = include_str!("../README.md")]

mod arguments;
mod batch;
mod board;
mod clock;
mod describe;
mod error;
mod fast;
mod firmware;
mod housekeeping;
mod ids;
mod legible;
mod limits;
mod memory;
#[cfg(feature = "mock")]
mod mock;
mod nco;
mod properties;
mod replies;
mod samples;
mod serial;
mod settings;
mod streams;
mod tones;
mod units;

pub use async_trait::async_trait;
pub use batch::{Batch, Op, Operation, Safety, Ticket};
pub use board::{Board, BoardHandle};
pub use clock::{BoardTime, Clock, ReadClock, Wait};
pub use describe::{Describe, Description, ModuleDescription, NcoRange, OperationKind};
pub use error::{Certainty, Error, ErrorKind, Result};
pub use fast::{FastStreams, ReadFastStream, SetFastStream};
pub use firmware::{
    Firmware, FirmwareAnswer, FirmwareError, FirmwareIdentity, FirmwareImage, FirmwareProgress,
    FirmwareRelease, FirmwareResult, PowerLoss,
};
pub use housekeeping::{Housekeeping, ReadHousekeeping, Reading, ReadingUnit};
pub use ids::{ChannelId, Epoch, ModuleId, PhaseEpoch};
pub use legible::{legible, legible_within};
pub use limits::ModuleLimits;
pub use memory::MemoryModule;
#[cfg(feature = "mock")]
pub use mock::{Means, MemoryBoard, MockBoard};
pub use nco::{Nco, NcoState, ReadNco, SetNco};
pub use num_complex::Complex64;
pub use properties::{PropertyKey, PropertyValue, PropertyValues, ReadProperty, SetProperty};
pub use replies::{Replies, RepliesBuilder};
pub use samples::{
    Acquire, AcquireMean, AcquireSamples, MeanSamples, MeanView, Samples, SamplesView, TimeStreams,
};
pub use serial::same_serial;
pub use settings::{
    Change, Difference, ModuleSettings, Rounding, Setting, SettingKey, Span, ToneSettings,
};
pub use streams::{
    ClockSource, ClockSourceKind, ClockStep, Coverage, FormChange, ModuleRequest, ReceiveOptions,
    ReceiverTotals, StreamBlock, StreamCounters, StreamForm, StreamReceiver, StreamRequest,
    StreamSource, StreamStatus, Streams, TimeFindings, TimeOrigin,
};
pub use tones::{ClearTones, ReadTones, SetTones, ToneFields, ToneState, ToneUpdate, Tones};
pub use units::{Amperes, Celsius, Dbm, Hertz, Radians, Seconds, Volts};
