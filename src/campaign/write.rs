//! Files that tunes and sweeps write to their run directories.
//!
//! A sweep is a list of points: a frequency and the sample that was measured there. The manifest is
//! the file that notes the origin of a run and the result of each board.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Map, Value, json};
use twotone_algorithms::resonator::Direction;
use twotone_algorithms::{CableDelayOutcome, Geometry, NetworkAnalysisOutcome, TuneOutcome};
use twotone_hal::Hertz;

use super::{Swept, detectors};
use crate::map::HardwareMap;
use crate::record::{
    BoardRecord, Content, DetectorTune, Manifest, ModuleTune, RecordError, Recorded, RunDirectory,
    SWEEPS_FOLDER, SweepHead, SweepKind, SweepPoint, SweepTable, SweptLine, TUNE_FILE, TuneRecord,
    Weight,
};
use crate::run::Outcome;

/// Format of the files of sweeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SweepFormat {
    /// Arrow IPC: `sweeps/BOARD.arrow`. The default with the feature `arrow`.
    #[cfg(feature = "arrow")]
    #[default]
    Arrow,
    /// Text with a line for each point: `sweeps/BOARD.csv`. The default without the feature
    /// `arrow`.
    #[cfg_attr(not(feature = "arrow"), default)]
    Csv,
}

impl SweepFormat {
    /// Extension of the files, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            #[cfg(feature = "arrow")]
            Self::Arrow => "arrow",
            Self::Csv => "csv",
        }
    }

    /// Estimated size of a point, in bytes.
    pub(super) fn bytes_of_point(self) -> u64 {
        match self {
            // Five numbers of eight bytes, and the module, the channel and the kind of the sweep.
            #[cfg(feature = "arrow")]
            Self::Arrow => 46,
            // The real size varies, because numbers have as many digits as they need. This is a
            // lower bound.
            Self::Csv => 80,
        }
    }

    /// Returns the content of the file of a board's sweeps. `fill` adds the points.
    fn content<'a>(
        self,
        provenance: BTreeMap<String, String>,
        lines: Vec<SweptLine>,
        board: &str,
        weight: Weight,
        fill: impl Fn(&mut SweepTable) -> Result<(), RecordError> + 'a,
    ) -> Content<'a> {
        let file = format!("{SWEEPS_FOLDER}/{board}.{}", self.extension());
        Content::new(file, weight, move |writer| {
            let mut table = SweepTable::new(provenance.clone());
            table.set_lines(&lines);
            fill(&mut table)?;
            self.write(&table, writer)
        })
    }

    /// Writes a table of sweeps in this format.
    pub(crate) fn write(self, table: &SweepTable, writer: impl Write) -> Result<(), RecordError> {
        match self {
            #[cfg(feature = "arrow")]
            Self::Arrow => table.write_arrow(writer),
            Self::Csv => table
                .write_csv(writer)
                .map_err(RecordError::format("write", "sweeps")),
        }
    }
}

/// Records a tune: writes the tunes of the modules, the manifest and the sweeps, in this order.
/// Then moves the directory to the requested path, or to another one if that fails.
pub(super) fn record_tune(
    map: &HardwareMap,
    run: RunDirectory,
    manifest: Manifest,
    outcomes: &[Outcome<TuneOutcome>],
) -> Recorded {
    let tuned = || {
        outcomes
            .iter()
            .filter_map(|outcome| Some((outcome, outcome.result.as_ref().ok()?)))
    };
    let tune = Content::new(TUNE_FILE, Weight::First, |writer| {
        let tunes = tuned().map(|(outcome, tune)| {
            let detectors = detectors::identify(map, &outcome.board, tune);
            ModuleTune::of(&outcome.board, tune, detectors)
        });
        TuneRecord::write(tunes, writer)
    });
    let mut contents = vec![tune];
    for BoardRecord { name, .. } in &manifest.boards {
        if !tuned().any(|(outcome, _)| outcome.board == *name) {
            continue;
        }
        let fill = {
            let name = name.clone();
            move |table: &mut SweepTable| {
                let mut mine = tuned().filter(|(outcome, _)| outcome.board == name);
                mine.try_for_each(|(_, tune)| add_tune(table, tune))
            }
        };
        let mine = tuned().filter(|(outcome, _)| outcome.board == *name);
        let found = mine.flat_map(|(_, tune)| detectors::identify(map, name, tune));
        let provenance = with_detectors(manifest.provenance(name), found);
        let mine = tuned().filter(|(outcome, _)| outcome.board == *name);
        let lines = mine.map(|(_, tune)| line(&tune.cable_delay, tune.geometry));
        let (lines, format) = (lines.collect(), SweepFormat::default());
        contents.push(format.content(provenance, lines, name, Weight::Further, fill));
    }
    run.record(manifest, &contents, None)
}

