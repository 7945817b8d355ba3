//! Reading of frequencies and powers from a section of a hardware map, which is a table of its TOML
//! text. Problems are added to the list `findings`.

use twotone_hal::Dbm;

use crate::map::section::{Findings, Found, Section};
use crate::map::{HIGHEST_TONE, LOWEST_TONE, implausible_hz};

/// Plausible frequencies of tones.
pub(super) const FREQUENCIES_HZ: std::ops::RangeInclusive<f64> = LOWEST_TONE.0..=HIGHEST_TONE.0;
/// Plausible powers. The limits that the map gives for a module must be within this range.
const POWERS_DBM: std::ops::RangeInclusive<f64> = -200.0..=30.0;

/// Reads a frequency in hertz under the first of `keys` that the section has.
pub(super) fn end_of_band(
    section: &Section<'_, '_>,
    findings: &mut Findings<'_>,
    keys: [&str; 2],
) -> Option<Found<f64>> {
    let [long, short] = keys.map(|key| frequency(section, findings, key));
    if let (Some(_), Some(short)) = (long, short) {
        let [key, alias] = keys;
        findings.say(
            short.at,
            format!("`{alias}` is short for `{key}`, which is there too"),
        );
    }
    long.or(short)
}

/// Returns the key that the section has. If it has both or none, returns the first.
pub(super) fn key_in<'k>(section: &Section<'_, '_>, keys: [&'k str; 2]) -> &'k str {
    let there = |key: &&str| section.table.contains_key(*key);
    keys.into_iter().find(there).unwrap_or(keys[0])
}

/// Reads a plausible frequency of a tone.
pub(super) fn frequency(
    section: &Section<'_, '_>,
    findings: &mut Findings<'_>,
    key: &str,
) -> Option<Found<f64>> {
    let found = section.as_number(key);
    let problem = found.and_then(|found| implausible_hz(&format!("`{key}`"), found.value));
    match (found, problem) {
        (Some(found), Some(problem)) => {
            findings.suggest(found.at, problem.message, problem.suggestion.as_deref());
            None
        }
        _ => section.number(findings, key, FREQUENCIES_HZ, "Hz"),
    }
}

/// Reads a plausible power.
fn power(section: &Section<'_, '_>, findings: &mut Findings<'_>, key: &str) -> Option<Found<f64>> {
    let unsigned = section
        .as_number(key)
        .filter(|found| found.value > *POWERS_DBM.end() && POWERS_DBM.contains(&-found.value));
    let Some(found) = unsigned else {
        return section.number(findings, key, POWERS_DBM, "dBm");
    };
    let (low, high) = (POWERS_DBM.start(), POWERS_DBM.end());
    let what = format!("`{key}` must be from {low} to {high} dBm");
    findings.suggest(found.at, what, Some(&(-found.value).to_string()));
    None
}

/// Reads the start power, the largest power of a tone and the largest total power. None of them may
/// be larger than the next.
pub(super) fn powers(section: &Section<'_, '_>, findings: &mut Findings<'_>) -> [Dbm; 3] {
    const KEYS: [&str; 3] = ["start_power_dbm", "max_tone_dbm", "max_total_dbm"];
    let defaults = [
        crate::map::CONSERVATIVE_START_POWER,
        crate::map::CONSERVATIVE_MAX_TONE,
        crate::map::CONSERVATIVE_MAX_TOTAL,
    ];
    let given = KEYS.map(|key| power(section, findings, key));
    let mut powers = defaults;
    for (power, given) in powers.iter_mut().zip(given) {
        if let Some(given) = given {
            *power = Dbm(given.value);
        }
    }
    for lower in 0..KEYS.len() - 1 {
        let upper = lower + 1;
        // A value that could not be read is reported already, so it is not compared.
        let unread =
            |index: usize| given[index].is_none() && section.table.contains_key(KEYS[index]);
        if powers[lower] <= powers[upper] || unread(lower) || unread(upper) {
            continue;
        }
        let show = |index: usize| {
            let (key, dbm) = (KEYS[index], powers[index].0);
            let note = if given[index].is_none() {
                ", the default"
            } else {
                ""
            };
            format!("`{key}` ({dbm}{note})")
        };
        let at = given[lower]
            .or(given[upper])
            .map_or(section.at, |found| found.at);
        findings.say(at, format!("{} is above {}", show(lower), show(upper)));
    }
    powers
}
