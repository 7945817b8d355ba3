//! What `twotone capture` says of a capture.

use serde::Serialize;
use twotone::capture::{CaptureOutcome, ModuleOutcome, Standing, TuneState};
use twotone::hal::legible;
use twotone::record::{BoardRecord, CounterRow, MissingFile, Recorded};

use super::Exit;
use super::table::Table;

/// Least difference between a clock and this computer's that is reported, in seconds.
const REMARKABLE_S: f64 = 1.0;

#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) elapsed_s: f64,
    pub(super) interrupted: bool,
    pub(super) run_directory: Option<String>,
    pub(super) error: Option<String>,
    /// Files of the run that could not be written.
    pub(super) missing_files: Vec<MissingFile>,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) kernel_drops: u64,
    pub(super) buffer_shortfall: Option<String>,
    pub(super) boards: Vec<BoardReport>,
}

#[derive(Debug, Serialize)]
pub(super) struct BoardReport {
    pub(super) name: String,
    pub(super) ok: bool,
    pub(super) error: Option<String>,
    pub(super) modules: Vec<ModuleOutcome>,
}

impl BoardReport {
    /// What is not wrong with its samples, and is to be known.
    fn remarks(&self) -> impl Iterator<Item = String> {
        // A time that the board makes up can be any time.
        let clocks = self.modules.iter();
        let clocks = clocks.filter(|module| module.clock.clock_source != Some("test"));
        let offsets = clocks.filter_map(|module| {
            Some((
                module.clock.clock_offset_s?.abs(),
                module.clock.offset()?,
                module,
            ))
        });
        // One that is a doubt is told already.
        let offsets = offsets.filter(|(off_s, offset, module)| {
            *off_s > REMARKABLE_S && !module.doubts.contains(offset)
        });
        let farthest = offsets.max_by(|(a, ..), (b, ..)| a.total_cmp(b));
        let offset = farthest.map(|(_, offset, _)| offset);
        let modules = || self.modules.iter().map(|module| &module.counters);
        // Of the whole board, and so the same for each module.
        let malformed = modules().map(|row| row.malformed).max().unwrap_or(0);
        // With other stamps it is a doubt.
        let sound = self.modules.iter().filter(|module| module.clock.is_sound);
        let timeless = sound.map(|module| module.counters.timeless).sum();
        let leap_seconds = modules().map(|row| row.leap_seconds).max().unwrap_or(0);
        let remarks = [
            (
                timeless,
                "samples have no time: the board's time code is not recent, see `twotone info`",
            ),
            (malformed, "datagrams from its address are no samples"),
            (
                leap_seconds,
                "leap second: the second after it has the same times",
            ),
        ];
        let some = remarks.into_iter().filter(|(count, _)| *count > 0);
        let some = some.map(|(count, what)| format!("{count} {what}"));
        some.chain(offset)
    }

    /// What is not as it should be with its modules, beside losses.
    fn doubts(module: &ModuleOutcome) -> Vec<String> {
        let standings = [("", &module.tune), ("afterwards, ", &module.tune_after)];
        let standings = standings.into_iter();
        let doubts = standings.filter_map(|(when, standing)| doubt(when, standing.as_ref()?));
        let contradictions = module.doubts.iter().cloned();
        let errors = module.error.clone().into_iter();
        errors.chain(contradictions).chain(doubts).collect()
    }

