//! Standard output and standard error. Writing never blocks. Only [`finish`], at the end of the
//! program, waits until the output has been read.

use std::io::{self, Write};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use tracing_subscriber::fmt::MakeWriter;
use twotone::hal::legible;

use super::interrupt;
use super::job;
use super::outlet::Outlet;

static OUT: LazyLock<Outlet> = LazyLock::new(|| Outlet::new(rustix::stdio::stdout(), "out"));
static ERR: LazyLock<Outlet> = LazyLock::new(|| Outlet::new(rustix::stdio::stderr(), "err"));
static INCOMPLETE: AtomicBool = AtomicBool::new(false);

/// Longest time that the program waits, at its end, until standard error has been read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Interval between two checks for an interrupt, while the program waits for the readers of its
/// output.
const LOOK: Duration = Duration::from_millis(50);

/// Duration of such a check.
const LOOKING: Duration = Duration::from_millis(1);

/// Writes lines to standard output. In a job of the daemon, they go to the output of the job
/// instead.
pub(crate) fn say(text: &str) {
    if let Some(here) = job::current() {
        return here.job.out(text);
    }
    OUT.put(lines(text).into_bytes());
}

/// Writes one JSON object to standard output.
pub(crate) fn say_json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => say(&escaped_json(&text)),
        Err(error) => {
            INCOMPLETE.store(true, Ordering::Relaxed);
            complain(&format!("the result cannot be written as JSON: {error}"));
        }
    }
}

/// Writes to standard error a text that the operator must see at any log level.
pub(crate) fn complain(text: &str) {
    if let Some(here) = job::current() {
        return here.job.err(text);
    }
    ERR.put(lines(text).into_bytes());
}

/// Writes a drawing of the progress bars to standard error, or drops it if other output still waits
/// to be written there.
pub(crate) fn draw(frame: Vec<u8>) {
    ERR.offer_alone(frame);
}

/// Writes a drawing to standard error, after the output that still waits to be written there.
pub(crate) fn draw_last(frame: Vec<u8>) {
    ERR.offer(frame);
}

/// Waits until standard output has been read, or until an interrupt. Returns true if everything was
/// written.
pub(crate) fn finish() -> bool {
    let before = interrupt::count();
    while !OUT.drain(LOOK) {
        interrupt::listen(LOOKING);
        if interrupt::count() > before {
            complain("interrupted: standard output was not read to its end");
            INCOMPLETE.store(true, Ordering::Relaxed);
            break;
        }
    }
    if let Some(error) = OUT.failure() {
        INCOMPLETE.store(true, Ordering::Relaxed);
        complain(&format!("standard output cannot be written: {error}"));
    }
    // The result is on standard output only, so the program waits only a short time until standard
    // error has been read.
    ERR.drain(LAST_WORDS);
    !INCOMPLETE.load(Ordering::Relaxed)
}

/// Ends each line of a text with a line feed, and escapes the control characters in it: names and
/// messages in the text may come from boards and files.
fn lines(text: &str) -> String {
    let mut lines = String::with_capacity(text.len() + 1);
    for line in text.split('\n') {
        lines.push_str(&twotone::hal::legible_within(line, usize::MAX / 2));
        lines.push('\n');
    }
    lines
}

/// Escapes the characters in JSON that a terminal would interpret, as JSON itself does for most of
/// them. The others occur only in JSON strings, in which an escape stands for the same character.
fn escaped_json(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_ascii_graphic()
            || char == ' '
            || legible(char.encode_utf8(&mut [0; 4])).len() == char.len_utf8()
        {
            visible.push(char);
        } else {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                visible.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    visible
}

/// Writer of the log. Each event is a line on standard error. A line is dropped if nobody reads
/// standard error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log;

/// A line of the log. It is written when this value is dropped.
#[derive(Debug, Default)]
pub(crate) struct LogLine(Vec<u8>);

impl<'a> MakeWriter<'a> for Log {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine::default()
    }
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.0);
        let line = legible(text.trim_end()).into_owned() + "\n";
        ERR.offer(line.into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_means_the_same_and_acts_on_no_terminal() {
        let evil = "\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{e0041} \"\\ ü 漢 \n";
        let text = serde_json::to_string(&[evil]).unwrap();
        let visible = escaped_json(&text);
        assert_eq!(legible(&visible), visible);
        assert_eq!(
            serde_json::from_str::<[String; 1]>(&visible).unwrap(),
            [evil]
        );
        assert!(visible.contains("ü 漢"));
    }

    #[test]
    fn lines_of_ours_stay_lines() {
        assert_eq!(lines("a\nb\u{1b}[2J"), "a\nb\\u{1b}[2J\n");
    }
}
