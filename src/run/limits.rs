//! Wrapper that checks every write, which is an operation that changes a setting, against the
//! limits of its module. A *batch* is a list of operations that a board executes in order, as one
//! request. The *comb* of a module is the sum of its tones.

use std::sync::Arc;

use twotone_hal::{
    Batch, Board, Certainty, Change, ChannelId, Dbm, Error, ErrorKind, Hertz, ModuleLimits,
    ModuleSettings, Op, Replies, Result, Span, ToneSettings, ToneUpdate, async_trait,
};

use super::Journal;

/// Board that refuses every batch with an operation after which the module would break a limit. No
/// part of such a batch is sent. The error is [`ErrorKind::Limit`] with the channel, the requested
/// value and the limit. For a value that is NaN or infinite, and for an amplitude beyond full
/// scale, the error is [`ErrorKind::InvalidArgument`]. For an operation whose effect on the tones
/// this type does not know, it is [`ErrorKind::Unsupported`].
///
/// The description that this board returns contains the limits, so that an algorithm can respect
/// them.
///
/// The present settings of the module come from the wrapped [`Journal`]. If a channel may have one
/// of two settings, the setting that is closer to a limit counts. A write that lowers an amplitude
/// is never refused because of a limit of power.
///
/// Powers are checked after every operation. Frequencies are checked at each acquisition, at each
/// wait and at the end of the batch, for the tones that the batch has set until then. After a move
/// of the NCO, each acquisition and each wait checks the frequencies of all tones. They are not
/// checked after every operation, because a batch first moves the NCO and then changes the offsets
/// of the tones. In between, the tones are at wrong frequencies for a moment.
#[derive(Debug)]
pub struct Limits {
    journal: Arc<Journal>,
    limits: ModuleLimits,
}

impl Limits {
    /// Refuses writes to the module of `journal` that would break `limits`.
    pub fn new(journal: Arc<Journal>, limits: ModuleLimits) -> Self {
        Self { journal, limits }
    }

