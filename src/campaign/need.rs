//! Disk space that a run needs, estimated before any board is contacted.
//!
//! A run is a tune, a sweep or a capture of the boards of a map. Its files are a manifest (the
//! origin of the run and the state of each board) and the results: `tune.toml`, files of sweeps, or
//! files of samples.

use std::path::Path;

use super::{CampaignError, CampaignParams, Observer, SweepFormat};
use crate::input::shown;
use crate::map::{BoardEntry, HardwareMap};
use crate::record::{Room, RunDirectory};

/// Bytes that a channel takes in `tune.toml`: the smallest and the usual number.
const TUNED: [u64; 2] = [1000, 2000];
/// Bytes that a module takes in `tune.toml`, without its channels.
const MODULE: u64 = 300;
/// Bytes of a manifest without the text of the map, and additional bytes for each board.
const MANIFEST: [u64; 2] = [3000, 200];
/// Bytes before the first row in the file of a captured module.
#[cfg(feature = "arrow")]
const HEAD: u64 = 1000;

/// Disk space and number of files that a run needs, estimated from the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    /// Bytes of the most important files. If there is less space, the run is refused.
    least: u64,
    /// Estimated bytes of all files.
    whole: u64,
    /// Number of files.
    files: u64,
}

impl Need {
    /// Returns the need of a tune. `least` counts `tune.toml` and the manifest.
    pub(super) fn of_tune(map: &HardwareMap, params: &CampaignParams) -> Self {
        let point = SweepFormat::default().bytes_of_point();
        let modules: usize = map.boards().iter().map(modules).sum();
        let detectors = map.detectors().len() as u64;
        let [tune, whole_tune] =
            TUNED.map(|bytes| manifest(map) + MODULE * modules as u64 + bytes * detectors);
        let fine = &params.params().fine_sweep;
        let fine = detectors * (fine.points * fine.directions.len()) as u64;
        Self {
            least: tune,
            whole: whole_tune + point * (wide_points(map, params) + fine),
            files: 2 + map.boards().len() as u64,
        }
    }

    /// Returns the need of a sweep that is written in this format. `least` counts the manifest.
    pub(super) fn of_sweep(
        map: &HardwareMap,
        params: &CampaignParams,
        format: SweepFormat,
    ) -> Self {
        let bytes_of_point = format.bytes_of_point();
        let least = manifest(map);
        Self {
            least,
            whole: least + bytes_of_point * wide_points(map, params),
            files: 1 + map.boards().len() as u64,
        }
    }

    /// Returns the need of a capture of `rows` rows of `bytes_of_row` bytes for each module.
    /// `least` counts the manifest and the head of each file.
    #[cfg(feature = "arrow")]
    pub(super) fn of_capture(map: &HardwareMap, rows: f64, bytes_of_row: u64) -> Self {
        let modules = map.boards().iter().map(modules).sum::<usize>() as u64;
        let least = manifest(map) + modules * HEAD;
        Self {
            least,
            whole: least + (modules as f64 * rows * bytes_of_row as f64) as u64,
            files: 2 + modules + map.boards().len() as u64,
        }
    }

    /// Prepares the run directory `path` if there is space for `least` bytes. Notifies `observer`
    /// if the space is less than the estimate for all files.
    pub(super) fn prepare(
        self,
        path: &Path,
        observer: &dyn Observer,
    ) -> Result<RunDirectory, CampaignError> {
        let run = RunDirectory::prepare(path)?;
        let Some(room) = run.room() else {
            return Ok(run);
        };
        let path = shown(path);
        if let Some(why) = self.refusal(room) {
            return Err(CampaignError::Room { path, why });
        }
        if let Some(why) = self.warning(room) {
            observer.notice(&format!("perhaps not enough room for `{path}`: {why}"));
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

/// Returns the number of modules that the map lists for a board, or 1 if it lists none.
fn modules(board: &BoardEntry) -> usize {
    board.modules.len().max(1)
}

fn manifest(map: &HardwareMap) -> u64 {
    let [head, board] = MANIFEST;
    head + map.text().len() as u64 + board * map.boards().len() as u64
}

/// Returns the number of points of the network analyses of all modules.
fn wide_points(map: &HardwareMap, params: &CampaignParams) -> u64 {
    let points = map.boards().iter().map(|board| {
        let listed = board.modules.iter().map(|module| params.points_of(module));
        match board.modules.is_empty() {
            true => params.params().network_analysis.points,
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
    fn a_run_is_refused_or_doubted_by_the_room_that_it_needs() {
        let map = HardwareMap::parse(MAP, "map.toml").unwrap();
        let params = CampaignParams::default();
        let tune = Need::of_tune(&map, &params);
        // Two modules of at least 50,000 points.
        let point = SweepFormat::default().bytes_of_point();
        assert!(tune.whole > 2 * 50_000 * point, "{tune:?}");
        assert!(tune.least < 20_000, "{tune:?}");
        #[cfg(feature = "arrow")]
        {
            let sweep = |format| Need::of_sweep(&map, &params, format).whole;
            assert!(sweep(SweepFormat::Csv) > sweep(SweepFormat::Arrow));
        }
        #[cfg(feature = "arrow")]
        {
            let capture = Need::of_capture(&map, 596.0 * 10.0, 8 * 1024);
            assert_eq!(capture.whole - capture.least, 2 * 5960 * 8192);
        }
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
