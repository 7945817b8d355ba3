//! Tests of the further files of a map: files that it includes, and tables.

use super::*;

/// Imports the first of `files`, which are names and texts. The others are its further files.
pub(super) fn import(files: &[(&str, &str)]) -> Result<Imported, MapError> {
    let (name, map) = files[0];
    import_rfmux(map, name, |path| {
        let found = files[1..].iter().find(|(name, _)| Path::new(name) == path);
        let text = found.map(|(_, text)| (*text).to_owned());
        text.ok_or_else(|| io::ErrorKind::NotFound.into())
    })
}

/// Returns the lines of the error of an import.
pub(super) fn said(found: Result<Imported, MapError>) -> Vec<String> {
    let error = found.map(|imported| imported.toml).unwrap_err().to_string();
    error.lines().map(str::to_owned).collect()
}

/// Returns the detectors that were imported, each as text.
pub(super) fn detectors(imported: &Imported) -> Vec<String> {
    let map = HardwareMap::parse(&imported.toml, "lab.toml").unwrap();
    let detectors = map.detectors().iter();
    detectors
        .map(|one| {
            format!(
                "{} {} {} {}",
                one.id,
                one.board,
                one.module.number(),
                one.expected.0
            )
        })
        .collect()
}

fn names(files: &[(&str, &str)]) -> Vec<String> {
    let found = import(files).unwrap_or_else(|error| panic!("{error}"));
    let map = HardwareMap::parse(&found.toml, "lab.toml").unwrap();
    map.boards()
        .iter()
        .map(|board| board.name.clone())
        .collect()
}

const TWO: &str = "- !CRS { serial: \"1\" }\n- !CRS { serial: \"2\" }\n";

#[test]
fn an_included_file_stands_where_it_is_included() {
    let list = "!HardwareMap\n- !include sub/two.yaml\n- !CRS { serial: \"3\" }\n";
    let map = format!("!HardwareMap\n{TWO}");
    let session =
        "note: x\nhardware_map: !include sub/map.yaml\noutput: !include { save_database: x.db }\n";
    for files in [
        &[("lab.yaml", list), ("sub/two.yaml", TWO)][..],
        &[
            ("a/lab.yaml", list),
            (
                "sub/two.yaml",
                "- !CRS { serial: \"1\" }\n- !include ../one.yaml",
            ),
            ("sub/../one.yaml", "!CRS { serial: \"2\" }\r\n"),
        ],
        &[("lab.yaml", list), ("sub/two.yaml", &map)],
        &[
            ("lab.yaml", &list.replace("sub", "/sub")),
            ("/sub/two.yaml", "\u{feff}[ !include c.yaml ]"),
            ("/sub/c.yaml", &map),
        ],
    ] {
        assert_eq!(names(files), ["crs1", "crs2", "crs3"], "{files:?}");
        let doubts = import(files).unwrap().doubts;
        let [doubt] = &doubts[..] else {
            panic!("{doubts:?}")
        };
        assert!(
            doubt.contains("Python reads an included file without a schema"),
            "{doubt}"
        );
    }
    let files = [("lab.yaml", session), ("sub/map.yaml", &map)];
    assert_eq!(names(&files), ["crs1", "crs2"]);
    let left_out = import(&files).unwrap().left_out;
    assert_eq!(
        left_out,
        ["the session's \"note\"", "the session's \"output\""]
    );
}

