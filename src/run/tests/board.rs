//! A board in memory for tests. It takes time for each operation, records the operations, and has
//! the faults that a test sets. A *batch* is a list of operations, sent to a board as one request.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tworoutine::Allowance;
use twotone_hal::{
    Acquire, Batch, Board, BoardHandle, Certainty, Change, ChannelId, Complex64, Dbm, Description,
    Epoch, Error, ErrorKind, Hertz, Means, MemoryBoard, MemoryModule, ModuleDescription, ModuleId,
    NcoRange, NcoState, Op, OperationKind, Replies, RepliesBuilder, Result, ToneState, ToneUpdate,
    Volts, async_trait,
};

pub(super) const CHANNELS: u16 = 8;
/// Time that the board takes for an operation.
pub(super) const OPERATION: Duration = Duration::from_millis(10);
/// Time after which the client of the board gives up a request without an answer.
pub(super) const BOARD_DEADLINE: Duration = Duration::from_secs(5);

/// Fault of the board at one operation of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// The board refuses this operation. It executes neither this operation nor those after it.
    Refuse,
    /// As `Refuse`, but the error does not name the refused operation.
    RefuseInSilence,
    /// The whole batch is executed, and its answer is lost.
    LoseAnswer,
    /// The link breaks before this operation. This operation and those after it are not executed.
    Break,
    /// The answer is lost, and the board executes the rest of the batch only after this duration.
    /// In the meantime it may execute requests on the next link.
    Late(Duration),
    /// The request is sent, not answered, and sent again. The board answers the second request, and
    /// executes the first one only after this duration.
    Repeated(Duration),
    /// The board answers nothing and executes nothing for this duration.
    Dead(Duration),
    /// The board restarts with all settings lost.
    Reboot,
    /// The board answers as if the operation was executed, but does nothing.
    Lie,
    /// A value that is read back is NaN.
    Nan,
    /// The code that talks to the board panics.
    Panic,
    /// The process is stopped for this duration, while the board runs on.
    Suspended(Duration),
}

#[derive(Clone)]
pub(super) struct Fake(Arc<Inner>);

struct Inner {
    board: MemoryBoard,
    /// Lock that lets one batch run at a time.
    line: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Number of operations that were begun.
    operations: usize,
    /// Number of the operation at which a fault occurs, and the fault.
    fault: Option<(usize, Fault)>,
    /// Faults that occur at every operation whose description begins with these words.
    always: Vec<(Fault, &'static str)>,
    /// Channels whose tones the board refuses to switch on.
    refused: Vec<u16>,
    dead_until: Option<Instant>,
    log: Vec<String>,
    /// Largest sum of the squared amplitudes of all tones until now.
    most_power: f64,
}

pub(super) fn module() -> ModuleId {
    ModuleId::new(1).unwrap()
}

pub(super) fn channel(number: u16) -> ChannelId {
    ChannelId::new(number).unwrap()
}

/// Update that sets the tone of channel `number`. `offset_mhz` is its offset from the NCO in MHz.
pub(super) fn tone(number: u16, offset_mhz: f64, amplitude: f64) -> ToneUpdate {
    ToneUpdate::new(channel(number))
        .offset(Hertz(offset_mhz * 1e6))
        .amplitude(amplitude)
}

impl Fake {
    pub(super) fn new(name: &str) -> Self {
        let line_phase = name.len() as f64;
        let measure =
            move |module: &MemoryModule, acquire: &Acquire| Ok(means(module, acquire, line_phase));
        let fake = Self(Arc::new(Inner {
            board: MemoryBoard::new(name, description(), measure),
            line: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        }));
        fake.move_nco(1e9);
        fake
    }

    /// Returns the board with `fault` at the operation number `at` from now on, counted from 0.
    pub(super) fn with(self, at: usize, fault: Fault) -> Self {
        self.fail(at, fault);
        self
    }