    fn check(&self, settings: &ModuleSettings, batch: &Batch) -> Result<()> {
        let mut comb = Comb::new(settings, &self.limits, self.journal.described().full_scale);
        let named = |error: Error, op: &Op| error.during(op.to_string()).on(self.name()).after(0);
        let mut last = None;
        for op in batch.ops() {
            if op.module() != Some(self.journal.module()) {
                continue;
            }
            comb.step(batch, op).map_err(|error| named(error, op))?;
            last = Some(op);
        }
        match last {
            Some(op) => comb.judge_set().map_err(|error| named(error, op)),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Board for Limits {
    fn name(&self) -> &str {
        self.journal.name()
    }

    fn wrapped(&self) -> Option<&dyn Board> {
        Some(&*self.journal)
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let check = |settings: &ModuleSettings| self.check(settings, batch);
        let mut replies = self.journal.run_if(batch, check).await?;
        let described = replies.descriptions_mut().iter_mut();
        for module in described.flat_map(|description| &mut description.modules) {
            if module.module == self.journal.module() {
                module.limits = self.limits;
            }
        }
        Ok(replies)
    }
}

/// The settings of a module after each operation of a batch that is being checked.
struct Comb<'a> {
    limits: &'a ModuleLimits,
    full_scale: Option<Dbm>,
    settings: ModuleSettings,
    /// Channels that were set since the frequencies were last checked.
    set: Vec<ChannelId>,
    nco_moved: bool,
    /// Sum of the largest amplitudes that the tones may have. `squares` is the sum of the squares
    /// of these amplitudes.
    sum: f64,
    squares: f64,
}

impl<'a> Comb<'a> {
    fn new(settings: &ModuleSettings, limits: &'a ModuleLimits, full_scale: Option<Dbm>) -> Self {
        let largest = || settings.tones().iter().map(|tone| tone.amplitude().high);
        Self {
            limits,
            full_scale,
            sum: largest().sum(),
            squares: largest().map(|amplitude| amplitude * amplitude).sum(),
            nco_moved: settings.nco_is_touched(),
            settings: settings.clone(),
            set: Vec::new(),
        }
    }

    fn step(&mut self, batch: &Batch, op: &Op) -> Result<()> {
        match op {
            Op::SetTones { updates, .. } => {
                for update in &batch.tone_updates()[updates.clone()] {
                    self.set(update)?;
                }
            }
            Op::ClearTones { .. } => {
                self.make(Change::ClearTones);
                (self.squares, self.sum) = (0.0, 0.0);
            }
            Op::SetNco { frequency, .. } => {
                finite("the NCO", frequency.0)?;
                self.make(Change::Nco(*frequency));
                self.nco_moved = true;
            }
            // A move of the NCO also moves the tones that the batch does not set, so all tones are
            // checked after it.
            Op::AcquireMean { .. } | Op::AcquireSamples { .. } | Op::Wait { .. } => {
                self.judge_set()?;
                if std::mem::take(&mut self.nco_moved) {
                    let mut tones = self.settings.tones().iter();
                    tones.try_for_each(|tone| self.judge_frequency(tone))?;
                }
            }
            Op::Describe
            | Op::ReadTones { .. }
            | Op::ReadNco { .. }
            | Op::ReadClock
            | Op::ReadHousekeeping
            | Op::ReadProperty { .. } => {}
            _ => {
                let message = "its power is not known here";
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        }
        Ok(())
    }

    fn make(&mut self, change: Change) {
        self.settings.apply([change], Certainty::Executed);
    }

    fn set(&mut self, update: &ToneUpdate) -> Result<()> {
        let channel = update.channel;
        for angle in [update.phase, update.rotation].into_iter().flatten() {
            finite(&format!("channel {channel}: the phase"), angle.0)?;
        }
        if let Some(offset) = update.offset {
            finite(&format!("channel {channel}: the offset"), offset.0)?;
        }
        if let Some(amplitude) = update.amplitude {
            finite(&format!("channel {channel}: the amplitude"), amplitude)?;
            self.judge_powers(channel, amplitude.abs())?;
        }
        self.make(Change::Tone(*update));
        self.set.push(channel);
        Ok(())
    }

    /// Checks the limits of power, with the tone of `channel` at this amplitude.
    fn judge_powers(&mut self, channel: ChannelId, amplitude: f64) -> Result<()> {
        if amplitude > 1.0 {
            let message = format!("channel {channel}: amplitude {amplitude} is beyond full scale");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let before = self.settings.tone(channel).map(ToneSettings::amplitude);
        let before = before.unwrap_or(Span::at(0.0));
        self.squares = (self.squares + amplitude * amplitude - before.high * before.high).max(0.0);
        self.sum = (self.sum + amplitude - before.high).max(0.0);
        if amplitude <= before.low {
            return Ok(());
        }
        match self
            .limits
            .problem(self.full_scale, amplitude, self.squares, self.sum)
        {
            Some(why) => Err(Error::new(
                ErrorKind::Limit,
                format!("channel {channel}: {why}"),
            )),
            None => Ok(()),
        }
    }

    /// Checks the frequencies of the tones that were set.
    fn judge_set(&mut self) -> Result<()> {
        std::mem::take(&mut self.set)
            .into_iter()
            .filter_map(|channel| self.settings.tone(channel))
            .try_for_each(|tone| self.judge_frequency(tone))
    }

    fn judge_frequency(&self, tone: &ToneSettings) -> Result<()> {
        if tone.is_surely_off() {
            return Ok(());
        }
        let (channel, offset, nco) = (tone.channel(), tone.offset(), self.settings.nco_span());
        let bounded = self.limits.f_min.is_some() || self.limits.f_max.is_some();
        if bounded && !(offset.is_bounded() && nco.is_bounded()) {
            let (unknown, remedy) = match offset.is_bounded() {
                false => ("offset from the NCO", "set its offset in the same batch"),
                true => ("NCO", "set the NCO first"),
            };
            let message = format!(
                "channel {channel} is to carry a tone, and its {unknown} is not known: it was \
                 not set in this run, and the board does not report it. So its place in the range \
                 of the map cannot be checked; {remedy}"
            );
            return Err(Error::new(ErrorKind::Limit, message));
        }
        let low = Hertz(nco.low + offset.low);
        let high = Hertz(nco.high + offset.high);
        let refuse = |asked: Hertz, side: &str, allowed: Hertz| {
            let message =
                format!("channel {channel}: {asked} asked, and the map allows {side} {allowed}");
            Err(Error::new(ErrorKind::Limit, message))
        };
        // A comparison with NaN gives nothing, so a limit of NaN allows no frequency.
        let within = |one: Hertz, other: Hertz| one.partial_cmp(&other).is_some_and(|o| o.is_le());
        match *self.limits {
            ModuleLimits {
                f_min: Some(lowest),
                ..
            } if !within(lowest, low) => refuse(low, "no lower than", lowest),
            ModuleLimits {
                f_max: Some(highest),
                ..
            } if !within(high, highest) => refuse(high, "no higher than", highest),
            _ => Ok(()),
        }
    }
}

fn finite(what: &str, value: f64) -> Result<()> {
    if value.is_finite() {
        return Ok(());
    }
    let message = format!("{what} is no number: {value}");
    Err(Error::new(ErrorKind::InvalidArgument, message))
}
