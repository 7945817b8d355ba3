//! What a tune comes to: the JSON object and the table.

use std::collections::BTreeMap;

use serde::Serialize;
use twotone::algorithms::chunks::JoinStatus;
use twotone::algorithms::delay::DelayStatus;
use twotone::algorithms::finding::{FindStatus, Flag};
use twotone::algorithms::{ChannelOutcome, ChannelStatus, Reason, TuneOutcome};
use twotone::hal::{ChannelId, ModuleId, legible};
use twotone::identity::Identity;
use twotone::lock::Holder;
use twotone::map::HardwareMap;
use twotone::run::{HardwareState, Outcome};
use twotone::score::Score;
use twotone::{Array, ArrayBoard};

use super::Exit;
use super::stored::{self, ModuleNotes, RecordReport};
use super::table::{Table, median, shown};

/// The result of a tune, as printed with `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// From the first connection to the last clean-up, in seconds.
    pub(crate) elapsed_s: f64,
    pub(crate) interrupted: bool,
    #[serde(flatten)]
    pub(crate) record: RecordReport,
    pub(crate) boards: Vec<BoardReport>,
    /// Where the truth is known.
    pub(crate) score: Option<Score>,
}

#[derive(Debug, Serialize)]
pub(crate) struct BoardReport {
    pub(crate) name: String,
    pub(crate) status: BoardStatus,
    pub(crate) error: Option<String>,
    /// Facts that the board did not tell about itself, with the assumptions in their place.
    pub(crate) doubts: Vec<String>,
    /// Result of the check that it is the board of the map.
    pub(crate) identity: Option<Identity>,
    /// Program from which it was taken over.
    pub(crate) taken_over: Option<Holder>,
    pub(crate) modules: Vec<ModuleReport>,
    pub(crate) channels: Vec<ChannelReport>,
}

/// How a board fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BoardStatus {
    /// Every channel is tuned.
    Ok,
    /// Some channels, or some modules, failed.
    SomeFailed,
    /// No module was tuned.
    Failed,
    /// It did not answer.
    Unreachable,
}

#[derive(Debug, Serialize)]
pub(crate) struct ModuleReport {
    pub(crate) module: ModuleId,
    pub(crate) error: Option<String>,
    /// Number of repetitions of operations on the board.
    pub(crate) repeats: u32,
    pub(crate) elapsed_s: f64,
    pub(crate) tau_s: Option<f64>,
    pub(crate) candidates: usize,
    /// Resonances without a channel.
    pub(crate) not_toned: usize,
    /// Number of these for each reason.
    pub(crate) not_toned_reasons: BTreeMap<&'static str, usize>,
    /// Everything that any stage found to be less than well.
    pub(crate) warnings: Vec<String>,
    pub(crate) delay_status: Option<DelayStatus>,
    pub(crate) join_status: Option<JoinStatus>,
    pub(crate) find_status: Option<FindStatus>,
    pub(crate) hardware: HardwareState,
}

#[derive(Debug, Serialize)]
pub(crate) struct ChannelReport {
    module: ModuleId,
    channel: ChannelId,
    pub(crate) status: ChannelStatus,
    reason: Reason,
    flags: Vec<Flag>,
    tone_hz: f64,
    nco_hz: f64,
    amplitude: f64,
    fr_hz: Option<f64>,
    qr: Option<f64>,
    qi: Option<f64>,
    a: Option<f64>,
}

impl From<&ChannelOutcome> for ChannelReport {
    fn from(channel: &ChannelOutcome) -> Self {
        Self {
            module: channel.module,
            channel: channel.channel,
            status: channel.status,
            reason: channel.reason,
            flags: channel.flags.clone(),
            tone_hz: channel.tone_hz,
            nco_hz: channel.nco_hz,
            amplitude: channel.amplitude,
            fr_hz: channel.fr_hz,
            qr: channel.qr,
            qi: channel.qi,
            a: channel.a,
        }
    }
}

