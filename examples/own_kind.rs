//! A program with a board kind of its own: every command of `twotone` works on base-band boards,
//! which have no NCO, no scale in dBm, no clock and no housekeeping.
//!
//! The board is simulated in the memory of the program: six resonators between 80 and 100 MHz on a
//! line with a delay, and noise.

use std::f64::consts::TAU;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use twotone::hal::*;
use twotone::map::{BoardFamily, BoardKind, UsualStream};

static BASE_BAND: BoardFamily = BoardFamily {
    name: KIND,
    default_port: 1,
    highest_module: 1,
    host: |_place| None,
    streams: None,
    usual_stream: UsualStream {
        channels: CHANNELS,
        rate_hz: SAMPLE_RATE_HZ,
    },
    fast_stream: None,
    sends_serial: false,
    has_power_scale: false,
    properties: &[],
    conflicts: |_| Vec::new(),
    firmware: None,
    find: None,
    connect: |name, _host, _options| Box::pin(async move { Ok(base_band(name)) }),
};

fn main() -> ExitCode {
    BoardKind::register(&BASE_BAND).expect("no other kind has this name");
    twotone::cli::main()
}

const KIND: &str = "baseband";
const CHANNELS: u16 = 64;
/// Resonance frequencies, in Hz.
const RESONANCES: [f64; 6] = [82.1e6, 84.4e6, 87.3e6, 90.6e6, 93.9e6, 97.2e6];
/// Quality factor of the resonators, and depth of their dips as a fraction of the transmission.
const QR: f64 = 2500.0;
const DEPTH: f64 = 0.7;
/// Delay of the line, in s.
const DELAY_S: f64 = 40e-9;
/// The next two are in counts: the signal of a tone at full scale without resonators, and the
/// standard deviation of the noise of one sample.
const GAIN: f64 = 4e6;
const NOISE: f64 = 5.0;
const SAMPLE_RATE_HZ: f64 = 1000.0;

/// A board: its name, and its state. It is also the source of its sample stream, which has one
/// sample of each channel every millisecond.
#[derive(Debug, Clone)]
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

    // `address` keeps its default, `None`, because a board in memory has no address.
    fn streams(&self) -> Option<Arc<dyn Streams>> {
        Some(Arc::new(self.clone()))
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let mut state = lock(&self.1);
        let description = describe();
        batch.check_each(&self.0, |op| description.check(batch, op))?;
        batch.answer_each(&self.0, |op, replies| state.answer(batch, op, replies))
    }
}

impl State {
    fn answer(&mut self, batch: &Batch, op: &Op, replies: &mut RepliesBuilder<'_>) -> Result<()> {
        match op {
            Op::Describe => replies.description(describe()),
            Op::AcquireMean { acquire, .. } => {
                let noise = NOISE / f64::from(acquire.samples).sqrt();
                let mean = self.samples(acquire, 1, noise);
                let scatter = vec![NOISE; mean.len()];
                replies.mean(mean, scatter, false, false)
            }
            Op::AcquireSamples { acquire, .. } => {
                let samples = self.samples(acquire, acquire.samples as usize, NOISE);
                let channels = samples.len() / acquire.samples as usize;
                replies.samples(channels, samples, false, false)
            }
            op => self.module.answer(batch, op, replies),
        }
    }

    /// Returns `count` samples of each channel of an acquisition, one channel after the other.
    fn samples(&mut self, acquire: &Acquire, count: usize, noise: f64) -> Vec<Complex64> {
        let tones: Vec<ToneState> = self.module.acquired(acquire).collect();
        let each = tones.iter().flat_map(|tone| vec![tone; count]);
        each.map(|tone| self.received(tone, noise)).collect()
    }

