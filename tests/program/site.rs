//! Tests of commands for a site, which is a group of control hosts. Each host has a daemon that
//! holds (keeps connected) its boards. Some hosts are down, and some hang. To tune is to set a tone
//! on the resonance of each detector.

mod ends;
mod refused;
mod ssh;

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use twotone::map::HardwareMap;

use super::interrupt::any_tone_on;
use super::process::{SimProcess, failure, run, run_json, twotone, write};
use super::serve::Daemon;

/// A control host: a farm (a group of simulated boards), and a daemon that holds the boards.
pub(crate) struct ControlHost {
    pub(crate) sim: SimProcess,
    pub(crate) daemon: Daemon,
    folder: TempDir,
}

impl ControlHost {
    /// Starts a daemon for a farm.
    pub(crate) fn start(farm: SimProcess) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(folder.path(), &farm.map());
        Self {
            sim: farm,
            daemon,
            folder,
        }
    }

    /// Starts a control host whose boards are tuned in a moment.
    pub(crate) fn quick(boards: &str) -> Self {
        Self::start(SimProcess::start(&["--boards", boards, "--detectors", "4"]))
    }

    /// Kills the daemon. Starts it again if `again` is true.
    pub(crate) fn kill(&mut self, again: bool) {
        self.daemon.signal(Signal::KILL);
        self.daemon.wait();
        if again {
            self.daemon = Daemon::start(self.folder.path(), &self.sim.map());
        }
    }

    /// Returns the line of the site file with the address of the daemon.
    pub(crate) fn control(&self) -> String {
        format!("control = '{}'", self.daemon.host())
    }

    pub(crate) fn has_tones_on(&self) -> bool {
        any_tone_on(&HardwareMap::load(self.sim.map()).unwrap())
    }
}

/// A site file, which lists the control hosts.
pub(crate) struct SiteFile {
    folder: TempDir,
    path: String,
}

impl SiteFile {
    /// Writes a site file. `hosts` has the name of each host and the further lines about it. If a
    /// connection is cut, it is tried `attempts` times.
    pub(crate) fn new(attempts: u32, hosts: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text = format!("[ssh]\nsilence_seconds = 4\nattempts = {attempts}\n");
        for (name, lines) in hosts {
            text += &format!("[[host]]\nname = '{name}'\n{lines}\n");
        }
        let path = write(folder.path(), "site.toml", &text);
        Self { folder, path }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn words<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [&["--site", &self.path], args].concat()
    }

    /// Returns a command for the site, ready to be started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        twotone(&self.words(args))
    }

    pub(crate) fn run(&self, args: &[&str]) -> (i32, String, String) {
        run(&self.words(args))
    }

    pub(crate) fn json(&self, args: &[&str]) -> (i32, Value) {
        run_json(&self.words(args))
    }
}

/// Returns the names of the hosts in an answer, in the order of the answer.
fn names(answer: &Value) -> Vec<&str> {
    let hosts = answer["hosts"].as_array().unwrap().iter();
    hosts.map(|host| host["host"].as_str().unwrap()).collect()
}

/// Returns the entry of a host in an answer.
#[track_caller]
pub(crate) fn host<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let mut hosts = answer["hosts"].as_array().unwrap().iter();
    let found = hosts.find(|host| host["host"] == name);
    found.unwrap_or_else(|| panic!("{answer}"))
}

/// Checks the error of a host: its kind, its certainty (if the command took effect), and words in
/// its text.
#[track_caller]
pub(crate) fn check_error(host: &Value, kind: Value, certainty: Value, words: &str) {
    let error = &host["error"];
    let all = failure(error);
    assert_eq!(
        (&error["kind"], &error["certainty"]),
        (&kind, &certainty),
        "{host}"
    );
    assert!(all.contains(words), "{words}: {all}");
}

