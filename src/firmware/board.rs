//! Work of a roll-out on one board.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use twotone_hal::{
    Acquire, BoardHandle, Certainty, Error, ErrorKind, Firmware, FirmwareError, FirmwareResult,
    ModuleId, PowerLoss,
};

use super::{BoardRelease, Image, Release};
use crate::connections::{Connections, Locking, place};
use crate::lock::{self, BoardLock};
use crate::map::BoardEntry;
use crate::record::Failure;
use crate::transport::ConnectOptions;

/// Time between two attempts to reach a board that restarts.
const RETRY: Duration = Duration::from_secs(1);

/// Time of a write after which it is reported again.
const SILENCE: Duration = Duration::from_secs(30);

/// Number of samples that a board acquires as a test.
const SAMPLES: u32 = 10;

/// Largest number of times that the flash of a board is written. The image is in the board's
/// memory, so a second write needs no transfer.
const WRITES: usize = 2;

/// Task of a roll-out, for each board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Transfer the image and compare its digest, then restart the board. The flash stays
    /// unchanged.
    Stage,
    /// Replace the firmware, unless the flash holds the image already.
    Flash,
    /// Read back the flash and compare its digest, then restart the board.
    Verify,
}

/// Outcome of the work on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BoardStatus {
    /// An earlier call flashed or verified the board, and it reports the release.
    AlreadyDone,
    /// The image was written and verified, and the board reports its release and acquires samples.
    Flashed,
    /// The flash already had the image and was not written. The board reports the release of the
    /// image and acquires samples.
    Verified,
    /// The image arrived completely. The board was restarted with its present firmware.
    Staged,
    /// The image is not for this board, or the board could not be locked, for instance because
    /// another program uses it. The board was not changed.
    Refused,
    /// A step failed.
    Failed,
    /// Another board failed before, or the call was interrupted. The flash was not changed, but the
    /// board may have been restarted.
    NotStarted,
}

impl BoardStatus {
    /// True if the task of the board succeeded.
    pub fn is_well(self) -> bool {
        matches!(
            self,
            Self::AlreadyDone | Self::Flashed | Self::Verified | Self::Staged
        )
    }
}

/// Result of the work on a board.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct BoardReport {
    /// Name of the board.
    pub name: String,
    /// Outcome.
    pub status: BoardStatus,
    /// Release that the board reported before the task. `None` if it reported none.
    pub before: Option<String>,
    /// Release that the board reported last. `None` if it reported none.
    pub release: Option<String>,
    /// Effect that a loss of power would have on the board now: `harmless`, `fatal` or `unknown`.
    pub power_loss: &'static str,
    /// Number of times that the flash was written.
    pub writes: usize,
    /// Reason that the board failed, was refused or was not started.
    pub error: Option<Failure>,
}

impl BoardReport {
    /// Returns the report of a board whose firmware was not changed.
    pub(super) fn untouched(
        release: &BoardRelease,
        status: BoardStatus,
        error: Option<Failure>,
    ) -> Self {
        Self {
            name: release.name.clone(),
            status,
            before: release.release.clone(),
            release: release.release.clone(),
            power_loss: PowerLoss::Harmless.as_str(),
            writes: 0,
            error,
        }
    }
}

/// Progress of the work on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The roll-out waits for the board, whose power must be cycled.
    Waiting {
        /// True if the board answered before. If not, its flash may be incomplete after an earlier
        /// write, and then it must keep its power.
        answered: bool,
    },
    /// The boot loader of the board takes commands.
    Controlled,
    /// Number of bytes that have arrived, and total number of bytes.
    Transferred(usize, usize),
    /// The present flash is read, to find out if it holds the image already.
    Comparing,
    /// The flash is erased and written. The power must stay on.
    Writing,
    /// The flash is still being erased or written after this time. The power must stay on.
    StillWriting(Duration),
    /// The flash is read back.
    Verifying,
    /// The board restarts.
    Restarting,
}

/// Callback for the progress of all boards. Its first argument is the name of the board.
pub type Observe = Arc<dyn Fn(&str, Event) + Send + Sync>;

/// A board with everything that its steps need.
pub(super) struct OneBoard {
    pub(super) entry: BoardEntry,
    pub(super) firmware: Arc<dyn Firmware>,
    pub(super) image: Arc<Image>,
    pub(super) task: Task,
    pub(super) before: Option<String>,
    pub(super) lock: Arc<BoardLock>,
    /// Lock that one board of a crate at a time holds, from the erasure of its flash until the
    /// board is back.
    pub(super) crate_turn: Arc<tokio::sync::Mutex<()>>,
    pub(super) back_within: Duration,
    pub(super) stop: CancellationToken,
    pub(super) observe: Observe,
}

/// Reason that the steps of a board ended early.
enum Ended {
    /// A step failed, while the boot loader took commands.
    Failed(FirmwareError),
    /// The board did not come back as expected after its restart.
    NotBack(Error),
    /// The call was interrupted.
    Stopped,
}