    /// Makes the operation number `at` from now on, counted from 0, fail with `fault`.
    pub(super) fn fail(&self, at: usize, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.operations + at, fault));
    }

    /// Returns the board with `fault` at every operation whose description begins with `what`.
    pub(super) fn always(self, fault: Fault, what: &'static str) -> Self {
        self.state().always.push((fault, what));
        self
    }

    /// Refuses from now on to switch on the tones of these channels.
    pub(super) fn refuse_tones_of(&self, channels: &[u16]) {
        self.state().refused = channels.to_vec();
    }

    /// Loses all settings, as in a restart that no client noticed.
    pub(super) fn forget(&self) {
        self.0.board.restart();
        self.move_nco(0.0);
    }

    pub(super) fn handle(&self) -> BoardHandle {
        BoardHandle::new(self.clone())
    }

    /// True amplitudes of all channels.
    pub(super) fn amplitudes(&self) -> Vec<f64> {
        let tones = self.tones().into_iter();
        tones.map(|tone| tone.amplitude.unwrap_or(0.0)).collect()
    }

    /// True settings of all channels.
    fn tones(&self) -> Vec<ToneState> {
        let channels = (1..=CHANNELS).map(channel);
        self.with_module(|module| channels.map(|channel| module.tone(channel)).collect())
    }

    fn with_module<T>(&self, act: impl FnOnce(&mut MemoryModule) -> T) -> T {
        self.0.board.with_module(module(), act)
    }

    pub(super) fn on(&self) -> Vec<u16> {
        (1..=CHANNELS)
            .zip(self.amplitudes())
            .filter_map(|(number, amplitude)| (amplitude != 0.0).then_some(number))
            .collect()
    }

    /// True frequency of the NCO in Hz, and the true settings of all tones that were ever set.
    pub(super) fn settings(&self) -> (f64, Vec<ToneState>) {
        let mut tones = self.tones();
        tones.retain(|tone| *tone != ToneState::never_set(tone.channel));
        (self.with_module(|module| module.nco().frequency.0), tones)
    }

    /// Operations that were begun, one per line.
    pub(super) fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    pub(super) fn operations(&self) -> usize {
        self.state().operations
    }

    /// Largest effective amplitude of all tones together until now: the root of the sum of the
    /// squared amplitudes.
    pub(super) fn most(&self) -> f64 {
        self.state().most_power.sqrt()
    }

    /// Ends a lasting fault.
    pub(super) fn revive(&self) {
        let mut state = self.state();
        (state.dead_until, state.fault) = (None, None);
    }

    /// Moves the NCO without the knowledge of any client.
    pub(super) fn move_nco(&self, hertz: f64) {
        self.with_module(|module| module.change(Change::Nco(Hertz(hertz))));
    }

    /// Sets a tone without the knowledge of any client.
    pub(super) fn set(&self, update: ToneUpdate) {
        self.with_module(|module| self.change(module, Change::Tone(update)));
    }

    fn change(&self, module: &mut MemoryModule, change: Change) {
        module.change(change);
        let channels = (1..=CHANNELS).map(channel);
        let amplitudes = channels.filter_map(|channel| module.tone(channel).amplitude);
        let power = amplitudes.map(|amplitude| amplitude * amplitude).sum();
        let mut state = self.state();
        state.most_power = state.most_power.max(power);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    fn error(&self, kind: ErrorKind, op: &Op, done: usize) -> Error {
        Error::new(kind, "as it was told")
            .on(self.0.board.name())
            .during(op.to_string())
            .after(done)
    }

    async fn execute(self, batch: Batch) -> Result<Replies> {
        let mut line = Some(self.0.line.lock().await);
        let dead_until = self.state().dead_until;
        if let Some(until) = dead_until {
            drop(line.take());
            sleep_until(until).await;
            return Err(Error::new(ErrorKind::ConnectionLost, "nothing came"));
        }
        let mut replies = RepliesBuilder::new(&batch);
        let mut lost = false;
        while let Some(op) = replies.next_op() {
            sleep(OPERATION).await;
            let fault = {
                let mut state = self.state();
                let number = state.operations;
                state.operations += 1;
                state.log.push(op.to_string());
                let always = state
                    .always
                    .iter()
                    .find(|(_, what)| op.to_string().starts_with(what));
                let once = state.fault.filter(|(at, _)| *at == number);
                once.map(|(_, fault)| fault)
                    .or(always.map(|(fault, _)| *fault))
            };
            let done = replies.answered();
            match fault {
                Some(Fault::Refuse) => return Err(self.error(ErrorKind::Rejected, op, done)),
                Some(Fault::RefuseInSilence) => {
                    return Err(Error::new(ErrorKind::Rejected, "something went wrong"));
                }
                Some(Fault::LoseAnswer) => lost = true,
                Some(Fault::Break) => return Err(self.error(ErrorKind::ConnectionLost, op, done)),
                Some(Fault::Late(time)) => {
                    lost = true;
                    drop(line.take());
                    sleep(time).await;
                }
                Some(Fault::Dead(time)) => {
                    self.state().dead_until = Some(Instant::now() + time);
                    drop(line.take());
                    sleep(time).await;
                    self.state().dead_until = None;
                    return Err(self.error(ErrorKind::ConnectionLost, op, done));
                }
                Some(Fault::Reboot) => {
                    self.forget();
                    return Err(self.error(ErrorKind::EpochChanged, op, done));
                }
                Some(Fault::Repeated(time)) => {
                    let (fake, op, batch) = (self.clone(), op.clone(), batch.clone());
                    drop(tworoutine::spawn(async move {
                        sleep(time).await;
                        let mut late = Batch::new();
                        let Op::SetTones { module, updates } = op else {
                            panic!("only settings of tones are late");
                        };
                        let updates = batch.tone_updates()[updates].iter().copied();
                        late.set_tones(module, updates);
                        let replies = &mut RepliesBuilder::new(&late);
                        fake.answer(&late.ops()[0], &late, replies, None)
                    }));
                    replies.repeated(1);
                }
                Some(Fault::Panic) => panic!("as it was told"),
                // Time passes at once, so that all timers of the process are late at the same
                // moment.
                Some(Fault::Suspended(time)) => tokio::time::advance(time).await,
                Some(Fault::Lie | Fault::Nan) | None => {}
            }
            self.answer(op, &batch, &mut replies, fault)?;
        }
        if lost {
            return Err(Error::new(ErrorKind::ConnectionLost, "the answer was lost"));
        }
        replies.finish()
    }

    fn answer(
        &self,
        op: &Op,
        batch: &Batch,
        replies: &mut RepliesBuilder<'_>,
        fault: Option<Fault>,
    ) -> Result<()> {
        let nco = self.with_module(|module| module.nco());
        match (op, fault) {
            (Op::SetTones { .. } | Op::ClearTones { .. }, Some(Fault::Lie)) => replies.done(),
            (Op::SetNco { .. }, Some(Fault::Lie)) => replies.nco(nco),
            (Op::ReadNco { .. }, Some(Fault::Nan)) => replies.nco(NcoState {
                frequency: Hertz(f64::NAN),
                ..nco
            }),
            (
                Op::ReadTones {
                    first,
                    count,
                    fields,
                    ..
                },
                Some(Fault::Nan),
            ) => {
                let tones = self.tones().into_iter().skip(first.index());
                let tones = tones.take(usize::from(*count));
                let mut tones: Vec<_> = tones.map(|tone| tone.only(*fields)).collect();
                tones[0].amplitude = Some(f64::NAN);
                replies.tones(tones)
            }
            (Op::SetTones { updates, .. }, _) => {
                for update in &batch.tone_updates()[updates.clone()] {
                    let is_on = update.amplitude.is_some_and(|amplitude| amplitude != 0.0);
                    if is_on && self.state().refused.contains(&update.channel.number()) {
                        let error = self.error(ErrorKind::Rejected, op, replies.answered());
                        return Err(error.certainty_is(Certainty::Unknown));
                    }
                    self.set(*update);
                }
                replies.done()
            }
            (op, _) => self.0.board.answer(batch, op, replies),
        }
    }
}

