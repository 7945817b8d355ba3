//! Dry run of a campaign, which is a tune or a sweep of the boards of a map: counts the requests
//! that the campaign would send, and estimates their time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use tworoutine::Allowance;
use twotone_algorithms::{Geometry, TuneParams, tune};
use twotone_hal::{Board, BoardHandle, ChannelId, ModuleId, Result};

use super::array_report::BoardFacts;
use super::{BoardSetup, Campaign, CampaignError, Completion, detectors, setup, sweep};
use crate::map::HardwareMap;
use crate::record::Failure;
use crate::run::{DryRun, Outcome, Target, Traffic};
use crate::{Array, ArrayBoard};

/// Kind of the campaign that a dry run rehearses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DryRunOf {
    /// [`Campaign::tune`].
    Tune,
    /// [`Campaign::sweep`].
    Sweep,
}

/// Report of a dry run. It serializes to the JSON object of `twotone tune --dry-run --json` and
/// `twotone sweep --dry-run --json`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DryRunReport {
    /// Always true, so that a program can distinguish this report from that of a real run.
    pub dry_run: bool,
    /// Requests to all modules together.
    pub total: Traffic,
    /// Estimated time of the campaign, in seconds: the time of the slowest module, or more if not
    /// all modules run at the same time. `None` if the time of a module is not known.
    pub estimated_s: Option<f64>,
    /// Every board of the map, in its order.
    pub boards: Vec<DryRunBoard>,
}

/// Report of a dry run for a board.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DryRunBoard {
    /// Name of the board in the map.
    pub name: String,
    /// Error of the board, if it could not be reached or used.
    pub error: Option<Failure>,
    #[serde(skip)]
    reached: bool,
    /// Sentences about facts that the board did not report about itself, and about the assumptions
    /// in their place.
    pub doubts: Vec<String>,
    /// Properties that the campaign would set or find as in the map. `None` if the map has none
    /// for the board.
    pub setup: Option<BoardSetup>,
    /// Time from a request to its answer, in seconds. It is the shortest time of three requests
    /// that read back a tone. `None` if the tone could not be read.
    pub round_trip_s: Option<f64>,
    /// Modules of the board.
    pub modules: Vec<DryRunModule>,
}

/// Report of a dry run for a module.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DryRunModule {
    /// The module.
    pub module: ModuleId,
    /// Reason that the campaign would be refused or would fail on the module.
    pub error: Option<Failure>,
    /// Number of assumed resonances: one at the expected frequency of each detector that the map
    /// has on this module. If it is 0, the steps of a tune that depend on resonances are not
    /// counted.
    pub resonances: usize,
    /// Requests that would be sent.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Estimated time in seconds: the time of the samples, the pauses, and a round trip for each
    /// request. The time in which the board sets tones is not included. `None` if a part is not
    /// known.
    pub estimated_s: Option<f64>,
}

impl DryRunReport {
    /// Returns the degree to which the campaign could be done. It is [`Completion::Complete`] if
    /// the campaign could run on every module.
    pub fn completion(&self) -> Completion {
        let modules = || self.boards.iter().flat_map(|board| &board.modules);
        if !self.boards.iter().any(|board| board.reached) {
            Completion::Unreachable
        } else if self.boards.iter().all(|board| board.error.is_none())
            && modules().all(|module| module.error.is_none())
        {
            Completion::Complete
        } else {
            Completion::Incomplete
        }
    }
}

/// Connects to the boards, reads their descriptions, and runs the algorithm of the campaign on
/// boards in memory that have the same descriptions.
pub(super) async fn run(
    campaign: Campaign,
    of: DryRunOf,
) -> std::result::Result<DryRunReport, CampaignError> {
    campaign.params.check(&campaign.map)?;
    let map = &campaign.map;
    let (listening, kept) = (campaign.access.listening(map), &campaign.connections);
    // As in the run itself, a board may lack modules of the map before it is set up.
    let alone = setup::is_needed(map).then(|| map.of_boards_alone());
    let part = alone.as_ref().unwrap_or(map);
    let connecting = Array::connect_identified_through(part, listening, kept);
    let array = campaign.unless_cancelled(connecting).await;
    let mut array = array.ok_or(CampaignError::Cancelled)?;
    let mut lacking = BTreeSet::new();
    if alone.is_some() {
        let setups = campaign.set_up(&mut array, true).await;
        lacking = boards_lacking_modules(map, &array, &setups);
        for (name, setup) in setups {
            array.note_setup(name, setup);
        }
        array.take_modules_of(map, BTreeMap::new()).await;
    }
    let round_trips = round_trips(&array).await;
    let pretended: BTreeMap<String, Arc<DryRun>> = array
        .boards()
        .iter()
        .map(|board| (board.name().to_owned(), pretend(map, board)))
        .collect();
    let targets = array.targets().into_iter().map(|target| {
        let mut target = target.taken_over(false);
        let board: Arc<dyn Board> = pretended[target.board.name()].clone();
        target.board = board.into();
        target
    });
    let outcomes = rehearse(&campaign, &array, targets.collect(), of).await;
    let boards = map.boards().iter().map(|entry| {
        let name = &entry.name;
        let mut facts = BoardFacts::of(&array, name);
        if lacking.contains(name) {
            let why = "the board has other modules before its set-up, so nothing is estimated";
            facts.doubts.push(why.to_owned());
            facts.error = None;
        }
        let unread = facts.setup.as_ref().filter(|setup| !setup.is_well());
        let unread = unread
            .and_then(BoardSetup::failure)
            .map(|error| error.on(name));
        let error = facts.error.or_else(|| unread.as_ref().map(Failure::from));
        let round_trip_s = round_trips.get(name).copied();
        let mine = outcomes.iter().filter(|outcome| outcome.board == *name);
        let modules = mine.filter_map(|outcome| {
            let traffic = pretended.get(name)?.traffic(outcome.module);
            let requests_s = round_trip_s.map(|one_s| one_s * traffic.requests as f64);
            Some(DryRunModule {
                module: outcome.module,
                error: outcome.result.as_ref().err().map(Failure::from),
                resonances: expected(map, name, outcome.module).len(),
                traffic,
                estimated_s: traffic
                    .acquiring_s
                    .zip(requests_s)
                    .map(|(acquiring_s, requests_s)| acquiring_s + requests_s + traffic.waiting_s),
            })
        });
        DryRunBoard {
            name: name.clone(),
            error,
            reached: array.reached(name),
            doubts: facts.doubts,
            setup: facts.setup,
            round_trip_s,
            modules: modules.collect(),
        }
    });
    let boards: Vec<DryRunBoard> = boards.collect();
    Ok(DryRunReport {
        dry_run: true,
        total: total(&boards),
        estimated_s: estimated_s(&boards, campaign.concurrency),
        boards,
    })
}