#[test]
fn every_value_of_a_map_can_be_included() {
    let crates = "!HardwareMap\n- !Crate { serial: !include s.yaml, slots: !include slots.yaml }\n- !CRS { <<: !include b.yaml, slot: 4 }\n- !include { save_database: x.db }\n- &a !include c.yaml\n- *a\n";
    let files = [
        ("lab.yaml", crates),
        ("s.yaml", "\"003\""),
        ("slots.yaml", "2: !CRS { serial: 0043 }"),
        ("b.yaml", "hostname: b1\nmodules: !include m.yaml"),
        ("m.yaml", "[ !ReadoutModule { module: 4 } ]"),
        ("c.yaml", "!CRS { serial: \"9\" }"),
    ];
    let found = import(&files).unwrap();
    assert_eq!(names(&files), ["crs0043", "b1", "crs9"]);
    assert!(
        found.toml.contains("crate = \"003\"\nslot = 2\n"),
        "{}",
        found.toml
    );
    assert!(found.toml.contains("number = 4\n"), "{}", found.toml);
    assert!(
        found
            .doubts
            .iter()
            .any(|doubt| doubt.starts_with("slots.yaml:1:19: Python reads 0043")),
        "{:?}",
        found.doubts
    );
    let left_out = [
        "!include of the database \"x.db\" at line 4, column 3",
        "b1's slot 4 without a crate",
    ];
    assert_eq!(found.left_out, left_out);
    // A part of the map that stands elsewhere in the session too is no board beside the map.
    let shared = "spare: [ &b [ !include c.yaml ] ]\nmap: !HardwareMap [ *b ]\n";
    let found = import(&[("lab.yaml", shared), files[5]]).unwrap();
    assert_eq!(found.doubts.len(), 1, "{:?}", found.doubts);
}

/// A table is in the folder of the file that names it.
#[test]
fn tables_are_found_beside_the_file_that_names_them() {
    let map = "!HardwareMap\n- !CRS { serial: \"1\" }\n- !include sub/w.yaml\n- !Wafer { <<: !include sub/v.yaml, name: v }\n- !ChannelMappings m.csv\n";
    let files = [
        ("maps/lab.yaml", map),
        (
            "sub/w.yaml",
            "!Wafer { name: w, resonators: !Resonators r.csv }",
        ),
        ("sub/v.yaml", "resonators: !Resonators ../t/r.csv"),
        ("sub/r.csv", "name\tbias_freq\nd1\t1e9\n"),
        ("sub/../t/r.csv", "name\tbias_freq\nd1\t2e9\n"),
        (
            "m.csv",
            "resonator\treadout_channel\nw/d1\t1/1/1\nv/d1\t1/1/2\n",
        ),
    ];
    let found = import(&files).unwrap();
    assert_eq!(
        detectors(&found),
        ["w/d1 crs1 1 1000000000", "v/d1 crs1 1 2000000000"]
    );
    assert_eq!(
        said(import(&files[..3])),
        [
            "maps/lab.yaml:5:3: \"maps/m.csv\" cannot be read: entity not found",
            "maps/sub/v.yaml:1:1: \"maps/sub/../t/r.csv\" cannot be read: entity not found",
            "maps/sub/w.yaml:1:31: \"maps/sub/r.csv\" cannot be read: entity not found",
        ]
    );
}

