//! A case of the safety test: one fault, in one run of one algorithm. If the algorithm fails, the
//! run switches the tones off or restores the settings that it has found, as the algorithm
//! declares. This is the *clean-up*, and the state after it is the *declared state*. If the run
//! could not reach a channel, its outcome lists this channel. To tune is to set a tone on the
//! resonance of each detector.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use twotone::hal::ChannelId;
use twotone::run::{HardwareState, Outcome, SafeState};
use twotone::sim::TimeMode;

use crate::algorithms::Algorithm;
use crate::fault::Fault;
use crate::rig::{Board, CHANNELS, DEADLINE, Format, Rig};
use crate::state::{State, difference, shape, toned};
use crate::table::End;

/// Time after which every request has been executed, even one that the network delivers late.
const LANDED: Duration = Duration::from_secs(60);

/// Number of requests in which a run reads the settings that it finds on the board.
const UNREAD: usize = 2;

/// Longest time from the moment at which a run is abandoned (ended without its clean-up) to its
/// end.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A run without a fault, for comparison.
pub(crate) struct Quiet {
    /// Result of each board.
    results: Vec<Value>,
    /// Settings of the second board after the run.
    after: State,
    /// Settings of the second board before the run.
    before: State,
    /// Channels that the run sets. They are recorded from requests in JSON only.
    pub(crate) touched: BTreeSet<u16>,
    /// Number of requests to the second board.
    pub(crate) requests: usize,
    /// Virtual time that the run takes.
    pub(crate) took: Duration,
}

impl Quiet {
    pub(crate) async fn run(algorithm: &Algorithm, format: Format, time: TimeMode) -> Self {
        let rig = Rig::start(algorithm, format, time).await;
        let tap = &rig.boards[1].tap;
        let before = rig.boards[1].state().await;
        tap.arm(None);
        let began = Instant::now();
        let outcomes = rig.run(algorithm).await.expect("nobody drops it");
        let (took, requests) = (began.elapsed(), tap.requests());
        for outcome in &outcomes {
            assert!(outcome.is_well(), "without a fault: {outcome:?}");
        }
        Self {
            results: outcomes.iter().map(|one| stored(one).clone()).collect(),
            after: rig.boards[1].state().await,
            before,
            touched: tap.touched(),
            requests,
            took,
        }
    }
}

/// Runs without a fault for comparison, one for each encoding of requests.
pub(crate) struct Quiets {
    pub(crate) cbor: Quiet,
    pub(crate) json: Quiet,
}

impl Quiets {
    pub(crate) async fn run(algorithm: &Algorithm) -> Self {
        let time = TimeMode::Accelerated;
        let mut cbor = Quiet::run(algorithm, Format::Cbor, time).await;
        let json = Quiet::run(algorithm, Format::Json, time).await;
        cbor.touched = json.touched.clone();
        Self { cbor, json }
    }
}

/// A fault, and the moment at which it happens in a run of an algorithm.
pub(crate) struct Case {
    pub(crate) algorithm: &'static Algorithm,
    pub(crate) named: &'static str,
    pub(crate) fault: Fault,
    pub(crate) at: At,
}

/// Moment at which a fault happens.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At {
    /// At the request with this number, from 0.
    Request(usize),
    /// This long after the start of the run, on boards that take time for calls and samples.
    Moment(Duration),
    /// This long after the start of a run. In this run, the request with the number is also lost.
    MomentAfterLoss(usize, Duration),
}

impl At {
    pub(crate) fn time(self) -> TimeMode {
        match self {
            Self::Request(_) => TimeMode::Accelerated,
            Self::Moment(_) | Self::MomentAfterLoss(..) => TimeMode::RealTime { call_us: 20 },
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(number) => write!(f, "at request {number}"),
            Self::Moment(time) => write!(f, "after {time:?}"),
            Self::MomentAfterLoss(lost, time) => {
                write!(f, "after {time:?}, with request {lost} lost")
            }
        }
    }
}

