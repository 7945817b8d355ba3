//! Conversion of the boards of a Python hardware map to a TOML map: names, checks and text.

use std::collections::{HashMap, HashSet};

use twotone_transport::BoardPlace;

use super::Imported;
use super::boards::{Board, Reading};
use super::detectors::{self, Detector};
use super::keys::safe;
use crate::input;
use crate::map::check::{self, UniqueValues};
use crate::map::section::{Findings, shortened};
use crate::map::{BoardEntry, BoardKind, Host, MapError, Problem, PropertyMap, address};

/// A TOML map, and for each of its lines the byte offset of the line's board or detector in the
/// Python map.
pub(super) struct Written<'t> {
    pub(super) imported: Imported,
    lines: Vec<usize>,
    findings: Findings<'t>,
}

impl Written<'_> {
    /// Returns a problem of the TOML as one of the Python map.
    pub(super) fn placed(&self, problem: &Problem) -> Problem {
        let line = problem.place.map_or(0, |place| place.line);
        let at = self.lines.get(line.saturating_sub(1));
        let at = at.copied().unwrap_or_default();
        let suggestion = problem.suggestion.as_deref();
        match problem.place {
            Some(_) => self
                .findings
                .problem(at, problem.message.clone(), suggestion),
            None => problem.clone(),
        }
    }
}

/// Returns the TOML map of the boards and detectors that were read from the YAML file called
/// `file`, or all of their problems.
pub(super) fn map<'t>(mut reading: Reading<'t>, file: &str) -> Result<Written<'t>, MapError> {
    reading.drop_named_crates();
    let detectors = detectors::find(&mut reading);
    let Reading {
        mut findings,
        boards,
        mut left_out,
        mut doubts,
        misread,
        ..
    } = reading;
    let mut names = Names::default();
    let mut uniques = UniqueValues::default();
    let mut written = Vec::new();
    for mut board in boards {
        leave_out_unusable_serials(&mut board, &mut findings, &mut doubts, &misread);
        let entry = board.entry(&mut names);
        board.check(&entry, &mut findings, &mut uniques);
        let parts = board
            .left_out
            .iter()
            .map(|part| format!("{}'s {part}", entry.name));
        left_out.extend(parts);
        if board.offline {
            let what = format!(
                "{} is offline here (online: false), and a map of ours cannot say so: every command \
                 will ask it; take its [[board]] out while it is off",
                entry.name
            );
            doubts.push((board.at, what));
        }
        if board.modules.as_ref().is_some_and(Vec::is_empty) {
            let what = format!(
                "{} declares no modules here, and a map of ours cannot say so: all of its modules \
                 are used; take its [[board]] out if none is to be",
                entry.name
            );
            doubts.push((board.at, what));
        }
        written.push((board, entry));
    }
    if !detectors.is_empty() {
        left_out.push(beside_detectors(&detectors));
    }
    let doubts = doubts.into_iter();
    let doubts = doubts.map(|(at, message)| findings.problem(at, message, None));
    let doubts: Vec<_> = doubts.collect();
    findings.done()?;
    let doubts = match doubts.is_empty() {
        true => Vec::new(),
        false => {
            let lines = MapError::new(file, doubts).to_string();
            lines.lines().map(str::to_owned).collect()
        }
    };
    let (mut toml, mut lines) = (String::new(), Vec::new());
    for (board, entry) in &written {
        let written = board.write(entry, file);
        lines.extend(written.lines().map(|_| board.at));
        toml.push_str(&written);
    }
    for detector in &detectors {
        let (_, entry) = &written[detector.board];
        let written = detector.write(&entry.name);
        lines.extend(written.lines().map(|_| detector.at));
        toml.push_str(&written);
    }
    if toml.len() as u64 > input::MAP_BYTES {
        let what = format!(
            "the map in TOML has {} bytes, and no more than {} are read: import it in parts",
            toml.len(),
            input::MAP_BYTES
        );
        return Err(MapError::whole(file, what));
    }
    let imported = Imported {
        toml,
        left_out: left_out.into_iter().map(shortened).collect(),
        doubts,
    };
    Ok(Written {
        imported,
        lines,
        findings,
    })
}

