//! The keeper of a module's link, which checks that the board has kept its settings and is at rest.

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

/// Settings of a module as they were read back; `None` for one that was never set.
type Reading = Vec<(SettingKey, Option<f64>)>;

/// Number of channels whose settings are read back after an idle connection was closed from here.
const SAMPLED_CHANNELS: usize = 16;

/// Time between two readings that are to agree.
const BETWEEN_READINGS: Duration = Duration::from_millis(250);

/// Watches over the link of one module: follows the settings that are sent, and reads settings back
/// after each new connection to see that they are still there.
pub(crate) struct ModuleKeeper<B> {
    board: B,
    seen: Epoch,
    /// True if an epoch has begun in which the module has not been read back yet.
    is_new: bool,
    settings: ModuleSettings,
    /// Requests that went out and are not in `settings` yet; true with those whose answer was
    /// lost.
    not_entered: VecDeque<(Arc<Sent>, bool)>,
    /// Number of times that a sample of the channels was read back.
    turn: usize,
    /// Longest time for which a lost request can live, its acquisitions apart.
    request_life: Duration,
    /// The marker may have been set anew since the board was last read back, so that it does not
    /// show that the board has restarted.
    marker_is_of_no_use: bool,
    /// Time until which a lost batch of settings may still land, if the module was not read back
    /// since.
    unrest_until: Option<Instant>,
}

impl<B: ReadBack> ModuleKeeper<B> {
    pub(crate) fn new(board: B, request_life: Duration) -> Self {
        Self {
            seen: board.epochs().present(),
            board,
            is_new: false,
            settings: ModuleSettings::default(),
            not_entered: VecDeque::new(),
            turn: 0,
            request_life,
            marker_is_of_no_use: false,
            unrest_until: None,
        }
    }

    /// Begins a new epoch, in which nothing is known to be set. Lost requests may still reach the
    /// board, since the epoch may have ended without a reboot.
    fn begin(&mut self, epoch: Epoch) {
        self.seen = epoch;
        self.is_new = true;
        self.settings = ModuleSettings::default();
        self.marker_is_of_no_use = false;
        self.not_entered.clear();
    }

    /// Enters requests into the settings, in their order, up to the first one whose outcome is
    /// open. With `all`, open ones are entered too, as in doubt: the settings are needed now.
    fn enter(&mut self, all: bool) {
        while let Some((sent, lost)) = self.not_entered.front() {
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
            // Boards round: the value that was read back after the change is the one that holds.
            self.settings.apply(sent.nco().map(Change::Nco), certainty);
            self.not_entered.pop_front();
        }
    }

    fn went_out(&mut self, post: &Post, lost: bool) {
        if let Some(sent) = &post.sent
            && !sent.changes.is_empty()
        {
            self.not_entered.push_back((Arc::clone(sent), lost));
        }
        self.enter(false);
    }

    /// Settings to read back, with the marker at the end.
    fn keys(&mut self, before: Before) -> Vec<SettingKey> {
        let last = self.board.last_channel();
        let mut keys: Vec<SettingKey> = match before {
            Before::Lost => self.settings.known().collect(),
            Before::Idle => {
                self.turn = self.turn.wrapping_add(1);
                sample(&self.settings, SAMPLED_CHANNELS, self.turn).collect()
            }
        };
        keys.retain(|key| key.channel != Some(last) || !marks(key.setting));
        keys.extend(offset_and_amplitude(last));
        keys
    }

    /// Every setting that a lost batch may have changed, with the marker at the end.
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

    /// State in which the marker was found.
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
            Some(_) if self.marker_is_of_no_use => Marker::Unset,
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

    /// Reads everything back until two readings agree, and returns the last one. It is called when
    /// every lost request has reached the board by now or never will.
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

    /// Takes note that a request was lost that may change settings, and may still reach the board.
    fn may_land(&mut self, acquiring: Duration) {
        let until = deadline::within(self.request_life + acquiring);
        let later = |earlier: Instant| earlier.max(until);
        self.unrest_until = Some(self.unrest_until.map_or(until, later));
    }

    /// Makes sure that the module has a marker. If the last channel is on, or has an offset, its
    /// offset is left as it is and serves as the marker.
    async fn mark(&mut self, line: &mut Line, deadline: Instant, reading: &Reading) -> Result<()> {
        let last = self.board.last_channel();
        let key = SettingKey::tone(last, Setting::Offset);
        // A board that has lost its settings is at 0, too.
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
                // It may reach the board late, when a caller has set the channel.
                if error.certainty() != Certainty::NotExecuted {
                    self.may_land(Duration::ZERO);
                }
                // Nothing of the exchange at hand has been sent.
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

/// True for the settings of the last channel that are the marker, or tell if there is one.
fn marks(setting: Setting) -> bool {
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
        self.is_new
    }

    fn at_rest(&self) -> Option<Instant> {
        self.unrest_until
    }

    async fn verify(&mut self, line: &mut Line, before: Before, deadline: Instant) -> Result<()> {
        self.enter(true);
        // At rest first: a lost batch may still change the settings that are compared.
        let reading = if self.unrest_until.is_some() {
            self.read_at_rest(line, deadline).await?
        } else {
            let keys = self.keys(before);
            self.read(line, deadline, keys).await?
        };
        self.unrest_until = None;
        if let Some(difference) = self.settings.compare(&reading, &self.board.rounding()) {
            let marker = self.marker(&reading);
            let why = message(&difference, self.board.module(), marker);
            self.board.epochs().end(self.seen, why);
            self.begin(self.board.epochs().present());
            return Err(self.board.epochs().changed());
        }
        self.settings
            .learn_reading(&reading, &self.board.rounding());
        self.marker_is_of_no_use = false;
        self.mark(line, deadline, &reading).await?;
        self.is_new = false;
        Ok(())
    }

    fn goes_out_unverified(&mut self) {
        self.marker_is_of_no_use = true;
    }

    fn answered(&mut self, post: &Post, took: Duration) {
        if took > self.request_life + post.acquiring {
            tracing::warn!(
                module = %self.board.module(),
                seconds = took.as_secs_f64(),
                "answered later than a request is taken to live: `request_life_s` is too short",
            );
        }
        // A request that was lost before may reach the board after it.
        self.went_out(post, self.unrest_until.is_some());
    }

    fn lost(&mut self, post: &Post, safety: Safety) {
        if safety != Safety::Read {
            // The board may be in the midst of its acquisitions, and settings may follow them.
            self.may_land(post.acquiring);
        }
        self.went_out(post, true);
    }
}
