//! `twotone firmware` on simulated boards, which a person switches off and on.

mod crates;
mod unfinished;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use twotone::firmware::write_example;
use twotone::sim::fault::FlashWrongBit;
use twotone::sim::{Farm, FarmBuilder, SimBoard};

use crate::process::{run, signal_to, twotone};

/// Time after a start in which a board can be flashed.
const WINDOW: Duration = Duration::from_secs(2);

/// A farm, its map, and an image for it.
struct Site {
    farm: Farm,
    folder: tempfile::TempDir,
    beacons: SocketAddr,
}

impl Site {
    /// Boards whose firmware runs: their first boot window has ended.
    fn of(boards: usize) -> Self {
        Self::with(|farm| farm.boards(boards))
    }

    fn with(build: impl FnOnce(FarmBuilder) -> FarmBuilder) -> Self {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let beacons = port.local_addr().unwrap();
        drop(port);
        let farm = build(Farm::builder().detectors(4));
        let farm = farm.boot_window(WINDOW, beacons).start_blocking().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let site = Self {
            farm,
            folder,
            beacons,
        };
        fs::write(site.map(), site.farm.map_toml()).unwrap();
        write_example(&site.path("boot.bin"), "1.8.0", 300_000).unwrap();
        while site.releases().contains(&Value::Null) {
            std::thread::yield_now();
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    fn map(&self) -> PathBuf {
        self.path("map.toml")
    }
    fn image(&self) -> PathBuf {
        self.path("boot.toml")
    }

    fn board(&self, name: &str) -> &SimBoard {
        let mut boards = self.farm.boards().iter();
        boards.find(|board| board.name() == name).unwrap()
    }

    fn text(path: PathBuf) -> String {
        path.into_os_string().into_string().unwrap()
    }

    /// The program, with the records of flashes in the folder of the site.
    fn twotone(&self, args: &[&str]) -> Command {
        let mut command = twotone(args);
        command.env("TWOTONE_FLASHES", self.path("flashes"));
        command
    }

    /// Result of a command as JSON.
    fn json(&self, args: &[&str]) -> Value {
        let output = self.twotone(args).arg("--json").output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn list(&self) -> Vec<Value> {
        let map = Self::text(self.map());
        let listed = self.json(&["firmware", "list", &map]);
        listed["boards"].as_array().unwrap().clone()
    }

    /// Releases that the boards report.
    fn releases(&self) -> Vec<Value> {
        let listed = self.list();
        let releases = listed.iter().map(|board| board["release"].clone());
        releases.collect()
    }

    /// Starts a daemon for the boards. Returns it with its address once it is ready.
    fn daemon(&self) -> (Child, String) {
        let [map, state, socket] =
            ["map.toml", "state", "control.sock"].map(|name| Self::text(self.path(name)));
        let mut daemon = self.twotone(&["serve", "--json", "--map", &map]);
        daemon.args(["--socket", &socket, "--state", &state]);
        daemon.args(["--listen", "127.0.0.1:0"]);
        let mut daemon = daemon.stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        let mut out = BufReader::new(daemon.stdout.take().unwrap());
        out.read_line(&mut ready).unwrap();
        (daemon, format!("unix:{socket}"))
    }

    /// Runs a command on all boards, and switches each board off and on when the program waits for
    /// it. Returns the exit status, standard output and standard error.
    fn work(&self, command: &str, more: &[&str]) -> (i32, String, String) {
        self.work_with(command, more, |board| {
            self.board(board).power_cycle(Duration::ZERO)
        })
    }

    /// As [`Self::work`], with another person who switches a board off and on.
    fn work_with(
        &self,
        command: &str,
        more: &[&str],
        mut switch: impl FnMut(&str),
    ) -> (i32, String, String) {
        let mut child = self.start(command, more);
        let mut told = String::new();
        for line in BufReader::new(child.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some((board, _)) = line.split_once(": waiting for the board to start") {
                switch(board.rsplit(' ').next().unwrap());
            }
            told.push_str(&line);
            told.push('\n');
        }
        let output = child.wait_with_output().unwrap();
        let status = output.status.code().unwrap_or(-1);
        (status, String::from_utf8(output.stdout).unwrap(), told)
    }

    /// Starts a command on all boards.
    fn start(&self, command: &str, more: &[&str]) -> Child {
        let (map, image) = (Self::text(self.map()), Self::text(self.image()));
        let beacons = self.beacons.to_string();
        let done = Self::text(self.path("done.json"));
        let mut args = vec!["firmware", command, &map, &image, "--beacons", &beacons];
        args.extend(["--back-within", "60"]);
        if !more.contains(&"--wait") {
            args.extend(["--wait", "60"]);
        }
        if command == "flash" && !more.contains(&"--done") {
            args.extend(["--done", &done]);
        }
        args.extend(more);
        let mut child = self.twotone(&args);
        let child = child.stdout(Stdio::piped()).stderr(Stdio::piped());
        child.spawn().unwrap()
    }
}

#[test]
fn all_boards_are_flashed_and_a_second_call_changes_nothing() {
    let site = Site::of(3);
    assert_eq!(site.releases(), ["1.7.0-sim"; 3]);
    let (status, out, told) = site.work("flash", &[]);
    assert_eq!(status, 0, "{out}{told}");
    assert_eq!(out.matches("flashed and verified").count(), 3, "{out}");
    assert_eq!(told.matches("KEEP THE POWER ON").count(), 3, "{told}");
    assert_eq!(site.releases(), ["1.8.0"; 3]);
    let (status, out, told) = site.work("flash", &[]);
    assert_eq!((status, told.as_str()), (0, ""), "{out}");
    assert_eq!(out.matches("done before").count(), 3, "{out}");
    // Without the file, the flash is read back and not written.
    fs::remove_file(site.path("done.json")).unwrap();
    let (status, out, told) = site.work("flash", &[]);
    assert_eq!(status, 0, "{out}{told}");
    assert_eq!(out.matches("  verified").count(), 3, "{out}");
    assert!(!told.contains("erasing"), "{told}");
}

#[test]
fn staging_and_verifying_leave_the_flash_as_it_is() {
    let site = Site::of(2);
    let (status, out, told) = site.work("stage", &[]);
    assert_eq!(status, 0, "{out}{told}");
    assert_eq!(out.matches("staged, flash unchanged").count(), 2, "{out}");
    let (status, out, told) = site.work("verify", &[]);
    assert_eq!(status, 3, "{out}{told}");
    // Both boards were read, since this endangers none.
    assert_eq!(
        out.matches("reads back with the digest").count(),
        2,
        "{out}"
    );
    assert!(!out.contains("not begun"), "{out}");
    assert!(!told.contains("erasing"), "{told}");
}

#[test]
fn an_interrupt_before_the_flash_is_changed_leaves_the_board_as_it_is() {
    let site = Site::of(1);
    let (map, image) = (Site::text(site.map()), Site::text(site.image()));
    let beacons = site.beacons.to_string();
    let args = ["firmware", "flash", &map, &image, "--beacons", &beacons];
    let done = Site::text(site.path("done.json"));
    let mut child = site.twotone(&[&args[..], &["--done", &done, "--json"]].concat());
    let child = child.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    // The program waits for the board, which is not switched off and on.
    let waits = told.any(|line| line.unwrap().contains("waiting for the board"));
    assert!(waits);
    signal_to(&child, Signal::INT);
    assert!(told.all(|line| line.is_ok()));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["boards"][0]["status"], "not_started");
    assert_eq!(report["boards"][0]["power_loss"], "harmless");
    assert_eq!(site.releases(), ["1.7.0-sim"]);
}

#[test]
fn a_board_that_another_program_has_is_not_flashed() {
    let site = Site::of(1);
    let (mut daemon, _) = site.daemon();
    let (status, out, told) = site.work("flash", &[]);
    signal_to(&daemon, Signal::TERM);
    daemon.wait().unwrap();
    assert_eq!(status, 3, "{out}{told}");
    assert!(out.contains("has this board"), "{out}");
    assert!(out.contains("systemctl stop twotone"), "{out}");
    assert!(!told.contains("waiting for the board"), "{told}");
    assert_eq!(site.releases(), ["1.7.0-sim"]);
}

#[test]
fn an_interrupt_during_the_transfer_restarts_the_board_with_its_firmware() {
    let site = Site::of(1);
    let (map, image) = (Site::text(site.map()), Site::text(site.path("large.toml")));
    // A transfer that takes some seconds.
    write_example(&site.path("large.bin"), "1.8.0", 40_000_000).unwrap();
    let beacons = site.beacons.to_string();
    let done = Site::text(site.path("done.json"));
    let args = ["firmware", "flash", &map, &image, "--beacons", &beacons];
    let mut child = site.twotone(&[&args[..], &["--done", &done, "--json"]].concat());
    let child = child.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut reaches = |words: &str| told.any(|line| line.unwrap().contains(words));
    assert!(reaches("waiting for the board"));
    site.board("crs0001").power_cycle(Duration::ZERO);
    assert!(reaches("25 % of the image"));
    signal_to(&child, Signal::INT);
    assert!(reaches("restarting"));
    assert!(told.all(|line| line.is_ok()));
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(130), "{report}");
    assert_eq!(report["boards"][0]["status"], "not_started");
    while site.releases() != ["1.7.0-sim"] {
        std::thread::yield_now();
    }
}

#[test]
fn faults_that_are_known_are_refused_before_a_board_is_switched_off() {
    let site = Site::of(2);
    let map = Site::text(site.map());
    let described = fs::read_to_string(&map).unwrap();
    // Another board than that of the map answers.
    fs::write(&map, described.replacen("\"0002\"", "\"0042\"", 1)).unwrap();
    let (status, out, told) = site.work("flash", &["--board", "crs0002"]);
    assert_eq!(status, 3, "{out}{told}");
    assert!(out.contains("serial number 0002"), "{out}");
    assert!(out.contains("serial number 0042"), "{out}");
    assert!(!told.contains("waiting for the board"), "{told}");
    fs::write(&map, described.replacen("serial = \"0002\"\n", "", 1)).unwrap();
    let (status, out, _) = run(&["firmware", "check", &Site::text(site.image()), &map]);
    assert_eq!(status, 3, "{out}");
    assert!(
        out.contains("serial number of the board is not in the map"),
        "{out}"
    );
    // The advice, at the end of the reason, is not cut off.
    assert!(out.contains("into the hardware map"), "{out}");
    fs::write(&map, described).unwrap();
    // A file that cannot be written.
    let gone = Site::text(site.path("gone/done.json"));
    let (status, _, told) = site.work("flash", &["--done", &gone]);
    assert_eq!(status, 2, "{told}");
    assert!(told.contains("cannot be written"), "{told}");
    assert!(!told.contains("waiting"), "{told}");
    // An image is never written over.
    let bin = Site::text(site.path("boot.bin"));
    let (status, _, err) = run(&["firmware", "example", &bin]);
    assert_eq!(status, 2);
    assert!(err.contains("boot.bin: File exists"), "{err}");
}

#[test]
fn the_first_board_that_is_lost_ends_the_roll_out() {
    let site = Site::of(2);
    site.board("crs0001").inject(FlashWrongBit { at: 1000 });
    let (status, out, told) = site.work("flash", &[]);
    assert_eq!(status, 3, "{out}{told}");
    assert!(out.contains("FAILED"), "{out}");
    assert!(out.contains("KEEP THE POWER ON"), "{out}");
    assert!(out.contains("another board failed before"), "{out}");
    // The flash was written twice before the board was given up.
    assert_eq!(told.matches("erasing").count(), 2, "{told}");
    assert_eq!(site.releases(), [Value::Null, "1.7.0-sim".into()]);
    let failed = fs::read_to_string(site.path("done.json"));
    assert!(failed.is_err(), "{failed:?}");
}

#[test]
fn wrong_and_older_images_are_refused_by_name() {
    let site = Site::of(1);
    let (map, image) = (Site::text(site.map()), Site::text(site.image()));
    let described = fs::read_to_string(&image).unwrap();
    let check = |from: &str, to: &str| {
        fs::write(&image, described.replace(from, to)).unwrap();
        run(&["firmware", "check", &image, &map])
    };
    let (status, out, _) = check("", "");
    assert_eq!(status, 0, "{out}");
    for (from, to, status, why) in [
        ("crs", "toaster", 2, "there is no board kind \"toaster\""),
        ("1.8.0", "1.6.2", 2, "makes a board unusable"),
        ("1.8.0", "1.7.0rc1", 2, "makes a board unusable"),
        ("1.8.0", "newest", 2, "is not a release"),
        ("sha256 = \"", "sha256 = \"00", 2, "its SHA-256 digest is"),
        ("size = 3", "size = 4", 2, "but its description says 4"),
        ("boot.bin", "gone.bin", 2, "No such file"),
        ("file", "File", 2, "unknown field"),
        (
            "size",
            "oldest = \"1.7.5\"\nsize",
            3,
            "the image needs at least 1.7.5",
        ),
    ] {
        let (found, out, err) = check(from, to);
        assert_eq!(found, status, "{to}: {out}{err}");
        assert!(format!("{out}{err}").contains(why), "{to}: {out}{err}");
    }
    // An image that is older than the release of the board is refused unless it is allowed.
    fs::write(&image, &described).unwrap();
    let (status, out, told) = site.work("flash", &[]);
    assert_eq!(status, 0, "{out}{told}");
    fs::remove_file(site.path("boot.bin")).unwrap();
    fs::remove_file(&image).unwrap();
    write_example(&site.path("boot.bin"), "1.7.5", 3000).unwrap();
    let (status, out, _) = run(&["firmware", "check", &image, &map]);
    assert_eq!(status, 3, "{out}");
    assert!(out.contains("which is later than 1.7.5"), "{out}");
    let (status, out, _) = run(&["firmware", "check", &image, &map, "--allow-older"]);
    assert_eq!(status, 0, "{out}");
    // The image in place of its description.
    let bin = Site::text(site.path("boot.bin"));
    let (status, _, err) = run(&["firmware", "check", &bin]);
    assert_eq!(status, 2);
    assert!(err.contains("name the description of the image"), "{err}");
}

#[test]
fn a_board_is_done_by_its_serial_number() {
    let site = Site::of(1);
    let (map, image) = (Site::text(site.map()), Site::text(site.path("same.toml")));
    write_example(&site.path("same.bin"), "r1.7", 3000).unwrap();
    let image_toml = fs::read_to_string(&image).unwrap();
    let sha256 = image_toml.split("sha256 = \"").nth(1).unwrap();
    let sha256 = sha256.split('"').next().unwrap();
    let done = Site::text(site.path("done.json"));
    let is_done = |release: &str, boards: &str| {
        let content = format!(
            "{{\"release\": \"{release}\", \"sha256\": \"{sha256}\", \"boards\": {boards}}}"
        );
        fs::write(&done, content).unwrap();
        fs::write(&image, image_toml.replacen("r1.7", release, 1)).unwrap();
        let args = [
            "firmware",
            "check",
            &image,
            &map,
            "--done",
            &done,
            "--allow-older",
        ];
        site.json(&args)["boards"][0]["done"].clone()
    };
    let board = |serial: &str| {
        format!("{{\"{serial}\": {{\"name\": \"other\", \"at\": \"2026-11-22T12:37:27.123Z\"}}}}")
    };
    // The board reports 1.7.0-sim.
    for release in ["1.7", "1.7.0", "r1.7.0.0"] {
        assert_eq!(is_done(release, &board("1")), true, "{release}");
    }
    for release in ["1.7.1", "1.7.0.1", "1.8.0"] {
        assert_eq!(is_done(release, &board("1")), false, "{release}");
    }
    // Another board has the same name.
    let renamed = board("2").replace("other", "crs0001");
    assert_eq!(is_done("1.7.0", &renamed), false);
    // A file of an earlier version.
    fs::write(&image, &image_toml).unwrap();
    let content = format!(
        "{{\"release\": \"1.7\", \"sha256\": \"{sha256}\", \
         \"boards\": {{\"crs0001\": \"2026-11-22T12:37:27.123Z\"}}}}"
    );
    fs::write(&done, content).unwrap();
    let (status, _, err) = run(&["firmware", "flash", &map, &image, "--done", &done]);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("is of an earlier version"), "{err}");
}

#[test]
fn each_result_is_told_as_soon_as_it_is_known() {
    let site = Site::of(2);
    let mut child = site.start("stage", &[]);
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut reaches = |words: &str| told.any(|line| line.unwrap().contains(words));
    // Only the second board is switched off and on, so that the first one is waited for.
    assert!(reaches("crs0002: waiting for the board"));
    site.board("crs0002").power_cycle(Duration::ZERO);
    assert!(reaches("crs0002: staged, flash unchanged"));
    site.board("crs0001").power_cycle(Duration::ZERO);
    assert!(reaches("crs0001: staged, flash unchanged"));
    assert!(child.wait().unwrap().success());
}