    /// Puts all that is known of it into the manifest, with what is known of the `whole` capture.
    pub(super) fn note_in(&self, record: &mut BoardRecord, whole: &[String]) {
        record.status = if self.ok { "ok" } else { "some_failed" }.to_owned();
        let doubts = self.modules.iter().flat_map(|module| {
            let doubts = Self::doubts(module).into_iter();
            doubts.map(|doubt| format!("module {}: {doubt}", module.module()))
        });
        let doubts: Vec<String> = doubts.collect();
        record.error = self.error.clone().or_else(|| doubts.first().cloned());
        let whole = whole
            .iter()
            .map(|text| format!("the whole capture: {text}"));
        record.warnings = doubts
            .into_iter()
            .chain(self.remarks())
            .chain(whole)
            .collect();
        let sum = |of: fn(&CounterRow) -> u64| {
            let counters = self.modules.iter().map(|module| of(&module.counters));
            counters.sum::<u64>() as usize
        };
        let missing: u64 = self.modules.iter().map(|module| module.missing).sum();
        record.channels = [
            ("received".to_owned(), sum(|row| row.received)),
            ("lost".to_owned(), sum(|row| row.lost)),
            ("unwritten".to_owned(), sum(|row| row.unwritten)),
            ("misfit".to_owned(), sum(|row| row.misfit)),
            ("missing".to_owned(), missing as usize),
            ("reconstructed".to_owned(), sum(|row| row.reconstructed)),
            ("timeless".to_owned(), sum(|row| row.timeless)),
        ]
        .into();
    }
}

impl Report {
    pub(super) fn of(outcome: &CaptureOutcome) -> Self {
        let boards = outcome.boards.iter().map(|board| BoardReport {
            name: board.name.clone(),
            ok: board.is_whole(),
            error: board.error.clone(),
            modules: board.modules.clone(),
        });
        let not_written = outcome.not_written.as_ref().map(ToString::to_string);
        let not_received = outcome.not_received.as_ref().map(ToString::to_string);
        Self {
            elapsed_s: outcome.elapsed_s,
            interrupted: outcome.stopped,
            run_directory: None,
            error: not_written.or(not_received),
            missing_files: Vec::new(),
            received: outcome.received(),
            lost: outcome.lost(),
            kernel_drops: outcome.kernel_drops,
            buffer_shortfall: outcome.buffer_shortfall.clone(),
            boards: boards.collect(),
        }
    }

    /// Takes what was recorded, and where. `is_broken` if not all samples could be written: the run
    /// directory does not have its name then, and the error says where the files are.
    pub(super) fn note(&mut self, recorded: Recorded, is_broken: bool) {
        let path = recorded.path.filter(|_| !is_broken);
        self.run_directory = path.map(|path| path.display().to_string());
        self.error = match (self.error.take(), recorded.error) {
            (Some(one), Some(other)) if !other.contains(&one) => Some(format!("{one}; {other}")),
            (one, other) => other.or(one),
        };
        self.missing_files = recorded.missing;
        if let (None, Some(first)) = (&self.error, self.missing_files.first()) {
            let MissingFile { file, reason } = first;
            self.error = Some(format!("{file} could not be written: {reason}"));
        }
    }

    pub(super) fn exit(&self) -> Exit {
        if self.error.is_some() && self.received > 0 {
            Exit::SomeFailed
        } else if self.interrupted {
            Exit::Interrupted
        } else if self.received == 0 {
            Exit::NothingReachable
        } else if self.boards.iter().all(|board| board.ok) {
            Exit::Well
        } else {
            Exit::SomeFailed
        }
    }

    /// Sentences about the whole capture, for the manifest.
    pub(super) fn of_whole(&self) -> Vec<String> {
        self.error
            .clone()
            .into_iter()
            .chain(self.of_kernel())
            .collect()
    }

    fn of_kernel(&self) -> impl Iterator<Item = String> {
        let drops = self.kernel_drops;
        let drops = (drops > 0).then(|| format!("{drops} datagrams were dropped by the kernel"));
        drops.into_iter().chain(self.buffer_shortfall.clone())
    }

