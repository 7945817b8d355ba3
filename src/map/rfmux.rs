//! Import of a hardware map of the Python package rfmux: a YAML document with entries such as
//! `!CRS`, a board, and `!Crate`, a crate with boards in its slots.

mod boards;
mod document;
mod keys;
mod python;
#[cfg(test)]
mod tests;
mod values;
mod write;

use super::place::Lines;
use super::section::Findings;
use super::{HardwareMap, MapError, Problem};
use boards::Reading;
use document::{Content, Item};

/// A Python hardware map, converted to a hardware map of this crate, which is in TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Text of a valid [`HardwareMap`], in TOML.
    pub toml: String,
    /// Entries of the Python map other than boards, such as `!Wafer "w3"`. They are not imported.
    pub left_out: Vec<String>,
    /// Points that a person must check before the map is used, such as a board that is marked
    /// offline, each with file, line and column.
    pub doubts: Vec<String>,
}

/// Imports the boards of a Python hardware map (`!HardwareMap [ !CRS {..}, !Crate {..} ]`), with
/// their serial numbers, hosts, crates and slots. The imported boards list no modules, so that all
/// modules of a board are used with conservative limits until somebody adds them to the map. The
/// Python map may be the whole document, or the value of a key of it, as in the session files of
/// rfmux. `file` names the map in errors.
///
/// ```
/// let yaml = r#"!HardwareMap [ !CRS { serial: "0042", hostname: "127.0.0.2:18082" } ]"#;
/// let imported = twotone::map::import_rfmux(yaml, "lab.yaml").unwrap();
/// assert!(imported.toml.contains("address = \"127.0.0.2:18082\""));
/// ```
///
/// # Errors
/// [`MapError`] if the text is no YAML, if it is no Python map, or if its boards do not
/// form a valid [`HardwareMap`]: for instance, there are no boards, or two boards have the same
/// serial number. Each problem has its line and column.
pub fn import_rfmux(yaml: &str, file: &str) -> Result<Imported, MapError> {
    let mut findings = Findings::new(yaml, file);
    let document = document::read(yaml, &mut findings);
    findings.done()?;
    let mut reading = Reading::new(findings);
    match &document {
        Some(document) => top(document, &mut reading),
        None => reading.findings.say(0, no_map("it is empty")),
    }
    let map = write::map(reading, file)?;
    // The boards were already checked when the YAML was read. A problem that is found only now has
    // a place in the TOML text. It is reported at the place of its board in the YAML.
    HardwareMap::parse(&map.imported.toml, file).map_err(|error| {
        let lines = Lines::of(yaml);
        let problems = error.problems().iter().map(|problem| Problem {
            place: problem.place.map(|place| map.place_of(place, &lines)),
            ..problem.clone()
        });
        MapError::new(file, problems.collect())
    })?;
    Ok(map.imported)
}

const MAP_TAG: &str = "!HardwareMap";

fn no_map(why: &str) -> String {
    format!("this is no Python hardware map: {why}")
}

/// Reads the document: a map, or a session with a map as one of its keys.
fn top(document: &Item, reading: &mut Reading<'_>) {
    match document.own_tag() {
        Some(MAP_TAG) => return map(document, reading),
        Some(tag) => {
            let why = no_map(&format!("it begins with {}", keys::safe(tag)));
            reading.findings.unknown(document.at, &why, [MAP_TAG], tag);
            return;
        }
        None => {}
    }
    let entries = document.entries().unwrap_or_default();
    let is_map = |value: &Item| value.own_tag() == Some(MAP_TAG);
    let mut maps = entries.iter().filter(|(_, value)| is_map(value));
    let Some((key, found)) = maps.next() else {
        return no_map_in(document, &entries, reading);
    };
    if let Some((other, _)) = maps.next() {
        let first = reading.findings.place(key.at);
        let what =
            format!("a second {MAP_TAG} stands here, beside that at {first}: give each a file");
        reading.findings.say(other.at, what);
    }
    map(found, reading);
    for (key, value) in entries.iter().filter(|(_, value)| !is_map(value)) {
        let key = keys::shown(key);
        reading.left_out.push(format!("the session's {key}"));
        reading.doubt_boards_in(value, &key);
    }
}

/// Reports the reason that a document has no map.
fn no_map_in(document: &Item, entries: &[(Item, Item)], reading: &mut Reading<'_>) {
    let tagged = entries.iter().find(|(key, value)| {
        value.own_tag().is_some() && key.scalar().is_some_and(|(key, _)| key == "hardware_map")
    });
    let Some((_, value)) = tagged else {
        let why = format!("it does not begin with {MAP_TAG}, and has no key with one");
        return reading.findings.say(document.at, no_map(&why));
    };
    match (value.own_tag(), value.scalar()) {
        (Some("!include"), Some((other, _))) => {
            let why = format!("the map is in another file, {other:?}: import that one");
            reading.findings.say(value.at, no_map(&why));
        }
        (tag, _) => {
            let tag = tag.unwrap_or_default();
            let why = no_map(&format!("`hardware_map` is of {}", keys::safe(tag)));
            reading.findings.unknown(value.at, &why, [MAP_TAG], tag);
        }
    }
}

fn map(item: &Item, reading: &mut Reading<'_>) {
    let Content::List(items) = &item.content else {
        let what = format!("{MAP_TAG} is a list of boards: write `- !CRS {{ serial: \"0042\" }}`");
        return reading.findings.say(item.at, what);
    };
    for item in items {
        reading.item(item);
    }
    if reading.boards.is_empty() && !reading.findings.any() {
        let what = format!("this {MAP_TAG} has no board: no !CRS");
        reading.findings.say(item.at, what);
    }
}
