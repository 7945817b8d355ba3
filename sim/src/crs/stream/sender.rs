//! Task of a board that sends packets when their samples are due.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use twotone_physics::Complex64;

use super::lane::Lane;
use super::pfb::PfbStream;
use super::readout;
use crate::board::stream::{LaneId, Outbox, Pace};
use crate::board::{Destination, Sending};
use crate::crs::module::Rows;
use crate::crs::settings::Settings;
use crate::crs::{Crs, MODULES, PFB, READOUT};

/// Time between two bursts of packets. At decimation stage 6, a burst has three samples of each
/// module. A real board sends each sample immediately. Simulated boards send bursts, which are
/// cheaper, because many boards share a processor.
const BURST: Duration = Duration::from_millis(5);

/// Streams of a board.
struct Sender {
    crs: Arc<Crs>,
    pace: Arc<Pace>,
    outbox: Outbox,
    lanes: Vec<Lanes>,
    rows: Rows,
    work: Vec<Complex64>,
}

/// Streams of a module.
struct Lanes {
    readout: Lane,
    pfb: Lane,
    pfb_stream: PfbStream,
}

/// Sends the streams of a board while receivers want them, until the farm (the group of simulated
/// boards) is shut down.
pub(crate) async fn send(crs: Arc<Crs>, sending: Sending) {
    let Sending {
        pace,
        outbox,
        to,
        mut wanted,
    } = sending;
    let stop = crs.board.shut_down().clone();
    let mut sender = Sender::new(Arc::clone(&crs), Arc::clone(&pace), outbox, to);
    let work = async {
        while wanted.wait_for(|wanted| *wanted).await.is_ok() {
            crs.board.begin_streaming();
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
            crs.end_streaming();
        }
    };
    stop.run_until_cancelled(work).await;
}

impl Sender {
    fn new(crs: Arc<Crs>, pace: Arc<Pace>, outbox: Outbox, to: Destination) -> Self {
        let lane = |module, stream| {
            let to = SocketAddrV4::new(to.group, to.port.saturating_add(stream as u16));
            Lane::new(LaneId { module, stream, to })
        };
        let lanes = (0..MODULES).map(|module| Lanes {
            readout: lane(module, READOUT),
            pfb: lane(module, PFB),
            pfb_stream: PfbStream::default(),
        });
        Self {
            lanes: lanes.collect(),
            crs,
            pace,
            outbox,
            rows: Rows::default(),
            work: Vec::new(),
        }
    }

    /// Waits for the turn of the board, and sends some of the due packets of each module. Returns
    /// true if more packets are due.
    async fn take_turn(&mut self) -> bool {
        let pace = Arc::clone(&self.pace);
        let Some(_turn) = pace.turn().await else {
            return false;
        };
        let settings = self.crs.settings().clone();
        let mut is_behind = false;
        for module in 0..MODULES {
            is_behind |= self.send_due(module, &settings);
            if self.outbox.is_full() {
                self.outbox.flush(self.crs.board.streamed());
            }
            // The board can answer requests before the packets of the next module are made.
            tokio::task::yield_now().await;
        }
        self.outbox.flush(self.crs.board.streamed());
        is_behind
    }

    /// Makes the packets of a module for one turn. Returns true if more packets are due.
    fn send_due(&mut self, module: usize, settings: &Settings) -> bool {
        let lanes = &mut self.lanes[module];
        let number = module as u8 + 1;
        let up = settings.reaches(module + 1) && self.crs.board.is_up();
        let mut is_behind = false;
        if up && settings.streamed.contains(&number) {
            is_behind |= readout::send_due(
                &self.crs,
                &self.pace,
                settings,
                &mut lanes.readout,
                &mut self.rows,
                &mut self.outbox,
            );
        } else if let Some(mut module) = self.crs.module(module) {
            module.end_stream();
        }
        if up {
            is_behind |= lanes.pfb_stream.send_due(
                &self.crs,
                &self.pace,
                settings,
                &mut lanes.pfb,
                &mut self.work,
                &mut self.outbox,
            );
        }
        is_behind
    }

    /// Sends the packets that faults have delayed, and frees all memory.
    fn end(&mut self) {
        for lanes in &mut self.lanes {
            lanes.readout.end(&mut self.outbox);
            lanes.pfb.end(&mut self.outbox);
            lanes.pfb_stream.end();
        }
        self.outbox.flush(self.crs.board.streamed());
        self.outbox.free();
        self.rows = Rows::default();
        self.work = Vec::new();
    }
}
