//! Time of a module, and the samples that become due as it passes.

use std::cell::RefCell;
use std::ops::Range;

use twotone_physics::units::{self, MAX_STAGE};
use twotone_physics::{Complex64, SampleFlags};

use super::outlet::Rows;
use super::taps::{First, NewSamples};
use super::{Module, log_refusal};

/// Time from one request to the next in accelerated time, s. With a real board and network this
/// time is at least as long, so the filters have settled by the next request (they take 10 ms at
/// stage 6). Clients that set tones in one request and acquire in the next request rely on this.
const ROUND_TRIP_S: f64 = 0.02;

/// Number of ticks after which the filters have settled after a setting.
fn settled_after(stage: u8) -> u64 {
    (6 << stage) + 3
}

/// Number of samples that are made at a time for all channels.
const CHUNK: usize = 32;

/// Number of samples that are made at a time for few channels.
const LONG_CHUNK: usize = 4096;

/// Longest time that a stream may be behind, s. Beyond this, it skips all samples that are due,
/// unless a call waits for them.
pub(super) const MAX_BEHIND_S: f64 = 1.0;

thread_local! {
    /// Buffer for new samples, shared by all modules on a thread.
    static WORK: RefCell<Vec<Complex64>> = RefCell::default();
}

/// Relation of the sequence numbers of packets to the numbers of samples: the packet of the sample
/// `of_sample` has the sequence number `number`, and both count up together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sequence {
    number: u32,
    of_sample: u64,
}

impl Sequence {
    pub(super) fn new(number: u32, of_sample: u64) -> Self {
        Self { number, of_sample }
    }

    pub(super) fn at(self, sample: u64) -> u32 {
        self.number
            .wrapping_add(sample.wrapping_sub(self.of_sample) as u32)
    }
}

/// Consecutive samples of a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) n: usize,
    pub(super) stage: u8,
    pub(super) sequence: Sequence,
}

/// Converts a time, s, to ticks of the model.
pub(super) fn tick_at(seconds: f64) -> u64 {
    (seconds * units::TICK_RATE_HZ).max(0.0) as u64
}

/// Time.
impl Module {
    /// Advances the time by a round trip, once for each request that uses the module.
    pub(crate) fn begin_request(&mut self, request: u64) {
        if self.request != request {
            self.request = request;
            self.advance_to(self.now_s() + ROUND_TRIP_S);
        }
    }

    /// Advances the time to `seconds`, unless it is later already. Samples that are due by then are
    /// made, so that later settings do not change them. Samples are skipped if no call waits for
    /// them, and if there is no stream or the stream has fallen behind or cannot keep them.
    pub(crate) fn advance_to(&mut self, seconds: f64) {
        let tick = tick_at(seconds);
        if tick <= self.tick {
            return;
        }
        let n = self.behind(tick);
        if self.is_tapped() || self.can_keep(n) {
            self.make(n as usize, None);
        } else {
            self.skip(n, tick);
        }
        self.tick = self.tick.max(tick);
    }

    /// True if a call waits for samples.
    pub(super) fn is_tapped(&self) -> bool {
        self.taps.iter().any(|tap| tap.left() > 0)
    }

    /// Number of samples that are due at `tick` and not made yet.
    pub(super) fn behind(&self, tick: u64) -> u64 {
        let end = tick.div_ceil(1 << self.stage);
        end.saturating_sub(self.next_sample())
    }

    /// True if the next `n` samples can be made now and kept for the stream.
    fn can_keep(&self, n: u64) -> bool {
        let most = (MAX_BEHIND_S * units::sample_rate_hz(self.stage)) as u64;
        n <= most
            && self
                .outlet
                .as_ref()
                .is_some_and(|outlet| outlet.has_room(n))
    }

    /// Advances the time to `tick` without making the `n` samples that are due.
    pub(super) fn skip(&mut self, n: u64, tick: u64) {
        if let Some(outlet) = &mut self.outlet {
            outlet.skipped += n;
        }
        if let Some(set) = self
            .set_at
            .filter(|set| tick.saturating_sub(*set) > settled_after(self.stage))
        {
            // The filters settle even if no sample is taken. One sample is made at the time of the
            // setting, so that the model knows when the setting changed.
            let first = set.div_ceil(1 << self.stage);
            let channels = 0..self.channels.len();
            WORK.with_borrow_mut(|work| self.model().acquire(first, 1, channels, work));
            self.set_at = None;
        }
        self.tick = self.tick.max(tick);
    }

