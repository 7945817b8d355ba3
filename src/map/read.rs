//! Reading of the entries of a hardware map (boards, modules and detectors) from its text in TOML.
//! Each function reports the problems that it finds in a list, `findings`, and goes on. A section
//! is a table of the TOML text with its keys.

mod quantities;

use twotone_algorithms::Geometry;
use twotone_hal::{Hertz, ModuleId, PropertyKey};
use twotone_transport::BoardPlace;

use self::quantities::{FREQUENCIES_HZ, end_of_band, frequency, key_in, powers};
use super::address;
use super::check::{self, KnownBoards, UniqueValues};
use super::properties;
use super::section::{Findings, Found, Section};
use super::{
    BoardEntry, BoardKind, DetectorEntry, MapError, ModuleEntry, SafeState, implausible_hz,
};

const ROOT_KEYS: &[&str] = &["board", "detector"];
const BOARD_KEYS: &[&str] = &[
    "name",
    "kind",
    "address",
    "serial",
    "mac",
    "crate",
    "slot",
    "request_life_s",
    "module",
];
const MODULE_KEYS: &[&str] = &[
    "number",
    "feedline",
    "wafer",
    "geometry",
    "f_min_hz",
    "f_max_hz",
    "f_min",
    "f_max",
    "cold_attenuation_db",
    "max_tone_dbm",
    "max_total_dbm",
    "start_power_dbm",
    "safe_state",
];
/// Key of the lower end of a module's range of frequencies, and the short form of this key.
const MIN_KEYS: [&str; 2] = ["f_min_hz", "f_min"];
/// Smallest width of a module's range, in hertz: the linewidth of a resonance at 1 GHz with a
/// quality factor of 100,000.
const NARROWEST_RANGE_HZ: f64 = 10e3;
const MAX_KEYS: [&str; 2] = ["f_max_hz", "f_max"];
const DETECTOR_KEYS: &[&str] = &["id", "board", "module", "f_hz"];

const ATTENUATIONS_DB: std::ops::RangeInclusive<f64> = 0.0..=200.0;

/// Reads the boards and detectors of the map in `text`, or returns all of its problems.
pub(super) fn map(
    text: &str,
    file: &str,
) -> Result<(Vec<BoardEntry>, Vec<DetectorEntry>), MapError> {
    let mut findings = Findings::new(text, file);
    let root = findings.toml()?;
    let root = Section {
        title: "the map",
        table: root.get_ref(),
        at: 0,
    };
    root.only(&mut findings, ROOT_KEYS, home);

    let mut uniques = UniqueValues::default();
    let (mut boards, mut detectors) = (Vec::new(), Vec::new());
    let sections = root.list(&mut findings, "board", "[[board]]");
    if sections.is_empty() && !findings.any() {
        findings.say(0, "the map has no board: write at least one [[board]]");
    }
    for section in sections {
        boards.extend(board(&section, &mut findings, &mut uniques));
    }
    // If a board has a problem, its detectors must not be reported as being on no board.
    let known_boards = (!findings.any()).then(|| KnownBoards::of(&boards));
    for section in root.list(&mut findings, "detector", "[[detector]]") {
        let known_boards = known_boards.as_ref();
        detectors.extend(detector(
            &section,
            &mut findings,
            &mut uniques,
            known_boards,
        ));
    }
    findings.done()?;
    Ok((boards, detectors))
}

/// Returns the section to which a key belongs, for the message about a key in a wrong section.
fn home(key: &str) -> Option<&'static str> {
    match key {
        "module" => Some("a board: write [[board.module]]"),
        _ if BOARD_KEYS.contains(&key) => Some("[[board]]"),
        _ if MODULE_KEYS.contains(&key) => Some("[[board.module]]"),
        _ if DETECTOR_KEYS.contains(&key) => Some("[[detector]]"),
        _ => None,
    }
}

