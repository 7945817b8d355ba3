//! A command that the daemon carries out for a client: its output, its files and its end are the
//! client's, and its boards the daemon's.
//!
//! A job has a thread of its own, in which the command runs as it does in a program of its own. The
//! parts of the program that touch the terminal, the files and the signals ask [`current`] first.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use twotone::Connections;
use twotone::input;
use twotone::map::HardwareMap;

use crate::serve::Job;

/// Job, map, connections and folder that a command works with in the daemon.
pub(crate) struct Surroundings {
    pub(crate) job: Arc<Job>,
    /// Map of the job: that of the daemon.
    pub(crate) map: HardwareMap,
    pub(crate) connections: Connections,
    /// Folder of the run directories that are named by a relative path.
    pub(crate) runs: PathBuf,
}

thread_local! {
    static SURROUNDINGS: RefCell<Option<Arc<Surroundings>>> = const { RefCell::new(None) };
}

impl Surroundings {
    /// Does `work` in this thread with these surroundings.
    pub(crate) fn during<T>(self, work: impl FnOnce() -> T) -> T {
        SURROUNDINGS.set(Some(Arc::new(self)));
        // The thread ends with the job, even if that panics.
        work()
    }
}

/// Surroundings of the job that this thread carries out; `None` in a program of its own.
pub(crate) fn current() -> Option<Arc<Surroundings>> {
    // A thread that is about to end has none any more.
    let found = SURROUNDINGS.try_with(|found| found.borrow().clone());
    found.ok().flatten()
}

/// Reads a file that the command line names: of the client, if this is a job.
///
/// # Errors
/// As [`input::read_text`], or if the client has not sent the file.
pub(crate) fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let Some(surroundings) = current() else {
        return input::read_text(path, limit);
    };
    let files = &surroundings.job.submission.files;
    let sent = path.to_str().and_then(|path| files.get(path));
    sent.cloned().ok_or_else(|| {
        let why = "the client has not sent it, and the daemon reads no file of its own for it";
        io::Error::new(io::ErrorKind::NotFound, why)
    })
}

/// Place of a run directory: as it is named, or in the folder of the daemon's.
pub(crate) fn run_directory(path: PathBuf) -> PathBuf {
    match current() {
        Some(surroundings) => surroundings.runs.join(path),
        None => path,
    }
}

/// Connections of the daemon; none that are kept in a program of its own.
pub(crate) fn connections() -> Connections {
    current().map_or_else(Connections::none, |found| found.connections.clone())
}
