//! A board's task, which sends packets when their samples are due.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use twotone_physics::Complex64;

use super::fate::Lane;
use super::outbox::{LaneId, Outbox};
use super::pace::Pace;
use super::pfb::PfbStream;
use super::tally::Kind;
use super::{Destination, readout};
use crate::board::{Board, MODULES};
use crate::module::Rows;
use crate::settings::Settings;

/// Time between two bursts of packets: at stage 6, each has three samples of
/// each module. A real board sends each sample at once; here, many boards share
/// a processor.
const BURST: Duration = Duration::from_millis(5);

/// A board's streams.
struct Sender {
    board: Arc<Board>,
    pace: Arc<Pace>,
    outbox: Outbox,
    lanes: Vec<Lanes>,
    rows: Rows,
    work: Vec<Complex64>,
}

/// The streams of a module.
struct Lanes {
    readout: Lane,
    pfb: Lane,
    pfb_stream: PfbStream,
}

/// Sends a board's streams while `wanted` is true, until the farm is shut down.
pub(crate) async fn send(
    board: Arc<Board>,
    pace: Arc<Pace>,
    outbox: Outbox,
    to: Destination,
    mut wanted: watch::Receiver<bool>,
) {
    let stop = board.shut_down().clone();
    let mut sender = Sender::new(Arc::clone(&board), Arc::clone(&pace), outbox, to);
    let work = async {
        // The sender of the channel is dropped with the farm.
        while wanted.wait_for(|wanted| *wanted).await.is_ok() {
            board.begin_streaming();
            pace.begin();
            let mut bursts = tokio::time::interval(BURST);
            bursts.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut is_behind = false;
            while *wanted.borrow_and_update() {
                if !is_behind {
                    bursts.tick().await;
                }
                is_behind = sender.take_turn().await;
            }
            sender.end();
            pace.end();
            board.end_streaming();
        }
    };
    stop.run_until_cancelled(work).await;
}

impl Sender {
    fn new(board: Arc<Board>, pace: Arc<Pace>, outbox: Outbox, to: Destination) -> Self {
        let lane = |module, kind, port| {
            let to = SocketAddrV4::new(to.group, port);
            Lane::new(LaneId { module, kind, to })
        };
        let lanes = (0..MODULES).map(|module| Lanes {
            readout: lane(module, Kind::Readout, to.readout_port),
            pfb: lane(module, Kind::Pfb, to.pfb_port),
            pfb_stream: PfbStream::default(),
        });
        Self {
            lanes: lanes.collect(),
            board,
            pace,
            outbox,
            rows: Rows::default(),
            work: Vec::new(),
        }
    }

    /// Waits for the board's turn, and sends some of the packets of each module
    /// that are due by then. Returns true if more are due.
    async fn take_turn(&mut self) -> bool {
        let pace = Arc::clone(&self.pace);
        let Some(_turn) = pace.turn().await else {
            return false;
        };
        let settings = self.board.settings().clone();
        let mut is_behind = false;
        for module in 0..MODULES {
            is_behind |= self.send_due(module, &settings);
            if self.outbox.is_full() {
                self.outbox.flush(self.board.streamed());
            }
            // Requests to the board are answered in between.
            tokio::task::yield_now().await;
        }
        self.outbox.flush(self.board.streamed());
        is_behind
    }

    /// Prepares the packets of a module for one turn. Returns true if more are due.
    fn send_due(&mut self, module: usize, settings: &Settings) -> bool {
        let lanes = &mut self.lanes[module];
        let number = module as u8 + 1;
        let up = settings.reaches(module + 1) && self.board.down_until().is_none();
        let mut is_behind = false;
        if up && settings.streamed.contains(&number) {
            is_behind |= readout::send_due(
                &self.board,
                &self.pace,
                settings,
                &mut lanes.readout,
                &mut self.rows,
                &mut self.outbox,
            );
        } else if let Some(mut module) = self.board.module(module) {
            module.end_stream();
        }
        if up {
            is_behind |= lanes.pfb_stream.send_due(
                &self.board,
                &self.pace,
                settings,
                &mut lanes.pfb,
                &mut self.work,
                &mut self.outbox,
            );
        }
        is_behind
    }

    /// Sends the packets that faults hold back, and frees all memory.
    fn end(&mut self) {
        for lanes in &mut self.lanes {
            lanes.readout.end(&mut self.outbox);
            lanes.pfb.end(&mut self.outbox);
            lanes.pfb_stream.end();
        }
        self.outbox.flush(self.board.streamed());
        self.outbox.rest();
        self.rows = Rows::default();
        self.work = Vec::new();
    }
}