fn board(
    section: &Section<'_, '_>,
    findings: &mut Findings<'_>,
    uniques: &mut UniqueValues,
) -> Option<BoardEntry> {
    let kind = kind(section, findings);
    let [own, of_modules] = [false, true].map(|of_modules| properties::keys(kind, of_modules));
    let names = properties::with_names(&own, BOARD_KEYS);
    let meant = section.only(findings, &names, |key| {
        let of_modules = properties::with_names(&of_modules, MODULE_KEYS);
        of_modules.contains(&key).then_some("[[board.module]]")
    });
    section.needs(findings, "name", &meant);
    section.needs(findings, "kind", &meant);
    let name = section
        .string(findings, "name")
        .filter(|name| well_named(findings, name));
    let serial = section
        .string(findings, "serial")
        .filter(|serial| labelled(findings, "serial", serial));
    let crate_serial = section
        .string(findings, "crate")
        .filter(|serial| labelled(findings, "crate", serial));
    let slot = section.count(findings, "slot", 1..=255);
    let request_life = section.number(findings, "request_life_s", 0.0..=20.0, "s");
    let mac = section
        .string(findings, "mac")
        .and_then(|mac| hardware_address(findings, mac));
    let address = section.string(findings, "address");

    let has = |key| section.table.contains_key(key) || meant.contains(&key);
    if has("crate") != has("slot") {
        findings.say(section.at, "`crate` and `slot` go together: one is missing");
    } else if !has("address") && !has("serial") && !has("crate") {
        let ways = "`address`, `serial`, or `crate` and `slot`";
        findings.say(section.at, format!("[[board]] needs {ways}"));
    }

    let mut modules = Vec::new();
    let mut numbers = UniqueValues::default();
    let highest = kind.map_or(u8::MAX, |kind| kind.family().highest_module);
    let list = section.list(findings, "module", "[[board.module]]");
    let mut sections = Vec::new();
    for module_section in &list {
        let kind_of_module = OfKind {
            highest,
            own: &of_modules,
            of_board: &own,
        };
        if let Some(entry) = module(module_section, findings, &mut numbers, &kind_of_module) {
            sections.push((entry.module, *module_section));
            modules.push(entry);
        }
    }
    let properties = properties::read(section, findings, &own);

    if let Some(name) = &name {
        uniques.name(findings, &name.value, name.at);
    }
    let mut placed_once = true;
    if let Some(serial) = &serial {
        placed_once &= uniques.serial(findings, &serial.value, serial.at);
    }
    if let (Some(crate_serial), Some(slot)) = (&crate_serial, &slot) {
        let serial = &crate_serial.value;
        placed_once &= uniques.slot(findings, slot.value, serial, slot.at);
    }
    if let Some(mac) = &mac {
        uniques.once(findings, "mac", &mac.value, mac.at);
    }
    let kind = kind?;
    let place = match address {
        None => None,
        Some(text) => match address::parse(&text.value, kind.family().default_port) {
            Ok(address) => Some(Found {
                value: address,
                at: text.at,
            }),
            Err(wrong) => {
                findings.say(text.at, wrong);
                return None;
            }
        },
    };
    let named_at = place.as_ref().map_or(section.at, |found| found.at);
    let follows_from = crate_serial.as_ref().or(serial.as_ref());
    let follows_from = follows_from.map_or(section.at, |found| found.at);
    let entry = BoardEntry {
        name: name?.value,
        kind,
        address: place.map(|found| found.value),
        serial: serial.map(|found| found.value),
        mac: mac.map(|found| found.value),
        crate_serial: crate_serial.map(|found| found.value),
        slot: slot.map(|found| found.value),
        request_life_s: request_life.map(|found| found.value),
        properties,
        modules,
    };
    properties::report_conflicts(&entry, section, &sections, findings);
    let derived = match (&entry.address, entry.derived_host()) {
        (None, Some(host)) => check::derived(findings, &host, follows_from),
        _ => false,
    };
    // Two boards with the same serial number or slot have the same derived address. The serial
    // number or slot is reported already, so the address is not.
    if entry.address.is_some() || (derived && placed_once) {
        uniques.address(findings, &entry.address(), named_at);
    }
    Some(entry)
}

