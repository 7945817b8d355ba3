//! Output of `twotone firmware` as text: tables of boards, and the progress of each board.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use twotone::firmware::{BoardRelease, BoardReport, BoardStatus, Event, RolloutReport, Unfinished};
use twotone::hal::PowerLoss;
use twotone::record::Failure;

use super::{Checked, CheckedBoard};
use crate::cli::output::{complain, say};
use crate::cli::table::Table;

/// Interval between printed values of the progress of a transfer, in percent.
const PRINTED_PERCENT: usize = 25;

/// Power loss that needs no words.
const HARMLESS: &str = PowerLoss::Harmless.as_str();

fn or_dash(text: Option<&String>) -> String {
    text.cloned().unwrap_or_else(|| String::from("-"))
}

/// Prints the release of each board.
pub(super) fn say_list(boards: &[BoardRelease]) {
    let mut table = Table::new(["board", "kind", "serial", "crate", "release"]);
    for board in boards {
        table.row([
            board.name.clone(),
            board.kind.to_string(),
            or_dash(board.serial.as_ref()),
            or_dash(board.crate_serial.as_ref()),
            or_dash(board.release.as_ref()),
        ]);
        if let Some(error) = &board.error {
            table.note(format!("  {}", error.cause()));
        }
        if let Some(unfinished) = &board.unfinished {
            let words = unfinished.words();
            table.note(match board.may_not_start() {
                Some(_) => format!(
                    "  {words}: KEEP THE POWER ON, since the board may not start again. Flash it"
                ),
                None => format!("  {words}. The board has started since"),
            });
        }
    }
    say(&table.to_string());
}

/// Prints an image, and the boards that can be flashed with it.
pub(super) fn say_checked(checked: &Checked) {
    let Checked {
        release,
        sha256,
        size,
        ..
    } = checked;
    say(&format!(
        "release {release}, {size} bytes, SHA-256 {sha256}"
    ));
    if checked.boards.is_empty() {
        return;
    }
    let mut table = Table::new(["board", "release", "can be flashed"]);
    for checked in &checked.boards {
        let CheckedBoard {
            board,
            done,
            refused,
        } = checked;
        let can = match (refused, done) {
            (Some(_), _) => "no",
            (None, true) => "done before",
            (None, false) => "yes",
        };
        let release = or_dash(board.release.as_ref());
        table.row([board.name.clone(), release, can.to_owned()]);
        let unfinished = board.may_not_start().map(Unfinished::words);
        let why = refused.as_ref().map(Failure::cause).or(unfinished);
        if let Some(why) = why {
            table.note(format!("  {why}"));
        }
    }
    say(&table.to_string());
}

/// Returns a status as words.
fn words(status: BoardStatus) -> &'static str {
    match status {
        BoardStatus::AlreadyDone => "done before",
        BoardStatus::Flashed => "flashed and verified",
        BoardStatus::Verified => "verified",
        BoardStatus::Staged => "staged, flash unchanged",
        BoardStatus::Refused => "refused",
        BoardStatus::NotStarted => "not begun",
        _ => "FAILED",
    }
}

/// Returns the result of a board as a line.
pub(super) fn end(board: &BoardReport) -> String {
    let (name, result) = (&board.name, words(board.status));
    let error = board.error.as_ref();
    let error = error.map_or_else(String::new, |error| format!(": {}", error.cause()));
    format!("{name}: {result}{error}")
}

/// Prints the result of a firmware roll-out.
pub(super) fn say_report(report: &RolloutReport) {
    let mut table = Table::new(["board", "before", "now", "result"]);
    for board in &report.boards {
        let result = words(board.status);
        let (before, now) = (
            or_dash(board.before.as_ref()),
            or_dash(board.release.as_ref()),
        );
        table.row([board.name.clone(), before, now, result.to_owned()]);
        if board.writes > 1 {
            table.note(format!("  the flash was written {} times", board.writes));
        }
        if let Some(error) = &board.error {
            table.note(format!("  {}", error.cause()));
        }
        if board.status == BoardStatus::Failed || board.power_loss != HARMLESS {
            let power_loss = board.power_loss;
            table.note(format!("  effect of a loss of power now: {power_loss}"));
        }
    }
    say(&table.to_string());
}

/// Prints the progress of the boards on standard error, a line for each step. This is done with
/// `--json` too, because the operator must switch the boards off and on.
#[derive(Default)]
pub(super) struct Narrator {
    /// Last printed progress of the transfer to each board, in percent.
    printed: Mutex<HashMap<String, usize>>,
}

impl Narrator {
    pub(super) fn print(&self, board: &str, event: Event) {
        let text = match event {
            Event::Waiting {
                unfinished: true, ..
            } => String::from(
                "asking the boot loader, since a flash was begun before: KEEP THE POWER ON, also \
                 that of the crate",
            ),
            Event::Waiting { answered: true, .. } => {
                String::from("waiting for the board to start: switch it off and on")
            }
            Event::Waiting {
                answered: false, ..
            } => String::from(
                "waiting for the board to start. It did not answer: if an earlier call said KEEP \
                 THE POWER ON, do not switch it off, since its flash is incomplete",
            ),
            Event::Controlled => String::from("the boot loader takes commands"),
            Event::Transferred(sent, all) => match self.percent(board, sent, all) {
                Some(percent) => format!("{percent} % of the image transferred"),
                None => return,
            },
            Event::Writing => String::from(
                "erasing and writing the flash: KEEP THE POWER ON, also that of the crate",
            ),
            Event::StillWriting(time) => {
                let seconds = time.as_secs();
                format!("still writing the flash after {seconds} s: KEEP THE POWER ON")
            }
            Event::Comparing => String::from("comparing the present flash with the image"),
            Event::Verifying => String::from("reading the flash back"),
            Event::Restarting => String::from("restarting"),
        };
        complain(&format!("{board}: {text}"));
    }

    /// Returns the progress of a transfer in percent, if it is to be printed.
    fn percent(&self, board: &str, sent: usize, all: usize) -> Option<usize> {
        let percent = (100 * sent / all.max(1)) / PRINTED_PERCENT * PRINTED_PERCENT;
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        let last = printed.entry(board.to_owned()).or_default();
        (percent > *last).then(|| {
            *last = percent;
            percent
        })
    }
}
