//! Report of a tune.
//!
//! A *tune* searches for the resonances of every module of the boards in a map, and sets a tone on
//! each. A *channel* makes and measures one tone. A *detector* is a resonator that the map lists.
//! The *declared state* of a module is the `safe_state` that the map gives for it.

use std::collections::BTreeMap;

use serde::Serialize;
use twotone_algorithms::chunks::JoinStatus;
use twotone_algorithms::delay::DelayStatus;
use twotone_algorithms::finding::{FindStatus, Flag};
use twotone_algorithms::{ChannelOutcome, ChannelStatus, Geometry, Reason, TuneOutcome};
use twotone_hal::{ChannelId, ModuleId};

use super::array_report::{ArrayReport, BoardFacts, has_changed};
use super::completion::{ModuleNotes, board_record, module_warnings};
use super::{BoardSetup, BoardStatus, Completion, detectors};
use crate::Array;
use crate::identity::Identity;
use crate::lock::Holder;
use crate::map::HardwareMap;
use crate::record::{BoardRecord, DetectorStatus, DetectorTune, Failure};
use crate::run::{HardwareState, Outcome};

/// Largest number of detector ids in a sentence.
const MOST_IDS: usize = 10;

/// Report of a tune. It serializes to the JSON object of `twotone tune --json`, except for the
/// field `score`, which the program adds.
pub type TuneReport = ArrayReport<TunedBoard>;

/// Report of the tune of a board.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TunedBoard {
    /// Name of the board in the map.
    pub name: String,
    /// Status of the board. It is [`BoardStatus::Ok`] only if every channel is tuned, every
    /// resonance that was found has a tone, and no stage of the tune has a warning.
    pub status: BoardStatus,
    /// Error of the board, or of its first module that has an error.
    pub error: Option<Failure>,
    /// Sentences about facts that the board did not report about itself, and about the assumptions
    /// in their place.
    pub doubts: Vec<String>,
    /// Result of the check that the board is the one in the map. `None` if this was not checked.
    pub identity: Option<Identity>,
    /// Program that had locked the board, if this run took the board over from another program.
    pub taken_over: Option<Holder>,
    /// Properties that were set before the run. `None` if the map has none for the board.
    pub setup: Option<BoardSetup>,
    /// Modules of the board that were to be tuned.
    pub modules: Vec<TunedModule>,
    /// Detectors of the map on the modules that were tuned, each with the resonance that was found
    /// for it, if any.
    pub detectors: Vec<DetectorTune>,
    /// Channels of all modules of the board, one for each resonance that has a channel.
    pub channels: Vec<TunedChannel>,
}

/// Report of the tune of a module.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TunedModule {
    /// The module.
    pub module: ModuleId,
    /// Error of the module, if it was not tuned.
    pub error: Option<Failure>,
    /// Number of times that a request to the board had to be repeated.
    pub repeats: u32,
    /// Time that the tune of the module took, including its clean-up, in seconds.
    pub elapsed_s: f64,
    /// Connection of the module's detectors to the line, by which it was tuned. This field, the
    /// delay and the statuses below are `None` if the module was not tuned.
    pub geometry: Option<Geometry>,
    /// Delay of the line, in seconds.
    pub tau_s: Option<f64>,
    /// Number of resonances that were found.
    pub candidates: usize,
    /// Number of resonances without a channel.
    pub not_toned: usize,
    /// Number of resonances without a channel, for each reason.
    pub not_toned_reasons: BTreeMap<&'static str, usize>,
    /// Warnings of all stages of the tune, a sentence each.
    pub warnings: Vec<String>,
    /// Warnings that the board sent with its answers, in its own words. The board did nevertheless
    /// what was asked, so they do not change the status of the board.
    pub board_warnings: Vec<String>,
    /// Status of the measurement of the delay.
    pub delay_status: Option<DelayStatus>,
    /// Status of the join of the parts of the network analysis that were measured at different NCO
    /// frequencies.
    pub join_status: Option<JoinStatus>,
    /// Status of the search for resonances.
    pub find_status: Option<FindStatus>,
    /// State in which the tune has left the tones of the module.
    pub hardware: HardwareState,
}

