//! One fault at one request of one algorithm.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use twotone::hal::ChannelId;
use twotone::run::{HardwareState, Outcome, SafeState};

use crate::algorithms::Algorithm;
use crate::fault::Fault;
use crate::rig::{Board, CHANNELS, DEADLINE, Rig};
use crate::table::End;

/// Longer than anything that was sent can live.
const LANDED: Duration = Duration::from_secs(60);

/// Requests until a run has read what it finds.
const UNREAD: usize = 2;

/// A run without a fault.
pub(crate) struct Quiet {
    /// Result of each board, as stored.
    results: Vec<String>,
    shape: String,
    /// Tones that are on afterwards, and those that were on before.
    after: BTreeMap<u16, f64>,
    before: BTreeMap<u16, f64>,
    /// Number of requests to the second board.
    pub(crate) requests: usize,
}

impl Quiet {
    pub(crate) async fn run(algorithm: &Algorithm) -> Self {
        let rig = Rig::start(algorithm, false).await;
        let before = rig.boards[1].tones().await;
        rig.boards[1].tap.arm(None);
        let outcomes = rig.run(algorithm).await.expect("nobody drops it");
        let requests = rig.boards[1].tap.requests();
        for outcome in &outcomes {
            assert!(outcome.is_well(), "without a fault: {outcome:?}");
        }
        Self {
            results: outcomes.iter().map(stored).collect(),
            shape: shape(&outcomes[1]),
            after: rig.boards[1].tones().await,
            before,
            requests,
        }
    }
}

/// A case of the property.
pub(crate) struct Case {
    pub(crate) algorithm: &'static Algorithm,
    pub(crate) named: &'static str,
    pub(crate) fault: Fault,
    /// Number of the request, from 0.
    pub(crate) at: usize,
}

