//! Roll-out of an image to the boards of a map.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tworoutine::tworoutine;
use twotone_hal::{Error, ErrorKind, Firmware, PowerLoss};

use super::board::{OneBoard, lock};
use super::{
    BoardRelease, BoardReport, BoardStatus, Done, Flashes, Image, Observe, ObserveEnd, Task, list,
};
use crate::campaign::Completion;
use crate::lock::BoardLock;
use crate::map::{BoardEntry, BoardKind, HardwareMap};
use crate::record::Failure;
use crate::transport::{BoardPlace, FirmwareOptions};

/// Largest number of boards that are worked on at the same time.
const AT_ONCE: usize = 256;

/// Roll-out of an image to the boards of a map.
///
/// ```no_run
/// use twotone::firmware::{Done, Image, Rollout, Task};
/// use twotone::map::HardwareMap;
/// use tworoutine::Wait;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let image = Image::load("firmware/1.8.0.toml")?;
/// let done = Done::read("1.8.0.json", &image)?;
/// let map = HardwareMap::load("array.toml")?;
/// let report = Rollout::new(map, image).run(Task::Flash, Some(done)).wait();
/// for board in &report.boards {
///     println!("{}: {:?}", board.name, board.status);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Rollout {
    pub(super) map: HardwareMap,
    pub(super) image: Arc<Image>,
    options: FirmwareOptions,
    back_within: Duration,
    pub(super) allow_older: bool,
    at_once: bool,
    stop: CancellationToken,
    observe: Observe,
    observe_end: ObserveEnd,
}

/// Result of a roll-out.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RolloutReport {
    /// True if the task succeeded on all boards, and everything could be recorded.
    pub ok: bool,
    /// Release of the image.
    pub release: String,
    /// SHA-256 digest of the image.
    pub sha256: String,
    /// The boards, in the order of the map.
    pub boards: Vec<BoardReport>,
    /// Reasons that the file of [`Done`] or a record of [`Flashes`] could not be written.
    pub not_recorded: Vec<String>,
    #[serde(skip)]
    interrupted: bool,
}

impl RolloutReport {
    /// Returns the degree to which the roll-out was done. It determines the exit status of the
    /// program.
    pub fn completion(&self) -> Completion {
        let failed = |board: &BoardReport| board.status == BoardStatus::Failed;
        // True if neither firmware nor boot loader answered. A board is refused by its identity,
        // its lock or its records, and not because it is silent.
        let silent = |board: &BoardReport| {
            let is_untouched = board.release.is_none() && board.writes == 0;
            is_untouched && !board.status.is_well() && board.status != BoardStatus::Refused
        };
        if self.interrupted && !self.boards.iter().any(failed) {
            Completion::Interrupted
        } else if self.ok {
            Completion::Complete
        } else if self.boards.iter().all(silent) {
            Completion::Unreachable
        } else {
            Completion::Incomplete
        }
    }
}

impl Rollout {
    /// Default of the longest time until a board is back after its restart.
    pub const BACK_WITHIN: Duration = Duration::from_secs(300);

    /// Makes a roll-out of `image` to the boards of `map`. Boards of another kind than that of the
    /// image are refused.
    pub fn new(map: HardwareMap, image: Image) -> Self {
        Self {
            map,
            image: Arc::new(image),
            options: FirmwareOptions::default(),
            back_within: Self::BACK_WITHIN,
            allow_older: false,
            at_once: false,
            stop: CancellationToken::new(),
            observe: Arc::new(|_, _| ()),
            observe_end: Arc::new(|_| ()),
        }
    }

    /// Sets the address on which the program listens for boards, the longest wait for them, and the
    /// longest time in which a board erases, writes or reads its flash.
    #[must_use]
    pub fn options(self, options: FirmwareOptions) -> Self {
        Self { options, ..self }
    }

    /// Sets the longest time until a board is back after its restart. The default is
    /// [`Rollout::BACK_WITHIN`].
    #[must_use]
    pub fn back_within(self, back_within: Duration) -> Self {
        Self {
            back_within,
            ..self
        }
    }

    /// Sets whether boards that run a later or unknown release are flashed too. The default is
    /// false.
    #[must_use]
    pub fn allow_older(self, allow_older: bool) -> Self {
        Self {
            allow_older,
            ..self
        }
    }

    /// Sets whether the roll-out flashes all boards at the same time, and not one board first. The
    /// default is false.
    #[must_use]
    pub fn at_once(self, at_once: bool) -> Self {
        Self { at_once, ..self }
    }

    /// Sets the token that ends the roll-out. When the token is cancelled, boards whose flash is
    /// being changed are finished, boards that have not reached this step are restarted with their
    /// present firmware, and no other board is begun.
    #[must_use]
    pub fn stop(self, stop: CancellationToken) -> Self {
        Self { stop, ..self }
    }

