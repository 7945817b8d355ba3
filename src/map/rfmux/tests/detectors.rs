//! Tests of wafers, lists of resonators and channel mappings.

use super::files::{detectors, import, said};
use super::*;

const BOARDS: &str = "!HardwareMap\n- !CRS { serial: \"0024\" }\n- !CRS { serial: \"25\", slot: 3, crate: !Crate { serial: \"007\" } }\n";
const WAFER: &str = "- !Wafer { name: w, resonators: !Resonators \"r.csv\" }\n";
const MAPPING: &str = "- !ChannelMappings \"m.csv\"\n";
const RESONATORS: &str =
    "name\tbias_freq\tbias_amplitude\nsteve\t1100e6\t0.001\nnancy\t1101e6\t0.002\n";

fn mapping(rows: &[&str]) -> String {
    let rows = rows.iter().map(|row| format!("{row}\n"));
    format!("resonator\treadout_channel\n{}", rows.collect::<String>())
}

/// Imports a map with the tables `r.csv` and `m.csv`.
fn lab(map: &str, resonators: &str, mapping: &str) -> Result<Imported, MapError> {
    import(&[("lab.yaml", map), ("r.csv", resonators), ("m.csv", mapping)])
}

#[test]
fn a_resonator_with_a_frequency_and_a_channel_is_a_detector() {
    let map = format!("{BOARDS}{WAFER}{MAPPING}");
    let found = lab(
        &map,
        RESONATORS,
        &mapping(&["w/steve\t0024/1/7", "w/nancy\t007/3/8/1024"]),
    );
    let imported = found.unwrap();
    assert!(
        imported.toml.ends_with(
            "\n# channel 7, bias_amplitude 0.001\n[[detector]]\nid = \"w/steve\"\nboard = \"crs0024\"\n\
             module = 1\nf_hz = 1100000000.0\n\n# channel 1024, bias_amplitude 0.002\n[[detector]]\n\
             id = \"w/nancy\"\nboard = \"crs25\"\nmodule = 8\nf_hz = 1101000000.0\n\n"
        ),
        "{}",
        imported.toml
    );
    assert_eq!(imported.doubts, [""; 0]);
    let left_out =
        ["the channels of 2 detectors and the `bias_amplitude` of 2: they are comments in the map"];
    assert_eq!(imported.left_out, left_out);
}

/// Python reads all of these tables, and finds the same two detectors in them.
#[test]
fn tables_have_many_forms() {
    let map = format!("{BOARDS}{WAFER}{MAPPING}");
    let two = mapping(&["w/steve\t0024/1/1", "w/nancy\t0024/01/+2.0"]);
    let expected = [
        "w/steve crs0024 1 1100000000",
        "w/nancy crs0024 1 1101000000",
    ];
    for (resonators, mapping) in [
        (RESONATORS.to_owned(), two.clone()),
        (RESONATORS.replace('\n', "\r\n"), two.replace('\n', "\r\n")),
        (RESONATORS.replace('\n', "\r"), two.replace('\n', "\n\n")),
        (
            format!("# by hand\n{RESONATORS}# end"),
            format!("#\n{two}#\tx y"),
        ),
        (
            "bias_freq\tname\n1_100e6\tsteve\n\"  1101e6 \"\tnancy".to_owned(),
            "readout_channel\tresonator\n\"0024/ 1/1 \"\tw/steve\n0024/1e0/2\t\"w/nancy\""
                .to_owned(),
        ),
        (
            "name\t\tbias_freq\tcolour\nsteve\t\t1.1e9\nnancy\t\t1.101e9\t\n".to_owned(),
            two.clone(),
        ),
    ] {
        let found = lab(&map, &resonators, &mapping).unwrap();
        assert_eq!(detectors(&found), expected, "{resonators:?} {mapping:?}");
        assert_eq!(found.doubts, [""; 0], "{resonators:?} {mapping:?}");
    }
}

