//! The process's limit on open files, which a large farm runs into first.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::StartError;

/// Descriptors a board may need at once: its listener, and a connection for
/// each of the modules that a client drives, with room for one client more.
const PER_BOARD: u64 = 12;

/// What the rest of the process may hold open: the runtime, logs, the
/// client's own ends when it runs in the same process.
const RESERVE: u64 = 64;

/// Raises the soft limit to what `boards` boards need, within the hard limit.
///
/// # Errors
/// [`StartError::Descriptors`] when the hard limit is below one listener and
/// one connection a board.
pub(crate) fn raise_for(boards: usize) -> Result<(), StartError> {
    let limit = getrlimit(Resource::Nofile);
    let wanted = RESERVE + PER_BOARD * boards as u64;
    let needed = RESERVE + 2 * boards as u64;
    let has = limit.current.unwrap_or(u64::MAX);
    if has >= wanted {
        return Ok(());
    }
    let grant = limit.maximum.map_or(wanted, |hard| hard.min(wanted));
    let raised = Rlimit {
        current: Some(grant),
        maximum: limit.maximum,
    };
    let has = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => grant,
        Err(_) => has,
    };
    if has < needed {
        return Err(StartError::Descriptors { needed, limit: has });
    }
    if has < wanted {
        tracing::warn!(
            limit = has,
            wanted,
            "the limit of open files leaves little room (ulimit -n)"
        );
    }
    Ok(())
}