/// Returns the names of the boards that lack a module of the map and will be changed by their
/// set-up, so that they may have the module afterwards.
fn boards_lacking_modules(
    map: &HardwareMap,
    array: &Array,
    setups: &BTreeMap<String, BoardSetup>,
) -> BTreeSet<String> {
    let boards = array.boards().iter().filter(|board| {
        let entry = map.board(board.name());
        let lacks = entry.is_some_and(|entry| entry.modules_of(board.description()).is_err());
        let setup = setups.get(board.name());
        lacks && setup.is_some_and(BoardSetup::has_differences)
    });
    boards.map(|board| board.name().to_owned()).collect()
}

/// Runs the algorithm of the campaign on `targets`. The boards in memory have notches, whatever the
/// geometry of the module, because the requests are the same for all geometries.
async fn rehearse(
    campaign: &Campaign,
    array: &Array,
    targets: Vec<Target>,
    of: DryRunOf,
) -> Vec<Outcome<()>> {
    let runner = match of {
        DryRunOf::Tune => campaign.runner().keep_on_success(),
        DryRunOf::Sweep => campaign.runner().leave_as_found(),
    };
    let rehearsing = campaign.measure(array, targets, runner, move |board, module, params, _| {
        // A board in memory is done within a moment, so its progress is not shown.
        let params = TuneParams {
            geometry: Geometry::Notch,
            ..params
        };
        async move { algorithm(&board, module, &params, of).await }
    });
    rehearsing.await
}

async fn algorithm(
    board: &BoardHandle,
    module: ModuleId,
    params: &TuneParams,
    of: DryRunOf,
) -> Result<()> {
    match of {
        DryRunOf::Tune => tune(board, module, params).await.map(drop),
        DryRunOf::Sweep => sweep::sweep(board, module, params, &()).await.map(drop),
    }
}

/// Returns a board in memory that represents a board of the array.
fn pretend(map: &HardwareMap, board: &ArrayBoard) -> Arc<DryRun> {
    let modules = board.targets().iter().map(|target| {
        let expected = expected(map, board.name(), target.module);
        (target.module, expected)
    });
    let resonances = modules.collect();
    Arc::new(DryRun::new(board.name(), board.description(), resonances))
}

/// Returns the sorted frequencies at which the map expects detectors on a module, in hertz.
fn expected(map: &HardwareMap, board: &str, module: ModuleId) -> Vec<f64> {
    let mine = detectors::of_module(map, board, module);
    let mut expected: Vec<f64> = mine.map(|detector| detector.expected.0).collect();
    expected.sort_unstable_by(f64::total_cmp);
    expected
}

/// Returns the times from a request to its answer, in seconds, of the boards that answer. The time
/// of a board is the shortest of three.
async fn round_trips(array: &Array) -> BTreeMap<String, f64> {
    let asking = array.boards().iter().filter_map(|board| {
        let (handle, name) = (board.handle().clone(), board.name().to_owned());
        let module = board.targets().first()?.module;
        let times = tworoutine::spawn(async move {
            let mut least = None;
            for _ in 0..3 {
                let (answer, took) =
                    Allowance::timed(handle.tones().read(module, ChannelId::FIRST, 1)).await;
                answer.ok()?;
                let took_s = took.as_secs_f64();
                least = Some(least.map_or(took_s, |least: f64| least.min(took_s)));
            }
            least
        });
        Some((name, times))
    });
    let asking: Vec<_> = asking.collect();
    let mut found = BTreeMap::new();
    for (name, times) in asking {
        if let Ok(Some(time_s)) = times.await {
            found.insert(name, time_s);
        }
    }
    found
}

fn total(boards: &[DryRunBoard]) -> Traffic {
    let modules = boards.iter().flat_map(|board| &board.modules);
    let none = Traffic {
        acquiring_s: Some(0.0),
        ..Traffic::default()
    };
    modules.fold(none, |sum, module| sum.plus(&module.traffic))
}

/// Returns the time of all modules in seconds, with `at_once` modules at a time. Returns `None` if
/// the time of a module is not known.
fn estimated_s(boards: &[DryRunBoard], at_once: usize) -> Option<f64> {
    let modules = boards.iter().flat_map(|board| &board.modules);
    let times: Option<Vec<f64>> = modules.map(|module| module.estimated_s).collect();
    let times = times?;
    let longest = times.iter().copied().fold(0.0, f64::max);
    Some(longest.max(times.iter().sum::<f64>() / at_once as f64))
}
