//! Boards of an array whose properties were set before their modules are used.

use std::collections::{BTreeMap, BTreeSet};

use twotone_hal::{BoardHandle, Error, Result};
use twotone_transport::{ConnectOptions, Connected, connect_all};

use super::{Array, ArrayBoard, CONNECT_AT_ONCE};
use crate::campaign::BoardSetup;
use crate::map::HardwareMap;

impl Array {
    /// Connects the boards called `names` in the map anew, since their descriptions have changed.
    /// Returns what came of each.
    pub(crate) async fn connect_anew(
        &self,
        map: &HardwareMap,
        names: &BTreeSet<String>,
    ) -> BTreeMap<String, Result<BoardHandle>> {
        let options = ConnectOptions::default();
        let entries = names.iter().filter_map(|name| map.board(name));
        let connecting: Vec<_> = entries
            .map(|entry| self.connections.connect(entry, &options))
            .collect();
        let Connected { boards, failed } = connect_all(connecting, CONNECT_AT_ONCE).await;
        let connected = boards
            .into_iter()
            .map(|board| (board.name().to_owned(), Ok(board)));
        let failed = failed.into_iter().filter_map(|error| {
            let name = error.board()?.to_owned();
            Some((name, Err(error)))
        });
        connected.chain(failed).collect()
    }

    /// Gives each board the modules that `map` lists for it. The boards in `anew` go on over new
    /// connections. A board that could not be connected again, or that lacks a module of the map,
    /// is in [`Array::failed`] afterwards.
    pub(crate) async fn take_modules_of(
        &mut self,
        map: &HardwareMap,
        mut anew: BTreeMap<String, Result<BoardHandle>>,
    ) {
        for board in std::mem::take(&mut self.boards) {
            let handle = anew.remove(board.name());
            let handle = handle.unwrap_or_else(|| Ok(board.plain.clone()));
            match with_modules_of(board, handle, map).await {
                Ok(board) => self.boards.push(board),
                Err(error) => self.failed.push(error),
            }
        }
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

    /// True if the set-up has changed a property of any board, or may have.
    pub(crate) fn has_changed_properties(&self) -> bool {
        self.setups.values().any(BoardSetup::has_changed)
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
    if let Some((lock, taken_over)) = before.lock {
        board = board.locked(lock, taken_over);
    }
    if let Some((why, advice)) = before.refusal {
        board = board.refused(why, advice);
    }
    Ok(board)
}
