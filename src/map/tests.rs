//! Tests of valid and invalid maps.

mod many;
mod refused;
mod round_trip;

use twotone_algorithms::Geometry;
use twotone_hal::{Dbm, Description, Hertz, ModuleDescription, ModuleId};

use super::*;

const GOOD: &str = r#"
[[board]]
name = "b1"
kind = "crs"
address = "127.0.0.2:18082"

[[board.module]]
number = 1
feedline = "w3-f1"
f_min_hz = 4e9
f_max_hz = 4_500_000_000
cold_attenuation_db = 40
max_tone_dbm = -40.0
max_total_dbm = -12.0
start_power_dbm = -50.0
safe_state = "previous"

[[board.module]]
number = 2

[[board]]
name = "b2"
kind = "crs"
serial = "0042"

[[detector]]
id = "w3-d0001"
board = "b1"
module = 1
f_hz = 4.1e9
"#;

#[test]
fn a_good_map_is_read_as_it_stands() {
    let map = HardwareMap::parse(GOOD, "farm.toml").unwrap();
    assert_eq!((map.file(), map.text()), ("farm.toml", GOOD));
    let [b1, b2] = map.boards() else {
        panic!("{:?}", map.boards())
    };
    assert_eq!(b1.address().to_string(), "127.0.0.2:18082");
    assert_eq!(b2.address().to_string(), "rfmux0042.local:80");
    let one = ModuleId::new(1).unwrap();
    let two = ModuleId::new(2).unwrap();
    let expected = ModuleEntry {
        feedline: Some("w3-f1".into()),
        f_min: Some(Hertz(4e9)),
        f_max: Some(Hertz(4.5e9)),
        cold_attenuation_db: 40.0,
        max_tone: Dbm(-40.0),
        max_total: Dbm(-12.0),
        start_power: Dbm(-50.0),
        safe_state: SafeState::Previous,
        ..ModuleEntry::conservative(one)
    };
    assert_eq!(b1.module(one), Some(expected));
    assert_eq!(b1.module(two), Some(ModuleEntry::conservative(two)));
    assert_eq!(b1.module(ModuleId::new(3).unwrap()), None);
    assert_eq!(b2.module(two), Some(ModuleEntry::conservative(two)));
    assert_eq!(map.board("b2"), Some(b2));
    let short = GOOD
        .replace("f_min_hz", "f_min")
        .replace("f_max_hz", "f_max");
    assert_eq!(HardwareMap::parse(&short, "farm.toml").unwrap(), map);
}

#[test]
fn a_module_names_its_geometry() {
    let with = |geometry: &str| {
        let line = format!("safe_state = \"previous\"\ngeometry = \"{geometry}\"");
        HardwareMap::parse(
            &GOOD.replace("safe_state = \"previous\"", &line),
            "farm.toml",
        )
    };
    for geometry in Geometry::ALL {
        let map = with(geometry.as_str()).unwrap();
        assert_eq!(map.boards()[0].modules[0].geometry, geometry);
        assert_eq!(map.boards()[0].modules[1].geometry, Geometry::Notch);
    }
    let error = with("reflexion").unwrap_err().to_string();
    assert!(
        error.contains("unknown geometry `reflexion`; did you mean `reflection`?"),
        "{error}"
    );
}

#[test]
fn addresses_follow_from_crate_and_slot_or_serial() {
    let mut board = BoardEntry::new("x", BoardKind::CRS, Host::parse("h:81", 80).unwrap());
    assert_eq!(board.address().to_string(), "h:81");
    board.address = None;
    board.serial = Some("0042".into());
    assert_eq!(board.address().to_string(), "rfmux0042.local:80");
    (board.crate_serial, board.slot) = (Some("c7".into()), Some(3));
    assert_eq!(board.address().to_string(), "slot3.cratec7.local:80");
}

#[test]
fn a_board_without_modules_has_those_that_it_describes() {
    let one = ModuleId::new(1).unwrap();
    let described = ModuleDescription {
        nco: Some(twotone_hal::NcoRange {
            min: Hertz(1e8),
            max: Hertz(5e9),
        }),
        max_offset: Hertz(3e8),
        frequency_step: Hertz(1e-3),
        sample_rate: Hertz(600.0),
        settle_samples: 7,
        full_scale: Some(Dbm(0.0)),
        ..ModuleDescription::new(one, 1024)
    };
    assert_eq!(described.reach(), (Hertz(0.0), Hertz(5.3e9)));
    let entry = ModuleEntry::conservative(one);
    let description = Description::new("crs", [], [described]);
    let mut board = BoardEntry::new("x", BoardKind::CRS, Host::parse("h", 80).unwrap());
    assert_eq!(
        board.modules_of(&description).unwrap(),
        [ModuleEntry::conservative(one)]
    );
    board.modules = vec![entry.clone()];
    assert_eq!(board.modules_of(&description).unwrap(), [entry]);
    board.modules = vec![ModuleEntry::conservative(ModuleId::new(4).unwrap())];
    assert_eq!(
        board.modules_of(&description).unwrap_err().to_string(),
        "board x: compare with the map: invalid argument: there is no module 4; the board has 1"
    );
}

#[test]
fn a_map_made_by_a_program_is_checked_as_one_that_was_read() {
    let board = BoardEntry::new("b1", BoardKind::CRS, Host::parse("h", 80).unwrap());
    let error = HardwareMap::new(vec![board.clone(), board.clone()], vec![]).unwrap_err();
    assert_eq!(error.problems().len(), 2, "{error}");
    let mut module = ModuleEntry::conservative(ModuleId::new(1).unwrap());
    module.max_tone = Dbm(f64::NAN);
    let spoilt = BoardEntry {
        modules: vec![module],
        ..board.clone()
    };
    let error = HardwareMap::new(vec![spoilt], vec![]).unwrap_err();
    assert!(
        error.to_string().contains("`max_tone_dbm` must be from"),
        "{error}"
    );
    assert!(HardwareMap::new(vec![], vec![]).is_err());
    assert_eq!(
        HardwareMap::new(vec![board.clone()], vec![])
            .unwrap()
            .boards(),
        [board]
    );
}
