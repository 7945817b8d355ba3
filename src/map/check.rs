//! Checks across the entries of a hardware map: values that may occur only once in the map, and
//! references of detectors to boards and modules. Findings are the problems that are found while a
//! map is read.

use std::collections::HashMap;

use twotone_hal::same_serial;

use super::section::{Findings, Found};
use super::{BoardEntry, Host};

/// Values that may occur only once, each with the byte offset and the spelling of its first
/// occurrence.
#[derive(Default)]
pub(super) struct UniqueValues(HashMap<(&'static str, String), (usize, String)>);

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
        self.one(findings, what, value.to_owned(), value, at)
    }

    /// As `once`, for a board's name. Case makes no difference.
    pub(super) fn name(&mut self, findings: &mut Findings<'_>, name: &str, at: usize) -> bool {
        self.once(findings, "board name", &name.to_lowercase(), at)
    }

    /// As `once`, for a board's serial number. Case and leading zeros make no difference.
    pub(super) fn serial(&mut self, findings: &mut Findings<'_>, serial: &str, at: usize) -> bool {
        self.one(findings, "serial number", same_serial(serial), serial, at)
    }

    /// As `once`, for a slot of a crate.
    pub(super) fn slot(
        &mut self,
        findings: &mut Findings<'_>,
        slot: u8,
        crate_serial: &str,
        at: usize,
    ) -> bool {
        let place = |serial: &str| format!("{slot} of crate {serial}");
        let same = place(&same_serial(crate_serial));
        self.one(findings, "slot", same, &place(crate_serial), at)
    }

    /// As `once`, for an address. All spellings of one address are equal.
    pub(super) fn address(&mut self, findings: &mut Findings<'_>, host: &Host, at: usize) -> bool {
        self.once(findings, "address", &host.canonical().to_string(), at)
    }

    /// As `once`, for a value that can be spelt in several ways. `same` is the common form of all
    /// spellings.
    fn one(
        &mut self,
        findings: &mut Findings<'_>,
        what: &'static str,
        same: String,
        written: &str,
        at: usize,
    ) -> bool {
        let (first, otherwise) = self
            .0
            .entry((what, same))
            .or_insert_with(|| (at, written.to_owned()));
        if *first != at {
            let place = findings.place(*first);
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

/// True if `serial` can be a label of a host name (a part between dots). Serial numbers of boards
/// and crates must be labels, because host names follow from them.
pub(super) fn is_label(serial: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=32).contains(&serial.len()) && serial.bytes().all(allowed)
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