impl Case {
    /// Runs the case, and asserts that the run is safe.
    pub(crate) async fn run(&self, quiets: &Quiets) -> End {
        let when = format!("{}: {} {}", self.algorithm.name, self.named, self.at);
        let (format, quiet) = match self.fault.edits() {
            true => (Format::Json, &quiets.json),
            false => (Format::Cbor, &quiets.cbor),
        };
        let rig = Rig::start(self.algorithm, format, self.at.time()).await;
        let (healthy, faulty) = (&rig.boards[0], &rig.boards[1]);
        // `Quiet::run` reads the state too. With the same requests before both runs, the samples
        // have the same noise.
        faulty.state().await;
        match self.at {
            At::Request(at) => faulty.tap.arm(Some((at, self.fault))),
            At::Moment(time) => faulty.tap.end_after(time, self.fault, None),
            At::MomentAfterLoss(lost, time) => faulty.tap.end_after(time, self.fault, Some(lost)),
        }
        let began = Instant::now();
        let outcomes = rig.run(self.algorithm).await;
        let stopped = match self.fault {
            Fault::SuspendedBefore(time) | Fault::SuspendedAfter(time) => time,
            _ => Duration::ZERO,
        };
        let took = began.elapsed();
        assert!(took <= DEADLINE + stopped, "{when}: took {took:?}");
        let fired = faulty.tap.fired();
        let fired = fired.unwrap_or_else(|| panic!("{when}: the request never came"));
        if self.fault == Fault::Abandoned {
            let given_up = fired.elapsed();
            assert!(given_up <= AT_ONCE, "{when}: given up after {given_up:?}");
        }

        // After this time every request was executed, and a run that was dropped has finished its
        // clean-up.
        sleep(if outcomes.is_none() { DEADLINE } else { LANDED }).await;
        let end = match &outcomes {
            None => {
                self.check_declared(faulty, quiet, &when).await;
                self.check_declared(healthy, quiet, &when).await;
                End::Restored
            }
            Some(outcomes) => {
                // These faults affect both boards.
                let of_all = matches!(
                    self.fault,
                    Fault::Cancelled
                        | Fault::CancelledAnswered
                        | Fault::Abandoned
                        | Fault::SuspendedBefore(_)
                        | Fault::SuspendedAfter(_)
                );
                if !of_all {
                    assert!(
                        stored(&outcomes[0]) == &quiet.results[0],
                        "{when}: the other board"
                    );
                    assert!(outcomes[0].hardware.is_settled(), "{when}: the other board");
                }
                self.check_tones(healthy, &outcomes[0], quiet, &when).await;
                self.check_tones(faulty, &outcomes[1], quiet, &when).await;
                if self.fault.blinds() && outcomes[1].result.is_err() {
                    self.check_dark(faulty, &when).await;
                }
                self.end(&outcomes[1], quiet, &when)
            }
        };

        faulty.tap.mend();
        for outcome in rig.off().await {
            assert!(outcome.is_well(), "{when}: off: {outcome:?}");
        }
        let on = faulty.state().await.tones;
        assert!(on.is_empty(), "{when}: off switches off");
        if self.algorithm.lit {
            faulty.light().await;
        }
        let again = &rig.rerun(self.algorithm).await[1];
        assert!(again.is_well(), "{when}: a rerun: {again:?}");
        check_same(again, quiet, &format!("{when}: a rerun"));
        end
    }

    fn end(&self, outcome: &Outcome<Value>, quiet: &Quiet, when: &str) -> End {
        // `off` is the entry without `start`. It only switches tones off, and has no clean-up. So
        // if it is cancelled, nothing switches off the tones that are left.
        let is_off = self.algorithm.start.is_none();
        let cancelled = matches!(self.fault, Fault::Cancelled | Fault::CancelledAnswered);
        let given_up = is_off && cancelled;
        let hopeless = self.fault.is_hopeless() || self.fault == Fault::Reboot || given_up;
        match (&outcome.result, outcome.hardware.is_settled()) {
            (Ok(value), true) if *value == quiet.results[1] => End::Same,
            (Ok(value), true) if self.is_of_detectors() => {
                let most = self.most_tuned(quiet);
                assert!(tuned(value) <= most, "{when}: {} tuned", tuned(value));
                End::Other
            }
            (Ok(_), true) => {
                check_same(outcome, quiet, when);
                End::Again
            }
            (_, false) if hopeless => match outcome.result {
                Ok(_) => End::DoneAndListed,
                Err(_) => End::Listed,
            },
            // In the other cases the board answers again before the run's deadline. So the run must
            // bring the board to the declared state.
            (result, false) => {
                panic!("{when}: {}, {:?}", outcome.hardware, result.as_ref().err())
            }
            (Err(error), true) => {
                assert!(error.board().is_some(), "{when}: {error}");
                End::Restored
            }
        }
    }

    /// Asserts that every tone is off, if this is the declared state. The run has sent the
    /// settings, although the fault keeps it from reading any of them back.
    async fn check_dark(&self, board: &Board, when: &str) {
        if self.algorithm.safe_state == SafeState::Off {
            let on = board.state().await.tones;
            assert!(on.is_empty(), "{when}: left on: {on:?}");
        }
    }

