//! Plan of a capture: its boards, modules and channels, and the calibrations of their samples.
//!
//! A *tune* is the result of an earlier run that has set a tone on each resonance. It *holds* while
//! the tones are still set as it says, and only then can samples be calibrated by it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tworoutine::tworoutine;
use twotone_algorithms::calibration::Calibration;
use twotone_algorithms::{ChannelOutcome, ChannelStatus};
use twotone_hal::{
    BoardHandle, ChannelId, Description, Error, ErrorKind, ModuleId, Result, StreamSource, Streams,
};

use super::calibrated::changed_by;
use super::standing::{self, Standing, TuneState};
use super::{CaptureParams, FastParams};
use crate::family;
use crate::map::{BoardEntry, HardwareMap};
use crate::record::{Failure, ModuleTune, TuneRecord};
use crate::run::{Counted, Tally};
use crate::{Array, ArrayBoard};

/// A board of a capture: its streams and modules, or the reason that nothing can be captured from
/// it.
#[derive(Debug)]
pub struct BoardPlan {
    /// Name of the board in the map.
    pub name: String,
    /// Sample streams of the board, or the reason that nothing can be captured from it.
    pub streams: std::result::Result<LocatedStreams, Failure>,
    /// Error of the board, if it did not answer. It is then not known if the board sends the
    /// samples of `modules`: some boards have two banks of modules, and send only those of the
    /// bank in use.
    pub unanswered: Option<Failure>,
    /// Modules of the board to capture.
    pub modules: Vec<ModulePlan>,
    /// Failure of modules whose fast streams cannot be switched on, because the tune has tuned
    /// none of their channels.
    untuned: Option<Failure>,
    /// Warnings of the board in answers to requests of the capture.
    pub(super) counted: Counted,
}

/// Sample streams of a board, and the source of their samples.
#[derive(Debug, Clone)]
pub struct LocatedStreams {
    /// The streams.
    pub streams: Arc<dyn Streams>,
    /// Origin of the samples, with the properties that they have in common.
    pub source: StreamSource,
}

/// A module whose samples are captured.
#[derive(Debug, Clone)]
pub struct ModulePlan {
    /// The module, numbered as in the map.
    pub module: ModuleId,
    /// True if the capture counts as failed when no packet of the module comes, for instance
    /// because the map lists the module.
    pub is_expected: bool,
    /// Channels to write, in order. `None` selects all channels of a packet.
    pub channels: Option<Vec<ChannelId>>,
    /// Calibrations by channel, corrected by [`Standing::reference`]. Empty unless the tune still
    /// holds ([`Standing::state`]).
    pub calibrated: Vec<(ChannelId, Calibration)>,
    /// Ids of the detectors of the map, by their channels in the tune.
    pub detectors: BTreeMap<ChannelId, String>,
    /// State of the tune on this module, if the capture has a tune.
    pub standing: Option<Standing>,
    board: Option<BoardHandle>,
    tune: Option<Arc<ModuleTune>>,
}

impl LocatedStreams {
    async fn find(streams: Arc<dyn Streams>) -> Result<Self> {
        let source = streams.locate().await?;
        Ok(Self { streams, source })
    }
}

impl BoardPlan {
    /// Plans the capture of these modules of a board of any kind, without a calibration. The
    /// capture counts as failed if one of the modules sends nothing. If the board has no sample
    /// stream, or the samples of these modules cannot be distinguished, [`BoardPlan::streams`] is
    /// the error.
    ///
    /// No request is sent to the board. If the future is dropped, nothing has changed.
    pub async fn of(
        board: &BoardHandle,
        modules: impl IntoIterator<Item = ModuleId>,
        params: &CaptureParams,
    ) -> Self {
        let counted = Counted::default();
        let tally = BoardHandle::new(Tally::new(board.clone(), &counted));
        let modules = modules.into_iter().map(|module| ModulePlan {
            module,
            is_expected: true,
            channels: match &params.fast {
                Some(fast) => fast_channels(fast, module, None),
                None => first_channels(params),
            },
            calibrated: Vec::new(),
            detectors: BTreeMap::new(),
            standing: None,
            board: Some(tally.clone()),
            tune: None,
        });
        let modules: Vec<_> = modules.collect();
        let found = match streams_of(board).and_then(|streams| wanted_of(streams, params)) {
            Ok(streams) => LocatedStreams::find(streams).await,
            Err(error) => Err(error),
        };
        let found = found.map_err(|error| Failure::from(&error.on(board.name())));
        Self {
            name: board.name().to_owned(),
            streams: found.and_then(|found| checked(found, &modules)),
            unanswered: None,
            modules,
            untuned: None,
            counted,
        }
    }

