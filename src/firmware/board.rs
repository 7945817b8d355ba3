//! Work of a roll-out on one board.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use twotone_hal::{
    Acquire, BoardHandle, Certainty, Error, ErrorKind, Firmware, FirmwareError, FirmwareIdentity,
    FirmwareResult, ModuleId, PowerLoss,
};

use super::crates::{Crates, Only};
use super::{
    BoardRelease, BoardReport, BoardStatus, Event, Flashes, Image, Observe, ObserveEnd, Release,
    Task, Unfinished,
};
use crate::connections::{Connections, Locking, place};
use crate::lock::{self, BoardLock};
use crate::map::BoardEntry;
use crate::record::{Failure, UtcTime};
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

/// Power loss of a board that may lose its power.
const HARMLESS: &str = PowerLoss::Harmless.as_str();

/// A board with everything that its steps need.
pub(super) struct OneBoard {
    pub(super) entry: BoardEntry,
    pub(super) firmware: Arc<dyn Firmware>,
    pub(super) image: Arc<Image>,
    pub(super) task: Task,
    pub(super) release: BoardRelease,
    pub(super) lock: Arc<BoardLock>,
    /// Power of the crates of the roll-out.
    pub(super) crates: Arc<Crates>,
    pub(super) flashes: Flashes,
    pub(super) back_within: Duration,
    pub(super) stop: CancellationToken,
    pub(super) observe: Observe,
    pub(super) observe_end: ObserveEnd,
}

/// Reason that the steps of a board ended early.
enum Ended {
    /// A step failed, while the boot loader took commands.
    Failed(FirmwareError),
    /// This program failed between two steps, so that the board is as it was.
    Here(Error),
    /// The board did not come back as expected after its restart.
    NotBack(Error),
    /// The board must not be begun, or not be gone on with, for this reason.
    NotStarted(String),
}

impl Ended {
    fn interrupted() -> Self {
        Self::NotStarted("interrupted".to_owned())
    }

    /// Adds this end to the report of a board.
    fn report(self, report: &mut BoardReport) {
        let (status, failure) = match self {
            Self::NotStarted(why) => (BoardStatus::NotStarted, Failure::of_words(why)),
            Self::Here(error) | Self::NotBack(error) => {
                (BoardStatus::Failed, Failure::from(&error))
            }
            Self::Failed(failed) => {
                report.power_loss = failed.power_loss.as_str();
                (BoardStatus::Failed, Failure::from(&failed.error))
            }
        };
        report.status = status;
        report.error = Some(failure);
    }
}

impl From<FirmwareError> for Ended {
    fn from(error: FirmwareError) -> Self {
        Self::Failed(error)
    }
}
impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

impl OneBoard {
    /// Executes the task, and reports its result. An interruption takes effect before the flash is
    /// changed, or after the board is back.
    pub(super) async fn run(self) -> BoardReport {
        let mut report = BoardReport::untouched(&self.release, BoardStatus::NotStarted, None);
        let mut only = None;
        match self.identify(&mut report, &mut only).await {
            Err(ended) => ended.report(&mut report),
            Ok(identity) => match self.controlled(&mut report, &identity, &mut only).await {
                Ok(status) => report.status = status,
                Err(ended @ Ended::NotBack(_)) => ended.report(&mut report),
                Err(ended) => {
                    ended.report(&mut report);
                    self.leave(&mut report).await;
                }
            },
        }
        if report.power_loss != HARMLESS {
            if let Some(only) = &mut only {
                **only = Some(self.entry.name.clone());
            }
            if let Some(failure) = &mut report.error {
                let keep = "KEEP THE POWER ON: the flash is not known to be complete. If the board \
                            still has power, it waits in its boot loader";
                let more = failure.advice.take().map(|more| format!("; {more}"));
                failure.advice = Some(keep.to_owned() + &more.unwrap_or_default());
            }
        }
        // The next board of the crate begins afterwards.
        (self.observe_end)(&report);
        report
    }