#[test]
fn wafers_have_resonators_of_their_own() {
    let steve = mapping(&["w/steve\t0024/1/1", "v/steve\t0024/1/2"]);
    let one = "name\tbias_freq\nsteve\t1e9\n";
    let second = "- x: [ !Wafer { name: v, resonators: !Resonators { csv_file: r.csv } } ]\n";
    let maps = [
        format!("{BOARDS}{WAFER}{second}{MAPPING}"),
        // A wafer can have an alias of a list, and an alias of a wafer or of a mapping is nothing
        // new.
        format!(
            "{BOARDS}- &r !Resonators r.csv\n- &w !Wafer {{ name: w, resonators: *r }}\n- *w\n{second}- &m !ChannelMappings m.csv\n- *m\n"
        ),
    ];
    for map in maps {
        let found = lab(&map, one, &steve).unwrap();
        let expected = [
            "w/steve crs0024 1 1000000000",
            "v/steve crs0024 1 1000000000",
        ];
        assert_eq!(detectors(&found), expected, "{map}");
        assert_eq!(found.doubts, [""; 0], "{map}");
    }
    // A wafer whose name Python reads as a number has both names.
    for name in ["012", "10"] {
        let map =
            format!("{BOARDS}- !Wafer {{ name: 012, resonators: !Resonators r.csv }}\n{MAPPING}");
        let found = lab(&map, one, &mapping(&[&format!("{name}/steve\t0024/1/1")])).unwrap();
        assert_eq!(detectors(&found), ["012/steve crs0024 1 1000000000"]);
        assert!(
            found
                .doubts
                .concat()
                .contains("Python reads 012 without quotes as 10")
        );
    }
    for (wafer, left_out) in [
        (
            "!Wafer { name: v }",
            "!Wafer \"v\", which has no resonators",
        ),
        (
            "!Wafer { name: v, resonators: ~ }",
            "!Wafer \"v\", which has no resonators",
        ),
        (
            "!Wafer { name: v, resonators: [ !Resonator {} ] }",
            "!Wafer \"v\"'s resonators",
        ),
        (
            "!Wafer { name: v, resonator: {} }",
            "!Wafer \"v\"'s resonator",
        ),
    ] {
        let found = lab(&format!("{BOARDS}- {wafer}\n"), "", "").unwrap();
        assert_eq!(found.left_out.last().unwrap(), left_out);
    }
}

/// Asserts that an import succeeds with these doubts and detectors.
#[track_caller]
fn check_doubts(found: Result<Imported, MapError>, doubts: &[&str], ids: &[&str]) {
    let found = found.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found.doubts, doubts);
    let found: Vec<_> = detectors(&found);
    let found: Vec<_> = found
        .iter()
        .map(|one| one.split(' ').next().unwrap_or(""))
        .collect();
    assert_eq!(found, ids);
}

#[test]
fn resonators_that_are_no_detectors_are_doubts_with_their_lines() {
    let all = format!("{BOARDS}{WAFER}{MAPPING}");
    let steve = mapping(&["w/steve\t0024/1/1"]);
    let both = mapping(&["w/steve\t0024/1/1", "w/nancy\t0024/1/2"]);
    let nancy = "r.csv:3:1: \"w/nancy\" is not imported: no !ChannelMappings has it";
    check_doubts(lab(&all, RESONATORS, &steve), &[nancy], &["w/steve"]);
    for (written, place, why) in [
        ("", "2:1", "it has no `bias_freq`"),
        ("nan", "2:7", "`bias_freq` = NaN is no frequency of a tone"),
        (
            "-inf",
            "2:7",
            "`bias_freq` = -inf is no frequency of a tone",
        ),
        ("0", "2:7", "`bias_freq` = 0 is no frequency of a tone"),
        (
            "1100",
            "2:7",
            "`bias_freq` = 1100 is in hertz, and no board here has tones below 10 MHz; did you mean `1100e6`?",
        ),
    ] {
        let resonators = RESONATORS.replace("1100e6", written);
        let doubt = format!("r.csv:{place}: \"w/steve\" is not imported: {why}");
        check_doubts(lab(&all, &resonators, &both), &[&doubt], &["w/nancy"]);
    }
    let nameless = RESONATORS.replace("nancy", "");
    let doubt = "r.csv:3:1: \"w\" is not imported: it has no name";
    check_doubts(lab(&all, &nameless, &steve), &[doubt], &["w/steve"]);
    let loose = format!("{BOARDS}- !Resonators r.csv\n");
    check_doubts(
        lab(&loose, RESONATORS, ""),
        &[
            "r.csv:2:1: \"steve\" is not imported: it is on no wafer",
            "r.csv:3:1: \"nancy\" is not imported: it is on no wafer",
        ],
        &[],
    );
    // The same row twice, and a channel with two resonators, which Python accepts.
    let rows = [
        "w/steve\t0024/1/1",
        "w/steve\t0024/1/1",
        "w/nancy\t0024/1/1",
    ];
    check_doubts(
        lab(&all, RESONATORS, &mapping(&rows)),
        &[
            "m.csv:3:1: \"w/steve\" is mapped already at line 2, column 1",
            "m.csv:4:9: the channel of \"w/nancy\" has another resonator at line 2, column 9",
        ],
        &["w/steve", "w/nancy"],
    );
    let marked = format!("\u{feff}{RESONATORS}");
    let doubt = "r.csv:1:1: Python takes the byte order mark at the beginning of this table for a part of \
                 the first column's name: save the table without it";
    check_doubts(lab(&all, &marked, &both), &[doubt], &["w/steve", "w/nancy"]);
    // Python reads the map in its order.
    for map in [
        format!("{BOARDS}{MAPPING}{WAFER}"),
        format!("!HardwareMap\n{WAFER}{MAPPING}{}", &BOARDS[13..]),
    ] {
        let found = lab(&map, RESONATORS, &both).unwrap();
        assert_eq!(detectors(&found).len(), 2);
        let [doubt] = &found.doubts[..] else {
            panic!("{:?}", found.doubts)
        };
        assert!(
            doubt.contains(": Python reads a map in its order"),
            "{doubt}"
        );
    }
}

