//! Wrapper that checks every write against the limits of its module.

use std::sync::Arc;

use twotone_hal::{
    Batch, Board, ChannelId, Dbm, Error, ErrorKind, Hertz, ModuleLimits, ModuleSettings, Op,
    Replies, Result, Span, ToneSettings, ToneUpdate, async_trait,
};

use super::Journal;

/// Refuses every batch that would break a limit of its module after any of its operations, before
/// anything of it is sent. The error is [`ErrorKind::Limit`] with the channel, the value that was
/// asked and the value that is allowed. A value that is NaN or infinite, or an amplitude beyond
/// full scale, is [`ErrorKind::InvalidArgument`].
///
/// The description that it answers has these limits, so that an algorithm can keep to them before
/// it has sent anything.
///
/// The present settings of the module come from the journal beneath. A channel that may have one of
/// two settings counts with the worse one. A write that lowers an amplitude is never refused.
///
/// Powers are checked after every operation. The frequency of a tone that a batch sets is checked
/// at each acquisition, at each wait and at the end of the batch. If the run has moved the NCO, the
/// frequencies of all tones are checked at each acquisition and wait. They are not checked earlier
/// because tones are out of place for a moment between the move of an NCO and that of the offsets.
#[derive(Debug)]
pub struct Limits {
    journal: Arc<Journal>,
    limits: ModuleLimits,
}

impl Limits {
    /// Holds the module of `journal` to `limits`.
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

/// The comb of a module after each operation of a batch that is being checked.
struct Comb<'a> {
    limits: &'a ModuleLimits,
    full_scale: Option<Dbm>,
    amplitude: Vec<Span>,
    offset: Vec<Span>,
    nco: Span,
    /// Channels that were set since the frequencies were last judged.
    set: Vec<ChannelId>,
    nco_moved: bool,
    squares: f64,
    sum: f64,
}

impl<'a> Comb<'a> {
    fn new(settings: &ModuleSettings, limits: &'a ModuleLimits, full_scale: Option<Dbm>) -> Self {
        let tones = settings.tones().iter();
        let amplitude: Vec<Span> = tones.map(ToneSettings::amplitude).collect();
        Self {
            limits,
            full_scale,
            squares: amplitude.iter().map(|a| a.high * a.high).sum(),
            sum: amplitude.iter().map(|a| a.high).sum(),
            amplitude,
            offset: settings.tones().iter().map(ToneSettings::offset).collect(),
            nco: settings.nco_span(),
            set: Vec::new(),
            nco_moved: settings.nco_is_touched(),
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
                self.amplitude.fill(Span::at(0.0));
                (self.squares, self.sum) = (0.0, 0.0);
            }
            Op::SetNco { frequency, .. } => {
                finite("the NCO", frequency.0)?;
                self.nco = Span::at(frequency.0);
                self.nco_moved = true;
            }
            // A tone that is not moved must be within its range too.
            Op::AcquireMean { .. } | Op::AcquireSamples { .. } | Op::Wait { .. } => {
                self.judge_set()?;
                if std::mem::take(&mut self.nco_moved) {
                    (0..self.amplitude.len())
                        .filter_map(ChannelId::from_index)
                        .try_for_each(|channel| self.judge_frequency(channel))?;
                }
            }
            Op::Describe
            | Op::ReadTones { .. }
            | Op::ReadNco { .. }
            | Op::ReadClock
            | Op::ReadHousekeeping => {}
            _ => {
                let message = "its power is not known here";
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        }
        Ok(())
    }

    fn set(&mut self, update: &ToneUpdate) -> Result<()> {
        let channel = update.channel;
        let index = channel.index();
        for angle in [update.phase, update.rotation].into_iter().flatten() {
            finite(&format!("channel {channel}: the phase"), angle.0)?;
        }
        if let Some(offset) = update.offset {
            finite(&format!("channel {channel}: the offset"), offset.0)?;
            self.offset[index] = Span::at(offset.0);
        }
        if let Some(amplitude) = update.amplitude {
            finite(&format!("channel {channel}: the amplitude"), amplitude)?;
            self.drive(channel, amplitude.abs())?;
        }
        self.set.push(channel);
        Ok(())
    }

    /// Sets the amplitude of a tone and judges the powers.
    fn drive(&mut self, channel: ChannelId, amplitude: f64) -> Result<()> {
        if amplitude > 1.0 {
            let message = format!("channel {channel}: amplitude {amplitude} is beyond full scale");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let now = Span::at(amplitude);
        let before = std::mem::replace(&mut self.amplitude[channel.index()], now);
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

    /// Judges the frequencies of the tones that were set.
    fn judge_set(&mut self) -> Result<()> {
        std::mem::take(&mut self.set)
            .into_iter()
            .try_for_each(|channel| self.judge_frequency(channel))
    }

    fn judge_frequency(&self, channel: ChannelId) -> Result<()> {
        if self.amplitude[channel.index()].high == 0.0 {
            return Ok(());
        }
        let offset = self.offset[channel.index()];
        let bounded = self.limits.f_min.is_some() || self.limits.f_max.is_some();
        if bounded && !(offset.is_bounded() && self.nco.is_bounded()) {
            let (unknown, remedy) = match offset.is_bounded() {
                false => ("offset from the NCO", "set its offset in the same batch"),
                true => ("NCO", "set the NCO first"),
            };
            let message = format!(
                "channel {channel} is to carry a tone, and its {unknown} is not known: nobody has \
                 set it in this run, and the board did not say it. The range of the map cannot be \
                 held; {remedy}"
            );
            return Err(Error::new(ErrorKind::Limit, message));
        }
        let low = Hertz(self.nco.low + offset.low);
        let high = Hertz(self.nco.high + offset.high);
        let refuse = |asked: Hertz, side: &str, allowed: Hertz| {
            let message =
                format!("channel {channel}: {asked} asked, and the map allows {side} {allowed}");
            Err(Error::new(ErrorKind::Limit, message))
        };
        // A limit that is NaN allows nothing.
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