    pub(super) fn table(&self) -> String {
        let mut table = Table::new([
            "board",
            "module",
            "channels",
            "calibrated",
            "due",
            "received",
            "lost",
            "missing",
            "gaps",
            "late",
            "duplicate",
            "unwritten",
        ]);
        for board in &self.boards {
            for module in &board.modules {
                let row = &module.counters;
                let due = module.due.map_or_else(String::new, |due| due.to_string());
                let head = [module.channels, module.calibrated].map(|count| count.to_string());
                let numbers = [
                    row.received,
                    row.lost,
                    module.missing,
                    row.gaps,
                    row.late,
                    row.duplicate,
                    row.unwritten,
                ];
                let place = [board.name.clone(), row.module.to_string()];
                let numbers = numbers.map(|number| number.to_string());
                let cells = place.into_iter().chain(head).chain([due]).chain(numbers);
                table.row(cells);
                for doubt in BoardReport::doubts(module) {
                    table.note(doubt);
                }
            }
            if board.modules.is_empty() {
                table.row([board.name.clone()]);
            }
            if let Some(error) = &board.error {
                table.note(error);
            }
            board.remarks().for_each(|remark| table.note(remark));
        }
        let mut text = table.to_string();
        text += &match (self.received, self.lost) {
            (0, _) => "nothing came\n".to_owned(),
            (_, 0) => format!("no sample lost in {:.1} s\n", self.elapsed_s),
            (_, lost) => format!(
                "{lost} samples lost, missing or not written in {:.1} s\n",
                self.elapsed_s
            ),
        };
        for told in self.of_kernel() {
            text += &format!("{told}\n");
        }
        if let Some(path) = &self.run_directory {
            text += &format!("run directory: {}", legible(path));
        }
        text
    }
}

/// Why not everything is calibrated that was tuned.
fn doubt(when: &str, standing: &Standing) -> Option<String> {
    if standing.is_whole() {
        return None;
    }
    let changed = || {
        let channels = standing.changed.iter().map(ToString::to_string);
        format!(
            "channels {} are set otherwise",
            channels.collect::<Vec<_>>().join(", ")
        )
    };
    let why = standing.why.clone().unwrap_or_else(changed);
    let what = match standing.state {
        TuneState::Unknown => "it is not known whether the tune holds",
        _ => "the tune does not hold",
    };
    Some(format!("{when}{what}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_and_a_buffer_that_is_too_small_are_told_in_the_table_and_the_manifest() {
        let board = BoardReport {
            name: "b".to_owned(),
            ok: true,
            error: None,
            modules: Vec::new(),
        };
        let report = Report {
            received: 1,
            kernel_drops: 7,
            buffer_shortfall: Some("the kernel grants 1 of 2 bytes".to_owned()),
            boards: vec![board],
            ..Report::default()
        };
        let mut record = BoardRecord {
            name: "b".to_owned(),
            serial: None,
            identity: None,
            firmware: None,
            doubts: Vec::new(),
            taken_over: None,
            status: "not_captured".to_owned(),
            error: None,
            warnings: Vec::new(),
            channels: Default::default(),
        };
        report.boards[0].note_in(&mut record, &report.of_whole());
        let table = report.table();
        for (at, told) in [
            "7 datagrams were dropped by the kernel",
            "the kernel grants 1 of 2 bytes",
        ]
        .into_iter()
        .enumerate()
        {
            assert!(table.contains(&format!("\n{told}\n")), "{table}");
            assert_eq!(record.warnings[at], format!("the whole capture: {told}"));
        }
        assert_eq!((record.status.as_str(), record.error), ("ok", None));
    }

    #[test]
    fn what_is_not_known_is_not_called_wrong() {
        let standing = |state| Standing {
            state,
            why: Some("no answer".to_owned()),
            changed: Vec::new(),
            reference_turn_rad: None,
            reference_gain: None,
            reference_spread: None,
        };
        for (state, words) in [
            (TuneState::Holds, None),
            (TuneState::Void, Some("the tune does not hold: no answer")),
            (
                TuneState::Unknown,
                Some("it is not known whether the tune holds: no answer"),
            ),
        ] {
            assert_eq!(doubt("", &standing(state)).as_deref(), words);
        }
    }
}