#[test]
fn all_hosts_are_one_array_with_one_table_and_one_object() {
    let hosts = ["1", "2", "1"].map(ControlHost::quick);
    let [north, south, east] = &hosts;
    let site = SiteFile::new(
        4,
        &[
            ("north", north.control()),
            // Commands ignore the keys that only a deployment needs.
            (
                "south",
                format!("map = 'a.toml'\nbecome = 'sudo'\n{}", south.control()),
            ),
            ("east", east.control()),
        ],
    );
    let (status, answer) = site.json(&["tune", "--out", "tonight"]);
    assert_eq!(status, 0, "{answer}");
    assert_eq!(names(&answer), ["north", "south", "east"]);
    assert_eq!(answer["interrupted"], false);
    for (one, boards) in hosts.iter().zip([1, 2, 1]) {
        let told = answer["hosts"].as_array().unwrap().iter();
        let mut told = told.filter(|told| told["at"] == one.daemon.host().as_str());
        let told = told.next().unwrap();
        assert_eq!(
            (&told["job"], &told["status"]),
            (&json!(1), &json!(0)),
            "{told}"
        );
        assert_eq!(told["error"], Value::Null, "{told}");
        assert_eq!(told["report"]["boards"].as_array().unwrap().len(), boards);
        let directory = one.daemon.run_directory("tonight");
        let named = PathBuf::from(told["report"]["run_directory"].as_str().unwrap());
        assert_eq!(named, directory.canonicalize().unwrap());
        assert!(directory.join("manifest.json").exists());
        assert!(one.has_tones_on());
    }
    let (status, table, err) = site.run(&["tune", "--out", "again"]);
    assert_eq!(status, 0, "{table}{err}");
    let rows: Vec<_> = table.lines().collect();
    let starts: Vec<_> = rows
        .iter()
        .map(|row| row.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        starts[..5],
        ["host", "north", "south", "east", "all"],
        "{table}"
    );
    let cells = |row: &str| {
        row.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        cells(rows[1])[..7],
        ["north", "2", "ok", "1", "4", "4", "4"],
        "{table}"
    );
    assert_eq!(
        cells(rows[4])[..5],
        ["all", "4", "16", "16", "16"],
        "{table}"
    );
    let place = format!(
        "south:{}",
        south.folder.path().canonicalize().unwrap().display()
    );
    assert!(rows[2].contains(&place), "{table}");
    assert!(table.contains("off` switches them off"), "{table}");
    // After the command, the daemons read back which tones are on. A board also has tones besides
    // those on its detectors.
    let wait_for_tones = |are_so: fn(&[u64]) -> bool| loop {
        let (status, answer) = site.json(&["status"]);
        assert_eq!(status, 0, "{answer}");
        let told = answer["hosts"].as_array().unwrap().iter();
        let on: Vec<_> = told
            .map(|host| host["tones_on"].as_u64().unwrap())
            .collect();
        if are_so(&on) {
            break answer;
        }
    };
    let answer = wait_for_tones(|on| on[0] >= 4 && on[1] == 2 * on[0] && on[2] == on[0]);
    let told = host(&answer, "south");
    assert_eq!(told["boards"], json!({"connected": 2, "of": 2}), "{told}");
    assert_eq!(
        (&told["ok"], &told["jobs"]),
        (&json!(true), &json!([])),
        "{told}"
    );
    assert!(
        told["version"].is_string() && told["disk"]["free_bytes"].is_u64(),
        "{told}"
    );
    let (status, table, _) = site.run(&["status", "--only", "south"]);
    assert_eq!((status, table.lines().count()), (0, 2), "{table}");
    assert!(table.contains("2 of 2"), "{table}");
    let (status, answer) = site.json(&["info"]);
    assert_eq!(status, 0, "{answer}");
    assert_eq!(host(&answer, "east")["report"]["boards"][0]["kind"], "crs");
    // A busy computer may lose packets, which is status 3.
    let (status, table, err) = site.run(&["capture", "--seconds", "0.1", "--out", "samples"]);
    assert!(
        matches!(status, 0 | 3) && table.contains("received"),
        "{table}{err}"
    );
    let fast = [
        "--fast",
        "--set-streamer",
        "--channel",
        "1:3",
        "--samples",
        "1000",
    ];
    let args = [&["capture", "--out", "fast"], &fast[..]].concat();
    let (status, table, err) = site.run(&args);
    assert!(
        matches!(status, 0 | 3) && table.contains("1000"),
        "{table}{err}"
    );
    let (status, table, err) = site.run(&["off"]);
    assert_eq!(status, 0, "{table}{err}");
    assert!(hosts.iter().all(|one| !one.has_tones_on()));
    wait_for_tones(|on| on == [0, 0, 0]);
    let (status, table, _) = site.run(&["jobs"]);
    assert_eq!(status, 0);
    assert_eq!(
        table.matches("tune --out tonight --json").count(),
        3,
        "{table}"
    );
}