#[test]
fn mappings_that_lead_nowhere_are_refused_with_their_lines() {
    let all = format!("{BOARDS}{WAFER}{MAPPING}");
    let paths = "`readout_channel` must be a serial number, a module and a channel, or a crate, a slot, a \
                 module and a channel, such as `0042/1/17` or `001/3/1/17`, not";
    for (row, error) in [
        (
            "w/stev\t0024/1/1",
            "1: there is no resonator \"w/stev\"; did you mean `w/steve`?",
        ),
        (
            "steve\t0024/1/1",
            "1: `resonator` must be a wafer and a name, such as `w3/d0117`, not \"steve\"",
        ),
        (
            "w/x/steve\t0024/1/1",
            "1: `resonator` must be a wafer and a name, such as `w3/d0117`, not \"w/x/steve\"",
        ),
        (
            "w/steve\t24/1/1",
            "9: there is no board with the serial number \"24\": Python compares it as text with \"0024\"",
        ),
        (
            "w/steve\t99/1/1",
            "9: there is no board with the serial number \"99\"",
        ),
        (
            "w/steve\t7/3/1/1",
            "9: there is no board in slot \"3\" of crate \"7\"",
        ),
        (
            "w/steve\t007/4/1/1",
            "9: there is no board in slot \"4\" of crate \"007\"",
        ),
        (
            "w/steve\t0024/9/1",
            "9: \"0024/9/1\": a board has modules 1 to 8",
        ),
        (
            "w/steve\t0024/x/1",
            "9: \"0024/x/1\": a board has modules 1 to 8",
        ),
        (
            "w/steve\t0024/1/0",
            "9: \"0024/1/0\": a module has channels 1 to 1024",
        ),
        (
            "w/steve\t0024/1/1025",
            "9: \"0024/1/1025\": a module has channels 1 to 1024",
        ),
        ("w/steve\t0024/1", &format!("9: {paths} \"0024/1\"")),
        ("w/steve\t", "1: this row has no `readout_channel`"),
        ("\t0024/1/1", "1: this row has no `resonator`"),
        (
            "w/steve\t0024/1/1\tx",
            "18: this row has more fields than the 2 columns",
        ),
        (
            "w/steve \t0024/1/1",
            "1: \"w/steve \": a field with a space must be in quotes, and tabs separate the fields",
        ),
    ] {
        let found = lab(&all, RESONATORS, &mapping(&[row]));
        let lines = said(found);
        assert!(
            lines.contains(&format!("m.csv:2:{error}")),
            "{row:?}: {lines:?}"
        );
    }
    let rows = ["w/steve\t0024/1/1", "w/steve\t0024/1/2"];
    assert_eq!(
        said(lab(&all, RESONATORS, &mapping(&rows))),
        ["m.csv:3:1: \"w/steve\" is mapped already at line 2, column 1, to another channel"]
    );
    let again = format!("{RESONATORS}steve\t1.2e9\n");
    assert_eq!(
        said(lab(&all, &again, &mapping(&rows[..1]))),
        [
            "m.csv:2:1: there are two resonators \"w/steve\", at line 2, column 1 of r.csv and line 4, column 1 of r.csv"
        ]
    );
    // The second wafer of the same name comes after the mapping, so that Python does not know it.
    let found = lab(&format!("{all}{WAFER}"), RESONATORS, &mapping(&rows[..1])).unwrap();
    assert_eq!(detectors(&found), ["w/steve crs0024 1 1100000000"]);
}

