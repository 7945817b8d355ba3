//! Measurements in separate processes: those that may deadlock, and those of the same waits in
//! Python.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Runs this program with the arguments `--child which`, and returns the number that it prints.
/// `None` if it takes more than `seconds`, fails or prints no number.
pub(crate) fn number(which: &str, seconds: u64) -> Option<f64> {
    let mut command = Command::new(std::env::current_exe().ok()?);
    command.args(["--child", which]).stderr(Stdio::null());
    output(command, None, seconds)?.trim().parse().ok()
}

/// Returns the Python interpreter that the variable `TWOROUTINE_PYTHON` names, or `python3` if the
/// variable is not set. `None` if this interpreter has no `nest_asyncio`.
pub(crate) fn python() -> Option<String> {
    let python = std::env::var("TWOROUTINE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut check = Command::new(&python);
    check
        .args(["-c", "import nest_asyncio; print('yes')"])
        .stderr(Stdio::null());
    output(check, None, 20)
        .is_some_and(|said| said.trim() == "yes")
        .then_some(python)
}

/// Returns the number of the measurement `which` from `peer.py`.
pub(crate) fn python_number(python: &str, which: &str) -> Option<f64> {
    let mut command = Command::new(python);
    command.args(["-", which]).stderr(Stdio::null());
    output(command, Some(include_str!("peer.py")), 60)?
        .trim()
        .parse()
        .ok()
}

fn output(mut command: Command, input: Option<&str>, seconds: u64) -> Option<String> {
    command.stdout(Stdio::piped()).stdin(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut stdin = child.stdin.take()?;
    // If the child does not read its input, the write fails. The child then prints no number, and
    // the result is `None`.
    let _ = stdin.write_all(input.unwrap_or_default().as_bytes());
    drop(stdin);
    if !ends_in_time(&mut child, Duration::from_secs(seconds)) {
        let _ = child.kill();
        let _ = child.wait();
        return None;
    }
    let mut text = String::new();
    child.stdout.take()?.read_to_string(&mut text).ok()?;
    Some(text)
}

fn ends_in_time(child: &mut Child, limit: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < limit {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(_) => return false,
        }
    }
    false
}

/// Processes that keep the cores awake. All other processes have priority over them.
pub(crate) struct Spinners(Vec<Child>);

impl Spinners {
    pub(crate) fn start(cores: usize) -> Self {
        let spinner = || {
            let mut command = Command::new("chrt");
            command
                .args(["--idle", "0"])
                .arg(std::env::current_exe().ok()?);
            command
                .args(["--child", "spin"])
                .stdout(Stdio::null())
                .spawn()
                .ok()
        };
        Self((0..cores).filter_map(|_| spinner()).collect())
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        for spinner in &mut self.0 {
            let _ = spinner.kill();
            let _ = spinner.wait();
        }
    }
}