fn kind(section: &Section<'_, '_>, findings: &mut Findings<'_>) -> Option<BoardKind> {
    let name = section.string(findings, "kind")?;
    let kind = BoardKind::named(&name.value);
    if kind.is_none() {
        let known = BoardKind::all().into_iter().map(BoardKind::name);
        let what = format!("unknown board kind `{}`", name.value);
        findings.unknown(name.at, &what, known, &name.value);
    }
    kind
}

/// Part of the kind of a board that its modules depend on.
struct OfKind<'a> {
    /// Highest number of a module.
    highest: u8,
    /// Properties of modules.
    own: &'a [&'static PropertyKey],
    /// Properties of the board as a whole.
    of_board: &'a [&'static PropertyKey],
}

fn module(
    section: &Section<'_, '_>,
    findings: &mut Findings<'_>,
    numbers: &mut UniqueValues,
    kind: &OfKind<'_>,
) -> Option<ModuleEntry> {
    let names = properties::with_names(kind.own, MODULE_KEYS);
    let meant = section.only(findings, &names, |key| {
        let of_board = properties::with_names(kind.of_board, BOARD_KEYS);
        of_board.contains(&key).then_some("[[board]]")
    });
    section.needs(findings, "number", &meant);
    let number = section.count(findings, "number", 1..=kind.highest);
    let f_min = end_of_band(section, findings, MIN_KEYS);
    let f_max = end_of_band(section, findings, MAX_KEYS);
    if let (Some(f_min), Some(f_max)) = (f_min, f_max)
        && f_min.value >= f_max.value
    {
        findings.say(
            f_max.at,
            format!(
                "`{}` = {} is not above `{}` = {}",
                key_in(section, MAX_KEYS),
                f_max.value,
                key_in(section, MIN_KEYS),
                f_min.value
            ),
        );
    } else if let (Some(f_min), Some(f_max)) = (f_min, f_max)
        && f_max.value - f_min.value < NARROWEST_RANGE_HZ
    {
        let width = f_max.value - f_min.value;
        let key = key_in(section, MAX_KEYS);
        let why = format!(
            "`{key}` = {} leaves a range of {width} Hz, narrower than any resonance and its sweep: \
             leave at least {NARROWEST_RANGE_HZ} Hz",
            f_max.value
        );
        findings.say(f_max.at, why);
    }
    let attenuation = section.number(findings, "cold_attenuation_db", ATTENUATIONS_DB, "dB");
    let powers = powers(section, findings);
    let safe_state = named(
        section,
        findings,
        "safe_state",
        "safe state",
        &SafeState::ALL,
    );
    let geometries = Geometry::ALL.map(|one| (one.as_str(), one));
    let geometry = named(section, findings, "geometry", "geometry", &geometries);
    let feedline = section.string(findings, "feedline");
    let wafer = section.string(findings, "wafer");
    let properties = properties::read(section, findings, kind.own);

    let number = number?;
    numbers.once(findings, "module", &number.value.to_string(), number.at);
    let mut entry = ModuleEntry::conservative(ModuleId::new(number.value).ok()?);
    entry.feedline = feedline.map(|found| found.value);
    entry.wafer = wafer.map(|found| found.value);
    entry.geometry = geometry.unwrap_or_default();
    entry.f_min = f_min.map(|found| Hertz(found.value));
    entry.f_max = f_max.map(|found| Hertz(found.value));
    if let Some(attenuation) = attenuation {
        entry.cold_attenuation_db = attenuation.value;
    }
    [entry.start_power, entry.max_tone, entry.max_total] = powers;
    entry.safe_state = safe_state.unwrap_or_default();
    entry.properties = properties;
    Some(entry)
}