#[test]
fn problems_of_included_files_name_these_files() {
    let map = "!HardwareMap\n- !CRS { serial: \"1\" }\n- !include b.yaml\n- !CRS { serial: \"01\", slt: 1 }\n";
    for (included, lines) in [
        (
            "\n- !CRS { serail: \"2\" }\n- !CRS { serial: \"001\", serial: \"3\" }",
            &[
                "lab.yaml:4:18: serial number `01` is taken already, as `1`, at line 2, column 18",
                "lab.yaml:4:24: unknown key `slt` in the !CRS at line 4, column 3; did you mean `slot`?",
                "b.yaml:2:10: unknown key `serail` in the !CRS at line 2, column 3; did you mean `serial`?",
                "b.yaml:3:18: serial number `001` is taken already, as `1`, at line 2, column 18 of lab.yaml",
                "b.yaml:3:25: `serial` stands twice in this !CRS: also at line 3, column 10",
            ][..],
        ),
        (
            "[ unclosed",
            &["b.yaml:1:1: this is no YAML: unclosed bracket '['"],
        ),
        ("", &["lab.yaml:3:3: \"b.yaml\" is empty"]),
        (
            "1\n---\n2\n",
            &["b.yaml:3:1: a second document begins here: make it a file"],
        ),
        (
            "- !HardwareMap {}",
            &["b.yaml:1:3: unknown tag `!HardwareMap`"],
        ),
    ] {
        let found = said(import(&[("lab.yaml", map), ("b.yaml", included)]));
        for line in lines {
            assert!(
                found.iter().any(|found| found.starts_with(line)),
                "{line}\n{found:#?}"
            );
        }
    }
    for (item, error) in [
        (
            "!include [ b.yaml ]",
            "an !include names a file: write `!include boards.yaml`",
        ),
        (
            "!include b.yaml",
            "\"b.yaml\" cannot be read: entity not found",
        ),
        (
            "!include \"\"",
            "an !include names a file: write `!include boards.yaml`",
        ),
    ] {
        let map = format!("!HardwareMap\n- {item}\n");
        assert_eq!(
            said(import(&[("lab.yaml", &map)])),
            [format!("lab.yaml:2:3: {error}")]
        );
    }
    let session = "hardware_map: !include b.yaml\n";
    assert_eq!(
        said(import(&[("lab.yaml", session)])),
        ["lab.yaml:1:15: \"b.yaml\" cannot be read: entity not found"]
    );
    for none in [TWO, "x: 1"] {
        let found = said(import(&[("lab.yaml", session), ("b.yaml", none)]));
        assert!(found[0].contains("no Python hardware map"), "{found:?}");
    }
}

#[test]
fn files_that_include_each_other_without_end_are_refused() {
    let itself = "!HardwareMap [ !include ./lab.yaml ]";
    assert_eq!(
        said(import(&[("maps/lab.yaml", itself)])),
        [
            "maps/lab.yaml:1:16: a file cannot include itself: \"maps/lab.yaml\" includes \"maps/lab.yaml\""
        ]
    );
    let files = [
        ("lab.yaml", "!HardwareMap [ !include a.yaml ]"),
        ("a.yaml", "[ !include b.yaml ]"),
        ("b.yaml", "[ !include a.yaml ]"),
    ];
    assert_eq!(
        said(import(&files)),
        [
            "b.yaml:1:3: a file cannot include itself: \"a.yaml\" includes \"b.yaml\" includes \"a.yaml\""
        ]
    );
    // Paths without end, and files that double with each level.
    let endless = |text: &str| {
        let map = "!HardwareMap [ !include x/a.yaml ]";
        said(import_rfmux(map, "lab.yaml", |_| Ok(text.to_owned())))
    };
    let found = endless("[ !include x/a.yaml ]");
    assert_eq!(found.len(), 1);
    assert!(
        found[0].ends_with("no more than 16 files can include each other in a row"),
        "{found:?}"
    );
    let found = endless("[ !include x/a.yaml, !include x/a.yaml ]");
    assert_eq!(found.len(), 101);
    let found = endless(&format!("[ !include x/a.yaml ] # {}", "x".repeat(17 << 20)));
    assert!(
        found[0].contains("and no more than 33554432 are imported"),
        "{found:?}"
    );
    let found = endless(&format!(
        "{}!include x/a.yaml{}",
        "[".repeat(250),
        "]".repeat(250)
    ));
    assert!(
        found
            .concat()
            .contains("more than 256 levels, with the included files"),
        "{found:?}"
    );
    // Aliases of what is included.
    let keys: String = (0..1000).map(|n| format!("k{n}: 1, ")).collect();
    let boards = (0..2000).map(|n| format!("- !CRS {{ <<: *a, serial: '{n}' }}\n"));
    let map = format!(
        "!HardwareMap\n- &a !include k.yaml\n{}",
        boards.collect::<String>()
    );
    let found = said(import(&[
        ("lab.yaml", &map),
        ("k.yaml", &format!("{{ {keys} }}")),
    ]));
    assert!(
        found
            .concat()
            .contains("stand for more than 1000000 values, with the included files"),
        "{found:?}"
    );
}
