//! Tests of deployments (installing a version of twotone) to throw-away hosts, with a real systemd,
//! a real sshd and the program of this workspace.
//!
//! The tests need root. `cargo xtask test hosts` runs them.

#![allow(
    clippy::disallowed_methods,
    reason = "it waits for processes of throw-away hosts"
)]

mod cuts;
mod daemon;
mod firmware;
mod guide;
mod lab;
mod package;
mod refusals;
mod releases;
mod site;
mod unhealthy;

use lab::Lab;
use releases::{Daemon, Releases};

/// Hardware map (list of boards) with a board that does not exist. The daemon is healthy even
/// without this board.
const MAP: &str = "[[board]]\nname = 'b0'\nkind = 'crs'\naddress = '127.0.0.1:9'\n";

/// Keys of a site file: the map, and the setting that the daemon has 4 s to start.
const KEYS: &str = "map = 'map.toml'\nservice = { TimeoutStartSec = '4', RestartSec = '0.2' }";

/// Starts a site with `hosts` hosts.
fn site(hosts: usize) -> Lab {
    let lab = Lab::start(hosts);
    lab.write("map.toml", MAP);
    lab.site(KEYS, |_| String::new());
    lab
}

/// Script whose output changes if anything on the host was changed or restarted.
const TRACES: &str = "systemctl show -p MainPID twotone; \
                      find /opt /etc /var/lib/twotone -printf '%p %T@ %l\\n' | sort";

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn a_host_gets_a_version_and_then_the_next_one_and_nothing_twice() {
    let releases = Releases::new();
    let mut lab = site(1);
    let first = releases.make("0.1.0~1", Daemon::Good);

    let before = lab.hosts[0].sh("find /opt /etc -printf '%p %T@\\n' | sort");
    let told = lab.deploy(&["--archive", &first, "--dry-run"]);
    told.expect("planned", "activate 0.1.0~1");
    told.expect("planned", "write the map");
    let after = lab.hosts[0].sh("find /opt /etc -printf '%p %T@\\n' | sort");
    assert_eq!(before, after);

    let told = lab.deploy(&["--archive", &first]);
    told.expect("active", "0.1.0~1 is healthy");
    assert!(told.success);
    let host = &lab.hosts[0];
    assert_eq!(host.sh("systemctl is-active twotone"), "active");
    assert_eq!(host.sh("systemctl is-enabled twotone"), "enabled");
    assert_eq!(host.sh("readlink /opt/twotone/current"), "versions/0.1.0~1");
    let restarts = host.sh("systemctl show -p TimeoutStartUSec --value twotone");
    assert_eq!(restarts, "4s");

    let before = host.sh(TRACES);
    let told = lab.deploy(&["--archive", &first]);
    told.expect("unchanged", "");
    assert_eq!(told.host(0, "sent_bytes"), 0);
    assert_eq!(before, host.sh(TRACES));

    let second = releases.make("0.1.0~2", Daemon::Good);
    lab.deploy(&["--archive", &second])
        .expect("active", "0.1.0~2 is healthy");
    assert_eq!(host.sh("readlink /opt/twotone/current"), "versions/0.1.0~2");
    assert_eq!(
        host.sh("readlink /opt/twotone/previous"),
        "versions/0.1.0~1"
    );

    // New settings of the service are activated even if the version stays the same.
    lab.site(&KEYS.replace("'4'", "'5'"), |_| String::new());
    let told = lab.deploy(&["--archive", &second]);
    told.expect("active", "0.1.0~2 is healthy");
    let host = &lab.hosts[0];
    let limit = host.sh("systemctl show -p TimeoutStartUSec --value twotone");
    assert_eq!(limit, "5s");
    assert_eq!(
        host.sh("readlink /opt/twotone/previous"),
        "versions/0.1.0~1"
    );

    // If files of a version were changed on the host, the version counts as absent, so it is sent
    // again.
    host.sh("echo >>/opt/twotone/current/MANIFEST.toml");
    lab.deploy(&["--archive", &second])
        .expect("active", "0.1.0~2 is healthy");
    lab.deploy(&["--archive", &second]).expect("unchanged", "");

    lab.lose_power(0);
    let host = &lab.hosts[0];
    host.until("the service runs", "systemctl is-active twotone");
    assert_eq!(host.sh("readlink /opt/twotone/current"), "versions/0.1.0~2");
    lab.deploy(&["--archive", &second]).expect("unchanged", "");
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn versions_are_told_gone_back_to_and_pruned() {
    let releases = Releases::new();
    let lab = site(1);
    let host = &lab.hosts[0];
    lab.deploy(&["status"]).expect("down", "does not answer");
    lab.deploy(&["rollback"])
        .expect("refused", "no version before");
    for version in ["0.1.0~1", "0.1.0~2", "0.1.0~3"] {
        let archive = releases.make(version, Daemon::Good);
        lab.deploy(&["--archive", &archive])
            .expect("active", version);
    }
    let told = lab.deploy(&["status"]);
    told.expect(
        "told",
        "active, healthy; boards: 0 of 1 connected; jobs: 0 run",
    );
    assert_eq!(told.host(0, "version"), "0.1.0~3");

    lab.deploy(&["rollback"])
        .expect("active", "0.1.0~2 is healthy");
    assert_eq!(host.sh("readlink /opt/twotone/current"), "versions/0.1.0~2");
    lab.deploy(&["rollback", "--to", "0.1.0~7"])
        .expect("refused", "0.1.0~7 is not there");
    let told = lab.deploy(&["list"]);
    told.expect("told", "0.1.0~3");
    let marks: Vec<_> = told.host(0, "details")["versions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|version| version["mark"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(marks, ["", "current", "previous"]);
    assert_eq!(
        told.host(0, "details")["log"].as_array().map(Vec::len),
        Some(4)
    );

    host.sh("touch /opt/twotone/versions/notes; mkdir /opt/twotone/versions/0.0.9.part");
    let words = ["prune", "--keep", "2"];
    lab.deploy(&[&words[..], &["--dry-run"]].concat())
        .expect("planned", "would remove 0.1.0~1, 0.0.9.part");
    lab.deploy(&words)
        .expect("removed", "removed 0.1.0~1, 0.0.9.part");
    lab.deploy(&words).expect("unchanged", "");
    assert_eq!(
        host.sh("ls -x -w 200 /opt/twotone/versions"),
        "0.1.0~2  0.1.0~3  notes"
    );

    lab.deploy(&["rollback"])
        .expect("active", "0.1.0~3 is healthy");

    // The fourth version writes a state folder that older versions cannot read.
    let fourth = releases.make_with("0.1.0~4", Daemon::Good, |tree| {
        let newer = |text: &str| text.replace("state_format = 1", "state_format = 2");
        releases::edit(&tree.join("MANIFEST.toml"), newer);
    });
    lab.deploy(&["--archive", &fourth])
        .expect("active", "0.1.0~4 is healthy");
    let fifth = releases.make("0.1.0~5", Daemon::Good);
    for words in [&["rollback"][..], &["--archive", &fifth]] {
        lab.deploy(words)
            .expect("refused", "/var/lib/twotone has the form 2");
    }
    lab.deploy(&["rollback", "--older-state"])
        .expect("active", "0.1.0~3 is healthy");
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn hosts_that_are_down_stop_nobody() {
    let releases = Releases::new();
    let lab = site(3);
    let archive = releases.make("0.1.0~1", Daemon::Good);
    lab.link(1, "down");
    lab.hosts[2].sh("systemctl stop ssh");
    let told = lab.deploy(&["--archive", &archive]);
    told.expect_of(0, "active", "healthy");
    told.expect_of(1, "unreachable", "timed out");
    told.expect_of(2, "unreachable", "refused");
    assert!(!told.success);

    lab.link(1, "up");
    lab.hosts[2].sh("systemctl start ssh");
    let told = lab.deploy(&["--archive", &archive, "--host", "host2"]);
    told.expect_of(0, "active", "healthy");
    assert_eq!(told.host(0, "host"), "host2");
    assert!(told.success);
    let told = lab.deploy(&["--archive", &archive]);
    told.expect_of(0, "unchanged", "");
    told.expect_of(1, "active", "healthy");
    told.expect_of(2, "unchanged", "");
    assert!(told.success);
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn a_user_who_may_sudo_deploys_into_a_folder_of_the_sites() {
    let releases = Releases::new();
    let lab = site(1);
    let host = &lab.hosts[0];
    host.sh(
        "useradd -m -s /bin/bash person && mkdir -m 700 ~person/.ssh &&
         cp /root/.ssh/authorized_keys ~person/.ssh && chown -R person: ~person/.ssh &&
         echo 'echo Welcome; umask 077' >~person/.bashrc",
    );
    let keys = format!("{KEYS}\nuser = 'person'\nroot = '/srv/twotone'\n");
    let archive = releases.make("0.1.0~1", Daemon::Good);
    lab.site(&keys, |_| String::new());
    lab.deploy(&["--archive", &archive])
        .expect("refused", "not root there");
    lab.site(&format!("{keys}become = 'sudo'\n"), |_| String::new());
    lab.deploy(&["--archive", &archive])
        .expect("failed", "sudo");
    host.sh("echo 'person ALL=(root) NOPASSWD: ALL' >/etc/sudoers.d/twotone");
    lab.deploy(&["--archive", &archive])
        .expect("active", "healthy");
    assert_eq!(host.sh("readlink /opt/twotone"), "/srv/twotone");
    lab.deploy(&["--archive", &archive]).expect("unchanged", "");
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn a_group_of_the_site_gives_commands_and_the_daemon_tells_who_did() {
    let releases = Releases::new();
    let lab = site(1);
    let host = &lab.hosts[0];
    host.sh("groupadd operators && useradd -G operators person && useradd stranger");
    let keys = "map = 'map.toml'\narguments = ['--group', 'operators']\n\
                service = { SupplementaryGroups = 'operators' }";
    lab.site(keys, |_| String::new());
    let archive = releases.make("0.1.0~1", Daemon::Good);
    lab.deploy(&["--archive", &archive])
        .expect("active", "healthy");

    let twotone = "/opt/twotone/current/bin/twotone";
    let info = format!("{twotone} --host unix:/run/twotone/control.sock info --detach");
    let refused = host.try_sh(&format!("runuser -u stranger -- {info}"));
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    host.sh(&format!("runuser -u person -- {info}"));
    let jobs = host.sh(&format!("{twotone} --json jobs"));
    let jobs: serde_json::Value = serde_json::from_str(&jobs).expect("JSON");
    assert_eq!(jobs[0]["by"], "person", "{jobs}");
}
