//! The board's methods and properties, as its clients see them.

mod analog;
mod args;
mod call;
mod clock;
mod housekeeping;
mod names;
mod samples;
mod table;
mod timing;
mod tones;

use crate::board::{Board, Ran};
use crate::service::Headers;

pub(crate) use table::METHODS;

/// Runs a request.
pub(crate) fn run(board: &Board, headers: &Headers, body: &[u8]) -> Ran {
    let _ = (board, headers, body);
    Ran {
        reply: None,
        busy_until: None,
    }
}
