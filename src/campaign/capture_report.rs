//! Report of a capture.
//!
//! A *capture* writes the sample streams of boards to disk. A *tune* is the result of an earlier
//! run that has set a tone on each resonance. It holds while the tones are still set as it says.
//! The *manifest* is the file of a run that has an entry for each board.

use serde::Serialize;
use twotone_hal::ChannelId;

use super::{Completion, board_warnings_in_words};
use crate::capture::{CaptureOutcome, ModuleOutcome, Standing, StreamerOutcome, TuneState};
use crate::record::{BoardRecord, CounterRow, Failure, Manifest, MissingFile, Recorded};

/// Smallest difference between a board's clock and this computer's that is reported, in seconds.
const REMARKABLE_S: f64 = 1.0;

/// Report of a capture. It serializes to the JSON object of `twotone capture --json`.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct CaptureReport {
    /// Time from the first packet to the end, in seconds.
    pub elapsed_s: f64,
    /// True if the capture was cancelled before its time was over.
    pub interrupted: bool,
    /// The run directory. `None` if the capture could not begin, if no sample came, or if not all
    /// samples could be written.
    pub run_directory: Option<String>,
    /// Reason that the capture could not begin or ended early. If the files are not in the
    /// requested run directory, it names their place.
    pub error: Option<Failure>,
    /// Files of the run that could not be written.
    pub missing_files: Vec<MissingFile>,
    /// Number of samples received.
    pub received: u64,
    /// Number of samples that the sequence numbers show as lost, that are missing without a gap in
    /// these numbers, or that could not be written.
    pub lost: u64,
    /// Number of datagrams that the kernel dropped because its buffer was full.
    pub kernel_drops: u64,
    /// Sentence about the kernel's buffers and the setting to change, if they are smaller than
    /// requested.
    pub buffer_shortfall: Option<String>,
    /// True if a fast stream that was switched on is not known to be in its former state. The
    /// errors and the modules say which stream it is.
    #[serde(skip)]
    pub streamers_in_doubt: bool,
    /// Every board of the map that has modules to capture, in its order.
    pub boards: Vec<CapturedBoard>,
}

/// Report of the capture of a board.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CapturedBoard {
    /// Name of the board in the map.
    pub name: String,
    /// True if every expected sample of the board was written, nothing about the board is in
    /// doubt, and its tune (if one was given) holds before and after the capture.
    pub ok: bool,
    /// Reason that nothing could be captured from the board, or that its data are in doubt.
    pub error: Option<Failure>,
    /// Modules of the board that sent data or were expected to send them.
    pub modules: Vec<ModuleOutcome>,
    /// Warnings that the board sent with its answers, in its own words.
    pub board_warnings: Vec<String>,
}

