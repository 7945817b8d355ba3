//! A program with a kind of boards of its own: every command of `twotone` on base-band boards,
//! which have no NCO, no scale in dBm, no clock and no housekeeping.
//!
//! ```text
//! own_kind tune map.toml --out runs
//! ```
//!
//! The board lies in the memory of the program: six resonators between 80 and 100 MHz on a line
//! with a delay, and noise.

use std::any::Any;
use std::f64::consts::TAU;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use twotone::hal::{
    Acquire, Batch, Board, BoardHandle, ChannelId, Complex64, Coverage, Description, Epoch, Error,
    ErrorKind, Hertz, MemoryModule, ModuleDescription, ModuleId, ModuleLimits, Op, OperationKind,
    ReceiveOptions, ReceiverTotals, Replies, RepliesBuilder, Result, StreamBlock, StreamReceiver,
    StreamRequest, StreamSource, StreamStatus, Streams, ToneState, Volts, async_trait,
};
use twotone::map::{BoardFamily, BoardKind};

const KIND: &str = "baseband";

static BASE_BAND: BoardFamily = BoardFamily {
    name: KIND,
    default_port: 1,
    highest_module: 1,
    host: |_place| None,
    streams: None,
    sends_serial: false,
    has_power_scale: false,
    connect: |name, _host, _options| Box::pin(async move { Ok(base_band(name)) }),
};

fn main() -> ExitCode {
    BoardKind::register(&BASE_BAND).expect("no other kind has this name");
    twotone::cli::main()
}

/// Resonance frequencies, in Hz.
const RESONANCES: [f64; 6] = [82.1e6, 84.4e6, 87.3e6, 90.6e6, 93.9e6, 97.2e6];
/// Quality factor of the resonators, and depth of their dips.
const QR: f64 = 2500.0;
const DEPTH: f64 = 0.7;
/// Delay of the line.
const DELAY_S: f64 = 40e-9;
/// Counts of a tone of full scale without a resonator, and of the noise of one sample.
const GAIN: f64 = 4e6;
const NOISE: f64 = 5.0;
const SAMPLE_RATE_HZ: f64 = 1000.0;
const PERIOD: Duration = Duration::from_millis(1);
const CHANNELS: u16 = 64;

struct BaseBand(String, Shared);

type Shared = Arc<Mutex<State>>;

#[derive(Debug)]
struct State {
    module: MemoryModule,
    random: u64,
}

