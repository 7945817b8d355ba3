//! What goes to standard output and standard error.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

static INCOMPLETE: AtomicBool = AtomicBool::new(false);

/// Whether something that was said did not get to its reader.
pub(crate) fn incomplete() -> bool {
    INCOMPLETE.load(Ordering::Relaxed)
}

/// Writes to standard output. A reader who has gone ends the output, not the program.
pub(crate) fn say(text: &str) {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            INCOMPLETE.store(true, Ordering::Relaxed);
            complain(&format!("standard output cannot be written: {error}"));
        }
        _ => {}
    }
}

/// Writes one JSON object to standard output.
pub(crate) fn say_json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => say(&text),
        Err(error) => {
            INCOMPLETE.store(true, Ordering::Relaxed);
            complain(&format!("the result cannot be written as JSON: {error}"));
        }
    }
}

/// Writes to standard error what the operator must see whatever the log level is.
pub(crate) fn complain(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}
