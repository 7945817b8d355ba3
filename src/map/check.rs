//! What one entry of a map demands of the others.

use std::collections::HashMap;

use super::BoardEntry;
use super::section::{Findings, Found};
use super::suggest::nearest;

/// Values that may occur once only, with the byte at which each was first seen.
#[derive(Default)]
pub(super) struct Uniques(HashMap<(&'static str, String), usize>);

impl Uniques {
    /// Whether `value` is seen for the first time as a `what`. If not, that is a finding.
    pub(super) fn once(
        &mut self,
        findings: &mut Findings<'_>,
        what: &'static str,
        value: &str,
        at: usize,
    ) -> bool {
        let first = *self.0.entry((what, value.to_owned())).or_insert(at);
        if first != at {
            let place = findings.place(first);
            findings.say(at, format!("{what} `{value}` is taken already at {place}"));
        }
        first == at
    }
}

/// Finds that the board or the module of a detector is not there, or that its frequency is out
/// of the module's range.
pub(super) fn detector_is_at_home(
    findings: &mut Findings<'_>,
    boards: &[BoardEntry],
    board: &Found<String>,
    module: Found<u8>,
    f_hz: Found<f64>,
) {
    let Some(entry) = boards.iter().find(|entry| entry.name == board.value) else {
        let names = boards.iter().map(|entry| entry.name.as_str());
        let what = format!("there is no board `{}`", board.value);
        return findings.suggest(board.at, what, nearest(&board.value, names));
    };
    if module.value > entry.kind.highest_module() {
        let highest = entry.kind.highest_module();
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