#[test]
fn mistakes_of_lists_are_refused_with_their_lines() {
    let all = format!("{BOARDS}{WAFER}");
    for (resonators, error) in [
        (
            RESONATORS.replace("1100e6", "1100MHz"),
            "r.csv:2:7: `bias_freq` must be a number, not \"1100MHz\"",
        ),
        (
            RESONATORS.replace("0.001", "1__0"),
            "r.csv:2:14: `bias_amplitude` must be a number, not \"1__0\"",
        ),
        (
            RESONATORS.replace("bias_freq", "bias_frq"),
            "r.csv:1:6: unknown column `bias_frq`; did you mean `bias_freq`?",
        ),
        (
            RESONATORS.replace("bias_freq", "name"),
            "r.csv:1:6: column `name` stands twice: also at line 1, column 1",
        ),
        (
            RESONATORS.replace('\t', ","),
            "r.csv:1:1: this table has no column `name`; tabs separate its columns",
        ),
        (
            format!("\n{RESONATORS}"),
            "r.csv:1:1: this table has no column `name`; tabs separate its columns",
        ),
    ] {
        let lines = said(lab(&all, &resonators, ""));
        assert!(lines.contains(&error.to_owned()), "{lines:?}");
    }
    for (item, error) in [
        (
            "!Wafer { resonators: !Resonators r.csv }",
            "4:3: a !Wafer needs a `name`",
        ),
        (
            "!Wafer v",
            "4:3: a !Wafer is a mapping: write `!Wafer { name: w3, resonators: !Resonators w3.csv }`",
        ),
        (
            "!Wafer { name: v, resonatrs: !Resonators r.csv }",
            "4:21: unknown key `resonatrs` in the !Wafer at line 4, column 3; did you mean `resonators`?",
        ),
        (
            "!Wafer { name: v, resonators: !Resonators [] }",
            "4:33: !Resonators names a file: write `!Resonators table.csv`",
        ),
        (
            "!ChannelMappings none.csv",
            "4:3: \"none.csv\" cannot be read: entity not found",
        ),
    ] {
        let lines = said(lab(&format!("{BOARDS}- {item}\n"), RESONATORS, ""));
        assert_eq!(lines, [format!("lab.yaml:{error}")], "{item}");
    }
    let colour = RESONATORS.replace("bias_amplitude", "colour");
    let found = lab(
        &format!("{all}{MAPPING}"),
        &colour,
        &mapping(&["w/nancy\t0024/1/1"]),
    )
    .unwrap();
    assert_eq!(
        found.left_out,
        [
            "column \"colour\" at line 1, column 16 of r.csv",
            "the channels of 1 detectors: they are comments in the map",
        ]
    );
}

#[test]
fn a_serial_number_of_a_mapping_is_that_of_python_or_that_of_the_map() {
    for serial in ["0043", "35"] {
        let map = format!("!HardwareMap\n- !CRS {{ serial: 0043 }}\n{WAFER}{MAPPING}");
        let rows = [&*format!("w/steve\t{serial}/1/1"), "w/nancy\t35/1/2"];
        let found = lab(&map, RESONATORS, &mapping(&rows)).unwrap();
        assert_eq!(detectors(&found)[0], "w/steve crs0043 1 1100000000");
        assert_eq!(found.doubts.len(), 1, "{:?}", found.doubts);
    }
}

#[test]
fn of_very_many_resonators_without_a_mapping_the_first_are_told() {
    let rows: String = (0..100_000).map(|n| format!("d{n}\t1e9\n")).collect();
    let found = lab(
        &format!("{BOARDS}{WAFER}"),
        &format!("name\tbias_freq\n{rows}"),
        "",
    )
    .unwrap();
    assert_eq!(found.doubts.len(), 21);
    let last = "r.csv:22:1: 99980 more resonators that are not mapped, from here on";
    assert_eq!(found.doubts[20], last);
    let rows: String = (0..100_000)
        .map(|n| format!("w/d{n}\t0024/1/1\n"))
        .collect();
    let lines = said(lab(
        &format!("{BOARDS}{WAFER}{MAPPING}"),
        RESONATORS,
        &format!("resonator\treadout_channel\n{rows}"),
    ));
    assert_eq!(lines.len(), 101);
}

#[test]
fn a_mapping_needs_a_module_that_its_board_declares() {
    let board = "!HardwareMap\n- !CRS { serial: \"1\", modules: [ ~, !ReadoutModule {} ] }\n";
    let map = format!("{}{WAFER}{MAPPING}", board);
    let found = lab(
        &map,
        RESONATORS,
        &mapping(&["w/steve\t1/2/1", "w/nancy\t1/1/1"]),
    );
    assert_eq!(
        said(found),
        ["m.csv:3:9: \"1/1/1\": the board of this channel does not declare this module"]
    );
}
