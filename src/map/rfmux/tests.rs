mod detectors;
mod files;
mod many;
mod modules;
mod python;

use super::*;

/// A map that needs no further file.
pub(super) fn no_file(_: &Path) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

fn imported(yaml: &str) -> Imported {
    import_rfmux(yaml, "lab.yaml", no_file).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns name, address and serial number of each board that is imported from `yaml`, a Python
/// hardware map. This is a YAML document with entries such as `!CRS` (a board) and `!Crate` (a
/// crate with boards).
fn boards(yaml: &str) -> Vec<(String, String, Option<String>)> {
    let map = HardwareMap::parse(&imported(yaml).toml, "lab.toml").unwrap();
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
    // A serial number that begins with a zero and has no quotes is an octal number in Python.
    let [doubt] = &imported(yaml).doubts[..] else {
        panic!("{:?}", imported(yaml).doubts)
    };
    assert!(
        doubt.starts_with("lab.yaml:5:18: Python reads 0044 without quotes as 36;"),
        "{doubt}"
    );
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
    let first = &expected[..1];
    let crates = [
        r#"!HardwareMap [ !Crate { serial: "001", slots: [ ~, !CRS { serial: "0011" } ] } ]"#,
        r#"!HardwareMap [ !Crate { serial: "001", slots: [ !CRS { serial: "0011", slot: "2" } ] } ]"#,
        r#"!HardwareMap [ !Crate { serial: "001", slots: { "2": !CRS { serial: "0011", slot: 2 }, 3: ~ } } ]"#,
        r#"!HardwareMap [ !Crate { serial: "001", slot: { 2: !CRS { serial: "0011", slot: 2 } } } ]"#,
        r#"!HardwareMap [ !CRS { serial: "0011", slot: 2, crate: !Crate { serial: "001" } } ]"#,
        r#"!HardwareMap [ &b !CRS { serial: "0011" }, !Crate { serial: "001", slots: { 2: *b } } ]"#,
        r#"!HardwareMap [ !Crate { slots: { 2: !CRS { serial: "0011" } }, serial: "001" } ]"#,
    ];
    for yaml in crates {
        assert_eq!(boards(yaml), first, "{yaml}");
    }
}

#[test]
fn every_form_that_yaml_has_for_a_board_is_one() {
    let expected = [
        board("crs0042", "10.0.0.5:81", Some("0042")),
        board("crs0043", "10.0.0.6:81", Some("0043")),
    ];
    let forms = [
        "!HardwareMap\n- !CRS\n  serial: '0042'\n  hostname: 10.0.0.5:81\n- !CRS { serial: !!str 0043, hostname: 10.0.0.6:81, slot: ~ }\n",
        // The map as a key of a session.
        "note: two boards\nhardware_map: !HardwareMap\n  - !CRS { serial: \"0042\", hostname: 10.0.0.5:81 }\n  - !CRS { serial: \"0043\", hostname: 10.0.0.6:81 }\n",
        // `<<` merges the entries of another mapping into a board. The board's own entries take
        // precedence.
        "port: &p { online: true, hostname: 10.0.0.6:81 }\nmap: !HardwareMap\n  - !CRS { <<: *p, serial: \"0042\", hostname: 10.0.0.5:81 }\n  - !CRS { <<: [ *p, { hostname: no } ], serial: \"0043\" }\n",
        // Python takes boards also from lists and mappings within the map. It takes a board only
        // once, even if aliases repeat it.
        "%YAML 1.1\n---\n!HardwareMap\n- - &a !CRS { serial: \"0042\", hostname: 10.0.0.5:81 }\n- mine: [ !CRS { serial: \"0043\", hostname: 10.0.0.6:81 }, *a ]\n- ~\n- *a\n...\n",
        "\u{feff}!HardwareMap # with a mark before it\n- !CRS\n  hostname: \"10.0.0.5:81\"\n  serial: |-\n    0042\n- !CRS {\n  serial: \"0043\", hostname: \"10.0.0.6:81\", online: \"True\" }\n",
    ];
    for yaml in forms {
        assert_eq!(boards(yaml), expected, "{yaml}");
        assert_eq!(imported(yaml).doubts, [""; 0], "{yaml}");
    }
}

#[test]
fn every_board_has_a_name_of_its_own() {
    for (yaml, names) in [
        (
            r#"!CRS { hostname: "[fd00::12]:80" }"#,
            ["fd00--12-80"].as_slice(),
        ),
        (r#"!CRS { hostname: "[::1]" }"#, &["1"]),
        (r#"!CRS { hostname: "[fe80::1%eth0]" }"#, &["fe80--1-eth0"]),
        (r#"!CRS { hostname: "Lab_7.local." }"#, &["Lab_7.local"]),
        (r#"!CRS { hostname: "_.local" }"#, &["local"]),
        (r#"!CRS { hostname: "_" }"#, &["board"]),
        (
            r#"!CRS { hostname: "_" }, !CRS { hostname: "__" }"#,
            &["board", "board-2"],
        ),
        (
            r#"!CRS { hostname: "CRS7" }, !CRS { serial: "7" }, !CRS { hostname: "crs7:81" }"#,
            &["CRS7", "crs7-2", "crs7-81"],
        ),
        (
            r#"!CRS { hostname: "b-2" }, !CRS { hostname: "b:2" }, !CRS { hostname: "b:3" }"#,
            &["b-2", "b-2-2", "b-3"],
        ),
    ] {
        let found = boards(&format!("!HardwareMap [ {yaml} ]"));
        let found: Vec<_> = found.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(found, names, "{yaml}");
    }
    let long = "a".repeat(63);
    let yaml = format!(
        "!HardwareMap [ !CRS {{ hostname: {long}.x.lab }}, !CRS {{ hostname: {long}.x.lob }} ]"
    );
    let found = boards(&yaml);
    assert_eq!(found[0].0, long);
    assert_eq!(found[1].0, format!("{}-2", &long[..62]));
}

#[test]
fn entries_that_are_not_boards_are_named_and_left_out() {
    for (items, left_out) in [
        (
            r#"!flavour "rfmux", !CRS { serial: "1" }"#,
            ["!flavour \"rfmux\""].as_slice(),
        ),
        (
            r#"!CRS { serial: "1", slot: 3, modules: [ !Module {} ] }"#,
            &["crs1's slot 3 without a crate", "crs1's modules"],
        ),
        (
            r#"!CRS { serial: "1", online: true, backplane_serial: "17", _pk: 4 }"#,
            &["crs1's backplane_serial \"17\"", "crs1's _pk"],
        ),
        (
            r#"!CRS { serial: "1", online: No }"#,
            &["crs1's online: false"],
        ),
        (
            r#"!CRS { serial: "1", online: "False" }"#,
            &["crs1's online: false"],
        ),
        (
            r#"!Crate { serial: "001" }, !CRS { serial: "1" }"#,
            &["!Crate \"001\", which has no boards"],
        ),
        (
            r#"!Crate { slots: [ !CRS { serial: "1" } ] }"#,
            &["crs1's slot 1 of a crate without a serial number"],
        ),
        (
            r#"!CRS { serial: "1" }, { serial: "2" }, a word, !ReadoutModule { module: 1 }"#,
            &[
                "a mapping without a tag at line 1, column 38",
                "\"a word\" without a tag at line 1, column 55",
                "!ReadoutModule",
            ],
        ),
        // With a schema other than that of rfmux, an unknown key is an additional column, and no
        // mistake.
        (
            r#"!flavour lab, !CRS { serial: "1", fridge: B }"#,
            &["!flavour \"lab\"", "crs1's fridge"],
        ),
        (
            r#"!CRS { serial: "SN/1", hostname: b1 }"#,
            &["b1's serial number \"SN/1\""],
        ),
    ] {
        let found = imported(&format!("!HardwareMap [ {items} ]")).left_out;
        assert_eq!(found, left_out, "{items}");
    }
    let session = "description: \"cooldown 14\"\noutput: !include { save_database: x.db }\nhardware_map: !HardwareMap [ !CRS { serial: \"1\" } ]\n";
    let expected = ["the session's \"description\"", "the session's \"output\""];
    assert_eq!(imported(session).left_out, expected);
}

#[test]
fn entries_that_a_person_must_check_are_reported_with_their_places() {
    for (yaml, place, words) in [
        (
            "!HardwareMap\n- !CRS { serial: \"71\", online: false }",
            "2:3",
            "crs71 is offline",
        ),
        (
            "!HardwareMap\n- !flavour rfmux.mock\n- !CRS { serial: \"1\" }",
            "2:3",
            "simulate the boards",
        ),
        (
            "!HardwareMap\n- !CRS { serial: 0043 }",
            "2:18",
            "Python reads 0043 without quotes as 35",
        ),
        (
            "!HardwareMap\n- !Crate\n  serial: c\n  slots:\n    010: !CRS {}",
            "5:5",
            "as slot 8",
        ),
        (
            "m: !HardwareMap\n  - !CRS { serial: \"1\" }\nspare:\n  - !CRS { serial: \"2\" }",
            "4:5",
            "are not imported",
        ),
        (
            "!HardwareMap\n- !CRS\n  serial: SN/1\n  hostname: b1",
            "3:11",
            "is not imported",
        ),
    ] {
        let doubts = imported(yaml).doubts;
        let [doubt] = &doubts[..] else {
            panic!("{doubts:?}")
        };
        let place = format!("lab.yaml:{place}: ");
        assert!(
            doubt.starts_with(&place) && doubt.contains(words),
            "{doubt}"
        );
    }
    let offline = imported("!HardwareMap\n- !CRS { serial: \"71\", online: off }").toml;
    assert!(
        offline.starts_with("# online: false in lab.yaml\n[[board]]\n"),
        "{offline}"
    );
}

#[test]
fn a_crate_that_a_board_names_has_that_board() {
    let nine = "!CRS { serial: \"9\", slot: 3, crate: ";
    for (items, left_out) in [
        (format!("{nine}!Crate {{ serial: \"2\" }} }}"), [].as_slice()),
        // The board names the crate by an alias, or the crate comes after it, also within lists.
        (format!("&c !Crate {{ serial: \"2\" }}, {nine}*c }}"), &[]),
        (format!("{nine}&c !Crate {{ serial: \"2\" }} }}, *c"), &[]),
        (format!("[ &c !Crate {{ serial: \"2\" }} ], [ {nine}*c }} ]"), &[]),
        (format!("&c !Crate {{}}, {nine}*c }}"), &["crs9's slot 3 of a crate without a serial number"]),
        // Two entries with one serial number are one crate, in every spelling of the number.
        (format!("!Crate {{ serial: \"02\" }}, {nine}!Crate {{ serial: \"2\" }} }}"), &[]),
        (
            "!Crate { serial: \"2\" }, !Crate { serial: \"2\", slots: { 3: !CRS { serial: \"9\" } } }".to_owned(),
            &[],
        ),
        (
            format!("!Crate {{ serial: \"3\" }}, {nine}!Crate {{ serial: \"2\" }} }}, !Crate {{}}"),
            &["!Crate \"3\", which has no boards", "!Crate, which has no boards"],
        ),
        (
            "!CRS { serial: \"9\", crate: !Crate { serial: \"2\" } }".to_owned(),
            &["crs9's crate \"2\" without a slot"],
        ),
    ] {
        let found = imported(&format!("!HardwareMap [ {items} ]")).left_out;
        assert_eq!(found, left_out, "{items}");
    }
}

/// Asserts that `yaml` is refused with exactly these problems.
fn check_refused(yaml: &str, said: &[&str]) {
    let error = import_rfmux(yaml, "lab.yaml", no_file).map(|imported| imported.toml);
    let error = error.expect_err(yaml).to_string();
    assert_eq!(error.lines().collect::<Vec<_>>(), said, "{yaml}");
}

#[test]
fn values_that_boards_may_not_share_are_reported_with_both_places() {
    check_refused(
        "!HardwareMap\n- !CRS { hostname: ABC.local, serial: \"1\" }\n- !CRS { hostname: abc.local., serial: \"2\" }\n",
        &["lab.yaml:3:20: address `abc.local:80` is taken already at line 2, column 20"],
    );
    check_refused(
        "!HardwareMap\n- !CRS { serial: \"0024\" }\n- !CRS { serial: \"24\", hostname: b1 }\n",
        &["lab.yaml:3:18: serial number `24` is taken already, as `0024`, at line 2, column 18"],
    );
    check_refused(
        "!HardwareMap\n- !Crate\n  serial: \"003\"\n  slots:\n    - !CRS { serial: \"0024\" }\n    - !CRS { serial: \"0025\" }\n    - !CRS { slot: 1, serial: \"0026\" }\n",
        &["lab.yaml:7:20: slot `1 of crate 003` is taken already at line 5, column 7"],
    );
    // Two entries with one serial number are one crate, in every spelling of the number.
    check_refused(
        "!HardwareMap\n- !Crate { serial: \"03\", slots: { 4: !CRS { serial: \"1\" } } }\n- !Crate { serial: \"3\", slots: { 4: !CRS { serial: \"2\" } } }\n",
        &[
            "lab.yaml:3:34: slot `4 of crate 3` is taken already, as `4 of crate 03`, at line 2, column 35",
        ],
    );
    // An entry that is merged into two boards counts as an entry of each.
    check_refused(
        "x: &x { hostname: b1 }\nmap: !HardwareMap\n  - !CRS { <<: *x, serial: \"1\" }\n  - !CRS { <<: *x, serial: \"2\" }\n",
        &["lab.yaml:4:16: address `b1:80` is taken already at line 3, column 16"],
    );
    check_refused(
        "!HardwareMap\n- !CRS { hostname: rfmux7.local }\n- !CRS { serial: \"7\" }\n",
        &["lab.yaml:3:18: address `rfmux7.local:80` is taken already at line 2, column 20"],
    );
}

#[test]
fn errors_have_their_places() {
    check_refused(
        "!HardwareMap\n- !CRS\n  serail: \"0042\"\n- !CRS { serial: [1], hostnam: b }\n",
        &[
            "lab.yaml:3:3: unknown key `serail` in the !CRS at line 2, column 3; did you mean `serial`?",
            "lab.yaml:4:18: `serial` must be a string, not a list",
            "lab.yaml:4:23: unknown key `hostnam` in the !CRS at line 4, column 3; did you mean `hostname`?",
        ],
    );
    for (items, said) in [
        (
            "!CRS { serial: a/b }",
            "2:18: `serial` must have 1 to 32 characters: letters, digits and `-`",
        ),
        (
            "!CRS { hostname: http://b1 }",
            "2:20: an address has no `http://`: write `b1`",
        ),
        (
            "!CRS {}",
            "2:3: the board cannot be reached: it needs a hostname, a serial number, or a slot in a !Crate with a serial number",
        ),
        (
            "!CRS { serial: \"1\", serial: \"2\" }",
            "2:23: `serial` stands twice in this !CRS: also at line 2, column 10",
        ),
        (
            "!CRS { serial: 42-, slot: 2 }",
            "2:18: the address that follows from it is not valid: `rfmux42-.local` is no host: no part of a name begins or ends with `-`",
        ),
        (
            "!CRS { serial: \"1\", online: maybe }",
            "2:31: `online` is true or false",
        ),
        (
            "!CRS { serial: \"1\", slot: 256 }",
            "2:29: `slot` must be a whole number from 1 to 255",
        ),
        (
            "!CRS { serial: !HWMLookup s }",
            "2:18: `serial` is of !HWMLookup: write its value here",
        ),
        (
            "!CRS 42",
            "2:3: a !CRS is a mapping: write `!CRS { serial: \"0042\" }`",
        ),
        (
            "!MockCRS { serial: \"1\" }",
            "2:3: unknown tag `!MockCRS`; known: `!CRS`, `!Crate`, `!Wafer`, `!Resonators`, `!ChannelMappings`, `!flavour`, `!include`",
        ),
        (
            "!Crat { serial: \"1\" }",
            "2:3: unknown tag `!Crat`; did you mean `!Crate`?",
        ),
        (
            "!Crate { serial: \"1\", slots: { 2: { serial: \"9\" } } }",
            "2:37: a slot holds a !CRS, or nothing",
        ),
        (
            "!Crate { serial: \"1\", slots: { 2: !CRS { serial: \"9\", slot: 7 } } }",
            "2:63: crs9 stands in slot 2 and says slot 7",
        ),
        (
            "!Crate { serial: \"1\", slots: { 300: !CRS { serial: \"9\" } } }",
            "2:34: `slot` must be a whole number from 1 to 255",
        ),
        (
            "!Crate { serial: \"1\", slots: { 2: &b !CRS { serial: \"9\" }, 3: *b } }",
            "2:65: crs9 stands in two slots",
        ),
        ("[ unclosed", "2:3: this is no YAML: unclosed bracket '['"),
        ("&a [ *a ]", "2:8: an alias stands for what it is a part of"),
    ] {
        check_refused(
            &format!("!HardwareMap\n- {items}\n"),
            &[&format!("lab.yaml:{said}")],
        );
    }
    check_refused(
        "!HardwareMap []",
        &["lab.yaml:1:1: this !HardwareMap has no board: no !CRS"],
    );
    check_refused(
        "!HardwareMap { serial: \"1\" }",
        &["lab.yaml:1:1: !HardwareMap is a list of boards: write `- !CRS { serial: \"0042\" }`"],
    );
    check_refused(
        "!HardwareMpa []",
        &[
            "lab.yaml:1:1: this is no Python hardware map: it begins with !HardwareMpa; did you mean `!HardwareMap`?",
        ],
    );
    check_refused(
        "!HardwareMap [ !CRS { serial: \"1\" } ]\n---\nmore\n",
        &["lab.yaml:3:1: a second document begins here: make it a file"],
    );
    for (none, line) in [
        ("boards: 3", 1),
        ("[[board]]\nname = \"b\"\n", 2),
        ("", 1),
        ("# nothing\n", 1),
    ] {
        let none = import_rfmux(none, "lab.yaml", no_file)
            .unwrap_err()
            .to_string();
        assert!(none.starts_with(&format!("lab.yaml:{line}:1: ")), "{none}");
        assert!(none.contains("no Python hardware map"), "{none}");
    }
}

#[test]
fn control_characters_of_a_file_do_not_reach_a_terminal() {
    let yaml =
        "!HardwareMap [ !CRS { serial: \"1\", \"b\\e[2J\": 1 }, !Wafer { name: \"\\e[2J\" } ]";
    let error = import_rfmux(yaml, "lab.yaml", no_file)
        .unwrap_err()
        .to_string();
    assert!(!error.contains('\u{1b}'), "{error:?}");
    let yaml = "!HardwareMap [ !CRS { serial: \"1\" }, !Wafer { name: \"\\e[2J\" } ]";
    let left_out = imported(yaml).left_out;
    assert!(!left_out.concat().contains('\u{1b}'), "{left_out:?}");
}

proptest::proptest! {
    #[test]
    fn no_yaml_makes_the_import_panic(
        noise in "[\\[\\]{}:,!&*<\"'#|>%~\n a-zCRS0-9_µ-]{0,40}",
        at in 0..GOOD.len(),
        cut in 0..20usize,
    ) {
        let (before, after) = GOOD.split_at(at);
        let text = format!("{before}{noise}{}", after.get(cut..).unwrap_or_default());
        match import_rfmux(&text, "noise.yaml", no_file) {
            Ok(imported) => drop(HardwareMap::parse(&imported.toml, "noise.toml").unwrap()),
            Err(error) => {
                for problem in error.problems() {
                    let lines = text.matches('\n').count() + 1;
                    proptest::prop_assert!(problem.place.unwrap().line <= lines, "{}", error);
                }
            }
        }
    }
}

const GOOD: &str = "a: &a { online: false }\nmap: !HardwareMap\n- !Crate\n  serial: \"003\"\n  slots:\n    1: !CRS { serial: \"0024\" }\n    2: &b !CRS { <<: *a }\n- *b\n- !CRS { hostname: \"[fe80::1%lo]:81\", slot: 3 }\n- !Wafer { name: w }\n";
