//! Collection of consecutive samples of some modules from the stream.

use std::fmt;
use std::time::Duration;

use twotone_hal::{Certainty, ChannelId, Complex64, Error, ErrorKind, ModuleId, Result};
use twotone_wire::crs::{PacketLength, STEPS_PER_COUNT};

use super::advance::Advance;
use super::intake::Packet;
use super::{Counters, Frame, ModuleCounters, NoTime, SampleTime, Source};

/// Selection of samples to take from the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    samples: usize,
    modules: Vec<(Source, ModuleId)>,
    first: ChannelId,
    count: Option<u16>,
    after: Option<(SampleTime, u32)>,
}

impl Take {
    /// Selects `samples` (at least 1) consecutive samples of every channel. [`Take::of`] adds the
    /// modules. At least one module is needed.
    pub fn new(samples: usize) -> Self {
        Self {
            samples,
            modules: Vec::new(),
            first: ChannelId::from_index(0).expect("the first channel has a number"),
            count: None,
            after: None,
        }
    }

    /// Adds a module, numbered as in packets: from 1 within the analog bank (a group of four
    /// modules) in use.
    #[must_use]
    pub fn of(mut self, source: Source, module: ModuleId) -> Self {
        self.modules.push((source, module));
        self
    }

    /// Selects `count` channels from `first` on, or all channels from there on if it is `None`.
    #[must_use]
    pub fn channels(self, first: ChannelId, count: Option<u16>) -> Self {
        Self {
            first,
            count,
            ..self
        }
    }

    /// Leaves out samples from before `time`, by the clock of the board, and the first
    /// `settle_samples` after it.
    ///
    /// This selects samples that were taken with new settings: let the batch (the list of
    /// operations) that changes the settings end with an operation that reads the clock of the
    /// board, and take samples after that time. Delays of the batch and of the packets make no
    /// difference. Taking the samples fails if the time stamps in the packets of a module are not
    /// valid, or if the clock that they show stands still or is set forward meanwhile.
    #[must_use]
    pub fn after(self, time: SampleTime, settle_samples: u32) -> Self {
        let after = Some((time, settle_samples));
        Self { after, ..self }
    }
}

impl fmt::Display for Take {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "take {} samples of the stream", self.samples)
    }
}

/// Consecutive samples of a module.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The board that sent the samples.
    pub source: Source,
    /// The module, numbered as in packets.
    pub module: ModuleId,
    /// First channel of the block.
    pub first: ChannelId,
    /// Decimation stage of all samples, from 0.
    pub stage: u8,
    /// Sequence number of the first sample's packet.
    pub sequence: u32,
    /// Time at which each sample was taken, by its own stamp and corrected for the delay of the
    /// filters. The times are not corrected by comparing the stamps of many packets; a
    /// [`Timeline`](super::Timeline) does that.
    pub times: Vec<Result<SampleTime, NoTime>>,
    /// True if a converter was over its range in some of the samples.
    pub overrange: bool,
    /// True if an input was beyond the safe voltage of its converter in some of the samples.
    pub overvoltage: bool,
    /// Number of times that the block began again because packets were lost, the board restarted,
    /// or the decimation stage or the length of the packets changed.
    pub interruptions: u32,
    channels: usize,
    /// I and Q as they are sent, in a flat list: all channels of the first sample, then all
    /// channels of the second, and so on.
    steps: Vec<[i32; 2]>,
}

impl Block {
    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.times.len()
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// I and Q of every channel in one sample (from 0), as they were sent: 256 steps are one
    /// readout count. Empty if there is no such sample.
    pub fn steps(&self, sample: usize) -> &[[i32; 2]] {
        let from = sample.saturating_mul(self.channels);
        let to = from.saturating_add(self.channels);
        self.steps.get(from..to).unwrap_or(&[])
    }