/// Report of a channel: the main numbers of a [`ChannelOutcome`].
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TunedChannel {
    /// The module.
    pub module: ModuleId,
    /// The channel.
    pub channel: ChannelId,
    /// Id in the map of the detector to which the channel's resonance belongs. `None` if the map
    /// has no detectors, or if the resonance could not be assigned to one.
    pub detector: Option<String>,
    /// Status of the channel: usable or not.
    pub status: ChannelStatus,
    /// Reason of the status.
    pub reason: Reason,
    /// Flags about the surroundings of the channel's resonance.
    pub flags: Vec<Flag>,
    /// Absolute frequency of the tone, in hertz. If the channel is off, it is the frequency of the
    /// resonance as found.
    pub tone_hz: f64,
    /// Frequency of the NCO, in hertz.
    pub nco_hz: f64,
    /// Amplitude of the tone, as a fraction of full scale, or 0 if the channel is off.
    pub amplitude: f64,
    /// Resonance frequency at vanishing power, in hertz. This field and those after it are `None`
    /// without a successful fit.
    pub fr_hz: Option<f64>,
    /// Total quality factor.
    pub qr: Option<f64>,
    /// Internal quality factor. `None` for peaks, whose samples do not determine it.
    pub qi: Option<f64>,
    /// Nonlinearity parameter of the resonator at the tone's amplitude.
    pub a: Option<f64>,
}

impl From<&ChannelOutcome> for TunedChannel {
    fn from(channel: &ChannelOutcome) -> Self {
        Self {
            module: channel.module,
            channel: channel.channel,
            detector: None,
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

impl TuneReport {
    /// Returns the report of a run over the modules of `array`, with every board of `map`.
    /// `elapsed_s` is the time of the run in seconds.
    pub fn of(
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
            TunedBoard::of(map, &entry.name, array, &modules)
        });
        Self::new(elapsed_s, boards.collect())
    }

    /// Returns the degree to which the tune was done and recorded.
    pub fn completion(&self) -> Completion {
        // A module in the state `Kept` is settled too. But it has the tones of its tune, so it is
        // not in its declared state.
        let restored = |module: &TunedModule| {
            module.hardware.is_settled() && module.hardware != HardwareState::Kept
        };
        self.completion_by(
            |board| board.status,
            |board| !has_changed(board.setup.as_ref()) && board.modules.iter().all(restored),
        )
    }

    /// Returns the entries of the boards in the manifest of the run.
    pub fn records(&self, array: &Array, map: &HardwareMap) -> Vec<BoardRecord> {
        let record = |board: &TunedBoard| BoardRecord {
            channels: board.counts(),
            warnings: board.module_warnings(),
            ..board_record(
                map,
                array,
                &board.name,
                board.status.as_str(),
                board.error.clone(),
            )
        };
        self.boards.iter().map(record).collect()
    }
}

impl TunedBoard {
    fn of(
        map: &HardwareMap,
        name: &str,
        array: &Array,
        outcomes: &[&Outcome<TuneOutcome>],
    ) -> Self {
        let mut channels = Vec::new();
        let mut modules = Vec::new();
        let mut detectors = Vec::new();
        for outcome in outcomes {
            let tune = outcome.result.as_ref().ok();
            let found = tune.map(|tune| detectors::identify(map, name, tune));
            let found = found.unwrap_or_default();
            modules.push(TunedModule {
                module: outcome.module,
                error: outcome.result.as_ref().err().map(Failure::from),
                repeats: outcome.repeats,
                elapsed_s: outcome.elapsed.as_secs_f64(),
                geometry: tune.map(|tune| tune.geometry),
                tau_s: tune.map(|tune| tune.cable_delay.delay.tau_s),
                candidates: tune.map_or(0, |tune| tune.find.candidates.len()),
                not_toned: tune.map_or(0, |tune| tune.not_toned.len()),
                not_toned_reasons: count(
                    tune.iter()
                        .flat_map(|tune| &tune.not_toned)
                        .map(|one| one.reason.as_str()),
                ),
                warnings: tune.map(|tune| tune.warnings.clone()).unwrap_or_default(),
                board_warnings: outcome.board_warnings.clone(),
                delay_status: tune.map(|tune| tune.cable_delay.delay.status),
                join_status: tune.map(|tune| tune.network_analysis.join),
                find_status: tune.map(|tune| tune.find.status),
                hardware: outcome.hardware.clone(),
            });
            let ids = found.iter().filter_map(|one| Some((one.channel?, &one.id)));
            let ids: BTreeMap<ChannelId, &String> = ids.collect();
            let toned = tune.iter().flat_map(|tune| &tune.channels);
            channels.extend(toned.map(|channel| TunedChannel {
                detector: ids.get(&channel.channel).copied().cloned(),
                ..TunedChannel::from(channel)
            }));
            detectors.extend(found);
        }
        let status = if !array.reached(name) {
            BoardStatus::Unreachable
        } else if modules.iter().all(|module| module.error.is_some()) {
            BoardStatus::Failed
        } else if modules.iter().all(TunedModule::is_well)
            && channels
                .iter()
                .all(|channel| channel.status == ChannelStatus::Tuned)
        {
            BoardStatus::Ok
        } else {
            BoardStatus::SomeFailed
        };
        let facts = BoardFacts::of(array, name);
        let of_modules = || modules.iter().find_map(|module| module.error.clone());
        Self {
            name: name.to_owned(),
            status,
            error: facts.error.or_else(of_modules),
            doubts: facts.doubts,
            setup: facts.setup,
            identity: facts.identity,
            taken_over: facts.taken_over,
            modules,
            detectors,
            channels,
        }
    }