impl Case {
    /// Runs the case, and asserts all that must be true.
    pub(crate) async fn run(&self, quiet: &Quiet) -> End {
        let when = format!(
            "{}: {} at request {}",
            self.algorithm.name, self.named, self.at
        );
        let rig = Rig::start(self.algorithm, self.fault.edits()).await;
        let (healthy, faulty) = (&rig.boards[0], &rig.boards[1]);
        faulty.tap.arm(Some((self.at, self.fault)));
        let began = Instant::now();
        let outcomes = rig.run(self.algorithm).await;
        let stopped = match self.fault {
            Fault::SuspendedBefore(time) | Fault::SuspendedAfter(time) => time,
            _ => Duration::ZERO,
        };
        let took = began.elapsed();
        assert!(took <= DEADLINE + stopped, "{when}: took {took:?}");

        // All that was sent has landed by then, and a run that was dropped has cleaned up.
        sleep(if outcomes.is_none() { DEADLINE } else { LANDED }).await;
        let end = match &outcomes {
            None => {
                self.check_declared(faulty, quiet, &when).await;
                End::Restored
            }
            Some(outcomes) => {
                // These happen to the whole run.
                let of_all = matches!(
                    self.fault,
                    Fault::Cancelled
                        | Fault::Abandoned
                        | Fault::SuspendedBefore(_)
                        | Fault::SuspendedAfter(_)
                );
                if !of_all {
                    assert_eq!(
                        stored(&outcomes[0]),
                        quiet.results[0],
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
        assert!(faulty.tones().await.is_empty(), "{when}: off switches off");
        if self.algorithm.lit {
            faulty.light().await;
        }
        let again = &rig.rerun(self.algorithm).await[1];
        assert!(again.is_well(), "{when}: a rerun: {again:?}");
        assert_eq!(shape(again), quiet.shape, "{when}: a rerun");
        end
    }

    fn end(&self, outcome: &Outcome<Value>, quiet: &Quiet, when: &str) -> End {
        // After a cancel of `off`, there is no clean-up that could go on.
        let is_off = self.algorithm.start.is_none();
        let given_up = is_off && self.fault == Fault::Cancelled;
        let hopeless = self.fault.is_hopeless() || self.fault == Fault::Reboot || given_up;
        match (&outcome.result, outcome.hardware.is_settled()) {
            (Ok(_), true) if stored(outcome) == quiet.results[1] => End::Same,
            (Ok(_), true) => {
                assert_eq!(shape(outcome), quiet.shape, "{when}");
                End::Again
            }
            (_, false) if hopeless => match outcome.result {
                Ok(_) => End::DoneAndListed,
                Err(_) => End::Listed,
            },
            // A board that is there by the deadline is brought to what is declared.
            (result, false) => {
                panic!("{when}: {}, {:?}", outcome.hardware, result.as_ref().err())
            }
            (Err(error), true) => {
                assert!(error.board().is_some(), "{when}: {error}");
                End::Restored
            }
        }
    }

    /// Asserts that all tones are off that can be switched off, though none can be read back.
    async fn check_dark(&self, board: &Board, when: &str) {
        if self.algorithm.safe_state == SafeState::Off {
            let on = board.tones().await;
            assert!(on.is_empty(), "{when}: left on: {on:?}");
        }
    }

    /// Tones that are declared if the algorithm does not succeed.
    fn declared<'a>(&self, quiet: &'a Quiet) -> Option<&'a BTreeMap<u16, f64>> {
        match self.algorithm.safe_state {
            SafeState::Off => None,
            SafeState::Previous | SafeState::Hold => Some(&quiet.before),
        }
    }

    async fn check_declared(&self, board: &Board, quiet: &Quiet, when: &str) {
        let declared = self.declared(quiet).cloned().unwrap_or_default();
        let is = board.tones().await;
        // It may have been done when it was dropped: then its tones are kept.
        let done = is == quiet.after;
        assert!(
            is == declared || done,
            "{when}: after it was dropped: {is:?}"
        );
    }

    /// Compares what an outcome says of the tones with what they are.
    async fn check_tones(
        &self,
        board: &Board,
        outcome: &Outcome<Value>,
        quiet: &Quiet,
        when: &str,
    ) {
        let is = board.tones().await;
        let nothing = BTreeMap::new();
        // Tones that a restart takes before they were read are not known to the run.
        let unread = self.fault == Fault::Reboot && self.at < UNREAD && board.is_faulty();
        let should = match (&outcome.hardware, &outcome.result) {
            (hardware, Err(_)) if unread && hardware.is_settled() => return,
            (HardwareState::Untouched, _) => &quiet.before,
            (_, Ok(_)) => &quiet.after,
            _ => self.declared(quiet).unwrap_or(&nothing),
        };
        let hardware = &outcome.hardware;
        for number in 1..=CHANNELS {
            let channel = ChannelId::new(number).expect("a channel");
            let (is, should) = (is.get(&number), should.get(&number));
            let same = match (is, should) {
                (Some(is), Some(should)) => (is - should).abs() < 1e-4,
                (None, None) => true,
                _ => false,
            };
            let left_on = hardware.left_on().contains(channel);
            assert!(
                !left_on || is.is_some(),
                "{when}: {number} is off, and listed as left on: {hardware}"
            );
            let listed = left_on
                || hardware.unknown().contains(channel)
                || hardware.not_restored().contains(channel);
            assert!(
                same || listed,
                "{when}: channel {number} is {is:?}, should be {should:?}, and is not listed: \
                 {hardware}, {:?}",
                outcome.result.as_ref().err()
            );
        }
    }
}

/// A result as it is stored; times are no part of it.
fn stored(outcome: &Outcome<Value>) -> String {
    match &outcome.result {
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    }
}

/// A result without its numbers: statuses, reasons, and how many there are of what.
fn shape(outcome: &Outcome<Value>) -> String {
    fn plain(value: &Value) -> Value {
        match value {
            Value::Number(_) | Value::Null => Value::from(0),
            Value::Array(items) => items.iter().map(plain).collect(),
            Value::Object(fields) => {
                let fields = fields.iter();
                Value::Object(fields.map(|(key, one)| (key.clone(), plain(one))).collect())
            }
            other => other.clone(),
        }
    }
    outcome
        .result
        .as_ref()
        .map_or_else(ToString::to_string, |value| plain(value).to_string())
}
