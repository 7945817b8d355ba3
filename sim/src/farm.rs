//! A farm of simulated boards.

mod builder;
mod limits;
mod map;
mod mdns;
mod script;
mod sim_board;
mod threads;
mod truth;

use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use twotone_physics::{Band, ProfileParams};

pub use builder::FarmBuilder;
pub use sim_board::SimBoard;
pub use truth::{BoardTruth, ModuleTruth, Truth};

/// Running boards. The boards are shut down when the farm is dropped.
#[derive(Debug)]
pub struct Farm {
    seed: u64,
    /// Frequency range of the design frequencies of the detectors.
    range: Band,
    params: Arc<ProfileParams>,
    boards: Vec<SimBoard>,
    stop: CancellationToken,
    tasks: TaskTracker,
    _runtime: OwnRuntime,
}

impl Farm {
    /// Returns a builder with the default settings.
    pub fn builder() -> FarmBuilder {
        FarmBuilder::default()
    }

    /// Boards, in the order of the hardware map.
    pub fn boards(&self) -> &[SimBoard] {
        &self.boards
    }

    /// Seed from which the farm was built.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// True parameters of the detectors.
    pub fn truth(&self) -> Truth {
        Truth {
            seed: self.seed,
            boards: self.boards.iter().map(SimBoard::truth).collect(),
        }
    }

    /// Hardware map of the farm as TOML: the list of its boards. The map has every module with
    /// detectors and module 1 of each board, with limits on the frequency and the power of their
    /// tones.
    pub fn map_toml(&self) -> String {
        map::write(&self.boards, self.range, &self.params)
    }

    /// Closes all ports and connections, and waits until all tasks of the farm have ended.
    pub async fn shut_down(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        self.stop.cancel();
        self.tasks.close();
    }
}

/// Runtime that belongs to a farm; `None` if the farm runs on the runtime of its caller. Dropping
/// the runtime does not wait for its threads, because a farm may be dropped in an async context,
/// which must not block.
#[derive(Debug)]
struct OwnRuntime(Option<Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
