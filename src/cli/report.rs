//! What a tune comes to: the JSON object and the table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use twotone::algorithms::{ChannelOutcome, ChannelStatus, Reason, TuneOutcome};
use twotone::hal::{ChannelId, ModuleId};
use twotone::map::HardwareMap;
use twotone::run::{HardwareState, Outcome};
use twotone::score::Score;
use twotone::{Array, hal};

use super::Exit;

/// The result of a tune, as printed with `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// From the first connection to the last clean-up, in seconds.
    pub(crate) elapsed_s: f64,
    pub(crate) interrupted: bool,
    pub(crate) run_directory: Option<String>,
    pub(crate) boards: Vec<BoardReport>,
    /// Where the truth is known.
    pub(crate) score: Option<Score>,
}

#[derive(Debug, Serialize)]
pub(crate) struct BoardReport {
    pub(crate) name: String,
    pub(crate) status: BoardStatus,
    pub(crate) error: Option<String>,
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
    pub(crate) elapsed_s: f64,
    pub(crate) tau_s: Option<f64>,
    pub(crate) candidates: usize,
    pub(crate) not_toned: usize,
    pub(crate) warnings: Vec<String>,
    pub(crate) hardware: HardwareState,
}

#[derive(Debug, Serialize)]
pub(crate) struct ChannelReport {
    module: ModuleId,
    channel: ChannelId,
    pub(crate) status: ChannelStatus,
    reason: Reason,
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
            let failed = array
                .failed()
                .errors()
                .find(|e| e.board() == Some(&entry.name));
            BoardReport::of(&entry.name, failed, &modules)
        });
        Self {
            elapsed_s,
            interrupted: false,
            run_directory: None,
            boards: boards.collect(),
            score: None,
        }
    }

    /// How a program ends that has this to say.
    pub(crate) fn exit(&self) -> Exit {
        let modules = || self.boards.iter().flat_map(|board| &board.modules);
        if self.interrupted && modules().all(|module| module.hardware.is_settled()) {
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

    /// A line a board, what is wrong under it, and the totals.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let width = self
            .boards
            .iter()
            .map(|board| board.name.len())
            .max()
            .unwrap_or(0)
            .max(5);
        let line = |text: &mut String, columns: [&str; 7]| {
            let [name, status, found, toned, tuned, failed, seconds] = columns;
            let written = writeln!(
                text,
                "{name:width$}  {status:11}  {found:>10}  {toned:>5}  {tuned:>5}  {failed:>6}  \
                 {seconds:>7}"
            );
            debug_assert!(written.is_ok());
        };
        line(
            &mut text,
            [
                "board",
                "status",
                "candidates",
                "toned",
                "tuned",
                "failed",
                "time/s",
            ],
        );
        let mut totals = [0; 4];
        for board in &self.boards {
            let candidates = board.modules.iter().map(|module| module.candidates).sum();
            let (toned, tuned) = (board.channels.len(), board.tuned());
            let counts = [candidates, toned, tuned, toned - tuned];
            totals
                .iter_mut()
                .zip(counts)
                .for_each(|(total, count)| *total += count);
            let seconds = board
                .modules
                .iter()
                .map(|m| m.elapsed_s)
                .fold(0.0, f64::max);
            let shown = counts.map(|count| count.to_string());
            let [candidates, toned, tuned, failed] = shown.each_ref().map(String::as_str);
            let (status, seconds) = (board.status.as_str(), format!("{seconds:.1}"));
            line(
                &mut text,
                [
                    &board.name,
                    status,
                    candidates,
                    toned,
                    tuned,
                    failed,
                    &seconds,
                ],
            );
            for told in board.told() {
                text.push_str(&format!("{:width$}    {told}\n", ""));
            }
        }
        let shown = totals.map(|total| total.to_string());
        let [candidates, toned, tuned, failed] = shown.each_ref().map(String::as_str);
        let elapsed = format!("{:.1}", self.elapsed_s);
        line(
            &mut text,
            ["all", "", candidates, toned, tuned, failed, &elapsed],
        );
        if let Some(score) = &self.score {
            text.push_str(&format!(
                "\nscore against the truth: {} of {} detectors tuned; {} of {} isolated ones found, \
                 {} false, {} reported tuned and not\n",
                score.tuned,
                score.detectors,
                score.found,
                score.isolated,
                score.false_found,
                score.wrong
            ));
        }
        let kept = |module: &&ModuleReport| module.hardware == HardwareState::Kept;
        if self
            .boards
            .iter()
            .flat_map(|board| &board.modules)
            .any(|module| kept(&module))
        {
            text.push_str("tones are left on where tuned; `twotone off MAP` switches them off\n");
        }
        if let Some(directory) = &self.run_directory {
            text.push_str(&format!("run directory: {directory}\n"));
        }
        text.truncate(text.trim_end().len());
        text
    }
}

