//! The keeper of a module's [`Link`](crate::link::Link). The keeper checks that the board has kept
//! its settings and is at rest: no request that was lost can reach the board any more. It also sets
//! the marker, a setting of an unused channel that shows later if the board has restarted.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};
use twotone_hal::{
    Certainty, Change, ChannelId, Epoch, Error, ErrorKind, Hertz, ModuleSettings, Result, Safety,
    Setting, SettingKey, ToneUpdate,
};

use super::ReadBack;
use super::difference::{Marker, message};
use super::sample::sample;
use crate::deadline;
use crate::http::Post;
use crate::link::{Before, Keeper, Line, Outcome, Sent};

/// Settings of a module as they were read back. `None` is a setting that was never made.
type Reading = Vec<(SettingKey, Option<f64>)>;

/// Number of channels whose settings are read back after this client has closed an idle connection.
const SAMPLED_CHANNELS: usize = 16;

/// Time between two readings of all settings. If they agree, the settings have stopped changing.
const BETWEEN_READINGS: Duration = Duration::from_millis(250);

/// Keeper of the link of one module. It records the settings that are sent, and reads settings back
/// after each new connection to check that the board still has them.
pub(crate) struct ModuleKeeper<B> {
    board: B,
    seen: Epoch,
    /// True if a new epoch (period in which the board keeps its settings) has begun and the module
    /// has not been read back since.
    is_unread: bool,
    settings: ModuleSettings,
    /// Requests that were sent and are not in `settings` yet, each with true if its answer was
    /// lost.
    not_applied: VecDeque<(Arc<Sent>, bool)>,
    /// Number of times that a selection of the channels was read back. It determines which
    /// channels are selected next.
    turn: usize,
    /// Longest time after which a lost request can still be executed, not counting the time that
    /// its acquisitions take.
    request_life: Duration,
    /// True if the marker may have been written again since the board was last read back. It then
    /// does not show if the board has restarted.
    marker_may_be_rewritten: bool,
    /// Time until which a lost request that changes settings may still be executed. `None` if
    /// there is no such request, or if the module was read back since.
    may_arrive_until: Option<Instant>,
}

impl<B: ReadBack> ModuleKeeper<B> {
    pub(crate) fn new(board: B, request_life: Duration) -> Self {
        Self {
            seen: board.epochs().present(),
            board,
            is_unread: false,
            settings: ModuleSettings::default(),
            not_applied: VecDeque::new(),
            turn: 0,
            request_life,
            marker_may_be_rewritten: false,
            may_arrive_until: None,
        }
    }

    /// Begins a new epoch, in which no setting is known. `may_arrive_until` stays as it is: lost
    /// requests may still reach the board, since the epoch may have ended without a restart.
    fn begin(&mut self, epoch: Epoch) {
        self.seen = epoch;
        self.is_unread = true;
        self.settings = ModuleSettings::default();
        self.marker_may_be_rewritten = false;
        self.not_applied.clear();
    }

    /// Applies the changes of the requests in `not_applied` to `settings`, in the order in which
    /// they were sent, up to the first request whose outcome is not known yet. With `all`, this
    /// request and the later ones are applied too: a setting of a request without an outcome may
    /// have its old or its new value.
    fn apply_sent(&mut self, all: bool) {
        while let Some((sent, lost)) = self.not_applied.front() {
            let outcome = match sent.outcome() {
                _ if *lost => Outcome::Unknown,
                Outcome::Open if all => Outcome::Unknown,
                outcome => outcome,
            };
            let certainty = match outcome {
                Outcome::Open => return,
                Outcome::Executed => Certainty::Executed,
                Outcome::Unknown => Certainty::Unknown,
            };
            self.settings.apply(sent.changes.iter().copied(), certainty);
            // Boards round the frequency: the value that was read back replaces the one that was
            // sent.
            self.settings.apply(sent.nco().map(Change::Nco), certainty);
            self.not_applied.pop_front();
        }
    }

    fn note_sent(&mut self, post: &Post, lost: bool) {
        if let Some(sent) = &post.sent
            && !sent.changes.is_empty()
        {
            self.not_applied.push_back((Arc::clone(sent), lost));
        }
        self.apply_sent(false);
    }