#[test]
fn a_host_that_is_down_and_one_that_hangs_stop_nobody() {
    let north = ControlHost::quick("1");
    let folder = tempfile::tempdir().unwrap();
    let hanging = folder.path().join("hanging.sock");
    // This host accepts connections and does not answer on them.
    let _hangs = UnixListener::bind(&hanging).unwrap();
    let down = folder.path().join("down.sock");
    let at = |path: &Path| format!("control = 'unix:{}'", path.display());
    let site = SiteFile::new(
        2,
        &[
            ("south", at(&down)),
            ("north", north.control()),
            ("east", at(&hanging)),
        ],
    );
    let check = |answer: &Value| {
        assert_eq!(names(answer), ["south", "north", "east"]);
        let not_executed = || json!("not_executed");
        let south = host(answer, "south");
        check_error(south, json!("unreachable"), not_executed(), "No such file");
        let east = host(answer, "east");
        check_error(east, json!("timeout"), not_executed(), "does not answer");
        assert_eq!(host(answer, "north")["error"], Value::Null, "{answer}");
    };
    for command in [&["tune", "--out", "tonight"][..], &["off"], &["info"]] {
        let (status, answer) = site.json(command);
        assert_eq!(status, 3, "{command:?}: {answer}");
        check(&answer);
        let north = host(&answer, "north");
        assert_eq!(north["status"], 0, "{command:?}: {north}");
        assert!(
            north["report"]["boards"][0].is_object(),
            "{command:?}: {north}"
        );
    }
    assert!(
        north
            .daemon
            .run_directory("tonight")
            .join("manifest.json")
            .exists()
    );
    for command in ["status", "jobs"] {
        let (status, answer) = site.json(&[command]);
        assert_eq!(status, 3, "{command}: {answer}");
        check(&answer);
    }
    let (status, table, err) = site.run(&["off"]);
    assert_eq!(status, 3, "{table}{err}");
    for words in ["unreachable", "no answer", "ok", "No such file"] {
        assert!(table.contains(words), "{words}: {table}");
    }
    assert!(err.contains("south: reach the daemon"), "{err}");
    for command in [&["off"][..], &["status"], &["jobs"]] {
        let (status, out, err) =
            site.run(&[command, &["--only", "south", "--only", "east"]].concat());
        assert_eq!(status, 4, "{command:?}: {out}{err}");
        let (status, ..) = site.run(&[command, &["--only", "north"]].concat());
        assert_eq!(status, 0, "{command:?}");
    }
}

#[test]
fn the_state_of_one_daemon_is_told_without_a_site() {
    let alone = ControlHost::quick("2");
    alone.sim.signal(Signal::STOP);
    while alone.daemon.json("/healthz")["boards"]["connected"] != 0 {}
    let (status, answer) = run_json(&["--host", &alone.daemon.host(), "status"]);
    assert_eq!(status, 0, "{answer}");
    let told = &answer["hosts"][0];
    // The number of tones of a board that is down is not known any more.
    assert_eq!(
        told["tones_unknown"],
        json!(["crs0001", "crs0002"]),
        "{told}"
    );
    assert_eq!(told["down"][1]["name"], "crs0002", "{told}");
    let (status, table, _) = run(&["--host", &alone.daemon.host(), "status"]);
    assert_eq!(status, 0);
    assert!(
        table.contains("0 of 2") && table.contains("unknown"),
        "{table}"
    );
    alone.sim.signal(Signal::CONT);
    let nowhere = format!("unix:{}", alone.folder.path().join("nowhere").display());
    let (status, answer) = run_json(&["--host", &nowhere, "status"]);
    assert_eq!(status, 4, "{answer}");
    check_error(
        &answer["hosts"][0],
        json!("unreachable"),
        json!("not_executed"),
        "no daemon at",
    );
}
