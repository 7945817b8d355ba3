//! Import of a Python hardware map: YAML with the boards as `!CRS` and `!Crate`.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{HardwareMap, MapError};

/// A Python hardware map as one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The map, as text in TOML. It is a valid one.
    pub toml: String,
    /// What the Python map has beside its boards, such as `!Wafer "w3"`: it is not imported.
    pub left_out: Vec<String>,
}

/// Imports the boards of a Python hardware map (`!HardwareMap [ !CRS {..}, !Crate {..} ]`), with
/// their serial numbers, hosts, crates and slots. Their modules are those that they describe, with
/// conservative limits, until somebody writes down what hangs on them. `file` names the map in
/// errors.
///
/// ```
/// let yaml = r#"!HardwareMap [ !CRS { serial: "0042", hostname: "127.0.0.2:18082" } ]"#;
/// let imported = twotone::map::import_rfmux(yaml, "lab.yaml").unwrap();
/// assert!(imported.toml.contains("address = \"127.0.0.2:18082\""));
/// ```
///
/// # Errors
/// [`MapError`] where it is no YAML or no such map, with the line and the column, and where the
/// boards cannot stand in a map of ours: none at all, or two of one serial number.
pub fn import_rfmux(yaml: &str, file: &str) -> Result<Imported, MapError> {
    let Top::HardwareMap(items) = serde_saphyr::from_str(yaml)
        .map_err(|error| MapError::whole(file, misread(yaml, &error)))?;
    let mut boards = Vec::new();
    let mut left_out = Vec::new();
    for item in items {
        match item {
            Item::Board(board) => {
                let slot = board
                    .slot
                    .map(|slot| format!("slot {slot} without a crate"));
                left_out.extend(slot.map(|slot| format!("{}'s {slot}", board.name(None))));
                boards.push((None, board));
            }
            Item::Crate(housing) => {
                let Slots(slots) = housing.slots;
                for (slot, Slot::Board(board)) in slots {
                    let place = (housing.serial.0.clone(), slot);
                    if let Some(other) = board.slot.filter(|&other| other != slot) {
                        let name = board.name(Some(&place));
                        let why = format!("{name} stands in slot {slot} and says slot {other}");
                        return Err(MapError::whole(file, why));
                    }
                    boards.push((Some(place), board));
                }
            }
            Item::Wafer(_) => left_out.push("!Wafer".to_owned()),
            Item::Resonators(path) => left_out.push(format!("!Resonators {path:?}")),
            Item::ChannelMappings(path) => left_out.push(format!("!ChannelMappings {path:?}")),
            Item::Flavour(name) => left_out.push(format!("!flavour {name:?}")),
        }
    }
    let mut toml = String::new();
    for (place, board) in &boards {
        if board.modules.is_some() {
            left_out.push(format!("{}'s modules", board.name(place.as_ref())));
        }
        board.write(place.as_ref(), &mut toml);
    }
    if let Some(twice) = taken_twice(&boards) {
        return Err(MapError::whole(file, twice));
    }
    // Whatever is wrong with it is wrong with the map that it came from.
    HardwareMap::parse(&toml, file).map_err(|error| {
        let problems = error
            .problems()
            .iter()
            .map(|problem| problem.message.clone());
        MapError::whole(file, problems.collect::<Vec<_>>().join("; "))
    })?;
    Ok(Imported { toml, left_out })
}

/// The tags that are known.
const TAGS: [&str; 7] = [
    "HardwareMap",
    "CRS",
    "Crate",
    "Wafer",
    "Resonators",
    "ChannelMappings",
    "flavour",
];

/// Why a text could not be read: a reader of tagged values does not name the tag that it does not
/// know, but what stands below it.
fn misread(yaml: &str, error: &impl ToString) -> String {
    let tags = || {
        let words = yaml.split(|c: char| c.is_whitespace() || "[]{},".contains(c));
        words.filter_map(|word| word.strip_prefix('!'))
    };
    let error = error.to_string();
    let unknown = tags().find(|tag| !TAGS.contains(tag));
    match unknown.filter(|_| error.contains("unknown variant")) {
        Some(tag) => format!("unknown tag `!{tag}`: expected !HardwareMap with !CRS and !Crate"),
        None if tags().next() != Some("HardwareMap") => {
            "this is no Python hardware map: it does not begin with !HardwareMap".to_owned()
        }
        None => error,
    }
}