    /// Refuses the capture of the board, whose fast streams could not be switched on.
    pub(super) fn refuse(&mut self, why: Failure) {
        let why = match self.unanswered.take() {
            Some(unanswered) => unanswered.and(why),
            None => why,
        };
        self.streams = Err(why);
    }

    /// Returns the reason that the board cannot be captured, or [`BoardPlan::doubt`].
    pub(super) fn error(&self) -> Option<Failure> {
        self.streams
            .as_ref()
            .err()
            .cloned()
            .or_else(|| self.doubt())
    }

    /// Returns the reasons that the board is captured in part or may send nothing, if there are
    /// any. They are known before any packet has come.
    pub(super) fn doubt(&self) -> Option<Failure> {
        match (self.unanswered.clone(), &self.untuned) {
            (Some(unanswered), Some(untuned)) => Some(unanswered.and(&untuned.message)),
            (unanswered, untuned) => unanswered.or_else(|| untuned.clone()),
        }
    }
}

/// Plans the capture of the boards of `map`. A board from which nothing can be captured is in the
/// plan with the reason. A board without modules to capture is left out. Checks, on all boards of
/// `array` at the same time, that `tune` still holds. Sets nothing on the boards. A board that did
/// not answer is captured without a calibration. A board that is not the one in the map is not
/// captured.
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
            let streams = streams_to_capture(entry, array);
            let streams = streams.and_then(|streams| wanted_of(streams, params));
            tworoutine::spawn(async move { LocatedStreams::find(streams?).await })
        })
        .collect();
    let mut boards = Vec::with_capacity(found.len());
    for (entry, found) in map.boards().iter().zip(found) {
        let found = match found.await {
            Ok(found) => found.map_err(|error| Failure::from(&error.on(&entry.name))),
            Err(ended) => Err(Failure::of_kind(ErrorKind::Panicked, ended.to_string())),
        };
        let board = plan_board(entry, found, array, tune, params);
        if board.streams.is_err() || !board.modules.is_empty() {
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
    found: std::result::Result<LocatedStreams, Failure>,
    array: &Array,
    tune: Option<&TuneRecord>,
    params: &CaptureParams,
) -> BoardPlan {
    let described = array.answered(&entry.name).map(ArrayBoard::description);
    let failure = array.failure(&entry.name);
    let counted = Counted::default();
    let board = array.boards().iter().find(|one| one.name() == entry.name);
    let board = board.map(|one| BoardHandle::new(Tally::new(one.handle().clone(), &counted)));
    let (mut modules, mut untuned) = (Vec::new(), Vec::new());
    for (module, is_listed) in modules_of(entry, described, found.as_ref().ok()) {
        let of_module = tune.and_then(|tunes| tunes.module(&entry.name, module));
        match (
            is_expected(params, module, is_listed, of_module),
            &params.fast,
        ) {
            (Some(is_expected), _) => {
                let (name, board) = (&entry.name, board.as_ref());
                modules.push(ModulePlan::new(
                    name,
                    board,
                    module,
                    is_expected,
                    tune,
                    params,
                ));
            }
            (None, Some(fast)) if fast.channels.is_empty() => untuned.push(module.to_string()),
            (None, _) => {}
        }
    }
    let untuned = (!untuned.is_empty()).then(|| {
        let modules = untuned.join(", ");
        let why = format!(
            "the tune has tuned no channel of module {modules}, so no fast stream is captured there"
        );
        Failure::of_kind(ErrorKind::InvalidArgument, why)
    });
    let refused = failure
        .filter(|error| !is_silence(error))
        .map(Failure::from);
    BoardPlan {
        name: entry.name.clone(),
        streams: refused.map_or(found, Err).and_then(|found| match &untuned {
            Some(untuned) if modules.is_empty() => Err(untuned.clone()),
            _ => checked(found, &modules),
        }),
        unanswered: failure.filter(|error| is_silence(error)).map(Failure::from),
        modules,
        untuned,
        counted,
    }
}

/// Returns true if a capture without any packet of the module fails, or `None` if the module is not
/// captured. `is_listed` is true if the map lists the module.
fn is_expected(
    params: &CaptureParams,
    module: ModuleId,
    is_listed: bool,
    tune: Option<&ModuleTune>,
) -> Option<bool> {
    let Some(fast) = &params.fast else {
        return Some(is_listed);
    };
    if fast.channels.is_empty() && !fast.is_set {
        // Most modules of a board send no fast stream.
        return Some(false);
    }
    fast_channels(fast, module, tune).map(|_| true)
}

/// True if `error` means that the board did not answer at all.
fn is_silence(error: &Error) -> bool {
    use ErrorKind::{ConnectionLost, Timeout, Unreachable};
    matches!(error.kind(), Unreachable | Timeout | ConnectionLost)
}

/// Refuses streams of modules whose samples cannot be distinguished.
fn checked(
    found: LocatedStreams,
    modules: &[ModulePlan],
) -> std::result::Result<LocatedStreams, Failure> {
    let modules: Vec<_> = modules.iter().map(|plan| plan.module).collect();
    match found.streams.check(&modules) {
        Ok(()) => Ok(found),
        Err(error) => Err(Failure::from(&error)),
    }
}

/// Returns the sample streams of a board.
///
/// # Errors
/// [`ErrorKind::Unsupported`] if the board has none.
fn streams_of(board: &BoardHandle) -> Result<Arc<dyn Streams>> {
    board.streams().ok_or_else(|| {
        let why = "the board has no sample stream: nothing of it can be captured";
        Error::new(ErrorKind::Unsupported, why)
    })
}

/// Returns the streams of a board that are captured: its usual ones, or its fast ones.
///
/// # Errors
/// [`ErrorKind::Unsupported`] if fast streams are wanted and the board has none.
fn wanted_of(streams: Arc<dyn Streams>, params: &CaptureParams) -> Result<Arc<dyn Streams>> {
    if params.fast.is_none() {
        return Ok(streams);
    }
    streams.fast().ok_or_else(|| {
        let why = "the board has no fast stream: nothing of it can be captured";
        Error::new(ErrorKind::Unsupported, why)
    })
}

/// Returns the sample streams of a board of the map. Those of a board that has answered come from
/// its own handle, those of another from its address in the map.
fn streams_to_capture(entry: &BoardEntry, array: &Array) -> Result<Arc<dyn Streams>> {
    family::check_serial(entry)?;
    match array.answered(&entry.name) {
        Some(board) => streams_of(board.handle()),
        None => family::streams(entry, &entry.address()),
    }
}

/// Returns the modules of a board to capture, each with true if the map lists it.
fn modules_of(
    entry: &BoardEntry,
    described: Option<&Description>,
    found: Option<&LocatedStreams>,
) -> Vec<(ModuleId, bool)> {
    let listed = entry.modules.iter().map(|listed| (listed.module, true));
    if !entry.modules.is_empty() {
        return listed.collect();
    }
    let modules: Vec<ModuleId> = match (described, found) {
        (Some(described), _) => described.modules.iter().map(|one| one.module).collect(),
        (None, Some(found)) => found.streams.modules(),
        (None, None) => Vec::new(),
    };
    modules.into_iter().map(|module| (module, false)).collect()
}

impl ModulePlan {
    fn new(
        name: &str,
        board: Option<&BoardHandle>,
        module: ModuleId,
        is_expected: bool,
        tunes: Option<&TuneRecord>,
        params: &CaptureParams,
    ) -> Self {
        let tune = tunes.and_then(|tunes| tunes.module(name, module));
        let is_calibrated =
            |tune: &ModuleTune| tune.channel.iter().any(|one| usable(one).is_some());
        let standing = match (tunes, tune, board) {
            (None, ..) => None,
            (_, None, _) => Some(Standing::unmeasured(
                TuneState::Void,
                "the run has no tune of this module",
            )),
            (_, Some(tune), _) if !is_calibrated(tune) => Some(Standing::unmeasured(
                TuneState::Void,
                "none of its channels is tuned",
            )),
            (.., None) => Some(Standing::unmeasured(
                TuneState::Unknown,
                "the board does not answer",
            )),
            // [`ModulePlan::judge`] fills in the state after the check of the tune.
            (.., Some(_)) => None,
        };
        let of_tune = || Some(toned(tune?)).filter(|channels| !channels.is_empty());
        let channels = match &params.fast {
            Some(fast) => fast_channels(fast, module, tune),
            None => first_channels(params).or_else(of_tune),
        };
        let can_be_asked = standing.is_none();
        Self {
            module,
            is_expected,
            channels,
            calibrated: Vec::new(),
            detectors: tune.map(detectors).unwrap_or_default(),
            standing,
            board: board.cloned(),
            tune: tune.filter(|_| can_be_asked).cloned().map(Arc::new),
        }
    }

    /// Returns the module's board, if it has answered, and the channels of its fast stream in the
    /// capture.
    pub(super) fn to_switch(&self) -> (Option<BoardHandle>, ModuleId, Vec<ChannelId>) {
        let channels = self.channels.clone().unwrap_or_default();
        (self.board.clone(), self.module, channels)
    }

    /// Returns the board and the tune for the check of the tune, or `None` if there is nothing to
    /// check.
    pub(super) fn ask(&self) -> Option<(BoardHandle, Arc<ModuleTune>)> {
        self.board.clone().zip(self.tune.clone())
    }

    /// Stores the state of the tune, and the calibrations if the tune holds.
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

/// Returns the ids of the detectors of a tune, by channel.
fn detectors(tune: &ModuleTune) -> BTreeMap<ChannelId, String> {
    let detectors = tune.detector.iter();
    detectors
        .filter_map(|one| Some((one.channel?, one.id.clone())))
        .collect()
}

/// Returns the first channels, if a number of channels is requested.
fn first_channels(params: &CaptureParams) -> Option<Vec<ChannelId>> {
    let numbers = 1..=params.channels?;
    Some(
        numbers
            .filter_map(|number| ChannelId::new(number).ok())
            .collect(),
    )
}

/// Returns the channels of the fast stream of a module, if they are requested. If the stream is
/// switched on without named channels, they are the tuned channels.
fn fast_channels(
    fast: &FastParams,
    module: ModuleId,
    tune: Option<&ModuleTune>,
) -> Option<Vec<ChannelId>> {
    if !fast.channels.is_empty() || !fast.is_set {
        return fast.channels.get(&module).cloned();
    }
    let tuned = tune?.channel.iter().filter_map(usable);
    let mut tuned: Vec<_> = tuned.map(|(channel, _)| channel).collect();
    tuned.sort_unstable();
    (!tuned.is_empty()).then_some(tuned)
}

/// Returns the calibration of a channel, if the channel is tuned.
fn usable(one: &ChannelOutcome) -> Option<(ChannelId, Calibration)> {
    let calibration = one.calibration?;
    (one.status == ChannelStatus::Tuned).then_some((one.channel, calibration))
}

/// Returns the channels that carry a tone, in order.
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