    /// Restarts a board whose steps ended early, unless its flash is not known to be complete: such
    /// a board would not start again.
    async fn leave(&self, report: &mut BoardReport) {
        if report.power_loss != HARMLESS {
            return;
        }
        if let Err(failed) = self.restart().await {
            report.status = BoardStatus::Failed;
            report.power_loss = failed.power_loss.as_str();
            let causes = failed.error.causes();
            let first = report.error.take();
            report.error = first.map(|first| first.and(format!("then, in the restart: {causes}")));
        }
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
            None => Err(Ended::interrupted()),
        }
    }

    /// Awaits the power of a crate.
    async fn power<G: std::ops::Deref<Target = Option<String>>>(
        &self,
        lock: impl Future<Output = G>,
    ) -> Result<G, Ended> {
        let locked = self.stop.run_until_cancelled(lock).await;
        let locked = locked.ok_or_else(Ended::interrupted)?;
        match &*locked {
            None => Ok(locked),
            Some(board) => Err(Ended::NotStarted(format!(
                "the flash of {board} is not complete, and a loss of the power of its crate would \
                 make it unusable"
            ))),
        }
    }

    /// Takes control of the board, and returns its identity. If its flash is not complete, `only`
    /// gets the lock of the power of its crate.
    async fn identify(
        &self,
        report: &mut BoardReport,
        only: &mut Option<Only>,
    ) -> Result<FirmwareIdentity, Ended> {
        let power = self.crates.power(self.crate_serial(None));
        let waiting = Event::Waiting {
            answered: self.release.release.is_some(),
            unfinished: self.release.may_not_start().is_some(),
        };
        let identified = match self.release.may_not_start() {
            Some(unfinished) => {
                *only = Some(self.power(power.write_owned()).await?);
                self.tell(waiting);
                let control = unfinished.control.as_deref().unwrap_or_default();
                let again = self.firmware.identify_again(control);
                self.stop.run_until_cancelled(again).await
            }
            None => {
                let _shared = self.power(power.read_owned()).await?;
                self.firmware.listen().await?;
                self.tell(waiting);
                let identify = self.firmware.identify();
                self.stop.run_until_cancelled(identify).await
            }
        };
        let identified = identified.ok_or_else(Ended::interrupted)??;
        report.power_loss = identified.power_loss.as_str();
        self.tell(Event::Controlled);
        Ok(identified.value)
    }

    /// Records that the flash is about to be changed.
    async fn record(&self, identity: &FirmwareIdentity) -> Result<(), Error> {
        let record = Unfinished {
            board: self.entry.name.clone(),
            kind: self.entry.kind.name().to_owned(),
            serial: self.entry.serial.clone().unwrap_or_default(),
            crate_serial: self.crate_serial(Some(identity)).map(str::to_owned),
            release: Some(self.image.release().to_string()),
            sha256: Some(self.image.sha256().to_owned()),
            since: Some(UtcTime::now()),
            control: identity.control.clone(),
            ..Unfinished::default()
        };
        let flashes = self.flashes.clone();
        let written = tworoutine::offload(move || flashes.begin(&record)).await;
        written.map_err(|error| {
            let why = format!("the start of the flash cannot be recorded: {error}");
            Error::new(ErrorKind::InvalidArgument, why)
                .on(&self.entry.name)
                .during("commit")
                .advise("set TWOTONE_FLASHES to a folder that can be written")
        })
    }

    /// Removes the record of a flash that was begun, since the flash is known to be complete.
    async fn remove_record(&self, report: &mut BoardReport) {
        let serial = self.entry.serial.clone().unwrap_or_default();
        let (flashes, kind) = (self.flashes.clone(), self.entry.kind.name());
        let removed = tworoutine::offload(move || flashes.end(kind, &serial)).await;
        let name = &self.entry.name;
        report.not_recorded = removed
            .err()
            .map(|error| format!("that the flash of {name} is complete is not recorded: {error}"));
    }

    /// Serial number of the crate: that of the map, or else that of the board, or else that of the
    /// record of its flash.
    fn crate_serial<'a>(&'a self, identity: Option<&'a FirmwareIdentity>) -> Option<&'a str> {
        let of_board = identity.and_then(|identity| identity.crate_serial.as_deref());
        let record = self.release.unfinished.as_ref();
        let of_record = record.and_then(|record| record.crate_serial.as_deref());
        let of_map = self.entry.crate_serial.as_deref();
        of_map.or(of_board).or(of_record)
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
    async fn controlled(
        &self,
        report: &mut BoardReport,
        identity: &FirmwareIdentity,
        only: &mut Option<Only>,
    ) -> Result<BoardStatus, Ended> {
        self.still_locked()?;
        let image = self.image.image();
        if self.task != Task::Stage {
            self.tell(Event::Comparing);
            match self.unless_stopped(self.firmware.verify(image)).await {
                Ok(()) => {
                    report.power_loss = HARMLESS;
                    self.remove_record(report).await;
                    self.finish(report).await?;
                    return Ok(BoardStatus::Verified);
                }
                // The flash holds another image, which is the reason to write the new one.
                Err(Ended::Failed(failed))
                    if self.task == Task::Flash && failed.error.kind() == ErrorKind::Protocol =>
                {
                    report.power_loss = failed.power_loss.as_str();
                }
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
        // The power of the crate is held until the board is back.
        if only.is_none() {
            let power = self.crates.power(self.crate_serial(Some(identity)));
            *only = Some(self.power(power.write_owned()).await?);
        }
        if self.stop.is_cancelled() {
            return Err(Ended::interrupted());
        }
        self.still_locked()?;
        self.record(identity).await?;
        let mut attempts = 0;
        loop {
            self.tell(Event::Writing);
            attempts += 1;
            let committed = self.commit().await;
            let failed = committed.as_ref().err();
            let is_changed = failed.is_none_or(|failed| failed.power_loss != PowerLoss::Harmless);
            report.writes += usize::from(is_changed);
            if let Err(failed) = committed {
                // An answer may have been lost. The image is still in the memory of the board.
                if attempts < WRITES {
                    let board = &self.entry.name;
                    tracing::warn!(board, %failed, "the flash is written again");
                    continue;
                }
                if !is_changed {
                    self.remove_record(report).await;
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
                Err(failed) if differs(&failed) && attempts < WRITES => {
                    let board = &self.entry.name;
                    tracing::warn!(board, %failed, "the flash is written again");
                }
                Err(failed) => return Err(failed.into()),
            }
        }
        report.power_loss = HARMLESS;
        self.remove_record(report).await;
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
        if self.task == Task::Stage && self.release.release.is_none() {
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

#[cfg(all(test, feature = "sim"))]
mod tests;
