//! A command that the daemon executes for a client. The client sends the files that the command
//! reads, and receives its output and exit status. The connections to the boards and the folder of
//! the run directories are those of the daemon.
//!
//! A job has a thread of its own, in which the command runs as it does in a separate program. The
//! parts of the program that use the terminal, files and signals call [`current`] first.

use std::cell::RefCell;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use twotone::Connections;
use twotone::hal::legible;
use twotone::input;
use twotone::map::HardwareMap;

use crate::serve::Job;

/// Job, map, connections and folder with which a command runs in the daemon.
pub(crate) struct Surroundings {
    pub(crate) job: Arc<Job>,
    /// Map of the job, which is the map of the daemon.
    pub(crate) map: HardwareMap,
    pub(crate) connections: Connections,
    /// Folder of the run directories that are given by a relative path.
    pub(crate) runs: PathBuf,
}

thread_local! {
    static SURROUNDINGS: RefCell<Option<Arc<Surroundings>>> = const { RefCell::new(None) };
}

impl Surroundings {
    /// Runs `work` in this thread with these surroundings.
    pub(crate) fn during<T>(self, work: impl FnOnce() -> T) -> T {
        SURROUNDINGS.set(Some(Arc::new(self)));
        // The surroundings are not removed afterwards, because the thread ends with the job, even
        // if the job panics.
        work()
    }
}

/// Returns the surroundings of the job that runs in this thread. `None` if the command runs outside
/// of a daemon.
pub(crate) fn current() -> Option<Arc<Surroundings>> {
    // A thread that is about to end has no thread-local values any more.
    let found = SURROUNDINGS.try_with(|found| found.borrow().clone());
    found.ok().flatten()
}

/// Reads a file that the command line names. Within a job, the file is the one that the client has
/// sent.
///
/// # Errors
/// See [`input::read_text`]. Within a job also if the client has not sent the file.
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

/// Returns the command that switches off the tones of a map, for messages. Within a job, the map
/// is that of the daemon, which the client need not have.
pub(crate) fn off_command(map: &str) -> String {
    match current() {
        Some(_) => "`twotone off`, with --host as for this command,".to_owned(),
        None => format!("`twotone off {}`", legible(map)),
    }
}

/// Returns the path of a run directory. Within a job, a relative path is in the daemon's folder of
/// run directories.
pub(crate) fn run_directory(path: PathBuf) -> PathBuf {
    match current() {
        Some(surroundings) => surroundings.runs.join(path),
        None => path,
    }
}

/// Checks the path of a run directory that a client names. An absolute path can be any folder.
///
/// # Errors
/// The reason, if the path is relative and leaves the daemon's folder of run directories.
pub(crate) fn check_run_directory(path: &Path) -> Result<(), String> {
    let leaves = path.components().any(|part| part == Component::ParentDir);
    match path.is_relative() && leaves {
        false => Ok(()),
        true => Err(format!(
            "{}: a relative path is below the daemon's folder of runs and cannot leave it by `..`: \
             name another one, or an absolute path on the daemon's host",
            input::shown(path)
        )),
    }
}

/// Returns the connections that the daemon keeps. Outside of a daemon, returns connections that are
/// not kept.
pub(crate) fn connections() -> Connections {
    current().map_or_else(Connections::none, |found| found.connections.clone())
}
