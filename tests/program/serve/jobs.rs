//! Tests of jobs, which are commands that the daemon `twotone serve` runs: their order, the clients
//! that follow them, and other programs that use the same boards. To tune is to set a tone on the
//! resonance of each detector.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};
use twotone::map::HardwareMap;
use twotone::record::UtcTime;

use super::Daemon;
use crate::interrupt::any_tone_on;
use crate::process::{SimProcess, rest, run_json, signal_to};

/// Starts a farm (a group of simulated boards) that takes some seconds to tune.
pub(crate) fn slow(modules: &str) -> SimProcess {
    SimProcess::start(&[
        "--boards",
        "1",
        "--detectors",
        "200",
        "--modules",
        modules,
        "--real-time",
        "--call-us",
        "40",
    ])
}

/// Waits until tones are on at the boards of a farm.
pub(crate) fn wait_for_tones(sim: &SimProcess) {
    let map = HardwareMap::load(sim.map()).unwrap();
    while !any_tone_on(&map) {}
}

#[test]
fn jobs_on_other_modules_run_at_once_and_those_on_the_same_one_after_the_other() {
    // This farm takes a minute or more to tune.
    let sim = SimProcess::start(&[
        "--boards",
        "1",
        "--detectors",
        "200",
        "--modules",
        "2",
        "--real-time",
        "--call-us",
        "1000",
    ]);
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &sim.map());
    let tune = |module: &str, out: &str| daemon.detach(&["tune", "--module", module, "--out", out]);
    let (first, other, second) = (tune("1", "first"), tune("2", "other"), tune("1", "second"));
    daemon.wait_for(first, "running");
    daemon.wait_for(other, "running");
    let waiting = daemon.wait_for(second, "queued");
    assert_eq!(waiting["waits_for"], json!([first]), "{waiting}");
    // A command that only asks does not wait for a job.
    let (status, _, err) = daemon.run(&["info"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(daemon.job(first)["state"], "running");
    assert_eq!(daemon.run(&["cancel", &first.to_string()]).0, 0);
    let (first, second) = (
        daemon.wait_for(first, "ended"),
        daemon.wait_for(second, "running"),
    );
    // Times are compared as numbers. As texts they would not sort, because some have trailing
    // zeros.
    let times = |job: &Value, name: &str| {
        let time: UtcTime = serde_json::from_value(job[name].clone()).unwrap();
        time.unix_seconds()
    };
    assert!(times(&first, "ended") <= times(&second, "started"));
    assert_eq!(daemon.job(other)["state"], "running");
    let told = loop {
        let job = daemon.job(other);
        if let Some(told) = job["steps"].get(0) {
            break told.clone();
        }
    };
    let named = (&told["board"], &told["module"]);
    assert_eq!(named, (&json!("crs0001"), &json!(2)), "{told}");
    assert_eq!(daemon.run(&["off"]).0, 0);
}

#[test]
fn a_job_goes_on_without_its_client_and_two_others_see_the_same() {
    let sim = slow("1");
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &sim.map());
    let mut client = daemon.client(&["tune", "--out", "tonight"]);
    let mut client = client
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_tones(&sim);
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(daemon.job(1)["state"], "running");
    let follow = || {
        let mut client = daemon.client(&["follow", "1"]);
        let client = client.stdout(Stdio::piped()).stderr(Stdio::piped());
        client.spawn().unwrap()
    };
    let followers = [follow(), follow()];
    let [one, another] = followers.map(|mut client| {
        let (out, err) = (rest(client.stdout.take()), rest(client.stderr.take()));
        assert_eq!(client.wait().unwrap().code(), Some(0), "{err}");
        out
    });
    assert!(
        one.contains("crs0001") && one.contains("tones are left on"),
        "{one}"
    );
    assert_eq!(one, another);
    // A client that starts to follow the job later gets the same output.
    assert_eq!(daemon.run(&["follow", "1"]).1, one);
    assert!(
        daemon
            .run_directory("tonight")
            .join("manifest.json")
            .exists()
    );
}

#[test]
fn an_interrupt_of_the_client_ends_its_job_and_restores_the_hardware() {
    let sim = slow("1");
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &sim.map());
    let mut client = daemon.client(&["tune", "--out", "tonight", "--json"]);
    let client = client.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = client.spawn().unwrap();
    wait_for_tones(&sim);
    signal_to(&client, Signal::INT);
    let (out, err) = (rest(client.stdout.take()), rest(client.stderr.take()));
    assert_eq!(client.wait().unwrap().code(), Some(130), "{err}");
    assert!(err.contains("interrupted: ending the run"), "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["interrupted"], true, "{out}");
    assert!(!any_tone_on(&HardwareMap::load(sim.map()).unwrap()));
}

#[test]
fn another_client_can_end_a_job() {
    let sim = slow("1");
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &sim.map());
    let running = daemon.detach(&["tune", "--out", "running"]);
    let waiting = daemon.detach(&["tune", "--out", "waiting"]);
    wait_for_tones(&sim);
    for (id, text) in [(waiting, "before it began"), (running, "ending the run")] {
        let (status, _, err) = daemon.run(&["cancel", &id.to_string()]);
        assert_eq!(status, 0, "{err}");
        let (status, _, err) = daemon.run(&["follow", &id.to_string()]);
        assert_eq!(status, 130, "{err}");
        assert!(err.contains(text), "{err}");
    }
    let (status, _, err) = daemon.run(&["cancel", &running.to_string()]);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("is over"), "{err}");
    let (status, _, err) = daemon.run(&["cancel", "77"]);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("there is no job 77"), "{err}");
}

#[test]
fn a_switch_off_ends_the_jobs_that_set_something() {
    let sim = slow("1");
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &sim.map());
    let running = daemon.detach(&["tune", "--out", "running"]);
    let waiting = daemon.detach(&["sweep", "--out", "waiting"]);
    wait_for_tones(&sim);
    let (status, out, err) = daemon.run(&["off"]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("crs0001: off, read back"), "{out}");
    for id in [running, waiting] {
        let job = daemon.wait_for(id, "ended");
        assert_eq!(
            (&job["status"], &job["cancelled"]),
            (&json!(130), &json!(true)),
            "{job}"
        );
        let told = daemon.run(&["follow", &id.to_string()]).2;
        assert!(told.contains("interrupted by job 3 (`off`)"), "{told}");
    }
    assert!(!any_tone_on(&HardwareMap::load(sim.map()).unwrap()));
}

#[test]
fn a_second_program_is_refused_and_told_the_remedy() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "4"]);
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &sim.map());
    let out = sim.text_path("direct");
    let (status, report) = run_json(&["tune", &sim.map(), "--out", &out]);
    assert_eq!(status, 3, "{report}");
    let advice = report["boards"][0]["error"]["advice"].as_str().unwrap();
    assert!(
        advice.contains(&format!("twotone --host {}", daemon.host())),
        "{advice}"
    );
    // Any program may read from the board while the daemon holds it (keeps it connected and
    // locked).
    let (status, _) = run_json(&["info", &sim.map()]);
    assert_eq!(status, 0);
    // A program can take the board away from the daemon. Afterwards the daemon gets the board back.
    let (status, report) = run_json(&["tune", &sim.map(), "--out", &out, "--take-over"]);
    assert_eq!(status, 0, "{report}");
    let (status, _, err) = daemon.run(&["tune", "--out", "again"]);
    assert_eq!(status, 0, "{err}");
}