/// Returns a remark about the values of detectors for which a TOML map has no keys.
fn beside_detectors(detectors: &[Detector]) -> String {
    let with_amplitude = detectors.iter().filter(|one| one.bias_amplitude.is_some());
    let amplitudes = match with_amplitude.count() {
        0 => String::new(),
        count => format!(" and the `bias_amplitude` of {count}"),
    };
    let count = detectors.len();
    format!("the channels of {count} detectors{amplitudes}: they are comments in the map")
}

/// Returns a text as a string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

impl Detector {
    /// Returns the detector as TOML, with an empty line after it.
    fn write(&self, board: &str) -> String {
        let amplitude = self.bias_amplitude;
        let amplitude = amplitude.map(|amplitude| format!(", bias_amplitude {amplitude}"));
        let lines = [
            format!(
                "# channel {}{}",
                self.channel,
                amplitude.unwrap_or_default()
            ),
            "[[detector]]".to_owned(),
            format!("id = {}", quoted(&self.id)),
            format!("board = {}", quoted(board)),
            format!("module = {}", self.module),
            format!("f_hz = {}", toml::Value::from(self.f_hz)),
        ];
        lines.join("\n") + "\n\n"
    }
}

/// Removes the serial number of the board, and that of its crate, if Python accepts it and a TOML
/// map does not. This is a doubt if the board has a host name. Without a host name, the board's
/// address follows from these numbers, so it is a problem in `findings`.
fn leave_out_unusable_serials(
    board: &mut Board,
    findings: &mut Findings<'_>,
    doubts: &mut Vec<(usize, String)>,
    misread: &HashMap<usize, String>,
) {
    let reached = board.hostname.is_some();
    let mut refuse = |at: usize, key: &str, what: String, left_out: &mut Vec<String>| {
        let note = misread.get(&at).map(|why| format!(". {why}"));
        let note = note.unwrap_or_default();
        if reached {
            doubts.push((
                at,
                format!("{}, and {what} is not imported{note}", check::no_label(key)),
            ));
            left_out.push(what);
        } else {
            findings.say(at, check::no_label(key) + &note);
        }
    };
    let no_label = |serial: &str| !BoardPlace::is_serial(serial);
    if let Some(serial) = board.serial.take_if(|serial| no_label(&serial.value)) {
        let what = format!("serial number {:?}", serial.value);
        refuse(serial.at, "serial", what, &mut board.left_out);
    }
    let in_crate = board
        .in_crate
        .as_mut()
        .and_then(|serial| serial.take_if(|serial| no_label(&serial.value)));
    if let Some(serial) = in_crate {
        let what = format!("crate {:?}", serial.value);
        refuse(serial.at, "crate", what, &mut board.left_out);
    }
    let is_in_crate = board.in_crate.as_ref().is_some_and(Option::is_some);
    if let Some(slot) = board.slot.take_if(|_| !is_in_crate) {
        let of = match board.in_crate {
            Some(_) => "of a crate without a serial number",
            None => "without a crate",
        };
        board
            .left_out
            .insert(0, format!("slot {} {of}", slot.value));
    }
    if board.slot.is_none()
        && let Some(Some(in_crate)) = board.in_crate.take()
    {
        let what = format!("crate {:?} without a slot", in_crate.value);
        board.left_out.insert(0, what);
    }
}

impl Board {
    /// Returns the board as an entry of a [`HardwareMap`](crate::map::HardwareMap), with a name
    /// that is not among `names`.
    fn entry(&self, names: &mut Names) -> BoardEntry {
        let serial = self.serial.as_ref().map(|serial| serial.value.clone());
        let in_crate = self.in_crate.as_ref().and_then(Option::as_ref);
        let address = self.hostname.as_ref();
        let address = address.and_then(|host| address::parse(&host.value, Host::DEFAULT_PORT).ok());
        let slot = self.slot.map(|slot| slot.value);
        let name = match (&serial, in_crate, slot) {
            (Some(serial), ..) => format!("crs{serial}"),
            (None, Some(in_crate), Some(slot)) => format!("crate{}-slot{slot}", in_crate.value),
            _ => {
                let host = self.hostname.as_ref();
                board_name(host.map_or("", |host| &host.value))
            }
        };
        BoardEntry {
            name: names.make_unique(name),
            kind: BoardKind::CRS,
            address,
            serial,
            mac: None,
            crate_serial: in_crate.map(|in_crate| in_crate.value.clone()),
            slot,
            request_life_s: None,
            properties: PropertyMap::new(),
            modules: Vec::new(),
        }
    }

