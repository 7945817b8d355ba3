//! Simulated CRS boards: modules with detectors, controlled over Tuber (JSON over HTTP), with two
//! UDP sample streams.
//!
//! | file | content |
//! |---|---|
//! | `settings`, `module` | state of a board |
//! | `tuber` | methods and properties of a board |
//! | `service` | HTTP service of a board: connections and requests, whose bodies `tuber` reads |
//! | `stream` | packets of the sample streams |
//! | `stamp` | time stamps |
//! | `announced` | multicast DNS |
//! | `boot` | boot window: beacons, console of the boot loader, flash |

mod announced;
mod boot;
mod module;
mod service;
mod settings;
mod stamp;
mod stream;
mod tuber;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use twotone_physics::{Conditions, TruthDetector};
use twotone_wire::crs;

use self::boot::Firmware;
use self::module::Module;
use self::settings::Settings;
use crate::board::{
    Board, BootWindow, Connection, Destination, Kind, Origin, Sending, Simulated, Work, lock,
};

/// Number of modules of a board: 1-4 are on the low analog bank, 5-8 on the high one.
const MODULES: usize = 2 * BANK;

/// Number of modules of an analog bank. Packets count the modules from 0 in each bank.
const BANK: usize = crs::MODULES_IN_BANK as usize;

/// Indices of the streams in [`KIND`].
const READOUT: usize = 0;
const PFB: usize = 1;

/// Constant properties of CRS boards.
pub(crate) static KIND: Kind = Kind {
    name: "crs",
    modules: MODULES,
    // Only modules of the low bank, which is selected after power-up, can have detectors.
    populated: BANK,
    channels: settings::LONG_CHANNELS,
    methods: tuber::METHODS,
    streams: &["readout", "pfb"],
    // The second stream has the next port.
    destination: Destination {
        group: crs::GROUP,
        port: crs::READOUT_PORT,
    },
    create: |board, origins| Arc::new(Crs::new(board, origins)),
    announced: |board| announced::announced(board).ok().flatten(),
};

/// A CRS board.
///
/// Each module has a lock, so that calls for different modules do not wait for each other.
#[derive(Debug)]
struct Crs {
    board: Board,
    settings: Mutex<Settings>,
    modules: Vec<Mutex<Module>>,
    firmware: Mutex<Firmware>,
}

impl Crs {
    /// Creates a board with its settings after power-up. There is one origin for each module, in
    /// order.
    fn new(board: Board, origins: Vec<Origin>) -> Self {
        debug_assert_eq!(origins.len(), MODULES);
        // This is cheap, because a module draws its detectors only when it is first used.
        let modules = origins.into_iter().map(Module::new).map(Mutex::new);
        Self {
            board,
            settings: Mutex::default(),
            modules: modules.collect(),
            firmware: Mutex::default(),
        }
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    /// The module at `index`, from 0, with its time advanced to that of the clock if the clock
    /// runs.
    fn module(&self, index: usize) -> Option<MutexGuard<'_, Module>> {
        let mut module = self.modules.get(index).map(lock)?;
        if let Some(seconds) = self.board.clock().running_s() {
            module.advance_to(seconds);
        }
        Some(module)
    }

    /// The module at `index`, without advancing its time. The streams use this method, because they
    /// send samples of the past.
    fn module_behind(&self, index: usize) -> Option<MutexGuard<'_, Module>> {
        self.modules.get(index).map(lock)
    }

    /// Ends the streams and drops the samples that were kept for them.
    fn end_streaming(&self) {
        for module in &self.modules {
            lock(module).end_stream();
        }
        self.board.end_streaming();
    }

    /// The firmware release that runs.
    fn release(&self) -> String {
        lock(&self.firmware).release.clone()
    }

    /// Resets all settings, closes all connections, and accepts no new connections for the time
    /// `down`.
    fn reboot(&self, down: Duration) {
        // The settings are reset first, so that a new connection finds the settings after power-up.
        *self.settings() = Settings::default();
        for module in &self.modules {
            lock(module).reboot();
        }
        self.board.power_cycle(down);
    }
}

impl Simulated for Crs {
    fn board(&self) -> &Board {
        &self.board
    }

    fn serve(self: Arc<Self>, connection: Connection) -> Work {
        Box::pin(service::serve(self, connection))
    }

    fn send(self: Arc<Self>, sending: Sending) -> Work {
        Box::pin(stream::send(self, sending))
    }

    fn boot(self: Arc<Self>, window: BootWindow) -> Work {
        Box::pin(boot::run(self, window))
    }

    fn power_cycle(&self, down: Duration) {
        self.reboot(down);
    }

    fn detectors(&self, module: u8) -> Vec<TruthDetector> {
        let module = self.module(index(module));
        module.map(|module| module.truth()).unwrap_or_default()
    }

    fn set_conditions(&self, module: u8, conditions: Conditions) {
        if let Some(mut module) = self.module(index(module)) {
            module.set_conditions(conditions);
        }
    }
}

/// Index of the module with this number, from 1. Number 0 gives an index without a module.
fn index(module: u8) -> usize {
    usize::from(module).wrapping_sub(1)
}
