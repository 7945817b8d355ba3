//! Limit of the number of files and sockets that the process can have open.

use std::fs::read_dir;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use twotone::map::{BoardEntry, HardwareMap};

/// Raises the soft limit of open files to the hard limit, because an array needs a few sockets for
/// each board.
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

/// Number of files that a command opens in addition to its sockets: the files of a run, and files
/// of the system that it reads.
const FILES: u64 = 8;

/// Refuses a map whose boards cannot all be connected at the same time.
///
/// # Errors
/// The limit, the number that is needed, and the remedy.
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

/// Number of boards of the map that can be connected at the same time. At least 1.
pub(crate) fn at_once(map: &HardwareMap) -> usize {
    let boards = map.boards();
    let Some(Room { free, .. }) = Room::now() else {
        return boards.len().max(1);
    };
    let largest = boards.iter().map(most).max().unwrap_or(1);
    let most = usize::try_from(free.saturating_sub(FILES) / largest).unwrap_or(usize::MAX);
    most.clamp(1, boards.len().max(1))
}

/// Smallest number of sockets that a board needs: one for each module that the map lists, and one
/// for the board's sample stream.
fn fewest(board: &BoardEntry) -> u64 {
    board.modules.len().max(1) as u64 + 1
}

/// Assumed number of modules of a board whose modules the map does not list.
const MODULES: u64 = 8;

/// Largest number of sockets that a board needs: one for each module, one for the whole board, and
/// one for the board's sample stream.
fn most(board: &BoardEntry) -> u64 {
    match board.modules.len() as u64 {
        0 => MODULES + 2,
        listed => listed + 2,
    }
}

/// Limit of open files, and the number of files that can still be opened.
struct Room {
    limit: u64,
    free: u64,
}

impl Room {
    /// Returns the current limit. Returns `None` if there is no limit, or if the number of open
    /// files is not known.
    fn now() -> Option<Self> {
        let limit = getrlimit(Resource::Nofile).current?;
        let open = match read_dir("/proc/self/fd") {
            Ok(open) => {
                let numbers = open.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok());
                // Files with numbers beyond the limit were opened before the limit was set, and do
                // not count towards it.
                let within = numbers.filter(|number: &u64| *number < limit).count();
                // One of these files is the folder `/proc/self/fd` itself, which was open only for
                // this count.
                within.saturating_sub(1) as u64
            }
            Err(error) if error.raw_os_error() == Some(TOO_MANY_OPEN_FILES) => limit,
            Err(_) => return None,
        };
        let free = limit.saturating_sub(open);
        Some(Self { limit, free })
    }
}

/// Error number of the system if a process has too many files open (EMFILE).
pub(crate) const TOO_MANY_OPEN_FILES: i32 = 24;