impl From<FirmwareError> for Ended {
    fn from(error: FirmwareError) -> Self {
        Self::Failed(error)
    }
}
impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

impl OneBoard {
    /// Executes the task, and returns its result. An interruption takes effect before the flash is
    /// changed, or after the board is back.
    pub(super) async fn run(self) -> BoardReport {
        let mut report = BoardReport {
            name: self.entry.name.clone(),
            status: BoardStatus::NotStarted,
            before: self.before.clone(),
            release: self.before.clone(),
            power_loss: PowerLoss::Harmless.as_str(),
            writes: 0,
            error: None,
        };
        match self.work(&mut report).await {
            Ok(status) => report.status = status,
            Err(Ended::Stopped) => report.error = Some(Failure::of_words("interrupted")),
            Err(Ended::NotBack(error)) => {
                report.status = BoardStatus::Failed;
                report.error = Some(Failure::from(&error));
            }
            Err(Ended::Failed(failed)) => {
                report.status = BoardStatus::Failed;
                report.power_loss = failed.power_loss.as_str();
                let mut failure = Failure::from(&failed.error);
                if failed.power_loss != PowerLoss::Harmless {
                    let advice = "KEEP THE POWER ON: the flash is not known to be complete. If the \
                                  board still has power, it waits in its boot loader";
                    failure.advice = Some(advice.to_owned());
                }
                report.error = Some(failure);
            }
        }
        report
    }

    fn tell(&self, event: Event) {
        (self.observe)(&self.entry.name, event);
    }

    /// Awaits a step that an interruption may abandon.
    async fn unless_stopped<T>(
        &self,
        step: impl Future<Output = FirmwareResult<T>>,
    ) -> Result<T, Ended> {
        match self.stop.run_until_cancelled(step).await {
            Some(answer) => Ok(answer?.value),
            None => Err(Ended::Stopped),
        }
    }

    async fn work(&self, report: &mut BoardReport) -> Result<BoardStatus, Ended> {
        self.tell(Event::Waiting {
            answered: self.before.is_some(),
        });
        self.unless_stopped(self.firmware.identify()).await?;
        self.tell(Event::Controlled);
        let done = self.controlled(report).await;
        let is_in_boot_loader = match &done {
            Ok(_) | Err(Ended::NotBack(_)) => false,
            Err(Ended::Stopped) => true,
            // A board with an incomplete flash would not start again after a restart.
            Err(Ended::Failed(failed)) => failed.power_loss == PowerLoss::Harmless,
        };
        if is_in_boot_loader && let Err(failed) = self.restart().await {
            let message = match done {
                Err(Ended::Failed(first)) => format!("{}; then: {failed}", first.error.causes()),
                _ => format!("interrupted; then: {failed}"),
            };
            let error = Error::new(ErrorKind::Timeout, message)
                .on(&self.entry.name)
                .during("restart")
                .advise("a loss of power does no harm now: switch the board off and on");
            return Err(error.into());
        }
        done
    }

    /// Refuses to go on if another program has taken the board over.
    fn still_locked(&self) -> Result<(), Error> {
        match self.lock.taken_over() {
            None => Ok(()),
            Some(by) => {
                let why = format!("{by} has taken this board over");
                Err(Error::new(ErrorKind::Busy, why).on(&self.entry.name))
            }
        }
    }

    /// Writes the flash, and reports every 30 s that the board still works.
    async fn commit(&self) -> Result<(), FirmwareError> {
        let mut writing = std::pin::pin!(self.firmware.commit());
        let mut time = Duration::ZERO;
        loop {
            match tokio::time::timeout(SILENCE, &mut writing).await {
                Ok(written) => return written.map(drop),
                Err(_) => time += SILENCE,
            }
            self.tell(Event::StillWriting(time));
        }
    }