impl CapturedBoard {
    /// Returns remarks about the board's samples and clock that are not faults, and its warnings, a
    /// sentence each.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        // A clock with the source `test` shows an arbitrary time, which may differ from that of
        // this computer.
        let clocks = self.modules.iter();
        let clocks = clocks.filter(|module| module.clock.clock_source != Some("test"));
        let offsets = clocks.filter_map(|module| {
            Some((
                module.clock.clock_offset_s?.abs(),
                module.clock.offset()?,
                module,
            ))
        });
        // An offset among the doubts of the module is shown with them.
        let offsets = offsets.filter(|(off_s, offset, module)| {
            *off_s > REMARKABLE_S && !module.doubts.contains(offset)
        });
        let farthest = offsets.max_by(|(a, ..), (b, ..)| a.total_cmp(b));
        let offset = farthest.map(|(_, offset, _)| offset);
        let modules = || self.modules.iter().map(|module| &module.counters);
        // Malformed packets are counted for the whole board, so each module has the same number.
        let malformed = modules().map(|row| row.malformed).max().unwrap_or(0);
        // If the time stamps of a module contradict each other, a doubt of the module already says
        // so, with its samples that have no time.
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
        let warnings = board_warnings_in_words(&self.board_warnings);
        some.chain(offset).chain(warnings)
    }

    /// Returns the doubts about a module of the board, a sentence each: its own doubts, and the
    /// reasons that its tune does not hold. Losses are left out.
    pub fn doubts(module: &ModuleOutcome) -> Vec<String> {
        let standings = [("", &module.tune), ("afterwards, ", &module.tune_after)];
        let standings = standings.into_iter();
        let doubts = standings.filter_map(|(when, standing)| doubt(when, standing.as_ref()?));
        let contradictions = module.doubts.iter().cloned();
        let errors = module.error.iter().map(ToString::to_string);
        let streamer = module.streamer.iter().filter_map(StreamerOutcome::doubt);
        errors
            .chain(contradictions)
            .chain(doubts)
            .chain(streamer)
            .collect()
    }

    /// Fills in the board's entry in the manifest. `whole` contains the sentences about the capture
    /// as a whole. The entry of every board repeats them.
    fn note_in(&self, record: &mut BoardRecord, whole: &[String]) {
        record.status = if self.ok { "ok" } else { "some_failed" }.to_owned();
        let doubts = self.modules.iter().flat_map(|module| {
            let doubts = Self::doubts(module).into_iter();
            doubts.map(|doubt| format!("module {}: {doubt}", module.module()))
        });
        let doubts: Vec<String> = doubts.collect();
        let of_modules = || {
            let mut modules = self.modules.iter();
            modules.find_map(|module| {
                let error = module.error.clone()?;
                Some(error.prefixed(&format!("module {}", module.module())))
            })
        };
        let doubt = || doubts.first().map(Failure::of_words);
        record.error = self.error.clone().or_else(of_modules).or_else(doubt);
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

impl CaptureReport {
    /// Report of the outcome of a capture that is not recorded yet.
    pub fn of(outcome: &CaptureOutcome) -> Self {
        let boards = outcome.boards.iter().map(|board| CapturedBoard {
            name: board.name.clone(),
            ok: board.is_whole(),
            error: board.error.clone(),
            modules: board.modules.clone(),
            board_warnings: board.board_warnings(),
        });
        let not_written = outcome.not_written.as_ref().map(Failure::from);
        let not_received = outcome.not_received.as_ref().map(Failure::from);
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
            streamers_in_doubt: false,
            boards: boards.collect(),
        }
    }

    /// Adds the place of the run directory, and the files that could not be written, to the report.
    /// `is_broken` is true if not all samples could be written. In this case the run directory does
    /// not have its final name, and the error names the place of the files.
    pub(super) fn note(&mut self, recorded: Recorded, is_broken: bool) {
        let path = recorded.path.filter(|_| !is_broken);
        self.run_directory = path.map(|path| path.display().to_string());
        self.error = match (self.error.take(), recorded.error) {
            // The error of recording the run may already contain the error of the capture as its
            // cause.
            (Some(one), Some(other)) if !other.message.contains(&one.message) => {
                Some(one.and(other))
            }
            (one, other) => other.or(one),
        };
        self.missing_files = recorded.missing;
        if let (None, Some(first)) = (&self.error, self.missing_files.first()) {
            let MissingFile { file, reason } = first;
            let reason = reason.clone();
            self.error = Some(reason.prefixed(&format!("{file} could not be written")));
        }
    }

    /// Fills in the entries of the boards in a manifest.
    pub fn note_in(&self, manifest: &mut Manifest) {
        let whole: Vec<String> = self
            .error
            .iter()
            .map(ToString::to_string)
            .chain(self.kernel_remarks())
            .collect();
        for record in &mut manifest.boards {
            let mut boards = self.boards.iter();
            if let Some(board) = boards.find(|board| board.name == record.name) {
                board.note_in(record, &whole);
            }
        }
    }

    /// Returns the degree to which the capture was done and recorded.
    pub fn completion(&self) -> Completion {
        if self.streamers_in_doubt || self.error.is_some() && self.received > 0 {
            Completion::Incomplete
        } else if self.interrupted {
            Completion::Interrupted
        } else if self.received == 0 {
            Completion::Unreachable
        } else if self.boards.iter().all(|board| board.ok) {
            Completion::Complete
        } else {
            Completion::Incomplete
        }
    }

    /// Returns sentences about datagrams that the kernel dropped, and about the kernel's buffers.
    pub fn kernel_remarks(&self) -> impl Iterator<Item = String> {
        let drops = self.kernel_drops;
        let drops = (drops > 0).then(|| format!("{drops} datagrams were dropped by the kernel"));
        drops.into_iter().chain(self.buffer_shortfall.clone())
    }
}

/// Returns the reason that some channels of the tune are not calibrated, if there is one.
fn doubt(when: &str, standing: &Standing) -> Option<String> {
    if standing.is_whole() {
        return None;
    }
    let changed = || {
        let channels = ChannelId::list(&standing.changed);
        format!("the tones of channels {channels} are not set as in the tune")
    };
    let why = standing.why.clone().unwrap_or_else(changed);
    let what = match standing.state {
        TuneState::Unknown => "it is not known if the tune holds",
        _ => "the tune does not hold",
    };
    Some(format!("{when}{what}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tune_of_which_nothing_is_known_is_not_called_wrong() {
        let standing = |state| Standing {
            state,
            why: Some("no answer".to_owned()),
            error: None,
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
                Some("it is not known if the tune holds: no answer"),
            ),
        ] {
            assert_eq!(doubt("", &standing(state)).as_deref(), words);
        }
    }
}