impl Report {
    /// The report of `outcomes`, with every board of the map in its order.
    pub(crate) fn of(
        map: &HardwareMap,
        array: &Array,
        outcomes: &[Outcome<TuneOutcome>],
        elapsed_s: f64,
    ) -> Self {
        let boards = map.boards().iter().map(|entry| {
            let modules: Vec<_> = outcomes
                .iter()
                .filter(|outcome| outcome.board == entry.name)
                .collect();
            BoardReport::of(&entry.name, array, &modules)
        });
        Self {
            elapsed_s,
            interrupted: false,
            record: RecordReport::default(),
            boards: boards.collect(),
            score: None,
        }
    }

    /// The report of a run that was interrupted before any board was connected.
    pub(crate) fn interrupted(elapsed_s: f64) -> Self {
        Self {
            elapsed_s,
            interrupted: true,
            record: RecordReport::default(),
            boards: Vec::new(),
            score: None,
        }
    }

    /// How a program ends that has this to say.
    pub(crate) fn exit(&self) -> Exit {
        let modules = || self.boards.iter().flat_map(|board| &board.modules);
        let restored = |module: &ModuleReport| {
            module.hardware.is_settled() && module.hardware != HardwareState::Kept
        };
        if self.interrupted && modules().all(restored) {
            Exit::Interrupted
        } else if self
            .boards
            .iter()
            .all(|board| board.status == BoardStatus::Unreachable)
        {
            Exit::NothingReachable
        } else if self
            .boards
            .iter()
            .all(|board| board.status == BoardStatus::Ok)
        {
            Exit::Well
        } else {
            Exit::SomeFailed
        }
    }

    /// A table per board: a line a module, what is wrong under it; then the totals.
    /// `map` is the file of the map, where the boards outlive the program.
    pub(crate) fn table(&self, map: Option<&str>) -> String {
        let mut table = Table::new([
            "board",
            "module",
            "status",
            "candidates",
            "toned",
            "tuned",
            "failed",
            "delay/ns",
            "median Qr",
            "median Qi",
            "time/s",
        ]);
        let mut totals = [0; 4];
        for board in &self.boards {
            if board.modules.is_empty() {
                table.row([&board.name, "", &spaced(board.status.as_str())]);
            }
            for (index, module) in board.modules.iter().enumerate() {
                let name = if index == 0 { &board.name } else { "" };
                let channels = || board.channels.iter().filter(|c| c.module == module.module);
                let tuned = || channels().filter(|c| board.is_tuned(c));
                let toned = channels().filter(|c| c.amplitude != 0.0 && board.holds(c));
                let toned = toned.count();
                let (all, good) = (channels().count(), tuned().count());
                let counts = [module.candidates, toned, good, all - good];
                totals
                    .iter_mut()
                    .zip(counts)
                    .for_each(|(total, count)| *total += count);
                let mut cells = vec![name.to_owned(), module.module.to_string()];
                cells.push(spaced(module.status(all == good).as_str()));
                cells.extend(counts.map(|count| count.to_string()));
                cells.push(shown(module.tau_s.map(|tau_s| tau_s * 1e9), 1));
                cells.push(shown(median(tuned().filter_map(|c| c.qr)), 0));
                cells.push(shown(median(tuned().filter_map(|c| c.qi)), 0));
                cells.push(shown(Some(module.elapsed_s), 1));
                table.row(cells);
            }
            board.told().into_iter().for_each(|told| table.note(told));
        }
        let mut cells = vec!["all".to_owned(), String::new(), String::new()];
        cells.extend(totals.map(|count| count.to_string()));
        cells.extend([String::new(), String::new(), String::new()]);
        cells.push(shown(Some(self.elapsed_s), 1));
        table.row(cells);
        let mut text = table.to_string();
        if let Some(score) = &self.score {
            text.push_str(&format!(
                "\nscore against the truth: {} of {} detectors tuned; {} of {} isolated ones found, \
                 {} false, {} reported tuned and not\n(the truth has detectors as drawn, at low \
                 power: if their loss depends on power, as in the profiles lab and harsh, tunes \
                 that are right at the power of their tones count as wrong)\n",
                score.tuned,
                score.detectors,
                score.found,
                score.isolated,
                score.false_found,
                score.wrong
            ));
        }
        if let Some(map) = map
            && self.boards.iter().any(BoardReport::has_left_tones_on)
        {
            text.push_str(&format!(
                "tones are left on where tuned; `twotone off {}` switches them off\n",
                legible(map)
            ));
        }
        if let Some(directory) = &self.record.run_directory {
            text.push_str(&format!("run directory: {}\n", legible(directory)));
        }
        text.truncate(text.trim_end().len());
        text
    }
}

