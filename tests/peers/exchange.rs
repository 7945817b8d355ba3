//! Test that other programs read what is exported, with the values of the capture.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use twotone::sim::Farm;
use twotone::sim::fault::{Fault, PacketLoss};

use crate::python::{Script, python};

/// Ids with letters that names of fields cannot have.
const IDS: [&str; 4] = ["w1/d 1", "INDEX", "D.2-ü\"#", "serial_0001"];

/// Two boards with two modules, a map of them with detectors on the first board, and its folder.
struct Lab {
    farm: Farm,
    folder: TempDir,
}

impl Lab {
    fn new() -> Self {
        let farm = Farm::builder().boards(2).detectors(8).modules(2).seed(5);
        let farm = farm.start_blocking().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut map = farm.map_toml();
        let board = &farm.boards()[0];
        let truth = board.truth();
        for (module, ids) in truth.modules.iter().zip(IDS.chunks(2)) {
            for (detector, id) in module.detectors.iter().zip(ids) {
                map += &format!(
                    "[[detector]]\nid = {id:?}\nboard = {:?}\nmodule = {}\nf_hz = {}\n",
                    board.name(),
                    module.module,
                    detector.fr_hz
                );
            }
        }
        std::fs::write(folder.path().join("map.toml"), map).unwrap();
        Self { farm, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the program in the folder of the lab, and returns what it prints. The program must end
    /// with this status, or with 0.
    #[track_caller]
    fn run(&self, args: &str, status: i32) -> Value {
        let mut program = Command::new(env!("CARGO_BIN_EXE_twotone"));
        let output = program
            .current_dir(self.folder.path())
            .args(args.split(' '))
            .arg("--json")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let ended = output.status.code();
        assert!(ended == Some(status) || ended == Some(0), "{args}: {said}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{args}: {said}"))
    }

    fn drop_packets(&self) {
        self.farm.boards()[0].inject(Fault::from(PacketLoss {
            rate: 0.05,
            seed: 3,
        }));
    }

    /// Tunes, and captures the streams in `run` while packets are lost, and a fast stream in
    /// `fast`.
    fn capture(&self) {
        self.run("tune map.toml --out tune", 0);
        self.drop_packets();
        self.run("capture map.toml --seconds 3 --tune tune --out run", 3);
        self.run(
            "capture map.toml --fast --set-streamer --channel 1:3,1:1 --samples 100000 --board crs0002 --out fast",
            3,
        );
    }
}

/// Sum of a number over all modules in the report of an export.
fn sum(report: &Value, of: &str) -> u64 {
    let boards = report["boards"].as_array().unwrap().iter();
    let modules = boards.flat_map(|board| board["modules"].as_array().unwrap());
    modules.map(|module| module[of].as_u64().unwrap()).sum()
}

fn read(python: &str, script: &str, paths: &[&Path]) -> Value {
    let report = Script::new(python, script).args(paths).run();
    println!("{report:#}");
    assert_eq!(report["failures"].as_array().unwrap().len(), 0);
    report["measured"].clone()
}

#[test]
fn the_python_client_reads_exported_dirfiles() {
    let Some(python) = python() else { return };
    let lab = Lab::new();
    lab.capture();
    let report = lab.run("export run --to dirfile --out dirfile", 0);
    assert!(sum(&report, "lost") > 50, "{report:#}");
    assert_eq!(sum(&report, "detectors"), 4);
    assert_eq!(sum(&report, "timeless"), 0);
    let measured = read(
        &python,
        "exported_dirfile.py",
        &[&lab.path("run"), &lab.path("dirfile")],
    );
    assert_eq!(measured["detectors"].as_array().unwrap().len(), 4);
    lab.run("export fast --to dirfile --out fast-dirfile", 0);
    let measured = read(
        &python,
        "exported_dirfile.py",
        &[&lab.path("fast"), &lab.path("fast-dirfile")],
    );
    assert!(measured["frames"].as_u64().unwrap() > 90_000);
}

#[test]
fn spt3g_reads_exported_g3_files() {
    let Some(python) = python() else { return };
    let lab = Lab::new();
    lab.capture();
    let report = lab.run("export run --to g3 --out all.g3 --scan-seconds 1", 0);
    assert!(sum(&report, "lost") > 50, "{report:#}");
    let paths = [&*lab.path("run"), &lab.path("all.g3")];
    let measured = read(&python, "exported_g3.py", &paths);
    assert_eq!(measured["detectors"].as_array().unwrap().len(), 4);
    assert!(measured["scans"].as_u64().unwrap() >= 3);
    let toned = measured["tuned channels"].as_u64().unwrap();
    assert!(toned >= 12, "{measured:#}");
    // Samples of a fast stream, in a compressed file.
    lab.run("export fast --to g3 --out fast.g3.gz", 0);
    let paths = [&*lab.path("fast"), &lab.path("fast.g3.gz")];
    read(&python, "exported_g3.py", &paths);
}

#[test]
fn a_python_without_the_packages_is_told_and_nothing_is_written() {
    let Some(python) = python() else { return };
    let lab = Lab::new();
    lab.run("capture map.toml --seconds 1 --board crs0002 --out run", 3);
    let isolated = lab.path("python");
    let text = format!("#!/bin/sh\nexec {python} -S \"$@\"\n");
    std::fs::write(&isolated, text).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&isolated, executable).unwrap();
    for (python, words) in [
        (isolated, "install pyarrow"),
        (lab.path("nothing"), "cannot be started"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_twotone"))
            .current_dir(lab.folder.path())
            .env("TWOTONE_PYTHON", python)
            .args(["export", "run", "--to", "g3", "--out", "file.g3"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(words), "{said}");
    }
    let names = std::fs::read_dir(lab.folder.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!names.into_iter().any(|name| name.contains(".g3")));
}

#[test]
fn a_dirfile_of_the_python_client_is_imported_as_the_same_samples() {
    let Some(python) = python() else { return };
    let lab = Lab::new();
    let board = &lab.farm.boards()[1];
    // The clocks of simulated boards begin with the year 2026.
    let report = Script::new(&python, "imported_dirfile.py")
        .args([format!("{}={}", board.serial(), board.address())])
        .args(["--twotone", env!("CARGO_BIN_EXE_twotone")])
        .args(["--date", "2026-01-01", "--map"])
        .args([lab.path("map.toml")])
        .args(["--out".as_ref(), lab.folder.path().as_os_str()])
        .run();
    println!("{report:#}");
    assert_eq!(report["failures"].as_array().unwrap().len(), 0);
    let back = report["measured"]["samples that come back"].as_u64();
    assert!(back.unwrap() > 900);
}
