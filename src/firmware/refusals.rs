//! Boards on which a roll-out does nothing, and the reasons.

use super::{BoardRelease, BoardReport, BoardStatus, Done, Release, Rollout, Task, Unfinished};
use crate::map::{BoardEntry, same_serial};
use crate::record::Failure;

impl Rollout {
    /// Returns for each board of the map the reason that it cannot be flashed with the image, or
    /// `None` if it can. `releases` are the releases of the boards, in the order of the map.
    pub fn refusals(&self, releases: &[BoardRelease]) -> Vec<Option<Failure>> {
        self.refusals_of(Task::Flash, releases, &self.flashes.all())
    }

    /// `begun` are all flashes that were begun on this computer.
    fn refusals_of(
        &self,
        task: Task,
        releases: &[BoardRelease],
        begun: &[Unfinished],
    ) -> Vec<Option<Failure>> {
        let boards = self.map.boards().iter().zip(releases);
        boards
            .map(|(entry, release)| {
                let refusal = self.refusal(task, entry, release);
                refusal.or_else(|| self.crate_refusal(task, entry, releases, begun))
            })
            .collect()
    }

    fn refusal(&self, task: Task, entry: &BoardEntry, release: &BoardRelease) -> Option<Failure> {
        if release.is_another {
            return release.error.clone();
        }
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
        // A board is verified regardless of its release.
        if task == Task::Verify {
            return None;
        }
        if let Err(error) = firmware.check(self.image.image()) {
            return Some(Failure::from(&error));
        }
        if let Some(unfinished) = release.may_not_start() {
            let why = format!("{}: flash the board first", unfinished.words());
            return (task == Task::Stage).then(|| Failure::of_words(why));
        }
        let running = release.release.as_deref();
        let why = self.image.refuses(running, self.allow_older)?;
        Some(Failure::of_words(why))
    }

    /// Returns the reason that a board must not be switched off and on now: another board of its
    /// crate has an incomplete flash, and this roll-out does not complete it first.
    fn crate_refusal(
        &self,
        task: Task,
        entry: &BoardEntry,
        releases: &[BoardRelease],
        begun: &[Unfinished],
    ) -> Option<Failure> {
        let of_crate = same_serial(entry.crate_serial.as_deref()?);
        let endangered = begun.iter().find(|begun| {
            let release = self.map.boards().iter().zip(releases);
            let release = release
                .filter(|(other, _)| begun.is_of(other))
                .map(|(_, release)| release)
                .next();
            let is_safe = match release {
                Some(release) => task == Task::Flash || release.may_not_start().is_none(),
                None => false,
            };
            let its_crate = begun.crate_serial.as_deref().map(same_serial);
            its_crate.as_ref() == Some(&of_crate) && !begun.is_of(entry) && !is_safe
        })?;
        let (board, words) = (&endangered.board, endangered.words());
        Some(Failure::of_words(format!(
            "{board} is in the same crate, and {words}: flash {board} first, or verify it if it \
             answers"
        )))
    }

    /// Returns the reports of the boards on which nothing is to be done, and `None` for the others.
    pub(super) fn first_reports(
        &self,
        task: Task,
        releases: &[BoardRelease],
        begun: &[Unfinished],
        done: Option<&Done>,
    ) -> Vec<Option<BoardReport>> {
        let refusals = self.refusals_of(task, releases, begun);
        let reports = releases.iter().zip(refusals).map(|(release, refusal)| {
            if task == Task::Flash && self.is_done(release, done) {
                let status = BoardStatus::AlreadyDone;
                return Some(BoardReport::untouched(release, status, None));
            }
            let status = BoardStatus::Refused;
            Some(BoardReport::untouched(release, status, Some(refusal?)))
        });
        reports.collect()
    }

    /// True if a board is in `done` and reports the release of the image, and its flash was not
    /// begun again since.
    pub fn is_done(&self, release: &BoardRelease, done: Option<&Done>) -> bool {
        let reported = release.release.as_deref().and_then(Release::parse);
        let runs = reported.as_ref() == Some(self.image.release());
        let serial = release.serial.as_deref();
        let recorded = done.is_some_and(|done| serial.is_some_and(|serial| done.is_done(serial)));
        runs && recorded && release.unfinished.is_none()
    }
}