impl BoardReport {
    fn of(name: &str, array: &Array, outcomes: &[&Outcome<TuneOutcome>]) -> Self {
        let mut channels = Vec::new();
        let mut modules = Vec::new();
        for outcome in outcomes {
            let tune = outcome.result.as_ref().ok();
            modules.push(ModuleReport {
                module: outcome.module,
                error: outcome.result.as_ref().err().map(ToString::to_string),
                repeats: outcome.repeats,
                elapsed_s: outcome.elapsed.as_secs_f64(),
                tau_s: tune.map(|tune| tune.cable_delay.delay.tau_s),
                candidates: tune.map_or(0, |tune| tune.find.candidates.len()),
                not_toned: tune.map_or(0, |tune| tune.not_toned.len()),
                not_toned_reasons: count(
                    tune.iter()
                        .flat_map(|tune| &tune.not_toned)
                        .map(|one| one.reason.as_str()),
                ),
                warnings: tune.map(|tune| tune.warnings.clone()).unwrap_or_default(),
                delay_status: tune.map(|tune| tune.cable_delay.delay.status),
                join_status: tune.map(|tune| tune.network_analysis.join),
                find_status: tune.map(|tune| tune.find.status),
                hardware: outcome.hardware.clone(),
            });
            channels.extend(
                tune.iter()
                    .flat_map(|tune| &tune.channels)
                    .map(ChannelReport::from),
            );
        }
        let status = if !array.reached(name) {
            BoardStatus::Unreachable
        } else if modules.iter().all(|module| module.error.is_some()) {
            BoardStatus::Failed
        } else if modules.iter().all(ModuleReport::is_well)
            && channels
                .iter()
                .all(|channel| channel.status == ChannelStatus::Tuned)
        {
            BoardStatus::Ok
        } else {
            BoardStatus::SomeFailed
        };
        let error = array.failure(name).map(ToString::to_string);
        let error = error.or_else(|| modules.iter().find_map(|module| module.error.clone()));
        let described = array.answered(name).map(ArrayBoard::description);
        Self {
            name: name.to_owned(),
            status,
            error,
            doubts: described.map_or_else(Vec::new, |described| described.doubts.clone()),
            identity: array.identity(name).cloned(),
            taken_over: array.taken_over(name).cloned(),
            modules,
            channels,
        }
    }

    /// True if a module keeps tones of its tune on.
    fn has_left_tones_on(&self) -> bool {
        let mut kept = self.modules.iter();
        kept.any(|module| {
            let mut channels = self.channels.iter();
            module.hardware == HardwareState::Kept
                && channels.any(|one| one.module == module.module && one.amplitude > 0.0)
        })
    }

    fn tuned(&self) -> usize {
        let channels = self.channels.iter();
        channels.filter(|channel| self.is_tuned(channel)).count()
    }

    fn is_tuned(&self, channel: &ChannelReport) -> bool {
        channel.status == ChannelStatus::Tuned && self.holds(channel)
    }

    /// True if a channel is as its tune has left it, as far as is known.
    fn holds(&self, channel: &ChannelReport) -> bool {
        let mut modules = self.modules.iter();
        modules.all(|module| {
            let hardware = &module.hardware;
            let lists = [
                hardware.left_on(),
                hardware.unknown(),
                hardware.not_restored(),
            ];
            module.module != channel.module
                || lists.iter().all(|list| !list.contains(channel.channel))
        })
    }