    /// True if a module of the board keeps tones of its tune on.
    pub fn has_left_tones_on(&self) -> bool {
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

    /// True if a channel is tuned, and still set as in its tune, as far as is known.
    pub fn is_tuned(&self, channel: &TunedChannel) -> bool {
        channel.status == ChannelStatus::Tuned && self.holds(channel)
    }

    /// True if a channel is still set as in its tune, as far as is known.
    pub fn holds(&self, channel: &TunedChannel) -> bool {
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

    /// Returns the warnings of the board for the manifest: sentences about its modules and
    /// detectors. The error of the board is left out, because the manifest has a field for it.
    fn module_warnings(&self) -> Vec<String> {
        let notes = self.modules.iter().map(|module| ModuleNotes {
            module: module.module,
            error: module.error.as_ref(),
            repeats: module.repeats,
            warnings: &module.warnings,
            board_warnings: &module.board_warnings,
            hardware: &module.hardware,
        });
        let mut warnings = module_warnings(self.error.as_ref(), notes);
        warnings.extend(self.detectors_in_words());
        warnings
    }

    /// Returns sentences about the detectors of the map that are not tuned: for each status, the
    /// number of these detectors and the ids of the first ten.
    pub fn detectors_in_words(&self) -> Vec<String> {
        detectors_in_words(&self.detectors)
    }

    /// Returns the number of channels with each status, for the manifest.
    fn counts(&self) -> BTreeMap<String, usize> {
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

/// As [`TunedBoard::detectors_in_words`], for the given detectors.
pub fn detectors_in_words(detectors: &[DetectorTune]) -> Vec<String> {
    let mut by_status: BTreeMap<DetectorStatus, Vec<&str>> = BTreeMap::new();
    for detector in detectors {
        if detector.status != DetectorStatus::Tuned {
            by_status
                .entry(detector.status)
                .or_default()
                .push(&detector.id);
        }
    }
    let all = detectors.len();
    let sentence = |(status, ids): (DetectorStatus, Vec<&str>)| {
        let more = match ids.len().checked_sub(MOST_IDS) {
            None | Some(0) => String::new(),
            Some(more) => format!(" and {more} more"),
        };
        let named = ids[..ids.len().min(MOST_IDS)].join(", ");
        let status = status.as_str().replace('_', " ");
        format!(
            "{} of {all} detectors of the map are {status}: {named}{more}",
            ids.len()
        )
    };
    by_status.into_iter().map(sentence).collect()
}

/// Returns the number of times that each name occurs.
fn count<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_insert(0) += 1);
    counts
}

impl TunedModule {
    /// True if the module has no problem. It is false after an error or a warning, if a resonance
    /// has no tone, if no resonance was found, or if the hardware is not known to be in its
    /// intended state.
    fn is_well(&self) -> bool {
        self.error.is_none()
            && self.hardware.is_settled()
            && self.candidates > 0
            && self.not_toned == 0
            && self.warnings.is_empty()
    }

    /// Returns the status of the module. `all_tuned` is true if all of its channels are tuned.
    pub fn status(&self, all_tuned: bool) -> BoardStatus {
        if self.error.is_some() {
            BoardStatus::Failed
        } else if all_tuned && self.is_well() {
            BoardStatus::Ok
        } else {
            BoardStatus::SomeFailed
        }
    }
}