    /// Settings to read back, ending with the offset and the amplitude of the last channel.
    fn keys(&mut self, before: Before) -> Vec<SettingKey> {
        let last = self.board.last_channel();
        let mut keys: Vec<SettingKey> = match before {
            Before::Lost => self.settings.known().collect(),
            Before::Idle => {
                self.turn = self.turn.wrapping_add(1);
                sample(&self.settings, SAMPLED_CHANNELS, self.turn).collect()
            }
        };
        keys.retain(|key| key.channel != Some(last) || !is_of_marker(key.setting));
        keys.extend(offset_and_amplitude(last));
        keys
    }

    /// Settings to read back after a request that changes settings was lost: the NCO, the phases
    /// and rotations that this client has surely set, and the offsets and amplitudes of all
    /// channels. The list ends with the offset and the amplitude of the last channel.
    fn all_keys(&self) -> Vec<SettingKey> {
        let phases = self.settings.known();
        let phases = phases.filter(|key| key.setting > Setting::Amplitude);
        let mut keys: Vec<SettingKey> = [SettingKey::NCO].into_iter().chain(phases).collect();
        for index in 0..=self.board.last_channel().index() {
            let channel = ChannelId::from_index(index);
            keys.extend(channel.into_iter().flat_map(offset_and_amplitude));
        }
        keys
    }

    /// State of the marker, as `reading` shows it.
    fn marker(&mut self, reading: &Reading) -> Marker {
        let key = SettingKey::tone(self.board.last_channel(), Setting::Offset);
        let found = reading.iter().filter(|(read, _)| *read == key);
        let found: Reading = found.copied().collect();
        match self.settings.expected(key) {
            None | Some(0.0) => Marker::Unset,
            Some(_)
                if self
                    .settings
                    .compare(&found, &self.board.rounding())
                    .is_some() =>
            {
                Marker::Gone
            }
            Some(_) if self.marker_may_be_rewritten => Marker::Unset,
            Some(_) => Marker::Intact,
        }
    }

    async fn read(
        &self,
        line: &mut Line,
        deadline: Instant,
        keys: Vec<SettingKey>,
    ) -> Result<Reading> {
        let values = self.board.read(line, deadline, &keys).await?;
        if values.len() != keys.len() {
            let message = format!("{} of {} settings read back", values.len(), keys.len());
            return Err(
                Error::new(ErrorKind::Protocol, message).certainty_is(Certainty::NotExecuted)
            );
        }
        Ok(keys.into_iter().zip(values).collect())
    }

    /// Reads all settings back until two readings agree, and returns the last one. The caller has
    /// waited until every lost request has either reached the board or never will.
    async fn read_at_rest(&mut self, line: &mut Line, deadline: Instant) -> Result<Reading> {
        let keys = self.all_keys();
        let mut before = self.read(line, deadline, keys).await?;
        loop {
            let next = Instant::now() + BETWEEN_READINGS;
            if next >= deadline {
                let why = "there was no time to read the settings back twice";
                let error = Error::new(ErrorKind::Timeout, why);
                return Err(error.certainty_is(Certainty::NotExecuted));
            }
            sleep_until(next).await;
            let keys = before.iter().map(|(key, _)| *key).collect();
            let after = self.read(line, deadline, keys).await?;
            if after == before {
                return Ok(after);
            }
            before = after;
        }
    }

    /// Records that a request that changes settings was lost, and may still be executed.
    fn note_may_arrive(&mut self, acquiring: Duration) {
        let until = deadline::within(self.request_life + acquiring);
        let later = |earlier: Instant| earlier.max(until);
        self.may_arrive_until = Some(self.may_arrive_until.map_or(until, later));
    }