    /// Returns the signal of a tone after the line and the resonators, in counts. The standard
    /// deviation of its noise is `noise`.
    fn received(&mut self, tone: &ToneState, noise: f64) -> Complex64 {
        let f_hz = tone.offset.unwrap_or_default().0;
        let phase = tone.phase.unwrap_or_default().0 - tone.rotation.unwrap_or_default().0;
        let line = Complex64::cis(phase - TAU * f_hz * DELAY_S);
        let detunings = RESONANCES.map(|fr_hz| 2.0 * QR * (f_hz - fr_hz) / fr_hz);
        let through = detunings.map(|detuning| 1.0 - DEPTH / Complex64::new(1.0, detuning));
        let signal =
            GAIN * tone.amplitude.unwrap_or(0.0) * line * through.iter().product::<Complex64>();
        // Normal noise by the method of Box and Muller (1958).
        let radius = noise * (-self.uniform().ln()).sqrt();
        signal + Complex64::from_polar(radius, TAU * self.uniform())
    }

    /// Returns a random number above 0 and up to 1. Knuth, The Art of Computer Programming 2,
    /// section 3.3.4.
    fn uniform(&mut self) -> f64 {
        let next = self.random.wrapping_mul(6_364_136_223_846_793_005);
        self.random = next.wrapping_add(1);
        ((self.random >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

fn describe() -> Description {
    use OperationKind as Kind;
    let module = ModuleDescription {
        max_offset: Hertz(200e6),
        frequency_step: Hertz(0.01),
        sample_rate: Hertz(SAMPLE_RATE_HZ),
        max_samples: 10_000,
        volts_per_count: Volts(1e-7),
        ..ModuleDescription::new(ModuleId::FIRST, CHANNELS)
    };
    Description {
        serial: "0007".to_owned(),
        firmware: "1".to_owned(),
        ..Description::new(KIND, [Kind::Describe, Kind::Tones, Kind::Samples], [module])
    }
}

#[async_trait]
impl Streams for BaseBand {
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
        _options: &ReceiveOptions,
    ) -> Result<Box<dyn StreamReceiver>> {
        let mut streams = Vec::new();
        for request in requests {
            let Self(_, state) = request.streams_as(KIND)?;
            streams.extend(request.modules.iter().map(|module| Stream {
                state: Arc::clone(state),
                channels: module.channels_of(CHANNELS.into()),
                coverage: Coverage::at_rate(SAMPLE_RATE_HZ),
                end_s: f64::INFINITY,
            }));
        }
        Ok(Box::new(Receiver(streams)))
    }
}

struct Receiver(Vec<Stream>);

struct Stream {
    state: Shared,
    channels: Vec<ChannelId>,
    coverage: Coverage,
    end_s: f64,
}

impl Stream {
    /// Returns the samples of a time span. They have sequence numbers but no times, because the
    /// board has no clock.
    fn block(&mut self, stream: usize, time: Duration) -> StreamBlock {
        let mut block = StreamBlock::new(stream);
        block.rate_hz = SAMPLE_RATE_HZ;
        let due = (time.as_secs_f64() * SAMPLE_RATE_HZ).round() as u64;
        let mut state = lock(&self.state);
        for _ in 0..self.coverage.samples_left(self.end_s, due) {
            block.push(self.coverage.samples() as u32, 0, false, false);
            block.push_time(None);
            for channel in &self.channels {
                let tone = state.module.tone(*channel);
                let sample = state.received(&tone, NOISE);
                block.i.push(sample.re as i32);
                block.q.push(sample.im as i32);
            }
            self.coverage.add(1);
        }
        block
    }
}

#[async_trait]
impl StreamReceiver for Receiver {
    async fn receive(&mut self, within: Duration) -> Result<Vec<StreamBlock>> {
        let time = within.min(Duration::from_millis(20));
        tokio::time::sleep(time).await;
        let streams = self.0.iter_mut().enumerate();
        let blocks = streams.map(|(stream, one)| one.block(stream, time));
        Ok(blocks.collect())
    }

    fn end_at(&mut self, stream: usize, seconds: f64) {
        self.0[stream].end_s = seconds;
    }

    fn channels(&self, stream: usize) -> Option<&[ChannelId]> {
        Some(&self.0[stream].channels)
    }

    fn coverage(&self, stream: usize) -> Coverage {
        self.0[stream].coverage
    }

    fn status(&self, stream: usize) -> StreamStatus {
        let mut status = StreamStatus::default();
        status.counters.expected = self.0[stream].coverage.samples();
        status.counters.received = status.counters.expected;
        status
    }
}
