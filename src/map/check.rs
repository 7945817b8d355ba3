//! Checks across the entries of a hardware map: values that may occur only once in the map, and
//! references of detectors to boards and modules. Findings are the problems that are found while a
//! map is read.

use std::collections::HashMap;

use twotone_hal::same_serial;

use super::section::{Findings, Found};
use super::{BoardEntry, Host};

/// A value that may occur only once in a map: what it is, and the common form of its spellings.
pub(crate) type Key = (&'static str, String);

/// Values of a board that no other board of a map may have. Its hardware address is in its normal
/// form.
pub(crate) fn unique_values(board: &BoardEntry) -> Vec<Key> {
    let slot = board.crate_serial.as_deref().zip(board.slot);
    let values = [
        Some(name_key(&board.name)),
        Some(address_key(&board.address())),
        board.serial.as_deref().map(serial_key),
        slot.map(|(crate_serial, slot)| slot_key(slot, crate_serial)),
        board.mac.clone().map(|mac| ("mac", mac)),
    ];
    values.into_iter().flatten().collect()
}

/// Values that may occur only once, each with the byte offset and the spelling of its first
/// occurrence.
#[derive(Default)]
pub(super) struct UniqueValues(HashMap<Key, (usize, String)>);

impl UniqueValues {
    /// Returns true if `value` occurs for the first time among the values of the kind `what`.
    /// Otherwise reports a problem in `findings`, at the byte offset `at`.
    pub(super) fn once(
        &mut self,
        findings: &mut Findings<'_>,
        what: &'static str,
        value: &str,
        at: usize,
    ) -> bool {
        self.one(findings, (what, value.to_owned()), value, at)
    }

    /// As `once`, for a board's name. Case makes no difference.
    pub(super) fn name(&mut self, findings: &mut Findings<'_>, name: &str, at: usize) -> bool {
        let key = name_key(name);
        self.one(findings, key.clone(), &key.1, at)
    }

    /// As `once`, for a board's serial number. Case and leading zeros make no difference.
    pub(super) fn serial(&mut self, findings: &mut Findings<'_>, serial: &str, at: usize) -> bool {
        self.one(findings, serial_key(serial), serial, at)
    }

    /// As `once`, for a slot of a crate.
    pub(super) fn slot(
        &mut self,
        findings: &mut Findings<'_>,
        slot: u8,
        crate_serial: &str,
        at: usize,
    ) -> bool {
        let key = slot_key(slot, crate_serial);
        self.one(findings, key, &place_of(slot, crate_serial), at)
    }

    /// As `once`, for an address. All spellings of one address are equal.
    pub(super) fn address(&mut self, findings: &mut Findings<'_>, host: &Host, at: usize) -> bool {
        let key = address_key(host);
        self.one(findings, key.clone(), &key.1, at)
    }

    /// As `once`, for a value that can be spelt in several ways.
    fn one(&mut self, findings: &mut Findings<'_>, key: Key, written: &str, at: usize) -> bool {
        let what = key.0;
        let (first, otherwise) = self
            .0
            .entry(key)
            .or_insert_with(|| (at, written.to_owned()));
        if *first != at {
            let place = findings.refer(at, *first);
            let spelt = match otherwise == written {
                true => String::new(),
                false => format!(", as `{otherwise}`,"),
            };
            findings.say(
                at,
                format!("{what} `{written}` is taken already{spelt} at {place}"),
            );
        }
        *first == at
    }
}

/// Case makes no difference to the names of boards.
fn name_key(name: &str) -> Key {
    ("board name", name.to_lowercase())
}

fn serial_key(serial: &str) -> Key {
    ("serial number", same_serial(serial))
}

fn slot_key(slot: u8, crate_serial: &str) -> Key {
    ("slot", place_of(slot, &same_serial(crate_serial)))
}

fn place_of(slot: u8, crate_serial: &str) -> String {
    format!("{slot} of crate {crate_serial}")
}

fn address_key(host: &Host) -> Key {
    ("address", host.canonical().to_string())
}

/// Returns the error message for a text under `key` that cannot be a serial number.
pub(super) fn no_label(key: &str) -> String {
    format!("`{key}` must have 1 to 32 characters: letters, digits and `-`")
}

/// Returns true if `host`, which follows from a board's serial number or from its crate and slot,
/// is valid. Otherwise reports a problem in `findings`.
pub(super) fn derived(findings: &mut Findings<'_>, host: &Host, at: usize) -> bool {
    let wrong = Host::parse(host.name(), host.port()).err();
    let good = wrong.is_none();
    if let Some(wrong) = wrong {
        findings.say(
            at,
            format!("the address that follows from it is not valid: {wrong}"),
        );
    }
    good
}

/// The boards of a map, in order and by name.
pub(super) struct KnownBoards<'b> {
    boards: &'b [BoardEntry],
    by_name: HashMap<&'b str, &'b BoardEntry>,
}

impl<'b> KnownBoards<'b> {
    pub(super) fn of(boards: &'b [BoardEntry]) -> Self {
        let by_name = boards.iter().map(|entry| (entry.name.as_str(), entry));
        Self {
            boards,
            by_name: by_name.collect(),
        }
    }
}

/// Reports a problem in `findings` if the board or the module of a detector does not exist, or if
/// the frequency of the detector is out of the module's range.
pub(super) fn check_detector_place(
    findings: &mut Findings<'_>,
    known_boards: &KnownBoards<'_>,
    board: &Found<String>,
    module: Found<u8>,
    f_hz: Found<f64>,
) {
    let Some(entry) = known_boards.by_name.get(board.value.as_str()) else {
        let names = known_boards.boards.iter().map(|entry| entry.name.as_str());
        let near = findings.nearest_of(names, &board.value);
        let what = format!("there is no board `{}`", board.value);
        return findings.suggest(board.at, what, near);
    };
    if module.value > entry.kind.family().highest_module {
        let highest = entry.kind.family().highest_module;
        let what = format!("a {} board has modules 1 to {highest}", entry.kind);
        return findings.say(module.at, what);
    }
    if entry.modules.is_empty() {
        return;
    }
    let listed = entry
        .modules
        .iter()
        .find(|listed| listed.module.number() == module.value);
    let Some(listed) = listed else {
        let what = format!("board `{}` lists no module {}", entry.name, module.value);
        return findings.say(module.at, what);
    };
    let low = listed.f_min.is_some_and(|f_min| f_hz.value < f_min.0);
    let high = listed.f_max.is_some_and(|f_max| f_hz.value > f_max.0);
    if low || high {
        let what = format!(
            "`f_hz` = {} is out of the range of module {} of board `{}`",
            f_hz.value, module.value, entry.name
        );
        findings.say(f_hz.at, what);
    }
}
