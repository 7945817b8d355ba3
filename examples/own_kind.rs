//! A program with a kind of boards of its own: every command of `twotone` on base-band boards,
//! which have no NCO, no scale in dBm, no clock and no housekeeping.
//!
//! ```text
//! own_kind tune map.toml --out runs
//! ```
//!
//! The board lies in the memory of the program: six resonators between 80 and 100 MHz on a line
//! with a delay, and noise.

use std::f64::consts::TAU;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use twotone::hal::{
    Acquire, Batch, Board, BoardHandle, Complex64, Description, Epoch, Hertz, MemoryModule,
    ModuleDescription, ModuleId, ModuleLimits, Op, OperationKind, Replies, RepliesBuilder, Result,
    ToneState, Volts, async_trait,
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

struct BaseBand {
    name: String,
    state: Mutex<State>,
}

struct State {
    module: MemoryModule,
    random: u64,
}

fn base_band(name: &str) -> BoardHandle {
    let module = MemoryModule::new(describe().modules.remove(0));
    let state = Mutex::new(State { module, random: 1 });
    BoardHandle::new(BaseBand {
        name: name.to_owned(),
        state,
    })
}

impl BaseBand {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Board for BaseBand {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let mut state = self.state();
        for op in batch.ops() {
            let checked = state.check(batch, op);
            checked.map_err(|error| error.during(op.to_string()).on(&self.name).after(0))?;
        }
        let mut replies = RepliesBuilder::new(batch);
        while let Some(op) = replies.next_op() {
            let answered = state.answer(batch, op, &mut replies);
            answered.map_err(|error| error.on(&self.name))?;
        }
        replies.finish().map_err(|error| error.on(&self.name))
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
        channels: 64,
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
