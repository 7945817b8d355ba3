//! Boards of an array whose properties were set before their modules are used.

use std::collections::BTreeSet;

use twotone_hal::{BoardHandle, Error, Result};
use twotone_transport::ConnectOptions;

use super::{Array, ArrayBoard};
use crate::campaign::BoardSetup;
use crate::map::HardwareMap;

impl Array {
    /// Gives each board the modules that `map` lists for it. The boards in `changed`, whose
    /// properties were changed, are connected anew, since their descriptions differ. A board that
    /// cannot be connected again, or that lacks a module of the map, is in [`Array::failed`]
    /// afterwards.
    pub(crate) async fn take_modules_of(&mut self, map: &HardwareMap, changed: &BTreeSet<String>) {
        for board in std::mem::take(&mut self.boards) {
            let name = board.name().to_owned();
            let handle = match changed.contains(&name) {
                true => self.connect_anew(&name, map).await,
                false => Ok(board.plain.clone()),
            };
            match with_modules_of(board, handle, map).await {
                Ok(board) => self.boards.push(board),
                Err(error) => self.failed.push(error),
            }
        }
    }

    async fn connect_anew(&self, name: &str, map: &HardwareMap) -> Result<BoardHandle> {
        self.connections.forget(name);
        let entry = map.board(name).ok_or_else(|| super::not_in_map(name))?;
        let options = ConnectOptions::default();
        self.connections.connect(entry, &options).await
    }

    /// Removes a board from those that can be used.
    pub(crate) fn give_up(&mut self, name: &str, error: Error) {
        let before = self.boards.len();
        self.boards.retain(|board| board.name() != name);
        // A board that has failed for another reason keeps its error.
        if self.boards.len() < before {
            self.failed.push(error);
        }
    }

    /// Records the set-up of the board called `name` in the map.
    pub(crate) fn note_setup(&mut self, name: String, setup: BoardSetup) {
        self.setups.insert(name, setup);
    }

    /// Returns the set-up of the board called `name` in the map, if the map has properties for it
    /// and a tune or a sweep has set it up.
    pub fn setup(&self, name: &str) -> Option<&BoardSetup> {
        self.setups.get(name)
    }
}

/// Returns a board with the modules of the map, over `handle`, with the lock and the refusal of
/// `before`.
async fn with_modules_of(
    before: ArrayBoard,
    handle: Result<BoardHandle>,
    map: &HardwareMap,
) -> Result<ArrayBoard> {
    let mut board = ArrayBoard::of(handle?, map).await?;
    let more = before.description.doubts.into_iter();
    let more: Vec<_> = more
        .filter(|doubt| !board.description.doubts.contains(doubt))
        .collect();
    board.description.doubts.extend(more);
    if let Some((lock, taken_over)) = before.lock {
        board = board.locked(lock, taken_over);
    }
    if let Some((why, advice)) = before.refusal {
        board = board.refused(why, advice);
    }
    Ok(board)
}
