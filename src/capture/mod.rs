//! Captures the sample streams of an array. Samples are written to disk while they arrive, in Hz of
//! detuning if a tune is at hand, and all losses are counted. Described in `docs/capture.md`.
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
mod standing;
mod write;

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;
use tworoutine::tworoutine;
use twotone_hal::{Error, ErrorKind, Result};
use twotone_transport::readout::{Receiver, Source};

use crate::record::RunDirectory;

pub use clock::ClockOutcome;
pub use outcome::{BoardOutcome, CaptureOutcome, ModuleOutcome};
pub use params::CaptureParams;
pub use plan::{BoardPlan, ModulePlan, plan};
pub use standing::{Standing, TuneState};

/// Notes on the origin of a capture in its files, besides board and module.
pub type Provenance = BTreeMap<String, String>;

/// Receives the streams of `boards` and writes them into `run`, which it returns uncommitted.
///
/// The task or thread that drives this future reads the sockets; a separate thread calibrates and
/// writes. Samples that this thread cannot keep up with are counted as unwritten and dropped, so
/// that a slow disk never costs packets that are still to come. Cancelling `params.stop` ends the
/// capture early: all samples received until then are written.
///
/// A socket that fails, or a file that cannot be written, ends the capture early too:
/// [`CaptureOutcome::not_received`], [`CaptureOutcome::not_written`]. After the latter, `run` is
/// incomplete: call [`RunDirectory::keep`] rather than [`RunDirectory::commit`].
///
/// If the future is dropped, it receives no more, and `run` is removed.
///
/// # Errors
/// If the streams cannot be joined, or the thread that writes cannot be started: nothing was
/// received then. If this thread panics. In each case `run` is removed.
#[tworoutine(Send)]
pub async fn capture(
    boards: Vec<BoardPlan>,
    run: RunDirectory,
    params: &CaptureParams,
    provenance: &Provenance,
) -> Result<(RunDirectory, CaptureOutcome)> {
    let sources: Vec<Source> = boards
        .iter()
        .filter_map(|board| board.source.clone().ok())
        .collect();
    if sources.is_empty() {
        return Ok((run, CaptureOutcome::nothing(boards)));
    }
    let mut receiver = Receiver::open(&sources, &params.stream)?;
    let mut intake = receive::Intake::new(boards, params);
    let (queue, written) = write::start(&intake, run, params, provenance)?;
    let received = intake.receive(&mut receiver, &queue, params).await;
    drop(queue);
    let written = written.await.map_err(|_| {
        Error::new(ErrorKind::Storage, "the writer of the samples panicked").during("capture")
    })?;
    let mut outcome = intake.outcome(&receiver, &written.files);
    outcome.not_received = received.err();
    outcome.not_written = written.error;
    Ok((written.run, outcome))
}

/// Token that ends a capture early when it is cancelled.
pub type Stop = CancellationToken;
