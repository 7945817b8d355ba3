//! Test of commands for the daemons of all hosts of a site (`twotone --site`), over a real network.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::lab::Lab;
use super::releases::{Daemon, Releases};

/// Runs a command for the site. Returns its exit status and its answer.
fn ask(lab: &Lab, releases: &Releases, words: &[&str]) -> (Option<i32>, Value) {
    let mut command = lab.of_site(&releases.program(), words);
    let output = command.output().expect("the program runs");
    let answer = serde_json::from_slice(&output.stdout);
    (
        output.status.code(),
        answer.unwrap_or_else(|_| panic!("{output:?}")),
    )
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn all_daemons_of_a_site_are_asked_at_once_and_a_cut_connection_is_made_anew() {
    let releases = Releases::new();
    let lab = super::site(3);
    let archive = releases.make("0.1.0~1", Daemon::Good);
    lab.deploy(&["--archive", &archive, "--host", "host0", "--host", "host1"])
        .expect_of(1, "active", "healthy");

    // Nothing was deployed to the third host, so it has no daemon.
    let (status, answer) = ask(&lab, &releases, &["status"]);
    assert_eq!(status, Some(3), "{answer}");
    let hosts = &answer["hosts"];
    for (index, ok) in [(0, true), (1, true), (2, false)] {
        assert_eq!(hosts[index]["host"], format!("host{index}"), "{answer}");
        assert_eq!(hosts[index]["ok"], ok, "{answer}");
    }
    assert_eq!(hosts[0]["boards"]["of"], 1, "{answer}");
    assert_eq!(hosts[2]["error"]["kind"], "unreachable", "{answer}");
    assert_eq!(hosts[2]["error"]["certainty"], "not_executed", "{answer}");

    // The board does not exist, so `off` asks it until the deadline.
    let words = [
        "--only",
        "host0",
        "--only",
        "host1",
        "off",
        "--deadline",
        "20",
    ];
    let mut client = lab.of_site(&releases.program(), &words);
    client.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = client.spawn().expect("the program runs");
    let mut said = BufReader::new(client.stderr.take().expect("a pipe")).lines();
    let mut wait_for = |words: &str| {
        let found = said
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.contains(words));
        found.unwrap_or_else(|| panic!("it says {words}"))
    };
    wait_for("host1: job");
    lab.link(1, "down");
    wait_for("once more");
    lab.link(1, "up");
    let rest: Vec<_> = said.map_while(Result::ok).collect();
    let output = client.wait_with_output().expect("it ends");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(4), "{answer} {rest:?}");
    for index in [0, 1] {
        let host = &answer["hosts"][index];
        assert_eq!(host["status"], 4, "{answer}");
        assert_eq!(host["error"], Value::Null, "{answer}");
        assert_eq!(host["report"]["boards"][0]["off"], false, "{answer}");
    }
    let (status, answer) = ask(&lab, &releases, &["--only", "host1", "jobs"]);
    assert_eq!(status, Some(0), "{answer}");
    let jobs = answer["hosts"][0]["jobs"].as_array().expect("jobs");
    assert_eq!(jobs.len(), 1, "it was given once: {answer}");
}
