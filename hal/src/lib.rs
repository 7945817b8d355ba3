//! Hardware abstraction for FPGA readout boards.
//!
//! A board is anything that implements [`Board`]: one async method that runs a [`Batch`], an
//! ordered list of typed operations, and answers [`Replies`]. Everything else is built on it: a
//! [`BoardHandle`] is a cheap clone that algorithms own, and its views ([`BoardHandle::tones`],
//! [`BoardHandle::samples`], ...) are one-operation batches for interactive use.
//!
//! This crate names no runtime and no protocol, so that an algorithm written on it runs on any
//! board, real or simulated, and under any executor.
//!
//! ```
//! use twotone_hal::{
//!     Acquire, Batch, Board, BoardHandle, ChannelId, Complex64, Hertz, ModuleId, Op, Replies,
//!     RepliesBuilder, Result, ToneUpdate, async_trait,
//! };
//!
//! /// One tone, switched on and measured, in one round trip.
//! async fn transmission(board: &BoardHandle) -> Result<Complex64> {
//!     let module = ModuleId::new(1)?;
//!     let channel = ChannelId::new(1)?;
//!     let mut batch = Batch::new();
//!     batch.set_tone(module, ToneUpdate::new(channel).offset(Hertz(1e6)).amplitude(0.001));
//!     let ticket = batch.acquire_mean(module, Acquire::new(10).first_channels(1));
//!     let replies = board.run(&batch).await?;
//!     Ok(replies.get(ticket).mean[0])
//! }
//!
//! /// A board that has nothing behind its connector: whatever it drives, it hears 7 counts.
//! struct Open;
//!
//! #[async_trait]
//! impl Board for Open {
//!     fn name(&self) -> &str {
//!         "open"
//!     }
//!
//!     async fn run(&self, batch: &Batch) -> Result<Replies> {
//!         let mut replies = RepliesBuilder::new(batch);
//!         while let Some(op) = replies.next_op() {
//!             match op {
//!                 Op::AcquireMean { .. } => {
//!                     replies.mean([Complex64::new(7.0, 0.0)], [0.0], false, false)?;
//!                 }
//!                 _ => replies.done()?,
//!             }
//!         }
//!         replies.finish()
//!     }
//! }
//!
//! let board = BoardHandle::new(Open);
//! let heard = futures::executor::block_on(transmission(&board))?;
//! assert_eq!(heard.re, 7.0);
//! # Ok::<(), twotone_hal::Error>(())
//! ```

mod batch;
mod board;
mod clock;
mod describe;
mod error;
mod housekeeping;
mod ids;
mod legible;
mod limits;
mod memory;
#[cfg(feature = "mock")]
mod mock;
mod nco;
mod replies;
mod samples;
mod settings;
mod tones;
mod tree;
mod units;

pub use async_trait::async_trait;
pub use batch::{Batch, Op, Operation, Safety, Ticket};
pub use board::{Board, BoardHandle};
pub use clock::{BoardTime, Clock, ReadClock, Wait};
pub use describe::{Describe, Description, ModuleDescription, NcoRange, OperationKind};
pub use error::{Certainty, Error, ErrorKind, Result};
pub use housekeeping::{Housekeeping, ReadHousekeeping, Reading, ReadingUnit};
pub use ids::{ChannelId, Epoch, ModuleId, PhaseEpoch};
pub use legible::{legible, legible_within};
pub use limits::ModuleLimits;
pub use memory::MemoryModule;
#[cfg(feature = "mock")]
pub use mock::MockBoard;
pub use nco::{Nco, NcoState, ReadNco, SetNco};
pub use num_complex::Complex64;
pub use replies::{Replies, RepliesBuilder};
pub use samples::{
    Acquire, AcquireMean, AcquireSamples, MeanSamples, MeanView, Samples, SamplesView, TimeStreams,
};
pub use settings::{
    Change, Difference, MOST_DOUBTS, ModuleSettings, Rounding, Setting, SettingKey, Span,
    ToneSettings,
};
pub use tones::{ClearTones, ReadTones, SetTones, ToneFields, ToneState, ToneUpdate, Tones};
pub use tree::ErrorTree;
pub use units::{Amperes, Celsius, Dbm, Hertz, Radians, Seconds, Volts};
