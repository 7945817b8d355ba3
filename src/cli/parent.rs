//! Ending with the parent process.

use std::io;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Has the kernel interrupt this process when its parent ends. Returns false if the parent has
/// ended already.
pub(crate) fn end_with_parent() -> io::Result<bool> {
    let before = getppid();
    set_parent_process_death_signal(Some(Signal::INT))?;
    // A parent that ended before the call sends no signal: then there is another one by now.
    Ok(before.is_some() && getppid() == before)
}