    /// Samples of one channel (from 0 within the block), in readout counts. Empty if there is no
    /// such channel.
    pub fn channel(&self, index: usize) -> impl Iterator<Item = Complex64> + '_ {
        let of_samples = self.steps.chunks_exact(self.channels.max(1));
        of_samples.filter_map(move |sample| sample.get(index).map(counts))
    }

    /// Samples of all channels in readout counts, in a flat list: all samples of the first channel,
    /// then all samples of the second, and so on.
    pub fn streams(&self) -> Vec<Complex64> {
        /// Number of channels that are transposed together, so that input and output stay in the
        /// cache.
        const TILE: usize = 32;
        let samples = self.samples();
        let mut streams = vec![Complex64::ZERO; self.steps.len()];
        if samples == 0 {
            return streams;
        }
        for (tile, streams) in streams.chunks_mut(TILE * samples).enumerate() {
            for (at, sample) in self.steps.chunks_exact(self.channels).enumerate() {
                let sample = sample[tile * TILE..].iter();
                for (stream, steps) in streams.chunks_exact_mut(samples).zip(sample) {
                    stream[at] = counts(steps);
                }
            }
        }
        streams
    }

    /// Mean of each channel, in readout counts.
    pub fn means(&self) -> Vec<Complex64> {
        let mut sums = vec![[0_i64; 2]; self.channels];
        for sample in self.steps.chunks_exact(self.channels.max(1)) {
            for (sum, [i, q]) in sums.iter_mut().zip(sample) {
                sum[0] += i64::from(*i);
                sum[1] += i64::from(*q);
            }
        }
        let scale = STEPS_PER_COUNT * self.samples().max(1) as f64;
        let mean = |[i, q]: [i64; 2]| Complex64::new(i as f64 / scale, q as f64 / scale);
        sums.into_iter().map(mean).collect()
    }
}

fn counts([i, q]: &[i32; 2]) -> Complex64 {
    Complex64::new(
        f64::from(*i) / STEPS_PER_COUNT,
        f64::from(*q) / STEPS_PER_COUNT,
    )
}

/// Largest number of elements for which memory is reserved in advance.
const MOST_RESERVED: usize = 1 << 22;

/// Blocks that are being filled, for one call of [`Receiver::take`](super::Receiver::take).
#[derive(Debug)]
pub(super) struct Collection {
    take: Take,
    blocks: Vec<PartialBlock>,
    /// Number of blocks that are not full yet.
    missing: usize,
}

/// A block that is being filled.
#[derive(Debug)]
struct PartialBlock {
    block: Block,
    length: PacketLength,
    /// Number of samples that were left out because they were too early.
    early: u64,
    advance: Advance,
}