    /// Sets the marker if the module has none and no caller uses the last channel. If that channel
    /// is on, or has an offset, it is not changed, and an offset other than 0 serves as the marker.
    async fn ensure_marker(
        &mut self,
        line: &mut Line,
        deadline: Instant,
        reading: &Reading,
    ) -> Result<()> {
        let last = self.board.last_channel();
        let key = SettingKey::tone(last, Setting::Offset);
        // An offset of 0 is no marker: a board that has lost its settings has it, too.
        if self.settings.expected(key).is_some_and(|is| is != 0.0) {
            return Ok(());
        }
        let (offset, amplitude) = match reading[..] {
            [.., (_, offset), (_, amplitude)] => (offset, amplitude.unwrap_or(0.0)),
            _ => (None, 0.0),
        };
        if let Some(offset) = offset.filter(|offset| *offset != 0.0 || amplitude != 0.0) {
            self.expect_offset(last, Hertz(offset));
        } else if self.board.take_last_channel(self.seen) {
            let written = self.board.write_marker(line, deadline).await;
            written.map_err(|error| {
                // The request may still be executed, and then write the marker after a caller has
                // set the channel.
                if error.certainty() != Certainty::NotExecuted {
                    self.note_may_arrive(Duration::ZERO);
                }
                // The error is reported for the request that waits for the marker. That request was
                // not sent.
                error.certainty_is(Certainty::NotExecuted)
            })?;
            self.expect_offset(last, self.board.marker());
        }
        Ok(())
    }

    fn expect_offset(&mut self, channel: ChannelId, offset: Hertz) {
        let update = ToneUpdate::new(channel).offset(offset);
        self.settings
            .apply([Change::Tone(update)], Certainty::Executed);
    }
}

/// True for the settings of the last channel that are read to find the marker: its offset is the
/// marker, and its amplitude shows if a caller uses the channel.
fn is_of_marker(setting: Setting) -> bool {
    matches!(setting, Setting::Offset | Setting::Amplitude)
}

fn offset_and_amplitude(channel: ChannelId) -> [SettingKey; 2] {
    [Setting::Offset, Setting::Amplitude].map(|setting| SettingKey::tone(channel, setting))
}

#[async_trait]
impl<B: ReadBack> Keeper for ModuleKeeper<B> {
    fn admit(&mut self, post: &Post) -> Result<()> {
        let present = self.board.epochs().present();
        if self.seen != present {
            self.begin(present);
        }
        match &post.sent {
            Some(sent) if sent.epoch != present => Err(self.board.epochs().changed()),
            _ => Ok(()),
        }
    }

    fn is_in_doubt(&self) -> bool {
        self.is_unread
    }

    fn at_rest_from(&self) -> Option<Instant> {
        self.may_arrive_until
    }

    async fn verify(&mut self, line: &mut Line, before: Before, deadline: Instant) -> Result<()> {
        self.apply_sent(true);
        // After a request that changes settings was lost, all settings are read until they stop
        // changing: the board could execute the lost request between two readings.
        let reading = if self.may_arrive_until.is_some() {
            self.read_at_rest(line, deadline).await?
        } else {
            let keys = self.keys(before);
            self.read(line, deadline, keys).await?
        };
        self.may_arrive_until = None;
        if let Some(difference) = self.settings.compare(&reading, &self.board.rounding()) {
            let marker = self.marker(&reading);
            let why = message(&difference, self.board.module(), marker);
            self.board.epochs().end(self.seen, why);
            self.begin(self.board.epochs().present());
            return Err(self.board.epochs().changed());
        }
        self.settings
            .learn_reading(&reading, &self.board.rounding());
        self.marker_may_be_rewritten = false;
        self.ensure_marker(line, deadline, &reading).await?;
        self.is_unread = false;
        Ok(())
    }

    fn note_unverified(&mut self) {
        self.marker_may_be_rewritten = true;
    }

    fn note_answered(&mut self, post: &Post, took: Duration) {
        if took > self.request_life + post.acquiring {
            tracing::warn!(
                module = %self.board.module(),
                seconds = took.as_secs_f64(),
                "answered later than a request is taken to live: `request_life_s` is too short",
            );
        }
        // If a lost request may still be executed, it may also be executed after the answered
        // request, and change the same settings. So the answered request counts as lost as well.
        self.note_sent(post, self.may_arrive_until.is_some());
    }

    fn note_lost(&mut self, post: &Post, safety: Safety) {
        if safety != Safety::Read {
            // The board may still be acquiring, and execute the settings of the request after that.
            self.note_may_arrive(post.acquiring);
        }
        self.note_sent(post, true);
    }
}