fn base_band(name: &str) -> BoardHandle {
    let module = MemoryModule::new(describe().modules.remove(0));
    let state = Arc::new(Mutex::new(State { module, random: 1 }));
    BoardHandle::new(BaseBand(name.to_owned(), state))
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Board for BaseBand {
    fn name(&self) -> &str {
        &self.0
    }

    fn streams(&self) -> Option<Arc<dyn Streams>> {
        Some(Arc::new(Sampling(self.0.clone(), Arc::clone(&self.1))))
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let mut state = lock(&self.1);
        for op in batch.ops() {
            let checked = state.check(batch, op);
            checked.map_err(|error| error.during(op.to_string()).on(&self.0).after(0))?;
        }
        let mut replies = RepliesBuilder::new(batch);
        while let Some(op) = replies.next_op() {
            let answered = state.answer(batch, op, &mut replies);
            answered.map_err(|error| error.on(&self.0))?;
        }
        replies.finish().map_err(|error| error.on(&self.0))
    }
}

impl State {
    fn check(&self, batch: &Batch, op: &Op) -> Result<()> {
        let description = describe();
        description.require(&[op.kind()])?;
        if let Some(module) = op.module() {
            description.module(module)?;
        }
        self.module.check(batch, op)
    }

    fn answer(&mut self, batch: &Batch, op: &Op, replies: &mut RepliesBuilder<'_>) -> Result<()> {
        if self.module.answer(batch, op, replies)? {
            return Ok(());
        }
        match op {
            Op::Describe => replies.description(describe()),
            Op::AcquireMean { acquire, .. } => {
                let noise = NOISE / f64::from(acquire.samples).sqrt();
                let mean = self.samples(acquire, 1, noise);
                let scatter = vec![NOISE; mean.len()];
                replies.mean(mean, scatter, false, false)
            }
            Op::AcquireSamples { acquire, .. } => {
                let samples = self.samples(acquire, acquire.samples, NOISE);
                let channels = samples.len() / acquire.samples as usize;
                replies.samples(channels, samples, false, false)
            }
            // `check` has refused all others.
            _ => Ok(()),
        }
    }

    /// So many samples of each channel that is acquired, channel after channel.
    fn samples(&mut self, acquire: &Acquire, count: u32, noise: f64) -> Vec<Complex64> {
        let tones: Vec<ToneState> = self.module.acquired(acquire).collect();
        let samples = tones.iter().flat_map(|tone| (0..count).map(move |_| tone));
        samples
            .map(|tone| received(tone) + self.noise(noise))
            .collect()
    }

    /// Complex noise of this standard deviation, of both parts together.
    fn noise(&mut self, sigma: f64) -> Complex64 {
        // The sum of twelve uniform numbers is near enough to a normal distribution.
        let mut normal = || (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0;
        Complex64::new(normal(), normal()) * (sigma / 2f64.sqrt())
    }

    fn uniform(&mut self) -> f64 {
        // Marsaglia, Xorshift RNGs (2003), section 3: the triple (13, 7, 17).
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Signal of a tone behind the line and the resonators, in counts.
fn received(tone: &ToneState) -> Complex64 {
    let f_hz = tone.offset.unwrap_or_default().0;
    let phase = tone.phase.unwrap_or_default().0 - tone.rotation.unwrap_or_default().0;
    let line = Complex64::cis(phase - TAU * f_hz * DELAY_S);
    let through = RESONANCES.iter().map(|fr_hz| {
        let detuning = Complex64::new(1.0, 2.0 * QR * (f_hz - fr_hz) / fr_hz);
        1.0 - DEPTH / detuning
    });
    GAIN * tone.amplitude.unwrap_or(0.0) * line * through.product::<Complex64>()
}

fn describe() -> Description {
    let module = ModuleDescription {
        module: ModuleId::FIRST,
        channels: CHANNELS,
        nco: None,
        max_offset: Hertz(200e6),
        frequency_step: Hertz(0.01),
        sample_rate: Hertz(SAMPLE_RATE_HZ),
        settle_samples: 0,
        noise_correlation: Vec::new(),
        max_samples: 10_000,
        full_scale: None,
        volts_per_count: Volts(1e-7),
        limits: ModuleLimits::default(),
    };
    use OperationKind as Kind;
    Description {
        kind: KIND.to_owned(),
        serial: "0007".to_owned(),
        firmware: "1".to_owned(),
        epoch: Epoch(0),
        operations: vec![Kind::Describe, Kind::Tones, Kind::Samples],
        modules: vec![module],
        doubts: Vec::new(),
    }
}

/// The samples of the board as they come, one every millisecond.
#[derive(Debug)]
struct Sampling(String, Shared);

#[async_trait]
impl Streams for Sampling {
    fn name(&self) -> &str {
        &self.0
    }

    fn modules(&self) -> Vec<ModuleId> {
        vec![ModuleId::FIRST]
    }

    async fn locate(&self) -> Result<StreamSource> {
        Ok(StreamSource::new(KIND, 1.0))
    }

    async fn open(
        &self,
        requests: &[StreamRequest],
        options: &ReceiveOptions,
    ) -> Result<Box<dyn StreamReceiver>> {
        let streams = requests.iter().map(|request| {
            let streams: &dyn Any = &*request.streams;
            let Self(_, state) = streams
                .downcast_ref()
                .ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "boards of two kinds"))?;
            let all = || {
                (0..CHANNELS)
                    .filter_map(|at| ChannelId::from_index(at.into()))
                    .collect()
            };
            let mut coverage = Coverage::new();
            coverage.change(PERIOD);
            Ok(Stream {
                state: Arc::clone(state),
                channels: request.modules[0].channels.clone().unwrap_or_else(all),
                block: StreamBlock::default(),
                coverage,
                end_s: f64::INFINITY,
            })
        });
        Ok(Box::new(Receiving {
            streams: streams.collect::<Result<_>>()?,
            samples: options.block_samples(CHANNELS.into(), SAMPLE_RATE_HZ),
        }))
    }
}

struct Receiving {
    streams: Vec<Stream>,
    /// Number of samples of a full block.
    samples: usize,
}

struct Stream {
    state: Shared,
    channels: Vec<ChannelId>,
    block: StreamBlock,
    coverage: Coverage,
    end_s: f64,
}

impl Stream {
    fn sample(&mut self) {
        if self.coverage.left(self.end_s, 1) == 0 {
            return;
        }
        let at = self.coverage.samples();
        self.coverage.add(1);
        self.block.rate_hz = SAMPLE_RATE_HZ;
        self.block.sequence.push(at as u32);
        self.block.lost_before.push(0);
        // The board has no clock: its samples have numbers and no times.
        self.block.time_ns.push(None);
        self.block.time_source.push(None);
        self.block.overrange.push(false);
        self.block.overvoltage.push(false);
        let mut state = lock(&self.state);
        for channel in &self.channels {
            let z = received(&state.module.tone(*channel)) + state.noise(NOISE);
            self.block.i.push(z.re as i32);
            self.block.q.push(z.im as i32);
        }
    }
}

#[async_trait]
impl StreamReceiver for Receiving {
    async fn receive(&mut self, within: Duration) -> Result<Vec<StreamBlock>> {
        tokio::time::sleep(PERIOD.min(within)).await;
        self.streams.iter_mut().for_each(Stream::sample);
        let is_full = self.streams[0].block.samples() >= self.samples;
        Ok(if is_full {
            self.take_rest()
        } else {
            Vec::new()
        })
    }

    fn take_rest(&mut self) -> Vec<StreamBlock> {
        let streams = self.streams.iter_mut().enumerate();
        let blocks = streams.map(|(stream, one)| StreamBlock {
            stream,
            ..std::mem::take(&mut one.block)
        });
        blocks.collect()
    }

    fn end_at(&mut self, stream: usize, seconds: f64) {
        self.streams[stream].end_s = seconds;
    }

    fn channels(&self, stream: usize) -> Option<&[ChannelId]> {
        Some(&self.streams[stream].channels)
    }

    fn coverage(&self, stream: usize) -> Coverage {
        self.streams[stream].coverage
    }

    fn status(&self, stream: usize) -> StreamStatus {
        let samples = self.streams[stream].coverage.samples();
        let mut status = StreamStatus::default();
        status.counters.expected = samples;
        status.counters.received = samples;
        status
    }

    fn totals(&self) -> ReceiverTotals {
        ReceiverTotals::default()
    }
}
