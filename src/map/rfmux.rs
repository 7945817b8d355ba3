//! Import of a hardware map of the Python package rfmux: a YAML document with entries such as
//! `!CRS`, a board, `!Crate`, a crate with boards in its slots, and `!Wafer`, a wafer with its
//! resonators. The resonators, and the channels that read them, are in tables of their own.

mod boards;
mod csv;
mod detectors;
mod document;
mod files;
mod include;
mod keys;
mod modules;
mod python;
mod resonators;
#[cfg(test)]
mod tests;
mod values;
mod write;

use std::io;
use std::path::Path;

use self::boards::Reading;
use self::document::{Content, Item};
use self::files::Files;
use self::include::{INCLUDE, Inclusion};
use super::section::Findings;
use super::{HardwareMap, MapError};

/// A Python hardware map, converted to a hardware map of this crate, which is in TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Text of a valid [`HardwareMap`], in TOML.
    pub toml: String,
    /// Entries and values of the Python map that are not imported, such as `!flavour "lab"`.
    pub left_out: Vec<String>,
    /// Points that a person must check before the map is used, such as a board that is marked
    /// offline, each with file, line and column.
    pub doubts: Vec<String>,
}

/// Imports the boards of a Python hardware map (`!HardwareMap [ !CRS {..}, !Crate {..} ]`), with
/// their serial numbers, hosts, crates, slots and declared modules. If a board declares no modules,
/// all of them are used. The limits of modules are conservative until somebody adds others to the
/// map. Resonators (`!Wafer`) that have a frequency and a channel (`!ChannelMappings`) become
/// detectors.
///
/// The Python map may be the whole document, or the value of a key of it, as in the session files
/// of rfmux. `file` names the map in errors. `read` reads the text of a further file: a file that
/// the map includes, or a table that it names. Its path is as in the map if the map is in the
/// current folder: relative to the folder of the map, or absolute.
///
/// ```
/// use std::io;
///
/// let yaml = r#"!HardwareMap
/// - !CRS { serial: "0042", hostname: "127.0.0.2:18082" }
/// - !Wafer { name: w3, resonators: !Resonators w3.csv }
/// - !ChannelMappings channels.csv"#;
/// let imported = twotone::map::import_rfmux(yaml, "lab.yaml", |path| match path.to_str() {
///     Some("w3.csv") => Ok("name\tbias_freq\nd0117\t4.1375e9\n".to_owned()),
///     Some("channels.csv") => Ok("resonator\treadout_channel\nw3/d0117\t0042/1/17\n".to_owned()),
///     _ => Err(io::ErrorKind::NotFound.into()),
/// })
/// .unwrap();
/// assert!(imported.toml.contains("address = \"127.0.0.2:18082\""));
/// assert!(imported.toml.contains("id = \"w3/d0117\"\nboard = \"crs0042\"\nmodule = 1"));
/// ```
///
/// # Errors
/// [`MapError`] if the text is no YAML, if it is no Python map, if a further file cannot be read,
/// or if its boards and detectors do not form a valid [`HardwareMap`]: for instance, there are no
/// boards, or two boards have the same serial number. Each problem has its line and column, and
/// its file if it is in a further one.
pub fn import_rfmux(
    yaml: &str,
    file: &str,
    mut read: impl FnMut(&Path) -> io::Result<String>,
) -> Result<Imported, MapError> {
    let mut findings = Findings::new(yaml, file);
    let document = match document::read(yaml, 0) {
        Ok(document) => document.root,
        Err((at, wrong)) => {
            findings.say(at, wrong);
            None
        }
    };
    findings.done()?;
    let mut reading = Reading::new(findings, Files::new(file, &mut read));
    match &document {
        Some(document) => top(document, &mut reading),
        None => reading.findings.say(0, no_map("it is empty")),
    }
    let map = write::map(reading, file)?;
    // The boards were already checked when the YAML was read. A problem that is found only now has
    // a place in the TOML text. It is reported at the place of its board in the YAML.
    HardwareMap::parse(&map.imported.toml, file).map_err(|error| {
        let problems = error.problems().iter().map(|problem| map.placed(problem));
        MapError::new(file, problems.collect())
    })?;
    Ok(map.imported)
}

const MAP_TAG: &str = "!HardwareMap";
/// Key of the map in a session file.
const MAP_KEY: &str = "hardware_map";

fn no_map(why: &str) -> String {
    format!("this is no Python hardware map: {why}")
}

/// Reads the document: a map, or a session with a map as one of its keys.
fn top(document: &Item, reading: &mut Reading<'_>) {
    match document.own_tag() {
        Some(MAP_TAG) => return map(&expand(document, reading), reading),
        Some(tag) => {
            let why = no_map(&format!("it begins with {}", keys::safe(tag)));
            reading.findings.unknown(document.at, &why, [MAP_TAG], tag);
            return;
        }
        None => {}
    }
    let entries = document.entries().unwrap_or_default();
    let is_map = |value: &Item| value.own_tag() == Some(MAP_TAG);
    // The map may be in another file. The other files that a session includes have no boards.
    let entries: Vec<_> = entries
        .into_iter()
        .map(
            |(key, value)| match is_map(&value) || is_included(&key, &value) {
                true => (key, expand(&value, reading)),
                false => (key, value),
            },
        )
        .collect();
    let mut maps = entries.iter().filter(|(_, value)| is_map(value));
    let Some((key, found)) = maps.next() else {
        return no_map_in(document, &entries, reading);
    };
    if let Some((other, _)) = maps.next() {
        let first = reading.findings.refer(other.at, key.at);
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
        value.own_tag().is_some() && key.scalar().is_some_and(|(key, _)| key == MAP_KEY)
    });
    let Some((_, value)) = tagged else {
        let why = format!("it does not begin with {MAP_TAG}, and has no key with one");
        return reading.findings.say(document.at, no_map(&why));
    };
    // A file that cannot be included is reported already.
    if reading.findings.any() {
        return;
    }
    let tag = value.own_tag().unwrap_or_default();
    let why = no_map(&format!("`hardware_map` is of {}", keys::safe(tag)));
    reading.findings.unknown(value.at, &why, [MAP_TAG], tag);
}

/// True if the map is in a file that the session includes.
fn is_included(key: &Item, value: &Item) -> bool {
    let is_map = key.scalar().is_some_and(|(key, _)| key == MAP_KEY);
    is_map && value.own_tag() == Some(INCLUDE) && value.scalar().is_some()
}

/// Returns `item` with the files that it includes.
fn expand(item: &Item, reading: &mut Reading<'_>) -> Item {
    let mut inclusion = Inclusion::new(&mut reading.files, &mut reading.findings);
    let expanded = inclusion.expand(item);
    reading.doubts.extend(inclusion.tagged.take());
    reading.replaced.extend(inclusion.replaced());
    expanded
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
