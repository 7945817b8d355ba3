//! Clean-up: at the end of a run, brings a module to the safe state that its target declares, and
//! reports the state that was reached. A *batch* is a list of operations, sent to the board as one
//! request. The *journal* of a module is the record of the settings that its channels have, or may
//! have.

use std::time::Duration;

use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tworoutine::Allowance;
use twotone_hal::{
    Batch, Board, ChannelId, Error, ErrorKind, Hertz, Radians, Replies, Result, ToneFields,
    ToneSettings, ToneState, ToneUpdate,
};

use super::deviation::is_same;
use super::journal::{Journal, Record, Start};
use super::{Channels, HardwareState, SafeState};
use crate::record::Failure;

/// Number of times that the client of the board may refuse to send a request. Then a clean-up gives
/// up, because the client would refuse the same request again.
pub(super) const REFUSALS: u32 = 3;
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Shortest time limit of one attempt to reach the state, unless the clean-up has less time left.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(1);

const ALL_GONE: &str = "all its tones have gone off: the board has restarted, or another program has \
                        switched them off";

const READS_OTHER_SETTINGS: &str = "the board reads back other settings than were set";

/// The clean-up of one module.
pub(super) struct Cleanup<'a> {
    pub(super) journal: &'a Journal,
    /// State to reach. With `Hold`, no setting is changed, and uncertain settings are read back.
    pub(super) safe_state: SafeState,
    /// Time that the clean-up may take.
    pub(super) time: &'a Allowance,
    /// Time for which a board may still execute earlier requests after the link to it was lost.
    pub(super) request_life: Duration,
    /// True if the runner reads back the module once more after this clean-up.
    pub(super) is_read_again: bool,
    /// Token that abandons the clean-up.
    pub(super) abandon: &'a CancellationToken,
}

