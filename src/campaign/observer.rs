//! Progress of a campaign: of the tune, sweep, capture or switch-off of an array of boards.

use twotone_algorithms::Step;
use twotone_hal::ModuleId;

/// Receiver of the progress of a campaign. The implementation for `()` ignores the progress, and
/// logs the notices.
///
/// `begin`, `step` and `end` are called in this order, from any of the threads that run the
/// campaign. No method may block. A capture and a switch-off call only `notice`.
pub trait Observer: Send + Sync {
    /// Receives the modules on which the campaign is about to run, each with the name of its board.
    /// The campaign calls this once, after it has connected to the boards.
    fn begin(&self, modules: &[(String, ModuleId)]) {
        let _ = modules;
    }

    /// Receives a step of the algorithm on a module of the board called `board`.
    fn step(&self, board: &str, step: &Step) {
        let _ = (board, step);
    }

    /// Receives the end of the work on all modules. Called once if [`Observer::begin`] was called.
    fn end(&self) {}

    /// Receives a sentence that an operator should read at once. May be called at any time.
    fn notice(&self, text: &str) {
        tracing::warn!("{text}");
    }
}

impl Observer for () {}
