//! Plan of a capture: its boards, modules and channels, and the calibrations of their samples.

use std::sync::Arc;

use tworoutine::tworoutine;
use twotone_algorithms::calibration::Calibration;
use twotone_algorithms::{ChannelOutcome, ChannelStatus};
use twotone_hal::{BoardHandle, ChannelId, Description, Error, ErrorKind, ModuleId, Result};
use twotone_transport::readout::{MODULES_IN_BANK, Source, in_packets};

use super::CaptureParams;
use super::calibrated::changed_by;
use super::standing::{self, Standing, TuneState};
use crate::identity::address;
use crate::map::{BoardEntry, BoardKind, HardwareMap};
use crate::record::{ModuleTune, TuneRecord};
use crate::{Array, ArrayBoard};

/// A board whose stream is captured.
#[derive(Debug)]
pub struct BoardPlan {
    /// Its name in the map.
    pub name: String,
    /// Address and serial number of its packets, or the reason for which nothing of it can be
    /// captured.
    pub source: std::result::Result<Source, String>,
    /// Error of a board that did not answer. It is then not known if its modules are those of the
    /// analog bank in use.
    pub unanswered: Option<String>,
    /// Its modules.
    pub modules: Vec<ModulePlan>,
}

/// A module whose samples are captured.
#[derive(Debug, Clone)]
pub struct ModulePlan {
    /// The module, numbered as in the map.
    pub module: ModuleId,
    /// Number of the module in packets, from 1 within the analog bank in use.
    pub in_packets: ModuleId,
    /// True if the map lists the module, so that a capture without any packet of it fails.
    pub is_expected: bool,
    /// Channels to write, in order; `None` for all that a packet holds.
    pub channels: Option<Vec<ChannelId>>,
    /// Calibrations, by channel, corrected by [`Standing::reference`].
    pub calibrated: Vec<(ChannelId, Calibration)>,
    /// State of the tune, if there is one.
    pub standing: Option<Standing>,
    board: Option<BoardHandle>,
    tune: Option<Arc<ModuleTune>>,
}

impl BoardPlan {
    /// Fault of the board that is known before any packet has come.
    pub(super) fn error(&self) -> Option<String> {
        self.source
            .as_ref()
            .err()
            .or(self.unanswered.as_ref())
            .cloned()
    }
}

/// Plans the capture of the boards of `map` that have modules to capture. Boards of `array` are
/// asked if `tune` still holds, all at the same time; nothing is set on them. A board that did not
/// answer is captured all the same, without a calibration. A board that is not the one in the map
/// is not captured.
#[tworoutine(Send)]
pub async fn plan(
    map: &HardwareMap,
    array: &Array,
    tune: Option<&TuneRecord>,
    params: &CaptureParams,
) -> Vec<BoardPlan> {
    let entries = map.boards().iter();
    let found: Vec<_> = entries
        .map(|entry| {
            let entry = entry.clone();
            tworoutine::spawn(async move { source(&entry).await })
        })
        .collect();
    let mut boards = Vec::with_capacity(found.len());
    for (entry, found) in map.boards().iter().zip(found) {
        let found = match found.await {
            Ok(found) => found.map_err(|error| error.on(&entry.name).to_string()),
            Err(ended) => Err(ended.to_string()),
        };
        let board = plan_board(entry, found, array, tune, params);
        if board.source.is_err() || !board.modules.is_empty() {
            boards.push(board);
        }
    }
    let modules = || boards.iter().flat_map(|board| &board.modules);
    let asks: Vec<_> = modules().filter_map(ModulePlan::ask).collect();
    let mut standings = standing::ask_all(asks, params.ask_within, &params.stop)
        .await
        .into_iter();
    for module in boards.iter_mut().flat_map(|board| &mut board.modules) {
        if module.ask().is_some() {
            module.judge(standings.next());
        }
    }
    boards
}

fn plan_board(
    entry: &BoardEntry,
    found: std::result::Result<Source, String>,
    array: &Array,
    tune: Option<&TuneRecord>,
    params: &CaptureParams,
) -> BoardPlan {
    let described = array.answered(&entry.name).map(ArrayBoard::description);
    let failure = array.failure(&entry.name);
    let modules: Vec<_> = modules_of(entry, described)
        .into_iter()
        .map(|(module, is_expected)| {
            ModulePlan::new(entry, array, module, is_expected, tune, params)
        })
        .collect();
    let refused = failure
        .filter(|error| !is_silence(error))
        .map(ToString::to_string)
        .or_else(|| twins(&modules));
    BoardPlan {
        name: entry.name.clone(),
        source: refused.map_or(found, Err),
        unanswered: failure
            .filter(|error| is_silence(error))
            .map(ToString::to_string),
        modules,
    }
}

/// True if `error` means that the board did not answer at all.
fn is_silence(error: &Error) -> bool {
    use ErrorKind::{ConnectionLost, Timeout, Unreachable};
    matches!(error.kind(), Unreachable | Timeout | ConnectionLost)
}

