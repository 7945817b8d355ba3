//! Python scripts that are a part of this program, run by the Python of the user.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use twotone_hal::legible;

use super::ExchangeError;

/// Statement before a script. Python before 3.11 takes modules from the working directory, whatever
/// `PYTHONSAFEPATH` says. `sys` itself is a part of the interpreter.
const SAFE_PATH: &str = "import sys; sys.path[:] = [entry for entry in sys.path if entry]";

/// Runs a script with the interpreter `python`. The script gets `input` on its standard input, and
/// must print one JSON object. If it lacks packages, the object has only the key `lacks`.
pub(super) fn run_script(
    python: &Path,
    script: &str,
    input: Vec<u8>,
    stop: &CancellationToken,
) -> Result<Value, ExchangeError> {
    let wrong = |reason: String| ExchangeError::program(python, reason);
    let mut child = Command::new(python)
        .args(["-c", &format!("{SAFE_PATH}\n{script}")])
        // Packages of the working directory are not imported. This acts before the statement, but
        // only since Python 3.11.
        .env("PYTHONSAFEPATH", "1")
        // An interrupt of the terminal ends this program, which then ends the script.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| wrong(format!("it cannot be started: {error}")))?;
    let (mut stdin, mut stdout) = (child.stdin.take(), child.stdout.take());
    let mut stderr = child.stderr.take();
    let complaints = thread::spawn(move || {
        let mut said = Vec::new();
        // If the pipe breaks, what came before is good enough for a message.
        let _ = stderr.as_mut().map(|stderr| stderr.read_to_end(&mut said));
        String::from_utf8_lossy(&said).into_owned()
    });
    let (done, printed) = oneshot::channel();
    thread::spawn(move || {
        // A script that ends early does not read its input. Its status has the reason.
        let _ = stdin.take().map(|mut stdin| stdin.write_all(&input));
        let mut said = Vec::new();
        let _ = stdout.as_mut().map(|stdout| stdout.read_to_end(&mut said));
        let _ = done.send(said);
    });
    let stopped = stop.clone();
    let printed = tworoutine::wait(async move {
        tokio::select! {
            biased;
            () = stopped.cancelled() => None,
            printed = printed => printed.ok(),
        }
    });
    let Some(printed) = printed else {
        // The script may have ended in the meantime.
        let _ = child.kill();
        let _ = child.wait();
        return Err(ExchangeError::Cancelled);
    };
    let status = child.wait();
    let status = status.map_err(|error| wrong(format!("its end is not known: {error}")))?;
    let answer = serde_json::from_slice::<Value>(&printed).ok();
    if let Some(lacks) = answer.as_ref().and_then(|answer| answer["lacks"].as_str()) {
        let lacks = legible(lacks);
        return Err(wrong(format!(
            "it lacks the package {lacks}; TWOTONE_PYTHON names another Python"
        )));
    }
    match answer {
        Some(answer) if status.success() => Ok(answer),
        _ => {
            let said = complaints.join().unwrap_or_default();
            let last = said.trim_end().lines().next_back().unwrap_or("");
            Err(wrong(format!("{status}: {}", legible(last))))
        }
    }
}