    /// Executes the steps of a board whose boot loader takes commands.
    async fn controlled(&self, report: &mut BoardReport) -> Result<BoardStatus, Ended> {
        self.still_locked()?;
        let image = self.image.image();
        if self.task != Task::Stage {
            self.tell(Event::Comparing);
            match self.unless_stopped(self.firmware.verify(image)).await {
                Ok(()) => {
                    self.finish(report).await?;
                    return Ok(BoardStatus::Verified);
                }
                // The flash holds another image, which is the reason to write the new one.
                Err(Ended::Failed(failed))
                    if self.task == Task::Flash && failed.error.kind() == ErrorKind::Protocol => {}
                Err(ended) => return Err(ended),
            }
        }
        let progress = |sent, all| self.tell(Event::Transferred(sent, all));
        self.unless_stopped(self.firmware.stage(image, &progress))
            .await?;
        if self.task == Task::Stage {
            self.finish(report).await?;
            return Ok(BoardStatus::Staged);
        }
        let _turn = self.stop.run_until_cancelled(self.crate_turn.lock()).await;
        if self.stop.is_cancelled() {
            return Err(Ended::Stopped);
        }
        self.still_locked()?;
        loop {
            self.tell(Event::Writing);
            report.writes += 1;
            if let Err(failed) = self.commit().await {
                // An answer may have been lost. The image is still in the memory of the board.
                if report.writes < WRITES {
                    let board = &self.entry.name;
                    tracing::warn!(board, %failed, "the flash is written again");
                    continue;
                }
                return Err(failed.into());
            }
            self.tell(Event::Verifying);
            let differs = |failed: &FirmwareError| failed.error.kind() == ErrorKind::Protocol;
            let mut verified = self.firmware.verify(image).await;
            if verified.as_ref().is_err_and(|failed| !differs(failed)) {
                // The answer was lost, and not the content of the flash.
                verified = self.firmware.verify(image).await;
            }
            match verified {
                Ok(_) => break,
                Err(failed) if differs(&failed) && report.writes < WRITES => {
                    let board = &self.entry.name;
                    tracing::warn!(board, %failed, "the flash is written again");
                }
                Err(failed) => return Err(failed.into()),
            }
        }
        // The lock of the crate is held until the board is back.
        self.finish(report).await?;
        Ok(BoardStatus::Flashed)
    }

    /// Restarts the board, and waits until it is back.
    async fn finish(&self, report: &mut BoardReport) -> Result<(), Ended> {
        // If the answer was lost, the board may have restarted all the same.
        if let Err(failed) = self.restart().await
            && failed.error.certainty() != Certainty::Unknown
        {
            return Err(failed.into());
        }
        // A board that did not answer before is not expected to answer with unchanged firmware.
        if self.task == Task::Stage && self.before.is_none() {
            return Ok(());
        }
        report.release = self.back().await.map_err(Ended::NotBack)?;
        Ok(())
    }

    async fn restart(&self) -> Result<(), FirmwareError> {
        self.tell(Event::Restarting);
        self.firmware.boot().await?;
        Ok(())
    }

    /// Waits until the board answers, and returns the release that it reports. Unless the task is
    /// [`Task::Stage`], a release other than that of the image is an error, and the board must
    /// acquire samples.
    async fn back(&self) -> Result<Option<String>, Error> {
        let name = &self.entry.name;
        let seconds = self.back_within.as_secs_f64();
        let answering = async {
            loop {
                match self.connect().await {
                    Ok(board) => return board,
                    Err(error) => tracing::debug!(board = name, %error, "not back yet"),
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        let board = tokio::time::timeout(self.back_within, answering).await;
        let board = board.map_err(|_| {
            let why = format!("the board did not come back in {seconds} s after its restart");
            Error::new(ErrorKind::Timeout, why)
                .on(name)
                .during("restart")
        })?;
        let release = board.describe().await?.firmware;
        if self.task == Task::Stage {
            return Ok(Some(release));
        }
        if Release::parse(&release).as_ref() != Some(self.image.release()) {
            let to = self.image.release();
            let why =
                format!("the board reports the release {release:?} after its restart, not {to}");
            return Err(Error::new(ErrorKind::Protocol, why)
                .on(name)
                .during("restart"));
        }
        let samples = board
            .samples()
            .mean(ModuleId::FIRST, Acquire::new(SAMPLES))
            .await;
        samples.map_err(|error| error.during("acquire samples with the new firmware"))?;
        Ok(Some(release))
    }

    async fn connect(&self) -> Result<BoardHandle, Error> {
        let connections = Connections::none();
        connections
            .connect(&self.entry, &ConnectOptions::default())
            .await
    }
}

/// Locks a board, so that no other program on this computer sets it.
///
/// # Errors
/// [`ErrorKind::Busy`] if another program has the board, or if it cannot be locked.
pub(super) async fn lock(entry: &BoardEntry) -> Result<Arc<BoardLock>, Error> {
    let refused = |why: String, advice: &str| {
        let error = Error::new(ErrorKind::Busy, why).advise(advice);
        error.on(&entry.name).during("lock")
    };
    match Connections::none().lock(place(entry).await, false).await {
        Ok(Locking::Taken(lock, _)) => Ok(lock),
        Ok(Locking::Held(by)) => {
            let command = by.command.as_deref().unwrap_or_default();
            let advice = if command.contains(" firmware ") {
                "KEEP THE POWER ON, and wait for the end of that program: it may be writing the \
                 flash"
            } else {
                "end that program first (a daemon: `systemctl stop twotone`), since a board that \
                 is flashed loses its settings"
            };
            Err(refused(lock::in_use(&by), advice))
        }
        Err(error) => Err(refused(
            lock::not_lockable(&error),
            lock::ADVICE_NOT_LOCKABLE,
        )),
    }
}
