//! Boards on which a roll-out does nothing, and the reasons.

use std::sync::Arc;

use twotone_hal::Error;

use super::{BoardRelease, BoardReport, BoardStatus, Done, Release, Rollout, Task, Unfinished};
use crate::lock::BoardLock;
use crate::map::{BoardEntry, same_serial};
use crate::record::Failure;

impl Rollout {
    /// Returns for each board of the map the reason that it cannot be flashed with the image, or
    /// `None` if it can. `releases` are the releases of the boards, in the order of the map, and
    /// `begun` are the flashes that were begun, as for [`list`](super::list()).
    pub fn refusals(
        &self,
        releases: &[BoardRelease],
        begun: &[Unfinished],
    ) -> Vec<Option<Failure>> {
        let own = self.own_refusals(Task::Flash, releases);
        self.with_crates(Task::Flash, own, releases, begun)
    }

    fn own_refusals(&self, task: Task, releases: &[BoardRelease]) -> Vec<Option<Failure>> {
        let boards = self.map.boards().iter().zip(releases);
        let refusals = boards.map(|(entry, release)| self.refusal(task, entry, release));
        refusals.collect()
    }

    /// Adds the refusals that follow from the crates to those that a board has for itself.
    fn with_crates(
        &self,
        task: Task,
        own: Vec<Option<Failure>>,
        releases: &[BoardRelease],
        begun: &[Unfinished],
    ) -> Vec<Option<Failure>> {
        let boards = self.map.boards().iter().zip(releases).zip(&own);
        // A board is safe if it has started since its flash was begun, or if this roll-out flashes
        // it before the others.
        let safe: Vec<&BoardEntry> = boards
            .filter(|((_, release), own)| {
                release.may_not_start().is_none() || (task == Task::Flash && own.is_none())
            })
            .map(|((entry, _), _)| entry)
            .collect();
        let endangered: Vec<&Unfinished> = begun
            .iter()
            .filter(|begun| !safe.iter().any(|entry| begun.is_of(entry)))
            .collect();
        let boards = self.map.boards().iter().zip(own);
        boards
            .map(|(entry, own)| own.or_else(|| crate_refusal(entry, &endangered)))
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

    /// Returns the reports of the boards on which nothing is to be done, and `None` for the others.
    /// `locks` are the locks of the boards, in the order of the map.
    pub(super) fn first_reports(
        &self,
        task: Task,
        locks: &[Result<Arc<BoardLock>, Error>],
        releases: &[BoardRelease],
        begun: &[Unfinished],
        done: Option<&Done>,
    ) -> Vec<Option<BoardReport>> {
        let own = self.own_refusals(task, releases);
        let locked = locks
            .iter()
            .map(|lock| lock.as_ref().err().map(Failure::from));
        let own = locked.zip(own).map(|(locked, own)| locked.or(own));
        let refusals = self.with_crates(task, own.collect(), releases, begun);
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

/// Returns the reason that a board must not be switched off and on now: another board of its crate
/// is one of the `endangered`, whose flash is not complete.
fn crate_refusal(entry: &BoardEntry, endangered: &[&Unfinished]) -> Option<Failure> {
    let of_crate = same_serial(entry.crate_serial.as_deref()?);
    let endangered = endangered.iter().find(|begun| {
        let its_crate = begun.crate_serial.as_deref().map(same_serial);
        its_crate.as_ref() == Some(&of_crate) && !begun.is_of(entry)
    })?;
    let (board, words) = (&endangered.board, endangered.words());
    Some(Failure::of_words(format!(
        "{board} is in the same crate, and {words}: flash {board} first, or verify it if it answers"
    )))
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use twotone_hal::ErrorKind;

    use super::*;
    use crate::firmware::board::lock;
    use crate::firmware::{Image, list, write_example};
    use crate::map::HardwareMap;

    #[tokio::test]
    async fn a_board_that_is_not_worked_on_endangers_its_crate() {
        let folder = tempfile::tempdir().unwrap();
        let image = write_example(&folder.path().join("boot.bin"), "1.8.0", 3000).unwrap();
        let image = Image::load(image).unwrap();
        let board = |number: u16, of_crate: &str| {
            let port = 61_010 + number;
            format!(
                "[[board]]\nname = \"b{number}\"\nkind = \"crs\"\nserial = \"{number}\"\n\
                 crate = \"{of_crate}\"\nslot = {number}\naddress = \"127.0.0.1:{port}\"\n"
            )
        };
        let map = [board(1, "c1"), board(2, "c1"), board(3, "c2")].concat();
        let map = HardwareMap::parse(&map, "map.toml").unwrap();
        let entry = &map.boards()[0];
        let begun = [Unfinished {
            board: entry.name.clone(),
            kind: entry.kind.name().to_owned(),
            serial: String::from("1"),
            crate_serial: entry.crate_serial.clone(),
            ..Unfinished::default()
        }];
        let releases = list(&map, &begun).await;
        let mut locks = Vec::new();
        for entry in map.boards() {
            locks.push(lock(entry).await);
        }
        let rollout = Rollout::new(map, image).allow_older(true);
        let refused = |task, locks: &[_]| {
            let reports = rollout.first_reports(task, locks, &releases, &begun, None);
            let refused = reports.iter().map(Option::is_some);
            refused.collect::<Vec<_>>()
        };
        assert_eq!(refused(Task::Flash, &locks), [false, false, false]);
        assert_eq!(refused(Task::Verify, &locks), [false, true, false]);
        locks[0] = Err(Error::new(
            ErrorKind::Busy,
            "another program has this board",
        ));
        assert_eq!(refused(Task::Flash, &locks), [true, true, false]);
    }
}
