//! Makes this process end together with its parent process.

use std::io;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Asks the kernel to interrupt this process when its parent ends. Returns false if the parent has
/// ended already.
pub(crate) fn end_with_parent() -> io::Result<bool> {
    let before = getppid();
    set_parent_process_death_signal(Some(Signal::INT))?;
    // If the parent ended before the call, no signal is ever sent. This case shows as a change of
    // the parent's process id.
    Ok(before.is_some() && getppid() == before)
}
