//! Two simulated boards and the links to them, in memory and in virtual time (which jumps forward
//! whenever all tasks wait).

use std::time::Duration;

use serde_json::Value;
use twotone::hal::{
    Batch, BoardHandle, ChannelId, Hertz, ModuleId, Radians, ToneFields, ToneUpdate,
};
use twotone::run::{Outcome, Runner, Target};
use twotone::sim::{Farm, TimeMode};
use twotone::transport::{ConnectOptions, Connector, CrsBoard};

use crate::algorithms::Algorithm;
use crate::state::State;
use crate::tap::Tap;

/// Longest duration of a run. It includes the clean-up, in which the run switches tones off or
/// restores them.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Band of the simulated detectors, in Hz. It is narrow because there are few of them.
pub(crate) const BAND_HZ: (f64, f64) = (1.0e9, 1.01e9);

/// Largest answer that the client accepts, in bytes.
pub(crate) const ANSWER_LIMIT: usize = 8 << 20;

const PIPE: usize = 1 << 20;
/// Number of channels that [`Board::state`] reads: more than the algorithms use.
pub(crate) const CHANNELS: u16 = 256;

/// Encoding of the requests on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Cbor,
    Json,
}

/// The boards. An algorithm uses one link to each board. [`Board::state`] uses a second link, which
/// has no fault.
pub(crate) struct Rig {
    _farm: Farm,
    pub(crate) boards: Vec<Board>,
}

pub(crate) struct Board {
    pub(crate) tap: Tap,
    pub(crate) handle: BoardHandle,
    look: BoardHandle,
}

impl Rig {
    /// Starts the boards and connects to them. JSON is slower than CBOR, so it is only used for
    /// faults that need it.
    pub(crate) async fn start(algorithm: &Algorithm, format: Format, time: TimeMode) -> Self {
        let farm = Farm::builder()
            .boards(2)
            .detectors(2)
            .seed(11)
            .time(time)
            .band(BAND_HZ.0, BAND_HZ.1);
        let farm = farm.start().await.expect("a farm");
        let mut boards = Vec::new();
        for sim in farm.boards() {
            let direct = {
                let sim = sim.clone();
                Connector::new("direct:80", move || {
                    let sim = sim.clone();
                    async move { Ok(sim.open_stream(PIPE)) }
                })
            };
            let tap = Tap::new(sim.clone());
            let options = ConnectOptions::new()
                .cbor(format == Format::Cbor)
                .answer_limit(ANSWER_LIMIT);
            let connect = async |connector, options| {
                let board = CrsBoard::connect_over(sim.name(), connector, options).await;
                board.expect("a healthy board").handle()
            };
            let board = Board {
                look: connect(direct, ConnectOptions::new()).await,
                handle: connect(tap.connector(), options).await,
                tap,
            };
            // The noise of a board depends on the earlier requests. These are the same before every
            // run, so the noise is the same too.
            board.state().await;
            if algorithm.lit {
                board.light().await;
            }
            boards.push(board);
        }
        Self {
            _farm: farm,
            boards,
        }
    }

    fn targets(&self, algorithm: &Algorithm) -> Vec<Target> {
        let target = |board: &Board| {
            Target::new(board.handle.clone(), ModuleId::FIRST).safe_state(algorithm.safe_state)
        };
        self.boards.iter().map(target).collect()
    }

    /// Runs the algorithm on both boards. Returns `None` if the run is dropped.
    pub(crate) async fn run(&self, algorithm: &Algorithm) -> Option<Vec<Outcome<Value>>> {
        let tap = &self.boards[1].tap;
        let runner = (algorithm.settings)(Runner::new().deadline(DEADLINE))
            .cancel(tap.cancel().child_token())
            .abandon(tap.abandon().child_token());
        let targets = self.targets(algorithm);
        let run = async {
            match algorithm.start {
                Some(start) => runner.run(targets, start).await,
                None => {
                    let outcomes = runner.off(targets).await;
                    let done = |outcome: Outcome<()>| outcome.map(|()| Value::Null);
                    outcomes.into_iter().map(done).collect()
                }
            }
        };
        tokio::select! {
            biased;
            () = tap.dropped().cancelled() => None,
            outcomes = run => Some(outcomes),
        }
    }

    /// Runs the algorithm on both boards again. Nothing can cancel or drop this run.
    pub(crate) async fn rerun(&self, algorithm: &Algorithm) -> Vec<Outcome<Value>> {
        let runner = (algorithm.settings)(Runner::new().deadline(DEADLINE));
        match algorithm.start {
            Some(start) => runner.run(self.targets(algorithm), start).await,
            None => self.off().await,
        }
    }

    pub(crate) async fn off(&self) -> Vec<Outcome<Value>> {
        let targets = self.boards.iter();
        let targets = targets.map(|board| Target::new(board.handle.clone(), ModuleId::FIRST));
        let outcomes = Runner::new().off(targets.collect()).await;
        let done = |outcome: Outcome<()>| outcome.map(|()| Value::Null);
        outcomes.into_iter().map(done).collect()
    }
}

impl Board {
    /// True for the board that has the fault.
    pub(crate) fn is_faulty(&self) -> bool {
        self.handle.name() == "crs0002"
    }

    /// Switches on two tones before a run, so that the run finds them.
    pub(crate) async fn light(&self) {
        let tone = |channel, offset, amplitude| {
            ToneUpdate::new(ChannelId::new(channel).expect("a channel"))
                .offset(Hertz(offset))
                .amplitude(amplitude)
                .phase(Radians(0.7))
                .rotation(Radians(-0.4))
        };
        let mut batch = Batch::new();
        batch.set_nco(ModuleId::FIRST, Hertz(0.99e9));
        batch.set_tones(
            ModuleId::FIRST,
            [tone(2, 33e6, 0.002), tone(6, -44e6, 0.003)],
        );
        let lit = self.handle.run(&batch).await;
        lit.expect("a healthy board");
    }

    /// Reads the true settings of the board, over the link that has no fault.
    pub(crate) async fn state(&self) -> State {
        let mut batch = Batch::new();
        let fields = ToneFields::ALL;
        let read = batch.read_tones(ModuleId::FIRST, ChannelId::FIRST, CHANNELS, fields);
        let nco = batch.read_nco(ModuleId::FIRST);
        for _ in 0..3 {
            // The first request after a restart fails, because it makes the client of this link
            // notice the restart.
            if let Ok(replies) = self.look.run(&batch).await {
                return State::new(replies.get(read), replies.get(nco).frequency);
            }
        }
        panic!("a board that is looked at past the link has no fault");
    }
}
