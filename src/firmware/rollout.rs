//! Roll-out of an image to the boards of a map.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tworoutine::tworoutine;
use twotone_hal::{Error, ErrorKind, Firmware};

use super::board::{OneBoard, lock};
use super::{BoardRelease, BoardReport, BoardStatus, Done, Image, Observe, Task, list};
use crate::campaign::Completion;
use crate::map::{BoardEntry, BoardKind, HardwareMap};
use crate::record::Failure;
use crate::transport::{BoardPlace, FirmwareOptions};

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
    map: HardwareMap,
    image: Arc<Image>,
    options: FirmwareOptions,
    back_within: Duration,
    allow_older: bool,
    at_once: bool,
    stop: CancellationToken,
    observe: Observe,
}

/// Result of a roll-out.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RolloutReport {
    /// True if the task succeeded on all boards, and the file of [`Done`] could be written.
    pub ok: bool,
    /// Release of the image.
    pub release: String,
    /// SHA-256 digest of the image.
    pub sha256: String,
    /// The boards, in the order of the map.
    pub boards: Vec<BoardReport>,
    /// Reasons that the file of [`Done`] could not be written.
    pub not_recorded: Vec<String>,
    #[serde(skip)]
    interrupted: bool,
}

impl RolloutReport {
    /// Returns the degree to which the roll-out was done. It determines the exit status of the
    /// program.
    pub fn completion(&self) -> Completion {
        let failed = |board: &BoardReport| board.status == BoardStatus::Failed;
        // No board has answered, neither its firmware nor its boot loader.
        let silent = |board: &BoardReport| {
            board.release.is_none() && board.writes == 0 && !board.status.is_well()
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

    /// Sets whether the roll-out works on all boards at the same time, and not on one board first.
    /// The default is false.
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

    /// Returns for each board of the map the reason that it cannot be flashed with the image, or
    /// `None` if it can. `releases` are the releases of the boards, in the order of the map.
    pub fn refusals(&self, releases: &[BoardRelease]) -> Vec<Option<Failure>> {
        let refusal = |(entry, release): (&BoardEntry, &BoardRelease)| {
            let kind = &self.image.image().kind;
            if entry.kind.name() != kind {
                let why = format!("the image is for boards of the kind {kind}");
                return Some(Failure::of_words(why));
            }
            let of = entry.kind.family().firmware;
            let Some(firmware) = of.and_then(|of| self.access(of, &[entry]).pop()) else {
                let why = format!("boards of the kind {kind} cannot be flashed over the network");
                return Some(Failure::of_words(why));
            };
            if let Err(error) = firmware.check(self.image.image()) {
                return Some(Failure::from(&error));
            }
            let running = release.release.as_deref();
            let why = self.image.refuses(running, self.allow_older)?;
            Some(Failure::of_words(why))
        };
        self.map
            .boards()
            .iter()
            .zip(releases)
            .map(refusal)
            .collect()
    }

    fn access(
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

    /// Executes `task` on each board that can be locked and is not refused: on one, then on a tenth
    /// of the others, then on the rest, or on all at the same time after [`Rollout::at_once`].
    /// After a failure no further group begins. [`Task::Flash`] skips a board in `done` if it
    /// reports the release of the image. Boards that were flashed or verified are added to `done`.
    ///
    /// **On cancel** (the future is dropped) a board whose flash is being written completes the
    /// write, and then waits in its boot loader. Use [`Rollout::stop`] to end a roll-out in an
    /// orderly way.
    #[tworoutine(Send)]
    pub async fn run(&self, task: Task, done: Option<Done>) -> RolloutReport {
        let mut done = done;
        let mut not_recorded = Vec::new();
        // All boards are locked before the first one is touched, and until the end.
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
        let releases = list(&self.map).await;
        let mut reports: Vec<Option<BoardReport>> = self.first_reports(task, &releases, &done);
        for (at, locked) in locks.iter().enumerate() {
            if let (Err(error), None | Some(BoardStatus::Refused)) =
                (locked, reports[at].as_ref().map(|report| report.status))
            {
                let failure = Some(Failure::from(error));
                let report = BoardReport::untouched(&releases[at], BoardStatus::Refused, failure);
                reports[at] = Some(report);
            }
        }
        let open = |reports: &[Option<BoardReport>]| -> Vec<usize> {
            (0..reports.len())
                .filter(|at| reports[*at].is_none())
                .collect()
        };
        let boards = open(&reports);
        let access = self.access_of(&boards);
        let mut crates: HashMap<String, Arc<tokio::sync::Mutex<()>>> = HashMap::new();
        let mut failed = false;
        for group in groups(&boards, self.at_once) {
            if failed || self.stop.is_cancelled() {
                break;
            }
            let mut running = Vec::with_capacity(group.len());
            for at in group {
                let Ok(lock) = &locks[*at] else { continue };
                let entry = self.map.boards()[*at].clone();
                // A board without a crate does not wait for others.
                let rack = entry
                    .crate_serial
                    .clone()
                    .unwrap_or_else(|| entry.name.clone());
                let one = OneBoard {
                    firmware: Arc::clone(&access[at]),
                    image: Arc::clone(&self.image),
                    task,
                    before: releases[*at].release.clone(),
                    lock: Arc::clone(lock),
                    crate_turn: Arc::clone(crates.entry(rack).or_default()),
                    back_within: self.back_within,
                    stop: self.stop.clone(),
                    observe: Arc::clone(&self.observe),
                    entry,
                };
                running.push((*at, tworoutine::spawn(one.run())));
            }
            for (at, running) in running {
                let report = running.await.unwrap_or_else(|ended| {
                    let failure = Failure::of_words(ended.to_string());
                    BoardReport::untouched(&releases[at], BoardStatus::Failed, Some(failure))
                });
                failed |= !report.status.is_well();
                let proven = matches!(report.status, BoardStatus::Flashed | BoardStatus::Verified);
                if let Some(done) = done.as_mut().filter(|_| proven)
                    && let Err(error) = done.add(&report.name)
                {
                    not_recorded.push(format!(
                        "that {} is done is not recorded, so that a second call reads its flash \
                         back: {error}",
                        report.name
                    ));
                }
                reports[at] = Some(report);
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

    /// Returns the reports of the boards on which nothing is to be done, and `None` for the others.
    fn first_reports(
        &self,
        task: Task,
        releases: &[BoardRelease],
        done: &Option<Done>,
    ) -> Vec<Option<BoardReport>> {
        let refusals = self.refusals(releases);
        let reports = releases.iter().zip(refusals).map(|(release, refusal)| {
            let reported = release.release.as_deref().and_then(super::Release::parse);
            let runs = reported.as_ref() == Some(self.image.release());
            let recorded = done
                .as_ref()
                .is_some_and(|done| done.is_done(&release.name));
            if task == Task::Flash && runs && recorded {
                return Some(BoardReport::untouched(
                    release,
                    BoardStatus::AlreadyDone,
                    None,
                ));
            }
            // A board is verified regardless of its release.
            let is_of_kind = release.kind.name() == self.image.image().kind;
            let can_be_verified = is_of_kind && release.can_be_flashed;
            let refusal = refusal.filter(|_| task != Task::Verify || !can_be_verified)?;
            Some(BoardReport::untouched(
                release,
                BoardStatus::Refused,
                Some(refusal),
            ))
        });
        reports.collect()
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
