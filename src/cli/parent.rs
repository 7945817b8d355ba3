//! Ending with the parent process.

use std::io;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Has the kernel interrupt this process when its parent ends. Returns false if the parent has
/// ended already.
pub(crate) fn end_with_parent() -> io::Result<bool> {
    let before = getppid();
    set_parent_process_death_signal(Some(Signal::INT))?;
    // If the parent ended before the call, no signal comes. The process then has another parent
    // already.
    Ok(before.is_some() && getppid() == before)
}