/// Sentence about two modules whose packets cannot be told apart, if there are such.
fn twins(modules: &[ModulePlan]) -> Option<String> {
    let mut rest = modules;
    while let [one, others @ ..] = rest {
        if let Some(other) = others
            .iter()
            .find(|other| other.in_packets == one.in_packets)
        {
            return Some(format!(
                "modules {} and {} have the same packets, each on its analog bank: name those of \
                 the bank in use",
                one.module, other.module
            ));
        }
        rest = others;
    }
    None
}

/// Modules of a board, each with true if the map lists it.
fn modules_of(entry: &BoardEntry, described: Option<&Description>) -> Vec<(ModuleId, bool)> {
    let listed = entry.modules.iter().map(|listed| (listed.module, true));
    let found = described.map(|described| described.modules.iter().map(|found| found.module));
    match found {
        _ if !entry.modules.is_empty() => listed.collect(),
        Some(found) => found.map(|module| (module, false)).collect(),
        None => {
            let modules = (1..=MODULES_IN_BANK).filter_map(|number| ModuleId::new(number).ok());
            modules.map(|module| (module, false)).collect()
        }
    }
}

impl ModulePlan {
    fn new(
        entry: &BoardEntry,
        array: &Array,
        module: ModuleId,
        is_expected: bool,
        tunes: Option<&TuneRecord>,
        params: &CaptureParams,
    ) -> Self {
        let tune = tunes.and_then(|tunes| tunes.module(&entry.name, module));
        let board = array.boards().iter().find(|one| one.name() == entry.name);
        let board = board.map(|board| board.handle().clone());
        let is_calibrated =
            |tune: &ModuleTune| tune.channel.iter().any(|one| usable(one).is_some());
        let standing = match (tunes, tune, &board) {
            (None, ..) => None,
            (_, None, _) => Some(Standing::not(
                TuneState::Void,
                "the run has no tune of this module",
            )),
            (_, Some(tune), _) if !is_calibrated(tune) => Some(Standing::not(
                TuneState::Void,
                "none of its channels is tuned",
            )),
            (.., None) => Some(Standing::not(
                TuneState::Unknown,
                "the board does not answer",
            )),
            // Still to be asked.
            (.., Some(_)) => None,
        };
        let channels = match (params.channels, tune) {
            (Some(count), _) => Some(
                (1..=count)
                    .filter_map(|number| ChannelId::new(number).ok())
                    .collect(),
            ),
            (None, Some(tune)) => Some(toned(tune)).filter(|channels| !channels.is_empty()),
            (None, None) => None,
        };
        let can_be_asked = standing.is_none();
        Self {
            module,
            in_packets: in_packets(module),
            is_expected,
            channels,
            calibrated: Vec::new(),
            standing,
            board,
            tune: tune.filter(|_| can_be_asked).cloned().map(Arc::new),
        }
    }

    /// Board and tune for the check of the tune; `None` if there is nothing to ask.
    pub(super) fn ask(&self) -> Option<(BoardHandle, Arc<ModuleTune>)> {
        self.board.clone().zip(self.tune.clone())
    }

    /// Takes the state of the tune, and the calibrations if it holds.
    fn judge(&mut self, standing: Option<Standing>) {
        self.standing = standing;
        let (Some(standing), Some(tune)) = (&self.standing, &self.tune) else {
            return;
        };
        let Some(reference) = standing
            .reference()
            .filter(|_| standing.state == TuneState::Holds)
        else {
            return;
        };
        let channels = tune.channel.iter();
        self.calibrated = channels
            .filter(|one| !standing.changed.contains(&one.channel))
            .filter_map(usable)
            .map(|(channel, calibration)| (channel, changed_by(reference, calibration)))
            .collect();
    }
}

/// Calibration of a channel that is tuned.
fn usable(one: &ChannelOutcome) -> Option<(ChannelId, Calibration)> {
    let calibration = one.calibration?;
    (one.status == ChannelStatus::Tuned).then_some((one.channel, calibration))
}

/// The channels that carry a tone, in order.
fn toned(tune: &ModuleTune) -> Vec<ChannelId> {
    let on = tune.channel.iter().filter(|one| one.amplitude != 0.0);
    let on = on.map(|one| one.channel);
    let mut channels: Vec<_> = on
        .chain(tune.reference.iter().map(|one| one.channel))
        .collect();
    channels.sort_unstable();
    channels.dedup();
    channels
}

/// Address and serial number of a board's packets.
async fn source(entry: &BoardEntry) -> Result<Source> {
    if entry.kind != BoardKind::CRS {
        let why = format!("boards of kind {} have no sample stream", entry.kind);
        return Err(Error::new(ErrorKind::Unsupported, why));
    }
    let Some(serial) = &entry.serial else {
        let why = "the map has no serial number of it, which its packets are known by";
        return Err(Error::new(ErrorKind::InvalidArgument, why));
    };
    let serial = serial.parse().map_err(|_| {
        let why = format!("packets bear serial numbers up to 65535, and its is {serial}");
        Error::new(ErrorKind::InvalidArgument, why)
    })?;
    Ok(Source::new(address(entry).await?, serial))
}
