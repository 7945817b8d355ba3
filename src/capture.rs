//! Captures of the sample streams of an array. A capture writes samples to disk while they arrive,
//! and counts all losses. A *tune* is the result of an earlier run that has set a tone on each
//! resonance. With a tune, a capture also writes the samples as shifts of the resonances in Hz.
//! `docs/capture.md` describes captures.
//!
//! ```no_run
//! use twotone::capture::{CaptureParams, capture, plan};
//! use twotone::prelude::*;
//! use twotone::record::RunDirectory;
//!
//! # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let map = HardwareMap::load("lab.toml")?;
//! let array = Array::connect(&map).wait();
//! let params = CaptureParams { seconds: 10.0, ..CaptureParams::default() };
//! let boards = plan(&map, &array, None, &params).wait();
//! let run = RunDirectory::prepare("samples-of-tonight")?;
//! let (run, captured) = capture(boards, run, &params, &Default::default()).wait()?;
//! run.commit()?;
//! assert_eq!(captured.lost(), 0);
//! # Ok(())
//! # }
//! ```

mod calibrated;
mod clock;
mod due;
mod form;
mod module;
mod outcome;
mod params;
mod plan;
mod receive;
mod receivers;
mod standing;
mod streamer;
mod write;

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;
use tworoutine::tworoutine;
use twotone_hal::{Error, ErrorKind, Result};

use crate::record::{RunDirectory, UtcTime};
use receivers::Receivers;

pub use clock::ClockOutcome;
pub use outcome::{BoardOutcome, CaptureOutcome, ModuleOutcome};
pub use params::{CaptureParams, FastParams};
pub use plan::{BoardPlan, LocatedStreams, ModulePlan, plan};
pub use standing::{Standing, TuneState};
pub(crate) use streamer::{StreamerEnd, Switched, restore, switch_on};
pub use streamer::{StreamerOutcome, StreamerState};

/// Notes on the origin of a capture, which its files hold in addition to board, serial number and
/// module.
pub type Provenance = BTreeMap<String, String>;

/// Receives the streams of `boards` and writes them into `run`. Returns `run` at its temporary
/// path: [`RunDirectory::commit`] moves it to the requested path.
///
/// The task or thread that drives this future reads the sockets; a separate thread calibrates and
/// writes. If that thread falls behind, samples are dropped and counted as unwritten, so that a
/// slow disk never delays the reading of the sockets. Cancelling `params.stop` ends the capture
/// early: all samples received until then are written.
///
/// A socket that fails, or a file that cannot be written, ends the capture early too. The error is
/// then in [`CaptureOutcome::not_received`] or [`CaptureOutcome::not_written`]. If a file could not
/// be written, `run` is incomplete: call [`RunDirectory::keep`] rather than
/// [`RunDirectory::commit`].
///
/// If the future is dropped, the capture ends and `run` is removed.
///
/// # Errors
/// If the streams cannot be joined, or if the writing thread cannot be started. In these cases
/// nothing was received. A panic of the writing thread is an error too. After each error `run` is
/// removed. Boards without streams are no error, even if no board has any.
#[tworoutine(Send)]
pub async fn capture(
    boards: Vec<BoardPlan>,
    run: RunDirectory,
    params: &CaptureParams,
    provenance: &Provenance,
) -> Result<(RunDirectory, CaptureOutcome)> {
    if boards.iter().all(|board| board.streams.is_err()) {
        return Ok((run, CaptureOutcome::nothing(boards)));
    }
    let opened_ns = (UtcTime::now().unix_seconds() * 1e9) as i64;
    let options = params.stream.clone().opened_ns(opened_ns);
    let options = options.block_bytes(receive::block_bytes(&boards, params));
    let mut receivers = Receivers::open(&boards, &options).await?;
    let mut intake = receive::Intake::new(boards, params);
    intake.end_requested(&mut receivers);
    let (queue, written) = write::start(&intake, run, params, provenance)?;
    let received = intake.receive(&mut receivers, &queue, params).await;
    drop(queue);
    let written = written.await.map_err(|_| {
        Error::new(ErrorKind::Storage, "the writer of the samples panicked").during("capture")
    })?;
    let mut outcome = intake.outcome(&receivers, &written.files);
    let closed = receivers.close().await;
    outcome.not_received = received.and(closed).err();
    outcome.not_written = written.error;
    Ok((written.run, outcome))
}

/// Token that ends a capture early when it is cancelled.
pub type Stop = CancellationToken;
