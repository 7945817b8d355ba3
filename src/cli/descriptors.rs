//! The number of files and sockets that the process may have open.

use std::fs::read_dir;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use twotone::map::{BoardEntry, HardwareMap};

/// Raises the limit of open files as far as the system lets this process: an array takes a few
/// sockets a board.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// Files that a command opens beside its sockets: those of a run, and what is read of the system.
const FILES: u64 = 8;

/// Refuses a map whose boards cannot all be connected at the same time.
///
/// # Errors
/// The limit, how much is needed and what to do, in words.
pub(crate) fn enough_for(map: &HardwareMap) -> Result<(), String> {
    let Some(Room { limit, free }) = Room::now() else {
        return Ok(());
    };
    let boards = map.boards();
    let needed = FILES + boards.iter().map(fewest).sum::<u64>();
    if needed <= free {
        return Ok(());
    }
    let (count, least) = (boards.len(), limit - free + needed);
    Err(format!(
        "its {count} board(s) need {least} open files at least and the limit of this process is \
         {limit}: raise it (`ulimit -n {least}`, or `LimitNOFILE={least}` of systemd)"
    ))
}

/// Number of boards of the map that can be connected at the same time: one at least.
pub(crate) fn at_once(map: &HardwareMap) -> usize {
    let boards = map.boards();
    let Some(Room { free, .. }) = Room::now() else {
        return boards.len().max(1);
    };
    let largest = boards.iter().map(most).max().unwrap_or(1);
    let most = usize::try_from(free.saturating_sub(FILES) / largest).unwrap_or(usize::MAX);
    most.clamp(1, boards.len().max(1))
}

/// Number of sockets of a board at least: one a module that the map lists, and one for its stream.
fn fewest(board: &BoardEntry) -> u64 {
    board.modules.len().max(1) as u64 + 1
}

/// Number of modules of a board that the map says nothing of.
const MODULES: u64 = 8;

/// Number of sockets of a board at most: one a module, one for the whole board and one for its
/// stream.
fn most(board: &BoardEntry) -> u64 {
    match board.modules.len() as u64 {
        0 => MODULES + 2,
        listed => listed + 2,
    }
}

/// Limit of open files, and how many of them are not open.
struct Room {
    limit: u64,
    free: u64,
}

impl Room {
    /// The present limit; `None` if there is none, or if the number of open files is not known.
    fn now() -> Option<Self> {
        let limit = getrlimit(Resource::Nofile).current?;
        let open = match read_dir("/proc/self/fd") {
            Ok(open) => {
                let numbers = open.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok());
                // Files with numbers beyond the limit were opened before it was set, and take no
                // room.
                let within = numbers.filter(|number: &u64| *number < limit).count();
                // One of them is the listed folder itself, which is closed again.
                within.saturating_sub(1) as u64
            }
            Err(error) if error.raw_os_error() == Some(TOO_MANY_OPEN_FILES) => limit,
            Err(_) => return None,
        };
        let free = limit.saturating_sub(open);
        Some(Self { limit, free })
    }
}

/// Number of the error of a process that has too many files open (EMFILE).
pub(crate) const TOO_MANY_OPEN_FILES: i32 = 24;
