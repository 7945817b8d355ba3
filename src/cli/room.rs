//! Room on the disk, looked at before any board is touched.

use std::path::Path;

use twotone::input::shown;
use twotone::map::{BoardEntry, HardwareMap};
use twotone::record::{Room, RunDirectory};

use super::output::complain;
use super::tuning::Tuning;

/// Bytes of a point of a sweep in an Arrow file: five numbers of eight bytes, and what it belongs to.
pub(crate) const ARROW_POINT: u64 = 46;
/// Bytes of a point of a sweep as text, at the least.
pub(crate) const CSV_POINT: u64 = 80;
/// Bytes of a channel in `tune.toml`, at the least and as they mostly are.
const TUNED: [u64; 2] = [1000, 2000];
/// Bytes of a module in `tune.toml`, beside its channels.
const MODULE: u64 = 300;
/// Bytes of a manifest beside the map, and for each board.
const MANIFEST: [u64; 2] = [3000, 200];
/// Bytes of the least that a captured module has: the head of its file.
const HEAD: u64 = 1000;

/// Room that a run needs, in bytes, estimated from the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// For what a run is worth nothing without.
    least: u64,
    /// For all of it, as far as that is known before.
    whole: u64,
    /// Number of files.
    files: u64,
}

impl Need {
    /// Need of a tune: its least is the tune and the manifest.
    pub(crate) fn of_tune(map: &HardwareMap, tuning: &Tuning) -> Self {
        let modules: usize = map.boards().iter().map(modules).sum();
        let detectors = map.detectors().len() as u64;
        let [tune, whole_tune] =
            TUNED.map(|bytes| manifest(map) + MODULE * modules as u64 + bytes * detectors);
        let fine = &tuning.params.fine_sweep;
        let fine = detectors * (fine.points * fine.directions.len()) as u64;
        Self {
            least: tune,
            whole: whole_tune + ARROW_POINT * (wide_points(map, tuning) + fine),
            files: 2 + map.boards().len() as u64,
        }
    }

    /// Need of a sweep whose points have so many bytes each: its least is the manifest.
    pub(crate) fn of_sweep(map: &HardwareMap, tuning: &Tuning, bytes_of_point: u64) -> Self {
        let least = manifest(map);
        Self {
            least,
            whole: least + bytes_of_point * wide_points(map, tuning),
            files: 1 + map.boards().len() as u64,
        }
    }

    /// Need of a capture of so many rows of so many bytes for each module: its least is the manifest,
    /// and the heads of the files.
    pub(crate) fn of_capture(map: &HardwareMap, rows: f64, bytes_of_row: u64) -> Self {
        let modules = map.boards().iter().map(modules).sum::<usize>() as u64;
        let least = manifest(map) + modules * HEAD;
        Self {
            least,
            whole: least + (modules as f64 * rows * bytes_of_row as f64) as u64,
            files: 2 + modules + map.boards().len() as u64,
        }
    }

    /// Prepares the run directory `path` if there is room for the run, and warns if there is room for
    /// a part of it only.
    ///
    /// # Errors
    /// Words that say what is wrong, and what to do.
    pub(crate) fn prepare(self, path: &Path) -> Result<RunDirectory, String> {
        let run = RunDirectory::prepare(path).map_err(|error| error.to_string())?;
        let Some(room) = run.room() else {
            return Ok(run);
        };
        let shown = shown(path);
        if let Some(why) = self.refusal(room) {
            return Err(format!(
                "no room for `{shown}`: {why}; nothing was sent to any board. Make room, or choose \
                 another disk with --out"
            ));
        }
        if let Some(why) = self.warning(room) {
            complain(&format!("perhaps not enough room for `{shown}`: {why}"));
        }
        Ok(run)
    }

    fn refusal(self, room: Room) -> Option<String> {
        match room.files {
            Some(files) if files < self.files => Some(format!(
                "its file system takes {files} more files, and the run has {}",
                self.files
            )),
            _ if room.bytes < self.least => Some(format!(
                "{} are free, and its result alone needs {}",
                bytes(room.bytes),
                bytes(self.least)
            )),
            _ => None,
        }
    }

    fn warning(self, room: Room) -> Option<String> {
        (room.bytes < self.whole).then(|| {
            format!(
                "{} are free, and the whole run needs about {}; the files that matter most are \
                 written first",
                bytes(room.bytes),
                bytes(self.whole)
            )
        })
    }
}

/// Number of modules of a board, as far as the map says.
fn modules(board: &BoardEntry) -> usize {
    board.modules.len().max(1)
}

fn manifest(map: &HardwareMap) -> u64 {
    let [head, board] = MANIFEST;
    head + map.text().len() as u64 + board * map.boards().len() as u64
}

/// Number of points of the wide sweeps of all modules.
fn wide_points(map: &HardwareMap, tuning: &Tuning) -> u64 {
    let points = map.boards().iter().map(|board| {
        let listed = board.modules.iter().map(|module| tuning.points_of(module));
        match board.modules.is_empty() {
            true => tuning.params.network_analysis.points,
            false => listed.sum(),
        }
    });
    points.sum::<usize>() as u64
}

fn bytes(count: u64) -> String {
    match count as f64 {
        count if count >= 1e9 => format!("{:.1} GB", count / 1e9),
        count if count >= 1e6 => format!("{:.1} MB", count / 1e6),
        count => format!("{:.1} kB", count / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "[[board]]\nname = \"b\"\nkind = \"crs\"\nserial = \"0042\"\n\
        [[board.module]]\nnumber = 1\nf_min_hz = 1e9\nf_max_hz = 1.5e9\n\
        [[board.module]]\nnumber = 2\nf_min_hz = 2e9\nf_max_hz = 2.5e9\n";

    #[test]
    fn room_is_refused_or_doubted_by_what_the_run_needs() {
        let map = HardwareMap::parse(MAP, "map.toml").unwrap();
        let tuning = Tuning::default();
        let tune = Need::of_tune(&map, &tuning);
        // Two modules of at least 50,000 points.
        assert!(tune.whole > 2 * 50_000 * ARROW_POINT, "{tune:?}");
        assert!(tune.least < 20_000, "{tune:?}");
        let text = Need::of_sweep(&map, &tuning, CSV_POINT);
        assert!(text.whole > Need::of_sweep(&map, &tuning, ARROW_POINT).whole);
        let capture = Need::of_capture(&map, 596.0 * 10.0, 8 * 1024);
        assert_eq!(capture.whole - capture.least, 2 * 5960 * 8192);
        for (free, files, refused, doubted) in [
            (0, None, true, true),
            (tune.least - 1, None, true, true),
            (tune.least, None, false, true),
            (tune.whole - 1, Some(3), false, true),
            (tune.whole, Some(3), false, false),
            (tune.whole, Some(2), true, false),
        ] {
            let room = Room { bytes: free, files };
            assert_eq!(tune.refusal(room).is_some(), refused, "{room:?}");
            assert_eq!(tune.warning(room).is_some(), doubted, "{room:?}");
        }
    }
}
