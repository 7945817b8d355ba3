//! Progress of a campaign.

use twotone_algorithms::Step;
use twotone_hal::ModuleId;

/// Takes the progress of a campaign. `()` takes none of it; its notices go to the log.
///
/// Methods are called from whichever threads run the campaign, in the order of their description
/// here. They must not block.
pub trait Observer: Send + Sync {
    /// Takes the modules on which the campaign is about to run, each with the name of its board.
    /// Called once, when the boards are connected.
    fn begin(&self, modules: &[(String, ModuleId)]) {
        let _ = modules;
    }

    /// Takes a step of the algorithm on a module of the board of this name.
    fn step(&self, board: &str, step: &Step) {
        let _ = (board, step);
    }

    /// Takes the end of all modules. Called once if [`Observer::begin`] was.
    fn end(&self) {}

    /// Takes a sentence that an operator should read at once. Called at any time.
    fn notice(&self, text: &str) {
        tracing::warn!("{text}");
    }
}

impl Observer for () {}
