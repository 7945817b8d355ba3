//! Tests of the end of jobs (commands that the daemons of several hosts run): interrupts, clients
//! that go away, and daemons that are killed or hang. To tune is to set a tone on the resonance of
//! each detector. A site file lists the hosts.

use std::process::{Child, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{ControlHost, SiteFile, check_error, host};
use crate::process::{rest, signal_to};
use crate::serve::jobs::{slow, wait_for_tones};

/// Starts two hosts whose boards take some seconds to tune, and writes the site file with these
/// hosts.
fn two(attempts: u32) -> ([ControlHost; 2], SiteFile) {
    let hosts = [slow("1"), slow("1")].map(ControlHost::start);
    let tables = [("north", hosts[0].control()), ("south", hosts[1].control())];
    let site = SiteFile::new(attempts, &tables);
    (hosts, site)
}

fn start(site: &SiteFile, args: &[&str]) -> Child {
    let mut command = site.command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits for the end of a client with `--json`. Returns its exit status, its answer, and its
/// standard error.
pub(super) fn end(mut client: Child) -> (Option<i32>, Value, String) {
    let (out, err) = (rest(client.stdout.take()), rest(client.stderr.take()));
    let status = client.wait().unwrap().code();
    let answer = serde_json::from_str(&out);
    (status, answer.unwrap_or_else(|_| panic!("{out}{err}")), err)
}

#[test]
fn an_interrupt_ends_the_jobs_of_all_hosts_and_restores_their_hardware() {
    let (hosts, site) = two(4);
    let client = start(&site, &["tune", "--out", "tonight", "--json"]);
    hosts.iter().for_each(|one| wait_for_tones(&one.sim));
    signal_to(&client, Signal::INT);
    let (status, answer, err) = end(client);
    assert_eq!(status, Some(130), "{err}");
    assert_eq!(answer["interrupted"], true);
    for name in ["north", "south"] {
        let told = host(&answer, name);
        assert_eq!(told["status"], 130, "{told}");
        assert_eq!(told["report"]["interrupted"], true, "{told}");
        assert!(
            err.contains(&format!("{name}: interrupted: ending the run")),
            "{err}"
        );
    }
    assert!(hosts.iter().all(|one| !one.has_tones_on()));
}

#[test]
fn an_interrupt_after_some_hosts_were_done_says_that_their_tones_are_on() {
    let (quick, slow) = (ControlHost::quick("1"), ControlHost::start(slow("1")));
    let tables = [("quick", quick.control()), ("slow", slow.control())];
    let site = SiteFile::new(4, &tables);
    let client = start(&site, &["tune", "--out", "tonight", "--json"]);
    wait_for_tones(&slow.sim);
    quick.daemon.wait_for(1, "ended");
    signal_to(&client, Signal::INT);
    let (status, answer, err) = end(client);
    assert_eq!(status, Some(3), "{err}");
    let statuses = ["quick", "slow"].map(|name| host(&answer, name)["status"].clone());
    assert_eq!(statuses, [json!(0), json!(130)]);
    assert!(quick.has_tones_on() && !slow.has_tones_on());
}

#[test]
fn an_interrupt_while_hosts_are_looked_for_ends_at_once_and_gives_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hanging.sock");
    let hanging = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let tables = [("north", format!("control = 'unix:{}'", path.display()))];
    let site = SiteFile::new(4, &tables);
    let client = start(&site, &["tune", "--out", "tonight", "--json"]);
    // The client has connected, but gets no answer.
    let _asked = hanging.accept().unwrap();
    signal_to(&client, Signal::INT);
    let (status, answer, err) = end(client);
    assert_eq!(status, Some(130), "{err}");
    let north = host(&answer, "north");
    check_error(
        north,
        json!("cancelled"),
        json!("not_executed"),
        "before the command was given",
    );
}

#[test]
fn jobs_go_on_without_their_client_and_are_found_again() {
    let (hosts, site) = two(4);
    let (status, answer) = site.json(&["tune", "--out", "tonight", "--detach"]);
    assert_eq!(status, 0, "{answer}");
    assert_eq!(host(&answer, "south")["job"], 1, "{answer}");
    let (status, told) = site.json(&["status"]);
    assert_eq!(status, 0, "{told}");
    assert_eq!(
        host(&told, "north")["jobs"][0]["state"],
        "running",
        "{told}"
    );
    let follow = || start(&site, &["follow", "north:1", "south:1", "--json"]);
    // A client that is killed does not end the jobs that it follows.
    let mut killed = follow();
    hosts.iter().for_each(|one| wait_for_tones(&one.sim));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let [one, other] = [follow(), follow()].map(end);
    for (status, answer, err) in [&one, &other] {
        assert_eq!(*status, Some(0), "{answer}{err}");
    }
    assert_eq!(one.1, other.1);
    let report = &host(&one.1, "south")["report"];
    assert_eq!(report["boards"][0]["name"], "crs0001", "{report}");
    let (status, table, err) = site.run(&["follow", "south:1"]);
    assert_eq!(status, 0, "{err}");
    assert!(
        table.contains("tuned") && !table.contains("north"),
        "{table}"
    );
    // A job that only one daemon was asked to run has no JSON report. The client prints the text of
    // the job.
    let id = hosts[0].daemon.detach(&["off"]);
    hosts[0].daemon.wait_for(id, "ended");
    let (status, out, err) = site.run(&["follow", &id.to_string(), "--only", "north"]);
    assert_eq!(status, 0, "{out}{err}");
    let (status, out, err) = site.run(&["follow", "north:77"]);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("there is no job 77"), "{out}{err}");
    assert!(!out.contains("there is no job 77"), "{out}{err}");
}

