//! The run directory of a bias dictionary.

use std::collections::BTreeMap;

use twotone_algorithms::resonator::Direction;
use twotone_hal::{Hertz, ModuleId};

use super::{BiasFile, BiasedModule};
use crate::campaign::{BoardStatus, CampaignParams, SweepFormat, with_detectors};
use crate::map::{HardwareMap, same_serial};
use crate::record::{
    BoardRecord, Content, Manifest, RecordError, Recorded, RunDirectory, SWEEPS_FOLDER, SweepHead,
    SweepKind, SweepTable, SweptLine, TUNE_FILE, TuneRecord, UtcTime, Weight,
};

/// Record of the tunes of bias dictionaries.
#[derive(Debug)]
pub struct BiasRecord {
    /// The run directory.
    pub run: Recorded,
    /// Number of detectors that are calibrated.
    pub tuned: usize,
}

impl BiasFile {
    /// Keeps only the boards and modules with these names and numbers; an empty list keeps all.
    ///
    /// # Errors
    /// Returns the first board or module that the file does not have, in words.
    pub fn select(&mut self, boards: &[String], modules: &[ModuleId]) -> Result<(), String> {
        if let Some(name) = boards.iter().find(|name| !self.boards.contains_key(*name)) {
            return Err(format!("there is no board `{name}`"));
        }
        self.boards
            .retain(|name, _| boards.is_empty() || boards.contains(name));
        for module in modules {
            if !self
                .boards
                .values()
                .any(|board| board.modules.contains_key(module))
            {
                return Err(format!("there is no module {module}"));
            }
        }
        for board in self.boards.values_mut() {
            let kept = &mut board.modules;
            kept.retain(|module, _| modules.is_empty() || modules.contains(module));
        }
        self.boards.retain(|_, board| !board.modules.is_empty());
        Ok(())
    }

    /// Sets the frequency of the NCO, in hertz, of the modules that do not have it.
    pub fn set_unknown_nco(&mut self, nco_hz: f64) {
        let boards = self.boards.values_mut();
        for module in boards.flat_map(|board| board.modules.values_mut()) {
            module.nco_hz.get_or_insert(nco_hz);
        }
    }

    /// Returns the reason that the dictionaries do not fit the map, or `None` if they do: a board
    /// or a module is not in the map, or a board has another serial number there.
    pub fn problem(&self, map: &HardwareMap) -> Option<String> {
        self.boards.iter().find_map(|(name, board)| {
            let Some(entry) = map.board(name) else {
                return Some(format!("the map has no board `{name}`"));
            };
            let missing = board.modules.keys();
            let mut missing = missing.filter(|module| entry.module(**module).is_none());
            if let Some(module) = missing.next() {
                return Some(format!("the map has no module {module} of `{name}`"));
            }
            let serials = board.serial.as_ref().zip(entry.serial.as_ref());
            let differ =
                |(theirs, ours): &(&String, &String)| same_serial(theirs) != same_serial(ours);
            let (theirs, ours) = serials.filter(differ)?;
            Some(format!(
                "`{name}` has the serial number {ours} in the map, and {theirs} in the dictionary"
            ))
        })
    }

    /// Writes the tunes of the dictionaries to a run directory: `tune.toml`, the manifest, and the
    /// sweeps that the dictionaries have. Sentences about what is not known are added to `doubts`,
    /// and are warnings in the manifest.
    ///
    /// # Errors
    /// [`RecordError::Format`] if the parameters cannot be written. Files that cannot be written
    /// are in the result.
    pub fn record(
        &self,
        map: &HardwareMap,
        run: RunDirectory,
        command: Vec<String>,
        params: &CampaignParams,
        doubts: &mut Vec<String>,
    ) -> Result<BiasRecord, RecordError> {
        let started = UtcTime::now();
        let tunes = self.tunes(map, params, doubts);
        let mut manifest = Manifest::new(command, map, params.params(), started)?;
        manifest.boards = self
            .boards
            .iter()
            .map(|(name, board)| {
                let own = format!("{name} module ");
                let mine = doubts.iter().filter(|doubt| doubt.starts_with(&own));
                let warnings: Vec<String> = mine.cloned().collect();
                let entry = map.board(name).and_then(|entry| entry.serial.clone());
                let channels = counts(tunes.iter().filter(|one| one.tune.board == *name));
                let all_tuned = channels.keys().all(|status| status == "tuned");
                let status = match all_tuned && warnings.is_empty() {
                    true => BoardStatus::Ok,
                    false => BoardStatus::SomeFailed,
                };
                BoardRecord {
                    name: name.clone(),
                    serial: board.serial.clone().or(entry),
                    status: status.as_str().to_owned(),
                    warnings,
                    channels,
                    ..BoardRecord::default()
                }
            })
            .collect();
        let all = tunes.iter().map(|one| one.tune.clone());
        let tune = Content::new(TUNE_FILE, Weight::First, move |writer| {
            TuneRecord::write(all.clone(), writer)
        });
        let tuned = manifest
            .boards
            .iter()
            .filter_map(|board| board.channels.get("tuned"))
            .sum();
        let mut contents = vec![tune];
        for name in self.boards.keys() {
            let mine: Vec<_> = tunes.iter().filter(|one| one.tune.board == *name).collect();
            if mine.iter().all(|one| one.sweeps.is_empty()) {
                continue;
            }
            let named = mine.iter().flat_map(|one| one.tune.detector.clone());
            let table = sweeps(with_detectors(manifest.provenance(name), named), &mine)?;
            let format = SweepFormat::default();
            let file = format!("{SWEEPS_FOLDER}/{name}.{}", format.extension());
            let fill = move |writer: &mut _| format.write(&table, writer);
            contents.push(Content::new(file, Weight::Further, fill));
        }
        Ok(BiasRecord {
            run: run.record(manifest, &contents, None),
            tuned,
        })
    }
}

/// Returns the number of channels with each status.
fn counts<'a>(modules: impl Iterator<Item = &'a BiasedModule>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for channel in modules.flat_map(|one| &one.tune.channel) {
        *counts
            .entry(channel.status.as_str().to_owned())
            .or_default() += 1;
    }
    counts
}

/// Returns the sweeps of a board as a table.
fn sweeps(
    provenance: BTreeMap<String, String>,
    modules: &[&BiasedModule],
) -> Result<SweepTable, RecordError> {
    let mut table = SweepTable::new(provenance);
    let lines = modules.iter().map(|one| SweptLine {
        module: one.tune.module,
        tau_s: one.tune.tau_s,
        geometry: Some(one.tune.geometry),
    });
    table.set_lines(&lines.collect::<Vec<_>>());
    for one in modules {
        for sweep in &one.sweeps {
            let head = SweepHead {
                module: one.tune.module,
                channel: Some(sweep.channel),
                kind: match sweep.direction {
                    Direction::Up => SweepKind::FineUp,
                    Direction::Down => SweepKind::FineDown,
                },
                nco: Hertz(one.tune.nco_hz),
            };
            table.push_sweep(head, &sweep.frequency_hz, &sweep.z, sweep.noise)?;
        }
    }
    Ok(table)
}
