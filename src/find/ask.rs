//! Questions to boards that were found, about their releases and serial numbers.

use std::collections::BTreeMap;

use twotone_transport::{ConnectOptions, Way};

use super::FoundBoard;
use crate::array::Array;
use crate::identity;
use crate::map::{BoardEntry, HardwareMap, same_serial};
use crate::record::Failure;

/// Number of boards that are asked at the same time.
const AT_ONCE: usize = 64;

/// Asks boards for their releases and serial numbers. Boards that share an address are asked once.
/// The answers replace those of earlier questions.
pub(super) async fn ask(boards: &mut [FoundBoard]) {
    let mut entries: BTreeMap<String, BoardEntry> = BTreeMap::new();
    for board in boards.iter().filter(|board| runs(board)) {
        if let Some(address) = &board.address {
            let name = name(entries.len());
            let entry = BoardEntry::new(name, board.kind, address.clone());
            entries.entry(address.to_string()).or_insert(entry);
        }
    }
    if entries.is_empty() {
        return;
    }
    for board in boards.iter_mut() {
        // What an earlier question has found.
        let contradiction = contradiction(board);
        let remains = |conflict: &String| Some(conflict) != contradiction.as_ref();
        board.conflicts.retain(remains);
        (board.firmware, board.said_serial, board.error) = (None, None, None);
    }
    let map = match HardwareMap::new(entries.values().cloned().collect(), Vec::new()) {
        Ok(map) => map,
        Err(error) => {
            let failure = Failure::of_words(error.to_string());
            for board in boards.iter_mut().filter(|board| runs(board)) {
                board.error = Some(failure.clone());
            }
            return;
        }
    };
    let array = Array::connect_with(&map, &ConnectOptions::default(), AT_ONCE).await;
    for board in boards.iter_mut().filter(|board| runs(board)) {
        let address = board.address.as_ref().map(ToString::to_string);
        let Some(entry) = address.and_then(|address| entries.get(&address)) else {
            continue;
        };
        let mut answered = array.boards().iter();
        match answered.find(|answered| answered.name() == entry.name) {
            Some(answered) => {
                let described = answered.description();
                let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
                board.firmware = known(&described.firmware);
                board.said_serial = known(&described.serial);
            }
            None => {
                let failure = array.failure(&entry.name).map(Failure::from);
                let silent = || Failure::of_words("it did not answer");
                board.error = Some(failure.unwrap_or_else(silent));
            }
        }
        board.conflicts.extend(contradiction(board));
    }
    // The kernel knows the hardware addresses of the boards now.
    let neighbours = identity::neighbours_of_this_host();
    for board in boards.iter_mut() {
        let mut known = board.addresses.iter();
        board.mac = known.find_map(|address| neighbours.get(address).cloned());
    }
}

/// Conflict of a board that reports another serial number than its signs have.
fn contradiction(board: &FoundBoard) -> Option<String> {
    let (said, serial) = (board.said_serial.as_ref()?, board.serial.as_ref()?);
    (same_serial(said) != same_serial(serial)).then(|| format!("it says serial number {said}"))
}

/// True if the board may run its firmware. A boot loader has no control protocol.
fn runs(board: &FoundBoard) -> bool {
    !board.found_by.contains(&Way::Beacon)
}

fn name(number: usize) -> String {
    format!("found-{number}")
}
