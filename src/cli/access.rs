//! Options of commands that change settings of boards: the checks before the first change.

use clap::Args;
use twotone::campaign;
use twotone::hal::ModuleId;
use twotone::lock::Holder;
use twotone::map::HardwareMap;
use twotone::run::HardwareState;

use super::job::off_command;
use super::output::complain;

/// Options for the access to boards.
#[derive(Debug, Clone, Args)]
pub(crate) struct Access {
    /// Do not listen to the streams of the boards to check that they are the boards of the map. Of
    /// use if the streams would fill the link, or if samples of simulated boards must be
    /// reproducible to the bit.
    #[arg(long)]
    no_listen: bool,
    /// Take over boards that another program on this host is using. That program can then only
    /// read from them; its tones are not switched off.
    #[arg(long)]
    take_over: bool,
    /// Do not watch the boards for other programs, perhaps on other hosts. Without this option, a
    /// board whose settings change in the 0.3 s before the run is refused. With it, both programs
    /// set the board.
    #[arg(long)]
    ignore_others: bool,
}

impl Access {
    /// True if no option was given.
    pub(crate) fn is_default(&self) -> bool {
        !self.no_listen && !self.take_over && !self.ignore_others
    }

    /// Returns the checks of a campaign with these options.
    pub(crate) fn checks(&self) -> campaign::Access {
        campaign::Access {
            listen: !self.no_listen,
            take_over: self.take_over,
            watch: !self.ignore_others,
            ..campaign::Access::default()
        }
    }
}

/// Warns of modules whose board was taken over from another program, and whose settings this
/// program did not change. Tones of the other program may be on there, because it could not switch
/// them off. `modules` contains for each module the name of its board, and the program from which
/// the board was taken over.
pub(crate) fn warn_of_tones_of_others<'a>(
    map: &HardwareMap,
    modules: impl Iterator<Item = (&'a str, Option<&'a Holder>, ModuleId, &'a HardwareState)>,
) {
    for (board, taken_over, module, hardware) in modules {
        if *hardware == HardwareState::Untouched && taken_over.is_some() {
            complain(&format!(
                "board {board} module {module}: taken over and not changed; tones of the program \
                 that had it may be on: {} switches them off",
                off_command(map.file())
            ));
        }
    }
}