impl Collection {
    pub(super) fn begin(take: &Take, sources: &[Source]) -> Result<Self> {
        let wrong = |why: String| Err(Error::new(ErrorKind::InvalidArgument, why));
        let all = PacketLength::Long.channels();
        let count = take.count.map_or(1, usize::from);
        if take.samples == 0 || take.modules.is_empty() || count == 0 {
            return wrong("no samples, modules or channels were asked for".to_owned());
        }
        if take.first.index() + count > all {
            return wrong(format!("there are {all} channels, from 1"));
        }
        for (at, (source, module)) in take.modules.iter().enumerate() {
            if !sources.contains(source) {
                return wrong(format!("the receiver does not listen to {source}"));
            }
            if take.modules[..at].contains(&(*source, *module)) {
                return wrong(format!("module {module} of {source} was named twice"));
            }
        }
        let empty = |&(source, module): &(Source, ModuleId)| PartialBlock {
            block: Block {
                source,
                module,
                first: take.first,
                stage: 0,
                sequence: 0,
                times: Vec::new(),
                overrange: false,
                overvoltage: false,
                interruptions: 0,
                channels: 0,
                steps: Vec::new(),
            },
            length: PacketLength::Long,
            early: 0,
            advance: Advance::default(),
        };
        Ok(Self {
            take: take.clone(),
            blocks: take.modules.iter().map(empty).collect(),
            missing: take.modules.len(),
        })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    pub(super) fn finish(self) -> Vec<Block> {
        self.blocks
            .into_iter()
            .map(|partial| partial.block)
            .collect()
    }

    /// Takes a packet. Packets of modules that were not asked for are ignored.
    pub(super) fn offer(&mut self, packet: &Packet<'_>) -> Result<()> {
        let is_its = |partial: &&mut PartialBlock| {
            let block = &partial.block;
            (block.source, block.module) == (packet.source, packet.module)
        };
        let partial = self.blocks.iter_mut().find(is_its);
        let (Some(partial), Some(frame)) = (partial, Frame::of(packet)) else {
            return Ok(());
        };
        if partial.block.samples() == self.take.samples {
            return Ok(());
        }
        partial.offer(&frame, &self.take)?;
        self.missing -= usize::from(partial.block.samples() == self.take.samples);
        Ok(())
    }

    /// The error when the time `within` has passed. Its message names a module whose block is not
    /// full. With the `counters` of the receiver, the message also says how many packets of this
    /// module were lost since the receiver was opened, or that none ever came.
    pub(super) fn late(&self, within: Duration, counters: Option<&Counters>) -> Error {
        let wanted = self.take.samples;
        let mut unfinished = self.blocks.iter();
        let unfinished = unfinished.find(|partial| partial.block.samples() < wanted);
        let why = unfinished.map_or_else(String::new, |partial| {
            let Block { source, module, .. } = &partial.block;
            let board = counters.and_then(|counters| counters.board(*source));
            let of_module = board.map(|board| board.module(*module));
            let mut why = format!(
                "{} of {wanted} consecutive samples of module {module} of {source} came within {:.1} s",
                partial.block.samples(),
                within.as_secs_f64(),
            );
            if partial.early > 0 {
                why += &format!("; {} were taken too early", partial.early);
            }
            match of_module {
                Some(ModuleCounters { expected: 0, .. }) => {
                    let foreign = board.map_or(0, |board| board.foreign);
                    why += "; nothing ever came from it: does it stream, and to this interface?";
                    if foreign > 0 {
                        why += &format!(" {foreign} packets from that address bear another serial number");
                    }
                }
                Some(ModuleCounters { lost: lost @ 1.., .. }) => {
                    why += &format!("; {lost} packets were lost since the receiver was opened");
                }
                None if partial.early == 0 && partial.block.samples() == 0 => {
                    why += "; nothing came from it meanwhile: does it stream, and to this interface?";
                }
                _ => {}
            }
            why
        });
        Error::new(ErrorKind::Timeout, why).certainty_is(Certainty::NotExecuted)
    }
}

impl PartialBlock {
    fn offer(&mut self, frame: &Frame<'_>, take: &Take) -> Result<()> {
        let packet = &frame.packet;
        let time = frame.time();
        if let Some((after, settle)) = take.after {
            let not_known = |because: &str| {
                let Frame { source, module, .. } = frame;
                let why = "cannot be told to be after a time";
                let why = format!("samples of module {module} of {source} {why}{because}");
                Error::new(ErrorKind::Unsupported, why)
            };
            let time = time.map_err(|why| not_known("").caused_by(why))?;
            let goes_on = self.advance.take(packet.sequence(), packet.stage(), time);
            goes_on.map_err(|why| not_known(&format!(": {why}")))?;
            if time <= after.plus_samples(settle, packet.stage()) {
                self.early += 1;
                return Ok(());
            }
        }
        let taken = self.block.samples();
        let follows = self.block.sequence.wrapping_add(taken as u32) == packet.sequence();
        let is_alike = (self.block.stage, self.length) == (packet.stage(), packet.length());
        if taken == 0 || !follows || !is_alike {
            self.begin(frame, take)?;
        }
        let block = &mut self.block;
        let samples = packet.samples().skip(take.first.index());
        block
            .steps
            .extend(samples.take(block.channels).map(|(i, q)| [i, q]));
        block.times.push(time);
        block.overrange |= packet.overrange();
        block.overvoltage |= packet.overvoltage();
        Ok(())
    }

    /// Begins the block with this packet.
    fn begin(&mut self, frame: &Frame<'_>, take: &Take) -> Result<()> {
        let packet = &frame.packet;
        let there = packet.length().channels();
        let behind = there.saturating_sub(take.first.index());
        let channels = take.count.map_or(behind, usize::from);
        if channels > behind || channels == 0 {
            let Frame { source, module, .. } = frame;
            let why = format!("the packets of module {module} of {source} hold {there} channels");
            return Err(Error::new(ErrorKind::Unsupported, why));
        }
        let block = &mut self.block;
        block.interruptions += u32::from(block.samples() > 0);
        block.steps.clear();
        block.times.clear();
        (block.overrange, block.overvoltage) = (false, false);
        (block.stage, block.sequence) = (packet.stage(), packet.sequence());
        block.channels = channels;
        self.length = packet.length();
        // Memory for the whole block is reserved, up to a limit that protects against absurd
        // requests.
        let samples = take.samples.min(MOST_RESERVED);
        block.times.reserve(samples);
        block
            .steps
            .reserve(samples.saturating_mul(channels).min(MOST_RESERVED));
        Ok(())
    }
}