#[test]
fn jobs_are_cancelled_by_their_names() {
    let (hosts, site) = two(4);
    let (status, out, err) = site.run(&["tune", "--out", "tonight", "--detach"]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("follow north:1 south:1`"), "{out}");
    let (status, out, err) = site.run(&["cancel", "north:1", "south:1"]);
    assert_eq!(status, 0, "{out}{err}");
    for one in &hosts {
        assert_eq!(one.daemon.wait_for(1, "ended")["status"], 130);
    }
    let (status, out, _) = site.run(&["cancel", "north:1", "south:1"]);
    assert_eq!(status, 3, "{out}");
    assert!(
        out.contains("south:1: ") && out.contains("is over"),
        "{out}"
    );
}

#[test]
fn a_daemon_that_is_killed_is_told_with_its_job_and_the_others_go_on() {
    let (mut hosts, site) = two(1);
    let client = start(&site, &["tune", "--out", "tonight", "--json"]);
    hosts.iter().for_each(|one| wait_for_tones(&one.sim));
    hosts[0].kill(false);
    let (status, answer, err) = end(client);
    assert_eq!(status, Some(3), "{err}");
    let north = host(&answer, "north");
    check_error(
        north,
        json!("connection_lost"),
        json!("unknown"),
        "follow north:1",
    );
    assert_eq!((&north["job"], &north["status"]), (&json!(1), &Value::Null));
    let south = host(&answer, "south");
    assert_eq!(south["status"], 0, "{south}");
    assert_eq!(south["report"]["boards"][0]["status"], "ok", "{south}");
}

#[test]
fn a_daemon_that_is_back_tells_what_became_of_its_job() {
    let (mut hosts, site) = two(50);
    let client = start(&site, &["tune", "--out", "tonight", "--json"]);
    hosts.iter().for_each(|one| wait_for_tones(&one.sim));
    hosts[0].kill(true);
    let (status, answer, err) = end(client);
    assert_eq!(status, Some(3), "{err}");
    let north = host(&answer, "north");
    check_error(
        north,
        Value::Null,
        json!("unknown"),
        "ended before the job did",
    );
    let said = north["said"].to_string();
    assert!(
        said.contains("read back when the daemon was started again"),
        "{north}"
    );
    assert!(
        err.contains("north: the answer of the daemon ended early"),
        "{err}"
    );
    assert_eq!(host(&answer, "south")["status"], 0, "{answer}");
}

#[test]
fn a_daemon_that_hangs_in_the_middle_holds_nobody_up() {
    let (hosts, site) = two(4);
    let client = start(&site, &["tune", "--out", "tonight", "--json"]);
    hosts.iter().for_each(|one| wait_for_tones(&one.sim));
    hosts[0].daemon.signal(Signal::STOP);
    let (status, answer, err) = end(client);
    assert_eq!(status, Some(3), "{err}");
    let north = host(&answer, "north");
    check_error(north, json!("timeout"), json!("unknown"), "follow north:1");
    assert_eq!(host(&answer, "south")["status"], 0, "{answer}");
    // When the suspended daemon is resumed, its job goes on.
    hosts[0].daemon.signal(Signal::CONT);
    let (status, answer) = site.json(&["follow", "north:1"]);
    assert!(matches!(status, 0 | 3), "{answer}");
    assert!(host(&answer, "north")["report"].is_object(), "{answer}");
}