/// A board's crate and slot, and the board.
type Placed = (Option<(String, u8)>, Board);

/// What two boards have that each must have for itself.
fn taken_twice(boards: &[Placed]) -> Option<String> {
    let mut names = BTreeSet::new();
    let mut hosts = BTreeSet::new();
    boards.iter().find_map(|(place, board)| {
        let name = board.name(place.as_ref());
        let host = board.hostname.as_deref();
        if let Some(host) = host.filter(|host| !hosts.insert(host.to_owned())) {
            return Some(format!("two boards answer at {host}"));
        }
        let serial = board.serial();
        let what = serial.map_or_else(|| name.clone(), |serial| format!("serial number {serial}"));
        (!names.insert(name)).then(|| format!("two boards have {what}"))
    })
}

#[derive(Deserialize)]
enum Top {
    HardwareMap(Vec<Item>),
}

#[derive(Deserialize)]
enum Item {
    #[serde(rename = "CRS")]
    Board(Board),
    Crate(Crate),
    Wafer(IgnoredAny),
    Resonators(String),
    ChannelMappings(String),
    #[serde(rename = "flavour")]
    Flavour(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Board {
    serial: Option<Serial>,
    hostname: Option<String>,
    slot: Option<u8>,
    /// What hangs on them is of other parts of the Python map.
    modules: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Crate {
    serial: Serial,
    slots: Slots,
}

/// A serial number, as printed on the board: also where the quotes were left out.
struct Serial(String);

impl<'de> Deserialize<'de> for Serial {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self)
    }
}

#[derive(Deserialize)]
enum Slot {
    #[serde(rename = "CRS")]
    Board(Board),
}

/// The boards of a crate by slot: a list counts from 1, and empty slots are null.
struct Slots(Vec<(u8, Slot)>);

impl<'de> Deserialize<'de> for Slots {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OfEither;

        impl<'de> Visitor<'de> for OfEither {
            type Value = Slots;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("boards, as a list or by their slots")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Slots, A::Error> {
                let mut slots = Vec::new();
                let mut number = 0;
                while let Some(board) = list.next_element::<Option<Slot>>()? {
                    number += 1;
                    slots.extend(board.map(|Slot::Board(board)| {
                        (board.slot.unwrap_or(number), Slot::Board(board))
                    }));
                }
                Ok(Slots(slots))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Slots, A::Error> {
                let mut slots = Vec::new();
                while let Some((slot, board)) = map.next_entry::<u8, Option<Slot>>()? {
                    slots.extend(board.map(|board| (slot, board)));
                }
                Ok(Slots(slots))
            }
        }

        from.deserialize_any(OfEither)
    }
}

impl Board {
    fn serial(&self) -> Option<&str> {
        self.serial.as_ref().map(|serial| serial.0.as_str())
    }

    fn name(&self, place: Option<&(String, u8)>) -> String {
        match (self.serial(), place) {
            (Some(serial), _) => format!("crs{serial}"),
            (None, Some((housing, slot))) => format!("crate{housing}-slot{slot}"),
            (None, None) => self.hostname.clone().unwrap_or_default().replace(':', "-"),
        }
    }