impl BoardReport {
    fn of(
        name: &str,
        unreachable: Option<&hal::Error>,
        outcomes: &[&Outcome<TuneOutcome>],
    ) -> Self {
        let mut channels = Vec::new();
        let mut modules = Vec::new();
        for outcome in outcomes {
            let tune = outcome.result.as_ref().ok();
            modules.push(ModuleReport {
                module: outcome.module,
                error: outcome.result.as_ref().err().map(ToString::to_string),
                elapsed_s: outcome.elapsed.as_secs_f64(),
                tau_s: tune.map(|tune| tune.cable_delay.delay.tau_s),
                candidates: tune.map_or(0, |tune| tune.find.candidates.len()),
                not_toned: tune.map_or(0, |tune| tune.not_toned.len()),
                warnings: tune.map(|tune| tune.warnings.clone()).unwrap_or_default(),
                hardware: outcome.hardware.clone(),
            });
            channels.extend(
                tune.iter()
                    .flat_map(|tune| &tune.channels)
                    .map(ChannelReport::from),
            );
        }
        // A line on which nothing is found is not well, though nothing has failed.
        let well = |module: &ModuleReport| {
            module.error.is_none() && module.hardware.is_settled() && module.candidates > 0
        };
        let status = if outcomes.is_empty() {
            BoardStatus::Unreachable
        } else if modules.iter().all(|module| module.error.is_some()) {
            BoardStatus::Failed
        } else if modules.iter().all(well)
            && channels
                .iter()
                .all(|channel| channel.status == ChannelStatus::Tuned)
        {
            BoardStatus::Ok
        } else {
            BoardStatus::SomeFailed
        };
        let error = unreachable.map(ToString::to_string);
        let error = error.or_else(|| modules.iter().find_map(|module| module.error.clone()));
        Self {
            name: name.to_owned(),
            status,
            error,
            modules,
            channels,
        }
    }

    fn tuned(&self) -> usize {
        self.channels
            .iter()
            .filter(|channel| channel.status == ChannelStatus::Tuned)
            .count()
    }

    /// What an operator must know beyond the counts.
    fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        if self.modules.is_empty() {
            told.extend(self.error.clone());
        }
        for module in &self.modules {
            told.extend(module.error.clone());
            let number = module.module;
            told.extend(
                module
                    .warnings
                    .iter()
                    .map(|text| format!("module {number}: {text}")),
            );
            if !module.hardware.is_settled() {
                told.push(format!("module {number}: {}", module.hardware));
            }
        }
        let mut reasons = BTreeMap::new();
        for channel in &self.channels {
            if channel.status != ChannelStatus::Tuned {
                let reason = serde_json::to_value(channel.reason).unwrap_or_default();
                let reason = reason.as_str().unwrap_or("unknown").replace('_', " ");
                *reasons.entry(reason).or_insert(0) += 1;
            }
        }
        if !reasons.is_empty() {
            let each = reasons
                .iter()
                .map(|(reason, count)| format!("{count} {reason}"));
            told.push(each.collect::<Vec<_>>().join(", "));
        }
        told
    }

    /// How many channels ended with each status, for the manifest.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        let tuned = self.tuned();
        let counts = [("tuned", tuned), ("failed", self.channels.len() - tuned)];
        counts
            .into_iter()
            .map(|(status, count)| (status.to_owned(), count))
            .collect()
    }
}

impl BoardStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::SomeFailed => "some failed",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
        }
    }
}