    /// Sets the receiver of the progress.
    #[must_use]
    pub fn observe(self, observe: Observe) -> Self {
        Self { observe, ..self }
    }

    /// Sets the receiver of the result of each board on which the roll-out works. It is called as
    /// soon as the result is known.
    #[must_use]
    pub fn observe_end(self, observe_end: ObserveEnd) -> Self {
        Self {
            observe_end,
            ..self
        }
    }

    /// Executes `task` on each board that can be locked and is not refused. [`Task::Flash`] begins
    /// with the boards whose flash was begun before and not finished. Then it works on one board,
    /// on a tenth of the others, and on the rest, or on all at the same time after
    /// [`Rollout::at_once`]. After a failure no further group begins. It skips a board in `done` if
    /// the board reports the release of the image. The other tasks work on all boards at the same
    /// time. Boards that were flashed or verified are added to `done`.
    ///
    /// In each of these groups, up to 256 boards are worked on at the same time. Boards of the same
    /// crate share their power: while the flash of one of them is not complete, nobody is asked to
    /// switch another one off.
    ///
    /// **On cancel** (the future is dropped) a board whose flash is being written completes the
    /// write, and then waits in its boot loader. Use [`Rollout::stop`] to end a roll-out in an
    /// orderly way.
    #[tworoutine(Send)]
    pub async fn run(&self, task: Task, done: Option<Done>) -> RolloutReport {
        let mut done = done;
        // All boards are locked before the first one is touched, and until the end.
        let locks = self.lock_all().await;
        let flashes = Flashes::usual();
        let of_all = flashes.clone();
        let begun = tworoutine::offload(move || of_all.all()).await;
        let releases = list(&self.map, &begun).await;
        let mut reports = self.first_reports(task, &locks, &releases, &begun, done.as_ref());
        let boards: Vec<usize> = (0..reports.len())
            .filter(|at| reports[*at].is_none())
            .collect();
        let access = self.access_of(&boards);
        let (crates, turns) = (Arc::default(), Arc::new(Semaphore::new(AT_ONCE)));
        let mut not_recorded = Vec::new();
        let mut failed = false;
        for group in self.groups(task, &boards, &releases) {
            if failed || self.stop.is_cancelled() {
                break;
            }
            let (ended, mut results) = mpsc::unbounded_channel();
            let mut running = Vec::with_capacity(group.len());
            for at in group {
                let Ok(lock) = &locks[at] else { continue };
                let one = OneBoard {
                    entry: self.map.boards()[at].clone(),
                    firmware: Arc::clone(&access[&at]),
                    image: Arc::clone(&self.image),
                    task,
                    release: releases[at].clone(),
                    lock: Arc::clone(lock),
                    crates: Arc::clone(&crates),
                    flashes: flashes.clone(),
                    back_within: self.back_within,
                    stop: self.stop.clone(),
                    observe: Arc::clone(&self.observe),
                    observe_end: Arc::clone(&self.observe_end),
                };
                let (ended, turns) = (ended.clone(), Arc::clone(&turns));
                let work = tworoutine::spawn(async move {
                    let _turn = turns.acquire().await;
                    let report = one.run().await;
                    // The receiver is there until all boards of the group have ended.
                    let _ = ended.send((at, report));
                });
                running.push((at, work));
            }
            drop(ended);
            while let Some((at, report)) = results.recv().await {
                failed |= !report.status.is_well();
                not_recorded.extend(Self::take(&report, &releases[at], done.as_mut()));
                reports[at] = Some(report);
            }
            for (at, work) in running {
                if let Err(panicked) = work.await {
                    let failure = Some(Failure::of_words(panicked.to_string()));
                    let status = BoardStatus::Failed;
                    let report = BoardReport {
                        power_loss: PowerLoss::Unknown.as_str(),
                        ..BoardReport::untouched(&releases[at], status, failure)
                    };
                    (self.observe_end)(&report);
                    reports[at] = Some(report);
                    failed = true;
                }
            }
        }
        let boards = reports.into_iter().enumerate().map(|(at, report)| {
            report.unwrap_or_else(|| {
                let why = match self.stop.is_cancelled() {
                    true => "interrupted",
                    false => "another board failed before",
                };
                let failure = Failure::of_words(why);
                BoardReport::untouched(&releases[at], BoardStatus::NotStarted, Some(failure))
            })
        });
        let boards: Vec<_> = boards.collect();
        RolloutReport {
            ok: not_recorded.is_empty() && boards.iter().all(|board| board.status.is_well()),
            release: self.image.release().to_string(),
            sha256: self.image.sha256().to_owned(),
            boards,
            not_recorded,
            interrupted: self.stop.is_cancelled(),
        }
    }