/// Samples of a line without detectors. The sample of a tone that is off is 0.
fn means(module: &MemoryModule, acquire: &Acquire, line_phase: f64) -> Means {
    let sample = |tone: ToneState| {
        let offset_hz = tone.offset.map_or(0.0, |offset| offset.0);
        let f_hz = module.nco().frequency.0 + offset_hz;
        let amplitude = tone.amplitude.unwrap_or(0.0);
        match amplitude {
            0.0 => Complex64::ZERO,
            amplitude => Complex64::from_polar(amplitude, f_hz * 1e-7 + line_phase),
        }
    };
    let mean: Vec<_> = module.acquired(acquire).map(sample).collect();
    Means {
        scatter: vec![0.0; mean.len()],
        mean,
        ..Means::default()
    }
}

#[async_trait]
impl Board for Fake {
    fn name(&self) -> &str {
        self.0.board.name()
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        // A batch that was sent is executed even if its caller is dropped.
        let sent = tworoutine::spawn(self.clone().execute(batch.clone()));
        match Allowance::new(BOARD_DEADLINE).within(sent).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(ended)) => match ended.try_into_panic() {
                Ok(payload) => std::panic::resume_unwind(payload),
                Err(_) => Err(Error::new(ErrorKind::ConnectionLost, "the board is gone")),
            },
            Err(_) => Err(Error::new(ErrorKind::Timeout, "no answer")
                .certainty_is(Certainty::Unknown)
                .on(self.0.board.name())),
        }
    }
}

pub(super) fn description() -> Description {
    let module = ModuleDescription {
        nco: Some(NcoRange {
            min: Hertz(0.0),
            max: Hertz(3e9),
        }),
        max_offset: Hertz(250e6),
        frequency_step: Hertz(0.001),
        sample_rate: Hertz(600.0),
        settle_samples: 7,
        max_samples: 1000,
        full_scale: Some(Dbm(0.0)),
        volts_per_count: Volts(1e-7),
        ..ModuleDescription::new(module(), CHANNELS)
    };
    use OperationKind as Kind;
    let operations = [Kind::Describe, Kind::Tones, Kind::Nco, Kind::Samples];
    Description {
        serial: "1".to_owned(),
        firmware: "1".to_owned(),
        epoch: Epoch(1),
        ..Description::new("fake", operations, [module])
    }
}
