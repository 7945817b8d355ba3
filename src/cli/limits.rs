//! What the system grants the process, found out before anything else is begun.

use std::fs::File;
use std::io;

use rustix::process::{Resource, getrlimit};
use tworoutine::Threads;

use super::output::complain;
use super::{Command, Exit, descriptors};

/// Bytes of address space without which a command is not begun: memory that is refused in the
/// middle of something ends the program at once.
const LEAST_MEMORY: u64 = 1 << 30;

/// Raises what can be raised, and starts the threads that `command` needs.
pub(crate) fn prepare(command: &Command) -> Result<(), Exit> {
    descriptors::raise_limit();
    checked(command).map_err(|why| {
        complain(&format!("{why}; nothing was begun"));
        Exit::Usage
    })
}

fn checked(command: &Command) -> Result<(), String> {
    if let Command::Completions(_) = command {
        return Ok(());
    }
    // Every command reads a file, or writes one.
    File::open("/dev/null").map_err(no_files)?;
    if let Command::Check(_) | Command::Import(_) = command {
        return Ok(());
    }
    if let Some(bytes) = getrlimit(Resource::As).current
        && bytes < LEAST_MEMORY
    {
        let (limit, least) = (bytes >> 10, LEAST_MEMORY >> 10);
        return Err(format!(
            "the memory of this process is limited to {limit} KiB, and {least} KiB are needed: raise \
             the limit (`ulimit -v {least}`, or `LimitAS=` of systemd)"
        ));
    }
    let started = tworoutine::start().map_err(|error| error.to_string())?;
    let with = match started {
        Threads::All => return Ok(()),
        Threads::One => "one thread",
        _ => "no thread but its first",
    };
    tracing::warn!(
        "the system grants too few threads or open files (`ulimit -u`, `ulimit -n`, or `TasksMax=` \
         and `LimitNOFILE=` of systemd): the program goes on with {with}, and is slow"
    );
    Ok(())
}

fn no_files(error: io::Error) -> String {
    format!(
        "no file can be opened ({error}): raise the limit of open files (`ulimit -n`, or \
         `LimitNOFILE=` of systemd)"
    )
}
