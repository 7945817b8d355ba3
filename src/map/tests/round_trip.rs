//! Tests of maps that are written and read back, and of texts that are no maps.

use proptest::prelude::*;

use super::*;

fn option<T: std::fmt::Debug + Clone>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(value)
}

/// Names, range, powers, safe state and geometry of a module, drawn at random.
type Drawn = (
    (Option<String>, Option<String>),
    (Option<f64>, Option<f64>),
    (f64, f64, f64, f64),
    (&'static str, SafeState),
    Geometry,
    (Option<f64>, Option<u8>, Option<f64>),
);

fn modules() -> impl Strategy<Value = Vec<ModuleEntry>> {
    let text = "[ -~µ]{0,10}[a-z\"\\\\]";
    let module = (
        (option(text), option(text)),
        (option(1e7..4e9f64), option(4e9..1e10f64)),
        (0.0..=200.0f64, -200.0..0.0f64, 0.0..15.0f64, 0.0..15.0f64),
        prop::sample::select(SafeState::ALL.to_vec()),
        prop::sample::select(Geometry::ALL.to_vec()),
        (
            option(-20.0..=10.0f64),
            option(0..=27u8),
            option(0.0..=2000.0f64),
        ),
    );
    prop::collection::vec(module, 0..=4).prop_map(|modules| {
        let entry = |(index, module): (usize, Drawn)| {
            let ((feedline, wafer), (f_min, f_max), powers, (_, safe_state), geometry, set) =
                module;
            let properties = [
                ("dac_scale_dbm", set.0),
                ("adc_attenuator_db", set.1.map(f64::from)),
                ("cable_length_m", set.2),
            ];
            let properties = properties
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?.into())));
            let (cold_attenuation_db, start, tone, total) = powers;
            let number = u8::try_from(index).unwrap() + 1;
            ModuleEntry {
                module: ModuleId::new(number).unwrap(),
                feedline,
                wafer,
                geometry,
                f_min: f_min.map(Hertz),
                f_max: f_max.map(Hertz),
                cold_attenuation_db,
                start_power: Dbm(start),
                max_tone: Dbm(start + tone),
                max_total: Dbm(start + tone + total),
                safe_state,
                properties: properties.collect(),
            }
        };
        modules.into_iter().enumerate().map(entry).collect()
    })
}

/// Parts of a board of a map, drawn at random: its modules, its port, true if it has a serial
/// number, its slot, and its decimation with true for the low analog bank.
type DrawnBoard = (
    Vec<ModuleEntry>,
    Option<u16>,
    bool,
    Option<u8>,
    (Option<u8>, bool),
);

fn boards() -> impl Strategy<Value = Vec<BoardEntry>> {
    let board = (
        modules(),
        option(1..=65535u16),
        any::<bool>(),
        option(1..=255u8),
        (option(0..=6u8), any::<bool>()),
    );
    prop::collection::vec(board, 1..6).prop_map(|boards| {
        let entry = |(index, board): (usize, DrawnBoard)| {
            let (modules, port, serial, slot, (stage, is_low)) = board;
            let stage = stage.map(|stage| ("decimation", f64::from(stage).into()));
            let bank = is_low.then(|| ("analog_bank", "low".into()));
            let address = port.map(|port| Host::new(format!("127.0.0.{index}"), port));
            let serial = serial || (address.is_none() && slot.is_none());
            BoardEntry {
                name: format!("b{index:04}"),
                kind: BoardKind::CRS,
                address,
                serial: serial.then(|| format!("{index:04}")),
                mac: serial.then(|| format!("02:00:00:00:00:{index:02x}")),
                crate_serial: slot.map(|_| format!("c{index}")),
                slot,
                request_life_s: slot.map(|slot| f64::from(slot) / 16.0),
                properties: stage.into_iter().chain(bank).collect(),
                modules,
            }
        };
        boards.into_iter().enumerate().map(entry).collect()
    })
}

proptest! {
    #[test]
    fn a_map_reads_back_as_it_was_written(boards in boards(), f_hz in 4e9..4.0001e9f64) {
        let home = boards.iter().find(|board| {
            board.modules.first().is_some_and(|m| m.f_max.is_none_or(|f| f.0 > f_hz))
        });
        let detectors: Vec<_> = home
            .map(|board| DetectorEntry {
                id: "d \"1\" µ".into(),
                board: board.name.clone(),
                module: board.modules[0].module,
                expected: Hertz(f_hz),
            })
            .into_iter()
            .collect();
        let map = HardwareMap::new(boards.clone(), detectors.clone())
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(map.boards(), &boards[..]);
        prop_assert_eq!(map.detectors(), &detectors[..]);
        let again = HardwareMap::parse(&map.to_toml(), "again.toml").unwrap();
        prop_assert_eq!(&again, &map);
        prop_assert_eq!(again.to_toml(), map.to_toml());
    }

    #[test]
    fn no_text_makes_reading_panic(
        noise in "[\\[\\]{}=\"#.\n a-z0-9_µ-]{0,40}",
        at in 0..GOOD.len(),
        cut in 0..20usize,
    ) {
        let (before, after) = GOOD.split_at(at);
        let text = format!("{before}{noise}{}", after.get(cut..).unwrap_or_default());
        if let Err(error) = HardwareMap::parse(&text, "noise.toml") {
            prop_assert!(!error.problems().is_empty());
            for problem in error.problems() {
                let place = problem.place.unwrap();
                prop_assert!(place.line <= text.matches('\n').count() + 1);
            }
        }
    }
}