    /// What an operator must know beyond the counts.
    fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        if self.modules.is_empty() {
            told.extend(self.error.clone());
        }
        told.extend(self.doubts.clone());
        told.extend(self.identity.as_ref().and_then(Identity::doubt));
        told.extend(self.taken_over.as_ref().map(taken_over));
        for module in &self.modules {
            told.extend(module.error.clone());
            let number = module.module;
            told.extend(asked_again(module.repeats).map(|told| format!("module {number}: {told}")));
            told.extend(
                module
                    .warnings
                    .iter()
                    .map(|text| format!("module {number}: {text}")),
            );
            if !module.hardware.is_settled() {
                told.push(format!("module {number}: {}", module.hardware));
            }
            if module.not_toned > 0 {
                let why = listed(&module.not_toned_reasons);
                let found = module.not_toned;
                told.push(format!(
                    "module {number}: {found} found and without a tone: {why}"
                ));
            }
        }
        let failed = self
            .channels
            .iter()
            .filter(|channel| channel.status != ChannelStatus::Tuned);
        let reasons = count(failed.map(|channel| channel.reason.as_str()));
        if !reasons.is_empty() {
            told.push(listed(&reasons));
        }
        told
    }

    /// Everything that the modules tell for the manifest, which has the board's error beside it.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let notes = self.modules.iter().map(|module| ModuleNotes {
            module: module.module,
            error: module.error.as_deref(),
            repeats: module.repeats,
            warnings: &module.warnings,
            hardware: &module.hardware,
        });
        stored::beside(self.error.as_deref(), notes)
    }

    /// How many channels ended with each status, for the manifest.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let tuned = self.tuned();
        let not_toned = self.modules.iter().map(|module| module.not_toned).sum();
        let counts = [
            ("tuned", tuned),
            ("failed", self.channels.len() - tuned),
            ("not_toned", not_toned),
        ];
        counts
            .into_iter()
            .map(|(status, count)| (status.to_owned(), count))
            .collect()
    }
}

/// A sentence about the program from which a board was taken over.
pub(super) fn taken_over(from: &Holder) -> String {
    format!("taken over from {from}")
}

/// A sentence about questions that a board had to be asked again, if there were any.
pub(super) fn asked_again(repeats: u32) -> Option<String> {
    match repeats {
        0 => None,
        1 => Some("one question had to be asked again, as its answer failed".to_owned()),
        _ => Some(format!(
            "{repeats} questions had to be asked again, as answers failed"
        )),
    }
}

/// Number of times that each name comes.
fn count<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_insert(0) += 1);
    counts
}

/// Counts as people read them: `2 collided, 1 no channel`.
fn listed(counts: &BTreeMap<&str, usize>) -> String {
    let each = counts.iter();
    let each = each.map(|(name, count)| format!("{count} {}", spaced(name)));
    each.collect::<Vec<_>>().join(", ")
}

/// A name as people read it.
fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

impl ModuleReport {
    /// True if all is well. It is false after an error or a warning, if a resonance has no tone, if
    /// no resonance is found, and if the hardware is not known to be as it should be.
    fn is_well(&self) -> bool {
        self.error.is_none()
            && self.hardware.is_settled()
            && self.candidates > 0
            && self.not_toned == 0
            && self.warnings.is_empty()
    }

    /// How the module fared, where every channel is tuned or not.
    fn status(&self, all_tuned: bool) -> BoardStatus {
        if self.error.is_some() {
            BoardStatus::Failed
        } else if all_tuned && self.is_well() {
            BoardStatus::Ok
        } else {
            BoardStatus::SomeFailed
        }
    }
}

impl BoardStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::SomeFailed => "some_failed",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
        }
    }
}

#[cfg(test)]
mod tests;
