//! Connections of commands that set something: to the boards of the map, and with no other program
//! on them.

use std::time::Duration;

use clap::Args;
use twotone::hal::legible;
use twotone::identity::Listening;
use twotone::map::HardwareMap;
use twotone::run::{HardwareState, Outcome};
use twotone::{Array, lock};

use super::interrupt::Interrupt;
use super::output::complain;

/// Time for which the settings of boards are watched before anything is set on them. A program that
/// sweeps sets something more often.
const WATCHED: Duration = Duration::from_millis(300);

/// Options of commands that set something.
#[derive(Debug, Args)]
pub(crate) struct Access {
    /// Do not listen to the boards' streams to find out if they are those of the map. For links that
    /// streams would fill, and for simulated boards whose samples are to repeat to the bit.
    #[arg(long)]
    no_listen: bool,
    /// Take boards over that another program on this host works on. That program sends nothing more
    /// to them but what only reads; its tones are not switched off.
    #[arg(long)]
    take_over: bool,
    /// Do not watch the boards for other programs, perhaps on other hosts. Otherwise a board whose
    /// settings change in the 0.3 s before the run is refused. With it, both programs set the board.
    #[arg(long)]
    ignore_others: bool,
    /// True if the boards are simulated by this program: nobody else knows them.
    #[arg(skip)]
    own_farm: bool,
}

impl Access {
    /// Access to boards that this program simulates itself: it has written their map.
    pub(crate) fn to_own_farm() -> Self {
        Self {
            no_listen: true,
            take_over: false,
            ignore_others: true,
            own_farm: true,
        }
    }

    /// True if the boards end with the program.
    pub(crate) fn is_to_own_farm(&self) -> bool {
        self.own_farm
    }

    /// Finds out if boards can be locked, before any is touched.
    ///
    /// # Errors
    /// Words that say what is wrong, and what to do.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.own_farm {
            true => Ok(()),
            false => lock::check().map_err(|why| format!("{why}. Nothing was sent to any board")),
        }
    }

    /// Connects to the boards, locks them, and watches them for other programs. `None` if there is an
    /// interrupt before they are connected. After a later one, the array tells what was locked and
    /// taken over until then.
    pub(crate) fn connect(&self, map: &HardwareMap, interrupt: &Interrupt) -> Option<Array> {
        let listening = match self.no_listen {
            true => Listening::none(map),
            false => Listening::begin(map),
        };
        let connecting = Array::connect_identified(map, listening);
        let Some(mut array) = interrupt.unless(connecting) else {
            complain(
                "interrupted while connecting: nothing was set on any board, and none was taken over",
            );
            return None;
        };
        if !self.own_farm {
            let _ = interrupt.unless(array.lock(map, self.take_over));
            tell_taken(map, &array);
        }
        if !self.ignore_others {
            let _ = interrupt.unless(array.refuse_boards_set_by_others(WATCHED));
        }
        Some(array)
    }
}

/// Says from whom boards were taken over.
pub(crate) fn tell_taken(map: &HardwareMap, array: &Array) {
    for board in map.boards() {
        if let Some(from) = array.taken_over(&board.name) {
            complain(&format!("board {}: taken over from {from}", board.name));
        }
    }
}

/// Says which modules were taken over and then left as they were: the program that had them could
/// not switch its tones off.
pub(crate) fn tell_left_of_others<T>(map: &HardwareMap, array: &Array, outcomes: &[Outcome<T>]) {
    let untouched = outcomes.iter().filter(|outcome| {
        outcome.hardware == HardwareState::Untouched && array.taken_over(&outcome.board).is_some()
    });
    for Outcome { board, module, .. } in untouched {
        complain(&format!(
            "board {board} module {module}: taken over and not changed; tones of the program that had \
             it may be on: `twotone off {}` switches them off",
            legible(map.file())
        ));
    }
}