    /// Largest number of channels that the result of the tuning algorithm may report as tuned.
    fn most_tuned(&self, quiet: &Quiet) -> usize {
        let without = tuned(&quiet.results[1]);
        match (self.named, self.at) {
            // Dead and saturated channels cannot be tuned. The fault "channels flat" only removes
            // the noise, so all channels can be tuned with it.
            ("channels dead" | "channels saturated", At::Request(0)) => 0,
            ("a detector dies", At::Request(0)) => without.saturating_sub(1),
            _ => without,
        }
    }

    /// True if the fault changes the detectors.
    fn is_of_detectors(&self) -> bool {
        matches!(self.fault, Fault::World(_))
    }

    /// Returns the declared state: that of the board if the algorithm fails.
    fn declared(&self, quiet: &Quiet) -> State {
        match self.algorithm.safe_state {
            SafeState::Off => State::default(),
            SafeState::Previous | SafeState::Hold => quiet.before.clone(),
        }
    }

    async fn check_declared(&self, board: &Board, quiet: &Quiet, when: &str) {
        let is = board.state().await;
        // If the algorithm had succeeded before the run was dropped, its tones stay on.
        let done = is.tones.keys().eq(quiet.after.tones.keys());
        assert!(
            is.is(&self.declared(quiet)) || done,
            "{when}: after it was dropped: {is:?}"
        );
    }

    /// Asserts that every tone of the board is as the outcome says, or that the outcome lists its
    /// channel.
    async fn check_tones(
        &self,
        board: &Board,
        outcome: &Outcome<Value>,
        quiet: &Quiet,
        when: &str,
    ) {
        let is = board.state().await;
        // If a restart switches tones off before the run has read them, the run cannot know of
        // them.
        let unread = match self.at {
            At::Request(at) => at < UNREAD,
            At::Moment(_) | At::MomentAfterLoss(..) => true,
        };
        let lost_unread = self.fault == Fault::Reboot && unread && board.is_faulty();
        let hardware = &outcome.hardware;
        if lost_unread && outcome.result.is_err() && hardware.is_settled() {
            return;
        }
        let kept = outcome.result.as_ref().ok().and_then(toned);
        let declared = self.declared(quiet);
        for number in 1..=CHANNELS {
            let channel = ChannelId::new(number).expect("a channel");
            let same = match (hardware, &outcome.result, &kept) {
                (HardwareState::Untouched, ..) => is.agrees(&quiet.before, number),
                (_, Ok(_), Some(kept)) if self.algorithm.keeps => is.agrees_with_tune(kept, number),
                (_, Ok(_), _) => is.agrees(&quiet.after, number),
                _ => is.agrees(&declared, number),
            };
            let left_on = hardware.left_on().contains(channel);
            assert!(
                !left_on || is.tones.contains_key(&number),
                "{when}: {number} is off, and listed as left on: {hardware}"
            );
            let listed = left_on
                || hardware.unknown().contains(channel)
                || hardware.not_restored().contains(channel);
            assert!(
                same || listed,
                "{when}: channel {number} is {:?}, and is not listed: {hardware}, {:?}",
                is.tones.get(&number),
                outcome.result.as_ref().err()
            );
            let concerned = unread
                || self.algorithm.start.is_none()
                || quiet.touched.contains(&number)
                || quiet.before.tones.contains_key(&number);
            assert!(
                !listed || concerned,
                "{when}: channel {number} was never set, and is listed: {hardware}"
            );
        }
    }
}

/// Number of channels that a tune reports as tuned; 0 for another result.
fn tuned(value: &Value) -> usize {
    let channels = value["channels"].as_array();
    let tuned = |channel: &&Value| channel["status"] == "tuned";
    channels.map_or(0, |channels| channels.iter().filter(tuned).count())
}

/// Returns the result of an algorithm as JSON, null if the algorithm failed.
fn stored(outcome: &Outcome<Value>) -> &Value {
    outcome.result.as_ref().unwrap_or(&Value::Null)
}

/// Asserts that a result is the same as in a run without a fault, except for noise.
fn check_same(outcome: &Outcome<Value>, quiet: &Quiet, when: &str) {
    let (is, was) = (stored(outcome), &quiet.results[1]);
    assert_eq!(shape(is), shape(was), "{when}");
    if let Some(difference) = difference(is, was) {
        panic!("{when}: {difference}");
    }
}