/// Reads one of a few named values, if the key exists. `what` names it in messages.
fn named<T: Copy>(
    section: &Section<'_, '_>,
    findings: &mut Findings<'_>,
    key: &str,
    what: &str,
    all: &[(&'static str, T)],
) -> Option<T> {
    let name = section.string(findings, key)?;
    let known = all.iter().find(|(known, _)| *known == name.value);
    if known.is_none() {
        let names = all.iter().map(|(known, _)| *known);
        let what = format!("unknown {what} `{}`", name.value);
        findings.unknown(name.at, &what, names, &name.value);
    }
    known.map(|(_, value)| *value)
}

/// Reads a detector. `known_boards` is `None` if a board of the map has a problem.
fn detector(
    section: &Section<'_, '_>,
    findings: &mut Findings<'_>,
    uniques: &mut UniqueValues,
    known_boards: Option<&KnownBoards<'_>>,
) -> Option<DetectorEntry> {
    let meant = section.only(findings, DETECTOR_KEYS, |_| None);
    for key in DETECTOR_KEYS {
        section.needs(findings, key, &meant);
    }
    let id = section.string(findings, "id");
    if let Some(id) = &id {
        uniques.once(findings, "detector id", &id.value, id.at);
    }
    let board = section.string(findings, "board");
    let number = section.count(findings, "module", 1..=u8::MAX);
    let f_hz = match known_boards {
        Some(_) => frequency(section, findings, "f_hz"),
        // An implausible unit of the frequency is reported only if the boards have no problem.
        None => {
            let found = section.as_number("f_hz");
            let asked = found.filter(|found| implausible_hz("`f_hz`", found.value).is_some());
            asked.or_else(|| section.number(findings, "f_hz", FREQUENCIES_HZ, "Hz"))
        }
    };
    let entry = DetectorEntry {
        id: id?.value,
        board: board.as_ref()?.value.clone(),
        module: ModuleId::new(number?.value).ok()?,
        expected: Hertz(f_hz?.value),
    };
    if let (Some(known_boards), Some(board), Some(number), Some(f_hz)) =
        (known_boards, board, number, f_hz)
    {
        check::check_detector_place(findings, known_boards, &board, number, f_hz);
    }
    Some(entry)
}

/// Returns true if `name` can be the name of a board, and otherwise reports a problem in
/// `findings`. Board names are file names in run directories.
fn well_named(findings: &mut Findings<'_>, name: &Found<String>) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let good = name.value.len() <= 64
        && name.value.bytes().all(allowed)
        && name.value.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !good {
        findings.say(
            name.at,
            "a board name has 1 to 64 letters, digits, `-`, `_` and `.`, a letter or digit first",
        );
    }
    good
}

/// Returns the hardware address `mac` in its normal form: lower case, with colons. If no board can
/// have this address, reports a problem in `findings` and returns `None`.
fn hardware_address(findings: &mut Findings<'_>, mac: Found<String>) -> Option<Found<String>> {
    let value = mac.value.to_lowercase().replace('-', ":");
    let pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    let good = value.split(':').count() == 6 && value.split(':').all(pair);
    if !good {
        let what = "`mac` has six pairs of hexadecimal digits: write \"02:00:5e:10:00:2a\"";
        findings.say(mac.at, what);
    }
    if let Some(why) = address::no_boards_mac(&value).filter(|_| good) {
        findings.say(mac.at, format!("no board has `mac` = {value}: {why}"));
        return None;
    }
    good.then_some(Found { value, at: mac.at })
}

/// Returns true if `serial` can be a label of a host name (a part between dots), which a serial
/// number must be. Otherwise reports a problem in `findings`.
fn labelled(findings: &mut Findings<'_>, key: &str, serial: &Found<String>) -> bool {
    let good = BoardPlace::is_serial(&serial.value);
    if !good {
        findings.say(serial.at, check::no_label(key));
    }
    good
}