/// Records a sweep: writes the manifest and the sweeps. Then moves the directory to the requested
/// path, or to another one if that fails.
pub(super) fn record_sweep(
    map: &HardwareMap,
    run: RunDirectory,
    manifest: Manifest,
    outcomes: &[Outcome<Swept>],
    format: SweepFormat,
) -> Recorded {
    let mut contents = Vec::new();
    for BoardRecord { name, .. } in &manifest.boards {
        let mine = outcomes.iter().filter(|outcome| outcome.board == *name);
        let swept = || {
            mine.clone()
                .filter_map(|outcome| outcome.result.as_ref().ok())
        };
        let lines = swept().map(|swept| line(&swept.cable_delay, swept.geometry));
        let lines: Vec<SweptLine> = lines.collect();
        let swept: Vec<_> = swept().map(|swept| &swept.network_analysis).collect();
        if swept.iter().all(|wide| wide.frequency_hz.is_empty()) {
            continue;
        }
        let fill = move |table: &mut SweepTable| {
            swept.iter().for_each(|wide| add_wide_sweep(table, wide));
            Ok(())
        };
        let detectors = map.detectors().iter().filter(|one| one.board == *name);
        let named = detectors.map(|one| {
            let place = json!({"module": one.module, "f_hz": one.expected});
            (one.id.clone(), place)
        });
        let provenance = with_places(manifest.provenance(name), named);
        contents.push(format.content(provenance, lines, name, Weight::Needed, fill));
    }
    run.record(manifest, &contents, None)
}

/// Returns the line of a module, as its sweeps describe it.
fn line(delay: &CableDelayOutcome, geometry: Geometry) -> SweptLine {
    SweptLine {
        module: delay.module,
        // A delay whose measurement failed would mislead the fits.
        tau_s: Some(delay.delay.tau_s).filter(|_| delay.delay.status.is_success()),
        geometry: Some(geometry),
    }
}

/// Adds the detectors of a board, by their ids and with their channels, to the metadata of its
/// sweeps.
pub(crate) fn with_detectors(
    provenance: BTreeMap<String, String>,
    detectors: impl Iterator<Item = DetectorTune>,
) -> BTreeMap<String, String> {
    let places = detectors.map(|one| {
        let place = json!({"module": one.module, "channel": one.channel});
        (one.id, place)
    });
    with_places(provenance, places)
}

/// Adds the detectors of a board, by their ids, to the metadata of its sweeps.
fn with_places(
    mut provenance: BTreeMap<String, String>,
    detectors: impl Iterator<Item = (String, Value)>,
) -> BTreeMap<String, String> {
    let detectors: Map<String, Value> = detectors.collect();
    if !detectors.is_empty() {
        let text = Value::Object(detectors).to_string();
        provenance.insert("detectors".to_owned(), text);
    }
    provenance
}

/// Adds the points of a network analysis.
fn add_wide_sweep(table: &mut SweepTable, wide: &NetworkAnalysisOutcome) {
    for (&frequency_hz, &mean) in wide.frequency_hz.iter().zip(&wide.z) {
        let head = SweepHead {
            module: wide.module,
            channel: None,
            kind: SweepKind::NetworkAnalysis,
            nco: Hertz(wide.nco_at(frequency_hz).unwrap_or(f64::NAN)),
        };
        table.push(SweepPoint {
            head,
            frequency: Hertz(frequency_hz),
            mean,
            noise: wide.noise,
        });
    }
}

/// Adds the points of all sweeps of a tune.
fn add_tune(table: &mut SweepTable, tune: &TuneOutcome) -> Result<(), RecordError> {
    add_wide_sweep(table, &tune.network_analysis);
    for sweep in tune.fine_sweep.iter().flat_map(|fine| &fine.sweeps) {
        let kind = match sweep.direction {
            Direction::Up => SweepKind::FineUp,
            Direction::Down => SweepKind::FineDown,
        };
        let head = SweepHead {
            module: tune.module,
            channel: Some(sweep.channel),
            kind,
            nco: Hertz(tune.nco_hz),
        };
        table.push_sweep(head, &sweep.frequency_hz, &sweep.z, sweep.noise)?;
    }
    Ok(())
}
