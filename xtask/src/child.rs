//! Child processes of this program. Each has its own process group. On SIGINT, SIGTERM or SIGHUP
//! the process groups are ended before this program, so that no child outlives it.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::Result;

/// Time after which a process group that was asked to end is killed.
const GRACE: Duration = Duration::from_secs(5);

/// Interval at which a child with a time limit is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Process groups that are running.
static GROUPS: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

fn groups() -> MutexGuard<'static, Vec<Pid>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a thread that ends the children and then this program, on SIGINT, SIGTERM or SIGHUP.
pub(crate) fn watch_signals() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])
        .map_err(|error| format!("cannot watch for signals: {error}"))?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            // The lock is held until the exit, so that no further child starts.
            let groups = groups();
            eprintln!("xtask: interrupted: the programs that it started are being ended");
            end(&groups, || {});
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

/// Runs a program to its end with this program's output streams.
///
/// # Errors
/// If the program cannot be run, or if it runs longer than `limit`. In the second case its whole
/// process group is ended.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<ExitStatus> {
    Started::new(command)?.wait(&name(command), limit)
}

/// Runs a program to its end and collects its standard output. Its standard error is that of this
/// program.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    let started = Started::new(command.stdout(Stdio::piped()))?;
    started
        .output()
        .map_err(|error| format!("cannot read from {}: {error}", name(command)))
}

/// Runs a program to its end. `input` is copied to its standard input, and both outputs are
/// collected.
///
/// # Errors
/// If the program cannot be run, or if it runs longer than `limit`. In the second case its whole
/// process group is ended.
pub(crate) fn exchange(
    command: &mut Command,
    mut input: impl Read + Send,
    limit: Duration,
) -> Result<Output> {
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut started = Started::with_streams(command)?;
    let child = &mut started.child;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || {
            // An error means that the program has stopped reading. Its exit status shows if it has
            // failed.
            if let Some(mut stdin) = stdin {
                let _ = std::io::copy(&mut input, &mut stdin).and_then(|_| stdin.flush());
            }
        });
        let stdout = scope.spawn(move || collected(stdout));
        let stderr = scope.spawn(move || collected(stderr));
        let status = started.wait(&name(command), limit)?;
        Ok(Output {
            status,
            stdout: stdout.join().unwrap_or_default(),
            stderr: stderr.join().unwrap_or_default(),
        })
    })
}

fn collected(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // Output that was read before an error is kept.
        let _ = pipe.read_to_end(&mut bytes);
    }
    bytes
}

/// A program that runs in the background. It is ended when this value is dropped.
///
/// Its standard input is an empty pipe, which is closed when this program ends, even if this
/// program is killed.
pub(crate) struct Background(Started);

impl Background {
    /// Starts a program whose standard error is a pipe.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        Started::with_streams(command).map(Self)
    }

    /// Returns the text that the program has written to standard error, if the program has ended.
    pub(crate) fn last_words(&mut self) -> Option<String> {
        let ended = !matches!(self.0.child.try_wait(), Ok(None));
        ended.then(|| String::from_utf8_lossy(&collected(self.0.child.stderr.take())).into_owned())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if matches!(self.0.child.try_wait(), Ok(None)) {
            let child = &mut self.0.child;
            end(&[self.0.group], || drop(child.try_wait()));
            let _ = child.wait();
        }
    }
}

/// Describes the end of a program: its exit code or signal.
pub(crate) fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// Child whose group is in [`GROUPS`] for as long as this value exists.
struct Started {
    child: Child,
    group: Pid,
}

impl Started {
    fn new(command: &mut Command) -> Result<Self> {
        Self::with_streams(command.stdin(Stdio::null()))
    }

    /// Starts a program. The streams of `command` are not changed.
    fn with_streams(command: &mut Command) -> Result<Self> {
        let mut groups = groups();
        let child = command
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot run {}: {error}", name(command)))?;
        let group = Pid::from_child(&child);
        groups.push(group);
        Ok(Self { child, group })
    }

    /// Waits for the end of the child. Ends its process group if it runs longer than `limit`.
    fn wait(&mut self, name: &str, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() < deadline => thread::sleep(POLL_INTERVAL),
                Ok(None) => {
                    // A child that has ended still counts as a member of its group until this
                    // program has waited for it.
                    let child = &mut self.child;
                    end(&[self.group], || drop(child.try_wait()));
                    let _ = child.wait();
                    return Err(format!("{name} took over {} s", limit.as_secs()));
                }
                Err(error) => return Err(format!("cannot wait for {name}: {error}")),
            }
        }
    }

    fn output(mut self) -> std::io::Result<Output> {
        let mut stdout = Vec::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_end(&mut stdout)?;
        }
        Ok(Output {
            status: self.child.wait()?,
            stdout,
            stderr: Vec::new(),
        })
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        groups().retain(|group| *group != self.group);
    }
}

/// Asks process groups to end, and kills those that still run after [`GRACE`]. In the meantime,
/// repeatedly calls `reap`, which waits for children that have ended.
fn end(groups: &[Pid], mut reap: impl FnMut()) {
    // An error means that the group has ended already.
    for group in groups {
        let _ = kill_process_group(*group, Signal::TERM);
    }
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline
        && groups
            .iter()
            .any(|group| test_kill_process_group(*group).is_ok())
    {
        thread::sleep(POLL_INTERVAL);
        reap();
    }
    for group in groups {
        let _ = kill_process_group(*group, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// True if a process exists and has not ended.
    fn lives(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ")
            .next()
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    }

    #[test]
    fn at_its_limit_a_program_ends_with_what_it_started() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "sleep 600 & echo $! > pid; wait"])
            .current_dir(folder.path());
        let error = run(&mut shell, Duration::from_secs(2))
            .err()
            .unwrap_or_default();
        assert!(error.starts_with("sh took over"), "{error}");
        let pid = std::fs::read_to_string(folder.path().join("pid")).expect("the shell wrote it");
        assert!(
            !pid.trim().is_empty() && !lives(pid.trim()),
            "{pid} outlived its parent"
        );
    }

    #[test]
    fn output_and_exit_status_are_returned() {
        let ended = output(Command::new("sh").args(["-c", "echo it; exit 3"])).expect("sh runs");
        assert_eq!(
            (ended.stdout.as_slice(), ending(ended.status)),
            (&b"it\n"[..], "exit code 3".into())
        );
        let killed = output(Command::new("sh").args(["-c", "kill -9 $$"])).expect("sh runs");
        assert_eq!(ending(killed.status), "signal 9");
        assert!(run(&mut Command::new("/no/such/program"), Duration::MAX).is_err());
    }
}