impl Cleanup<'_> {
    /// Brings the module to `safe_state` and reads back its settings. Repeats this until the state
    /// is reached or the time is over. An attempt is usually one batch, whose operations the board
    /// executes in order.
    ///
    /// # Errors
    /// The last failure, if the state was not reached. [`Journal::left`] then lists the
    /// channels that are not in the state.
    pub(super) async fn reach(&self) -> Result<()> {
        if self.journal.deviation(self.safe_state).is_none() {
            return Ok(());
        }
        self.repeat_in_time(&mut None).await
    }

    /// Reads back the settings of an algorithm whose settings are kept, and compares them with the
    /// values that the algorithm set.
    pub(super) async fn keep(&self) -> HardwareState {
        let (set, nco_set) = (self.journal.settings(), self.journal.nco());
        let mut last = None;
        if let Err(error) = self.repeat_in_time(&mut last).await {
            return self.journal.left(self.safe_state, Failure::from(&error));
        }
        let step = self.journal.described().frequency_step;
        let (mut left_on, mut not_restored) = (Vec::new(), Vec::new());
        for (index, (set, found)) in set.iter().zip(self.journal.settings()).enumerate() {
            let (Some(set), Some(channel)) = (set, ChannelId::from_index(index)) else {
                continue;
            };
            // The value of a field that was never set is unknown, so it counts as equal to the
            // value read back.
            let found_or = |found: &ToneState| ToneState {
                offset: set.offset.or(found.offset),
                phase: set.phase.or(found.phase),
                rotation: set.rotation.or(found.rotation),
                ..*set
            };
            match found {
                Some(found) if is_same(&found_or(&found), &found, step) => {}
                Some(found) if !found.is_on() => not_restored.push(channel),
                _ => left_on.push(channel),
            }
        }
        let nco = match (nco_set, self.journal.nco()) {
            (Some(set), Some(is)) if (set.0 - is.0).abs() > step.0 => {
                Some(format!("it is at {is} and was set to {set}"))
            }
            _ => None,
        };
        if left_on.is_empty() && not_restored.is_empty() && nco.is_none() {
            return HardwareState::Kept;
        }
        let set_on = set.iter().flatten().filter(|tone| tone.is_on()).count();
        let all_off = left_on.is_empty() && not_restored.len() == set_on && set_on > 0;
        HardwareState::Left {
            left_on: Channels::These(left_on),
            unknown: Channels::default(),
            not_restored: Channels::These(not_restored),
            nco,
            reason: match last.filter(|error| error.kind() == ErrorKind::EpochChanged) {
                Some(error) => Failure::from(&error),
                None if all_off => Failure::of_kind(ErrorKind::EpochChanged, ALL_GONE),
                None => Failure::from(&broken(READS_OTHER_SETTINGS)),
            },
        }
    }

    /// Repeats attempts until the state is reached, the time is over or the clean-up is abandoned.
    /// `last` becomes the last failure, even if the state is reached later.
    async fn repeat_in_time(&self, last: &mut Option<Error>) -> Result<()> {
        let reached = tokio::select! {
            biased;
            // This branch is polled first, so that an answer that has arrived is used.
            reached = self.time.within(self.repeat_until_reached(last)) => reached,
            () = self.abandon.cancelled() => {
                return Err(Error::new(ErrorKind::Cancelled, "the clean-up was given up"));
            }
        };
        if reached == Ok(true) {
            return Ok(());
        }
        Err(last.take().unwrap_or_else(|| {
            let message = "the time for the clean-up was over";
            Error::new(ErrorKind::Timeout, message)
        }))
    }

    /// Repeats attempts, with growing pauses, and returns true when the state is reached. Returns
    /// false if the client of the board refused to send an attempt [`REFUSALS`] times.
    async fn repeat_until_reached(&self, last: &mut Option<Error>) -> bool {
        let mut pause = FIRST_PAUSE;
        let (mut failed, mut refused, mut unsendable) = (0_u32, 0_u32, 0_u32);
        loop {
            let attempt = match self.safe_state {
                // One batch with all earlier settings did not restore them, and would fail again.
                // So they are sent in several batches.
                SafeState::Previous if refused > 0 => self.piecewise().await,
                // Attempts alternate between one batch that clears the tones, and several batches
                // that set their amplitudes to 0. A board that fails at one way may succeed at the
                // other.
                SafeState::Off if failed % 2 == 1 => self.piecewise().await,
                _ => self.attempt(self.restoration()).await,
            };
            match attempt {
                Ok(()) if self.journal.is_settled(self.safe_state) => {
                    if self.confirm(last).await {
                        return true;
                    }
                }
                Ok(()) => {
                    *last = Some(self.mismatch());
                    refused += 1;
                }
                Err(error) => {
                    unsendable += u32::from(is_unsendable(&error));
                    if !is_transient(&error) {
                        refused += 1;
                        // The same attempt would fail again, but the board may still answer a
                        // read-back of the tones.
                        let _ = self.attempt(Batch::new()).await;
                    }
                    // An earlier error of the board is more informative than a timeout that comes
                    // after it.
                    if error.kind() != ErrorKind::Timeout || last.is_none() {
                        *last = Some(error);
                    }
                }
            }
            failed += 1;
            if unsendable == REFUSALS {
                return false;
            }
            sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// Returns the error of a board whose settings, read back, differ from the values that were
    /// set.
    fn mismatch(&self) -> Error {
        let record = self.journal.locked();
        let away = match (self.safe_state, &record.start) {
            (SafeState::Previous, Some(Start { nco: Some(was), .. })) if record.nco_moved() => {
                let is = Hertz(record.now.nco_span().low);
                format!(": the NCO is at {is} and was at {was} before")
            }
            _ => String::new(),
        };
        broken(&format!("{READS_OTHER_SETTINGS}{away}"))
    }

    /// Returns true if the reached state is final. After a lost link, an earlier request may still
    /// change it. In this case, waits until this is no longer possible, and reads back once more.
    async fn confirm(&self, last: &mut Option<Error>) -> bool {
        let Some(since) = self.journal.locked().suspect else {
            return true;
        };
        *last = Some(Error::new(
            ErrorKind::Timeout,
            "the link was lost, and there was no time to read back twice",
        ));
        sleep_until(since + self.request_life).await;
        match self.attempt(Batch::new()).await {
            Ok(()) if self.journal.is_settled(self.safe_state) => {
                self.journal.locked().suspect = None;
                return true;
            }
            Ok(()) => *last = Some(broken("settings changed after they were read back")),
            Err(error) => *last = Some(error),
        }
        false
    }

    /// Sends the batch with a read-back at its end, and records the settings that were read.
    pub(super) async fn attempt(&self, mut batch: Batch) -> Result<()> {
        let module = self.journal.module();
        let fields = match self.safe_state {
            SafeState::Off => ToneFields::AMPLITUDE,
            // The runner reads back all settings once more after all modules have ended, so
            // amplitudes are enough now.
            SafeState::Hold if self.is_read_again && !self.journal.is_in_doubt() => {
                ToneFields::AMPLITUDE
            }
            SafeState::Previous | SafeState::Hold => ToneFields::ALL,
        };
        let first = ChannelId::new(1)?;
        let channels = self.journal.described().channels;
        let amplitudes = batch.read_tones(module, first, channels, ToneFields::AMPLITUDE);
        // All settings are read only for the channels from the first to the last one that was set
        // or is uncertain.
        let whole = self
            .journal
            .extent_set()
            .filter(|_| fields == ToneFields::ALL);
        let whole = whole.map(|(first, count)| batch.read_tones(module, first, count, fields));
        // A tone that is off is off at any NCO frequency, so the NCO need not be read after a
        // switch-off.
        let has_nco = self.journal.described().nco.is_some();
        let reads_nco = has_nco && self.safe_state != SafeState::Off;
        let nco = reads_nco.then(|| batch.read_nco(module));
        let replies = self.send(&batch).await?;
        let nco = nco.map(|nco| replies.get(nco).frequency);
        let all = self
            .journal
            .learn(replies.get(amplitudes), ToneFields::AMPLITUDE, nco);
        let whole = whole.map(|whole| self.journal.learn(replies.get(whole), fields, None));
        all.and(whole.unwrap_or(Ok(())))
    }

    /// Sends the batch, and waits for its answer for half of the remaining time, but for at least
    /// [`SHORTEST_ATTEMPT`] if that much time remains.
    pub(super) async fn send(&self, batch: &Batch) -> Result<Replies> {
        let left = self.time.left();
        // Only half of the remaining time is used, so that there is time for another attempt if the
        // board hangs once.
        let limit = (left / 2).max(SHORTEST_ATTEMPT.min(left));
        let limited = Allowance::new(limit);
        let sent = limited.within(self.journal.run(batch));
        sent.await.unwrap_or_else(|_| {
            self.journal.suspect(batch);
            let message = if limit < Duration::from_millis(50) {
                "the time was over before the board could answer".to_owned()
            } else {
                format!("no answer within {:.1} s", limit.as_secs_f64())
            };
            let what = format!("clean up module {}", self.journal.module());
            Err(Error::new(ErrorKind::Timeout, message)
                .during(what)
                .on(self.journal.name()))
        })
    }

    /// Returns the batch that brings the module to `safe_state`.
    fn restoration(&self) -> Batch {
        let mut batch = Batch::new();
        let module = self.journal.module();
        let record = self.journal.locked();
        match (self.safe_state, &record.start) {
            (SafeState::Off, _) => {
                batch.clear_tones(module);
            }
            (SafeState::Previous, Some(start)) => {
                let moved = record.nco_moved();
                let (lowered, raised) = record.restored(moved);
                let add = |batch: &mut Batch, updates: Vec<ToneUpdate>| {
                    if !updates.is_empty() {
                        batch.set_tones(module, updates);
                    }
                };
                add(&mut batch, lowered);
                if let Some(was) = start.nco.filter(|_| moved) {
                    batch.set_nco(module, was);
                }
                add(&mut batch, raised);
            }
            (SafeState::Previous, None) | (SafeState::Hold, _) => {}
        }
        batch
    }
}

impl Record {
    pub(super) fn nco_moved(&self) -> bool {
        let Some(was) = self.start.as_ref().and_then(|start| start.nco) else {
            return false;
        };
        self.now.nco_is_touched()
            && (self.now.nco_is_in_doubt() || self.now.nco_span().low != was.0)
    }

    /// Returns the updates that restore every changed tone, in two lists. The first list lowers
    /// amplitudes, and the second raises them. So the power never exceeds the larger of the powers
    /// before and after. If the NCO moves after the first list, the first list switches all tones
    /// off.
    fn restored(&self, nco_moved: bool) -> (Vec<ToneUpdate>, Vec<ToneUpdate>) {
        let (mut lowered, mut raised) = (Vec::new(), Vec::new());
        let start = self.start.as_ref().map_or(&[][..], |start| &start.tones);
        for (tone, before) in self.now.tones().iter().zip(start) {
            let target = as_it_was(tone, before);
            if nco_moved && !tone.is_surely_off() {
                lowered.push(ToneUpdate::new(before.channel).amplitude(0.0));
                raised.push(target);
            } else if !tone.is_touched() {
                continue;
            } else if target.amplitude.unwrap_or(0.0).abs() < tone.amplitude().high {
                lowered.push(target);
            } else {
                raised.push(target);
            }
        }
        (lowered, raised)
    }
}

/// Returns the update that restores a tone. A setting that nobody had made before the run goes back
/// to 0, which is its initial value on boards.
pub(super) fn as_it_was(now: &ToneSettings, before: &ToneState) -> ToneUpdate {
    let mut update = before.as_update();
    let last = now.last();
    update.offset = update.offset.or(last.offset.map(|_| Hertz(0.0)));
    update.phase = update.phase.or(last.phase.map(|_| Radians(0.0)));
    update.rotation = update.rotation.or(last.rotation.map(|_| Radians(0.0)));
    update
}

fn broken(message: &str) -> Error {
    Error::new(ErrorKind::Protocol, message)
}

/// True if `error` means that the client of the board refused to send a request, so that the board
/// never received it.
pub(super) fn is_unsendable(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidArgument | ErrorKind::Limit | ErrorKind::Unsupported | ErrorKind::Busy
    )
}

/// True if an attempt that failed with `error` may succeed when it is repeated.
pub(super) fn is_transient(error: &Error) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::InvalidArgument
            | ErrorKind::Limit
            | ErrorKind::Unsupported
            | ErrorKind::Rejected
            | ErrorKind::Protocol
    )
}
