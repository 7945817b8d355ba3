//! The terminal on which progress bars are drawn. Drawing does not block if nobody reads the
//! terminal.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressDrawTarget, TermLike};
use rustix::termios::{Winsize, tcgetwinsize};

use super::output;

/// Largest number of drawings per second.
const RATE: u8 = 20;

/// Collects the parts of a drawing. When the drawing is complete, queues it for the terminal, or
/// drops it if the previous drawing has not been written yet.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    picture: Mutex<String>,
}

impl Screen {
    /// Returns the target on which bars are drawn: standard error if it is a terminal, otherwise
    /// none.
    pub(crate) fn target() -> ProgressDrawTarget {
        if io::stderr().is_terminal() {
            ProgressDrawTarget::term_like_with_hz(Box::new(Self::default()), RATE)
        } else {
            ProgressDrawTarget::hidden()
        }
    }

    /// Erases the terminal from the beginning of the cursor's line on, where the last drawing is.
    pub(crate) fn clear() {
        if io::stderr().is_terminal() {
            output::draw_last(b"\r\x1b[J".to_vec());
        }
    }

    fn picture(&self) -> MutexGuard<'_, String> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, parts: &[&str]) -> io::Result<()> {
        self.picture().extend(parts.iter().copied());
        Ok(())
    }

    /// Moves the cursor by `count` positions. `way` is the last character of the control sequence.
    fn go(&self, count: usize, way: &str) -> io::Result<()> {
        match count {
            0 => Ok(()),
            _ => self.add(&["\x1b[", &count.to_string(), way]),
        }
    }
}

/// Number of columns or rows of the terminal. `None` if the terminal does not report it.
fn extent(which: impl Fn(Winsize) -> u16) -> Option<u16> {
    let size = tcgetwinsize(rustix::stdio::stderr()).ok()?;
    Some(which(size)).filter(|extent| *extent > 0)
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        extent(|size| size.ws_col).unwrap_or(80)
    }

    fn height(&self) -> u16 {
        extent(|size| size.ws_row).unwrap_or(24)
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.go(count, "A")
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.go(count, "B")
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.go(count, "C")
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.go(count, "D")
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.add(&[text, "\n"])
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.add(&[text])
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add(&["\r\x1b[2K"])
    }

    fn flush(&self) -> io::Result<()> {
        let picture = std::mem::take(&mut *self.picture());
        if !picture.is_empty() {
            output::draw(picture.into_bytes());
        }
        Ok(())
    }
}
