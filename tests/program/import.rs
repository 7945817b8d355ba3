//! Tests of `twotone import` with maps of several files, as the Python client rfmux has them.

use std::path::Path;

use super::process::{run, write};

const WAFER: &str = "\
!HardwareMap
- !Crate
  serial: \"003\"
  slots:
    1: !CRS { serial: \"0024\" }
    2: !CRS { serial: \"0025\" }

- !Wafer
  name: some_wafer
  resonators: !Resonators \"resonators.csv\"

- !ChannelMappings \"mapping.csv\"
";
const RESONATORS: &str =
    "name\tbias_freq\tbias_amplitude\nsteve\t1100e6\t0.001\nnancy\t1101e6\t0.002\n";
const MAPPING: &str =
    "resonator\treadout_channel\nsome_wafer/steve\t0024/1/1\nsome_wafer/nancy\t0025/1/1\n";

/// Runs the import of the file called `name` in `folder`. Returns the lines that it writes to
/// standard output and to standard error. The import must have this exit status.
#[track_caller]
fn import(folder: &Path, name: &str, status: i32) -> (Vec<String>, Vec<String>) {
    let path = folder.join(name).display().to_string();
    let (found, out, err) = run(&["import", &path]);
    assert_eq!(found, status, "{out}\n{err}");
    let folder = format!("{}/", folder.display());
    let lines = |text: &str| {
        text.replace(&folder, "")
            .lines()
            .map(str::to_owned)
            .collect()
    };
    (lines(&out), lines(&err))
}

#[test]
fn a_wafer_with_its_tables_is_imported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, text) in [
        ("wafer.yaml", WAFER),
        ("resonators.csv", RESONATORS),
        ("mapping.csv", MAPPING),
    ] {
        write(folder, name, text);
    }
    let (toml, said) = import(folder, "wafer.yaml", 0);
    let expected = "\
[[board]]\nname = \"crs0024\"\nkind = \"crs\"\nserial = \"0024\"\ncrate = \"003\"\nslot = 1\n
[[board]]\nname = \"crs0025\"\nkind = \"crs\"\nserial = \"0025\"\ncrate = \"003\"\nslot = 2\n
# channel 1, bias_amplitude 0.001\n[[detector]]\nid = \"some_wafer/steve\"\nboard = \"crs0024\"\n\
module = 1\nf_hz = 1100000000.0\n
# channel 1, bias_amplitude 0.002\n[[detector]]\nid = \"some_wafer/nancy\"\nboard = \"crs0025\"\n\
module = 1\nf_hz = 1101000000.0";
    assert_eq!(toml.join("\n"), expected);
    let amplitudes = "wafer.yaml: not imported: the channels of 2 detectors and the `bias_amplitude` \
                      of 2: they are comments in the map";
    assert_eq!(said, [amplitudes]);
    let map = write(folder, "map.toml", &toml.join("\n"));
    let (status, _, err) = run(&["check", &map]);
    assert_eq!(status, 0, "{err}");

    std::fs::remove_file(folder.join("mapping.csv")).unwrap();
    let (toml, said) = import(folder, "wafer.yaml", 2);
    assert!(toml.is_empty());
    assert_eq!(
        said.last().unwrap(),
        "wafer.yaml:12:3: \"mapping.csv\" cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn modules_and_keys_of_a_session_are_imported_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let modules = "!HardwareMap\n- !CRS\n  serial: \"0042\"\n  hostname: \"rfmux0042.local:80\"\n  online: true\n  backplane_serial: \"17\"\n  modules:\n    - !ReadoutModule { module: 1 }\n    - !ReadoutModule { module: 2 }\n";
    write(folder, "modules.yaml", modules);
    let (toml, said) = import(folder, "modules.yaml", 0);
    assert_eq!(
        toml[toml.len() - 5..],
        [
            "[[board.module]]",
            "number = 1",
            "",
            "[[board.module]]",
            "number = 2"
        ]
    );
    assert_eq!(
        said,
        ["modules.yaml: not imported: crs0042's backplane_serial \"17\""]
    );

    let session = "# a session\ndescription: \"dilution fridge 2, cooldown 14\"\nhardware_map: !HardwareMap\n  - !CRS { serial: \"0042\", hostname: \"10.0.0.5\" }\n  - !CRS { serial: 0043 }\n";
    write(folder, "session.yaml", session);
    let (toml, said) = import(folder, "session.yaml", 0);
    assert_eq!(toml.iter().filter(|line| *line == "[[board]]").count(), 2);
    assert_eq!(
        said[0],
        "session.yaml: not imported: the session's \"description\""
    );
    assert!(
        said[1].starts_with("WARNING: session.yaml:5:20: Python reads 0043"),
        "{said:?}"
    );
}

#[test]
fn included_files_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let include = "hardware_map: !HardwareMap\n  - !include sub/boards.yaml\n  - !CRS { serial: \"0042\" }\noutput: !include\n  save_database: rfmux.db\n";
    write(folder, "include.yaml", include);
    let (_, said) = import(folder, "include.yaml", 2);
    assert_eq!(
        said.last().unwrap(),
        "include.yaml:2:5: \"sub/boards.yaml\" cannot be read: No such file or directory (os error 2)"
    );
    std::fs::create_dir(folder.join("sub")).unwrap();
    write(
        folder,
        "sub/boards.yaml",
        "- !CRS { serial: \"0043\" }\n- !CRS { serial: \"42\" }\n",
    );
    let (_, said) = import(folder, "include.yaml", 2);
    assert_eq!(
        said.last().unwrap(),
        "include.yaml:3:20: serial number `0042` is taken already, as `42`, at line 2, column 18 of \
         sub/boards.yaml"
    );
    write(folder, "sub/boards.yaml", "- !CRS { serial: \"0043\" }\n");
    let (toml, said) = import(folder, "include.yaml", 0);
    assert_eq!(toml[1], "name = \"crs0043\"");
    assert_eq!(
        said[0],
        "include.yaml: not imported: the session's \"output\""
    );
    assert!(
        said[1].starts_with("WARNING: include.yaml:2:5: Python reads an included file"),
        "{said:?}"
    );
}