    async fn lock_all(&self) -> Vec<Result<Arc<BoardLock>, Error>> {
        let locking = self.map.boards().iter().cloned();
        let locking: Vec<_> = locking
            .map(|entry| tworoutine::spawn(async move { lock(&entry).await }))
            .collect();
        let mut locks = Vec::with_capacity(locking.len());
        for locking in locking {
            let ended = |ended: tworoutine::JoinError| {
                Err(Error::new(ErrorKind::Panicked, ended.to_string()))
            };
            locks.push(locking.await.unwrap_or_else(ended));
        }
        locks
    }

    /// Adds a board to `done` if its flash is proven. Returns the reasons that something could not
    /// be recorded.
    fn take(report: &BoardReport, release: &BoardRelease, done: Option<&mut Done>) -> Vec<String> {
        let mut not_recorded: Vec<_> = report.not_recorded.iter().cloned().collect();
        let proven = matches!(report.status, BoardStatus::Flashed | BoardStatus::Verified);
        let serial = release.serial.as_deref();
        if let (Some(done), Some(serial)) = (done.filter(|_| proven), serial)
            && let Err(error) = done.add(serial, &report.name)
        {
            not_recorded.push(format!(
                "that {} is done is not recorded, so that a second call reads its flash back: \
                 {error}",
                report.name
            ));
        }
        not_recorded
    }

    /// Returns the groups of boards that are worked on one after the other.
    fn groups(&self, task: Task, boards: &[usize], releases: &[BoardRelease]) -> Vec<Vec<usize>> {
        if task != Task::Flash {
            // These tasks do not endanger a board.
            return vec![boards.to_vec()];
        }
        let is_unfinished = |at: &usize| releases[*at].may_not_start().is_some();
        let (unfinished, others): (Vec<usize>, Vec<usize>) =
            boards.iter().partition(|at| is_unfinished(at));
        let first = Some(unfinished).filter(|boards| !boards.is_empty());
        let others = groups(&others, self.at_once).map(<[usize]>::to_vec);
        first.into_iter().chain(others).collect()
    }

    pub(super) fn access(
        &self,
        of: crate::transport::FirmwareOf,
        entries: &[&BoardEntry],
    ) -> Vec<Arc<dyn Firmware>> {
        let places: Vec<_> = entries
            .iter()
            .map(|entry| {
                let place = BoardPlace {
                    serial: entry.serial.as_deref(),
                    crate_serial: entry.crate_serial.as_deref(),
                    slot: entry.slot,
                };
                (entry.name.as_str(), place)
            })
            .collect();
        of(&places, &self.options)
    }

    /// Returns the access to the firmware of the boards at these indices, with one call for each
    /// kind.
    fn access_of(&self, boards: &[usize]) -> HashMap<usize, Arc<dyn Firmware>> {
        let mut access = HashMap::new();
        for kind in BoardKind::all() {
            let Some(of) = kind.family().firmware else {
                continue;
            };
            let is_of_kind = |at: &&usize| self.map.boards()[**at].kind == kind;
            let of_kind: Vec<usize> = boards.iter().filter(is_of_kind).copied().collect();
            let entries: Vec<_> = of_kind.iter().map(|at| &self.map.boards()[*at]).collect();
            access.extend(of_kind.iter().copied().zip(self.access(of, &entries)));
        }
        access
    }
}

/// Returns the groups of a roll-out: one board, a tenth of the others, and the rest, or all boards
/// in one group.
fn groups(boards: &[usize], at_once: bool) -> impl Iterator<Item = &[usize]> {
    let alone = if at_once { 0 } else { boards.len().min(1) };
    let (first, others) = boards.split_at(alone);
    let tenth = if at_once {
        0
    } else {
        others.len().div_ceil(10)
    };
    let (tenth, rest) = others.split_at(tenth);
    [first, tenth, rest]
        .into_iter()
        .filter(|group| !group.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_board_comes_first_then_a_tenth_then_the_rest() {
        for (boards, expected) in [
            (0, vec![]),
            (1, vec![1]),
            (2, vec![1, 1]),
            (3, vec![1, 1, 1]),
            (12, vec![1, 2, 9]),
            (256, vec![1, 26, 229]),
        ] {
            let boards: Vec<usize> = (0..boards).collect();
            let sizes: Vec<_> = groups(&boards, false).map(<[usize]>::len).collect();
            assert_eq!(sizes, expected);
            assert_eq!(groups(&boards, true).flatten().count(), boards.len());
            assert!(groups(&boards, true).count() <= 1);
            assert_eq!(
                groups(&boards, false)
                    .flatten()
                    .copied()
                    .collect::<Vec<_>>(),
                boards
            );
        }
    }
}