    /// Time of the module, s: samples up to this time were made or skipped.
    pub(crate) fn now_s(&self) -> f64 {
        self.tick as f64 / units::TICK_RATE_HZ
    }

    /// Time of the module, in ticks of the model.
    pub(crate) fn tick(&self) -> u64 {
        self.tick
    }

    /// Number of the next sample at the present stage.
    pub(super) fn next_sample(&self) -> u64 {
        self.tick.div_ceil(1 << self.stage)
    }

    pub(crate) fn set_stage(&mut self, stage: u8) {
        if stage == self.stage || stage > MAX_STAGE {
            return;
        }
        let number = self.sequence.at(self.next_sample());
        self.stage = stage;
        self.sequence = Sequence::new(number, self.next_sample());
        if let Some(model) = &mut self.model {
            log_refusal(model.set_stage(stage));
        }
    }
}

/// Samples.
impl Module {
    /// Makes the next `n` samples for the stream and for waiting calls. Samples of the stream are
    /// written to `rows` if it is given. Otherwise they are kept, within the limit on kept samples.
    pub(super) fn make(&mut self, n: usize, mut rows: Option<&mut Rows>) {
        let streamed = self.outlet.as_ref().map(|outlet| 0..outlet.channels);
        let tapped = self.taps.iter().filter(|tap| tap.left() > 0);
        let wanted = tapped.map(|tap| tap.channels.clone()).chain(streamed);
        let Some(channels) = wanted.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)) else {
            return;
        };
        let chunk = (CHUNK * 1024 / channels.len().max(1)).clamp(CHUNK, LONG_CHUNK);
        WORK.with_borrow_mut(|work| {
            let mut left = n;
            while left > 0 {
                let (first, some) = (self.next_sample(), left.min(chunk));
                let flags = self.model().acquire(first, some, channels.clone(), work);
                self.set_at = None;
                let made = NewSamples {
                    channels: channels.clone(),
                    samples: work,
                    flags,
                };
                let at = (first << self.stage, self.sequence.at(first));
                for tap in &mut self.taps {
                    tap.take(at, some, &made);
                }
                if let Some(outlet) = &mut self.outlet {
                    let run = Run {
                        first,
                        n: some,
                        stage: self.stage,
                        sequence: self.sequence,
                    };
                    match &mut rows {
                        Some(rows) => rows.push(&run, outlet.channels, &made),
                        None => outlet.keep(&run, &made),
                    }
                }
                self.tick = ((first + some as u64 - 1) << self.stage) + 1;
                left -= some;
            }
        });
    }

    /// Writes the next `n` samples of some channels to `out`, as `[channel][sample]` in counts.
    /// Does not wait until the samples are due. Returns the first sample.
    pub(crate) fn acquire(
        &mut self,
        n: usize,
        channels: Range<usize>,
        out: &mut Vec<Complex64>,
    ) -> First {
        let next = self.next_sample();
        let mut first = First {
            seconds: (next << self.stage) as f64 / units::TICK_RATE_HZ,
            sequence: self.sequence.at(next),
            flags: SampleFlags::default(),
        };
        if self.outlet.is_none() && self.taps.is_empty() {
            first.flags = self.model().acquire(next, n, channels, out);
            self.set_at = None;
            if n > 0 {
                self.tick = ((next + n as u64 - 1) << self.stage) + 1;
            }
            return first;
        }
        // The stream or other calls need these samples, too.
        let (id, _) = self.tap(n, channels);
        match self.untap(id) {
            Some(acquired) => {
                *out = acquired.samples;
                acquired.first
            }
            None => first,
        }
    }

    /// Writes `n` samples of one channel to `out`, at the rate of the filter bank and from `tick`
    /// on. Does not advance the time.
    pub(crate) fn acquire_pfb(
        &mut self,
        tick: u64,
        n: usize,
        channel: usize,
        out: &mut Vec<Complex64>,
    ) -> SampleFlags {
        self.model().acquire_pfb(tick, n, channel, out)
    }

    /// Writes `n` samples of the ADC to `out`, from the present time on. Does not advance the time.
    pub(crate) fn acquire_fast(&mut self, n: usize, out: &mut Vec<Complex64>) -> SampleFlags {
        let tick = self.tick;
        self.model().acquire_fast(tick, n, out)
    }

    /// Advances the time by `n` samples of the filter bank, rounded up to ticks.
    pub(crate) fn pass_pfb(&mut self, n: usize) {
        let tick = self.tick + (n as u64).div_ceil(units::PFB_SAMPLES_PER_TICK);
        self.advance_to(tick as f64 / units::TICK_RATE_HZ);
    }
}