    /// Reports a problem if another board already has a value that must be unique, or if the board
    /// has no address.
    fn check(&self, entry: &BoardEntry, findings: &mut Findings<'_>, uniques: &mut UniqueValues) {
        let mut placed_once = true;
        if let Some(serial) = &self.serial {
            placed_once &= uniques.serial(findings, &serial.value, serial.at);
        }
        if let (Some(Some(in_crate)), Some(slot)) = (&self.in_crate, self.slot) {
            placed_once &= uniques.slot(findings, slot.value, &in_crate.value, slot.at);
        }
        let follows_from = [
            self.slot.map(|slot| slot.at),
            self.serial.as_ref().map(|serial| serial.at),
        ];
        let at = follows_from.into_iter().flatten().next().unwrap_or(self.at);
        match (&self.hostname, &entry.address, entry.derived_host()) {
            (Some(host), Some(address), _) => drop(uniques.address(findings, address, host.at)),
            // The problem of the host name is reported already.
            (Some(_), None, _) => {}
            (None, _, Some(host)) => {
                if check::derived(findings, &host, at) && placed_once {
                    uniques.address(findings, &host, at);
                }
            }
            (None, _, None) if findings.any() => {}
            (None, _, None) => {
                let ways =
                    "a hostname, a serial number, or a slot in a !Crate with a serial number";
                findings.say(
                    self.at,
                    format!("the board cannot be reached: it needs {ways}"),
                );
            }
        }
    }

    /// Returns the board as TOML, with an empty line after it.
    fn write(&self, entry: &BoardEntry, file: &str) -> String {
        let mut lines = vec!["[[board]]".to_owned()];
        if self.offline {
            lines.insert(0, format!("# online: false in {}", safe(file)));
        }
        lines.push(format!("name = {}", quoted(&entry.name)));
        lines.push(format!("kind = {}", quoted(entry.kind.name())));
        let host = self.hostname.as_ref();
        lines.extend(host.map(|host| format!("address = {}", quoted(&host.value))));
        let serial = entry.serial.as_ref();
        lines.extend(serial.map(|serial| format!("serial = {}", quoted(serial))));
        if let (Some(in_crate), Some(slot)) = (&entry.crate_serial, entry.slot) {
            lines.push(format!("crate = {}", quoted(in_crate)));
            lines.push(format!("slot = {slot}"));
        }
        for module in self.modules.iter().flatten() {
            let number = format!("number = {}", module.value);
            lines.extend([String::new(), "[[board.module]]".to_owned(), number]);
        }
        lines.join("\n") + "\n\n"
    }
}

/// Largest length of a board's name.
const LONGEST: usize = 64;

/// Returns a valid board name made from any text.
fn board_name(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = text.replace(['[', ']'], "");
    let name: String = name
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(LONGEST)
        .collect();
    match name.trim_end_matches(['.', '-']) {
        "" => "board".to_owned(),
        name => name.to_owned(),
    }
}

/// Length of the beginning of a board name that is the key in [`Names::numbers`]. It leaves space
/// for a number within the length of a name.
const NUMBERED: usize = 57;

/// Names of the boards that were converted so far.
#[derive(Default)]
struct Names {
    /// The names, in lower case.
    taken: HashSet<String>,
    /// The last number that was appended to a name, by the beginning of the name.
    numbers: HashMap<String, usize>,
}

impl Names {
    /// Returns `name`, with a number appended if another board has the same name, ignoring case.
    fn make_unique(&mut self, name: String) -> String {
        if self.taken.insert(name.to_lowercase()) {
            return name;
        }
        let beginning = name[..name.len().min(NUMBERED)].to_lowercase();
        let last = self.numbers.entry(beginning).or_insert(1);
        loop {
            *last += 1;
            let suffix = format!("-{last}");
            let kept = name.len().min(LONGEST - suffix.len());
            let other = format!("{}{suffix}", &name[..kept]);
            if self.taken.insert(other.to_lowercase()) {
                return other;
            }
        }
    }
}