    fn write(&self, place: Option<&(String, u8)>, toml: &mut String) {
        let serial = self.serial();
        let name = self.name(place);
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let mut line = |key: &str, value: String| {
            let written = writeln!(toml, "{key} = {value}");
            debug_assert!(written.is_ok());
        };
        let mut lines = vec![("name", quoted(&name)), ("kind", quoted("crs"))];
        lines.extend(
            self.hostname
                .as_deref()
                .map(|host| ("address", quoted(host))),
        );
        lines.extend(serial.map(|serial| ("serial", quoted(serial))));
        if let Some((housing, slot)) = place {
            lines.extend([("crate", quoted(housing)), ("slot", slot.to_string())]);
        }
        for (index, (key, value)) in lines.into_iter().enumerate() {
            match index {
                0 => line("[[board]]\nname", value),
                _ => line(key, value),
            }
        }
        toml.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, address and serial number of each board that `yaml` comes to.
    fn boards(yaml: &str) -> Vec<(String, String, Option<String>)> {
        let imported = import_rfmux(yaml, "lab.yaml").unwrap_or_else(|error| panic!("{error}"));
        let map = HardwareMap::parse(&imported.toml, "lab.toml").unwrap();
        let boards = map.boards().iter();
        boards
            .map(|board| {
                (
                    board.name.clone(),
                    board.address().to_string(),
                    board.serial.clone(),
                )
            })
            .collect()
    }

    fn board(name: &str, address: &str, serial: Option<&str>) -> (String, String, Option<String>) {
        (
            name.to_owned(),
            address.to_owned(),
            serial.map(str::to_owned),
        )
    }

    #[test]
    fn boards_answer_where_they_did() {
        let yaml = r#"
!HardwareMap
- !CRS { serial: "0042" }
- !CRS { serial: "0043", hostname: "10.0.3.43" }
- !CRS { serial: 0044, hostname: "127.0.0.2:18082" }
"#;
        let expected = [
            board("crs0042", "rfmux0042.local:80", Some("0042")),
            board("crs0043", "10.0.3.43:80", Some("0043")),
            board("crs0044", "127.0.0.2:18082", Some("0044")),
        ];
        assert_eq!(boards(yaml), expected);
    }

    #[test]
    fn crates_have_slots() {
        let by_number = r#"
!HardwareMap
- !Crate
  serial: "001"
  slots:
    2: !CRS { serial: "0011" }
    5: !CRS {}
"#;
        let expected = [
            board("crs0011", "slot2.crate001.local:80", Some("0011")),
            board("crate001-slot5", "slot5.crate001.local:80", None),
        ];
        assert_eq!(boards(by_number), expected);
        let as_list =
            r#"!HardwareMap [ !Crate { serial: "001", slots: [ ~, !CRS { serial: "0011" } ] } ]"#;
        assert_eq!(boards(as_list), expected[..1]);
    }

    #[test]
    fn what_is_no_board_is_named_and_left_out() {
        let yaml =
            r#"!HardwareMap [ !flavour "rfmux", !CRS { serial: "1" }, !Resonators "r.csv" ]"#;
        let imported = import_rfmux(yaml, "lab.yaml").unwrap();
        assert_eq!(
            imported.left_out,
            ["!flavour \"rfmux\"", "!Resonators \"r.csv\""]
        );
        let yaml = r#"!HardwareMap [ !CRS { serial: "1", slot: 3, modules: [ !Module {} ] } ]"#;
        let imported = import_rfmux(yaml, "lab.yaml").unwrap();
        let expected = ["crs1's slot 3 without a crate", "crs1's modules"];
        assert_eq!(imported.left_out, expected);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let refused = |yaml: &str| import_rfmux(yaml, "lab.yaml").unwrap_err().to_string();
        let misspelt = refused("!HardwareMap\n- !CRS { serail: \"0042\" }\n");
        assert!(
            misspelt.contains("lab.yaml") && misspelt.contains("serail"),
            "{misspelt}"
        );
        assert!(misspelt.contains("line 2"), "{misspelt}");
        let twice = r#"!HardwareMap [ !CRS { serial: "1" }, !CRS { serial: "1" } ]"#;
        assert!(
            refused(twice).contains("serial number"),
            "{}",
            refused(twice)
        );
        let elsewhere = r#"!HardwareMap [ !Crate { serial: "1", slots: { 2: !CRS { serial: "9", slot: 7 } } } ]"#;
        let elsewhere = refused(elsewhere);
        assert!(
            elsewhere.contains("crs9 stands in slot 2 and says slot 7"),
            "{elsewhere}"
        );
        let twice = r#"!HardwareMap [ !CRS { hostname: "a:1" }, !CRS { hostname: "a:1" } ]"#;
        assert!(refused(twice).contains("two boards answer at a:1"));
        let mock = refused(r#"!HardwareMap [ !MockCRS { serial: "1" } ]"#);
        assert!(mock.contains("unknown tag `!MockCRS`"), "{mock}");
        for none in ["boards: 3", "[[board]]\nname = \"b\"\n", ""] {
            let none = refused(none);
            assert!(none.contains("no Python hardware map"), "{none}");
        }
        assert!(!refused("!HardwareMap []").is_empty());
    }
}
