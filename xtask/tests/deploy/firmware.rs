//! A new firmware for the simulated boards of two hosts, which a script switches off and on when
//! the program waits for them.

use serde_json::Value;

use super::lab::{Lab, Told};
use super::releases::{Daemon, Releases};
use super::site;

/// Starts two boards with a boot window on a host, writes their map, and has a script switch them
/// off and on whenever the last line of the log waits for a board.
const FARM: &str = r#"
systemd-run --quiet --unit=farm /opt/twotone/current/bin/twotone sim --boards 2 --detectors 4 \
    --boot-window 8 --write-map /etc/twotone/map.toml
systemd-run --quiet --unit=person sh -c '
    while sleep 0.5; do
        if tail -qn 1 /var/lib/twotone/firmware/*/log 2>/dev/null | grep -q "waiting for the board"
        then
            # Both boards of a group are waited for at the same time.
            sleep 1
            systemctl kill -s USR1 farm
            sleep 4
        fi
    done'
"#;

/// Makes an image for simulated boards beside the site file, and returns its description.
fn image(lab: &Lab, release: &str) -> String {
    let name = format!("{release}.bin");
    lab.hosts[0].sh(&format!(
        "/opt/twotone/current/bin/twotone firmware example /srv/{name} --release {release}"
    ));
    for file in [name, format!("{release}.toml")] {
        let from = lab.path(&format!("host0/root/srv/{file}"));
        std::fs::copy(from, lab.path(&file)).expect("the site has a disk");
    }
    lab.path_inside(&format!("{release}.toml"))
}

/// Result of each board: its host, its name and its status.
fn boards(told: &Told) -> Vec<String> {
    let boards = told.report["boards"].as_array().expect("a list");
    let text = |board: &Value, key: &str| board[key].as_str().unwrap_or("-").to_owned();
    let of = |board| {
        ["host", "name", "status"]
            .map(|key| text(board, key))
            .join(" ")
    };
    boards.iter().map(of).collect()
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn the_boards_of_two_hosts_are_flashed_in_groups_and_once() {
    let releases = Releases::new();
    let lab = site(2);
    let archive = releases.make("0.1.0~1", Daemon::Good);
    lab.deploy(&["--archive", &archive])
        .expect_of(1, "active", "0.1.0~1 is healthy");
    for host in &lab.hosts {
        host.sh("rm /etc/twotone/map.toml");
        host.sh(FARM);
        host.until("the map is there", "test -e /etc/twotone/map.toml");
        host.sh("systemctl restart twotone");
        let connected = "/opt/twotone/current/bin/twotone health --expect-boards 2";
        host.until("the daemon has its boards", connected);
    }
    let newer = image(&lab, "1.8.0");
    // A daemon that captures is not stopped without being asked.
    let capture = "/opt/twotone/current/bin/twotone --host unix:/run/twotone/control.sock \
                   --detach capture --seconds 600 --out busy";
    lab.hosts[0].sh(capture);
    let busy = lab.verb_fails("firmware", &[&newer]);
    assert!(busy.contains("host0: the daemon has 1 jobs"), "{busy}");
    lab.hosts[0].sh("systemctl is-active twotone");
    // Nor does a plan stop it.
    let planned = lab.xtask("firmware", &[&newer, "--dry-run"]);
    let groups: Vec<_> = planned
        .progress
        .lines()
        .filter(|line| line.starts_with("group"))
        .collect();
    assert_eq!(
        groups,
        [
            "group 1: host0 crs0001",
            "group 2: host0 crs0002",
            "group 3: host1 crs0001, host1 crs0002"
        ]
    );

    let told = lab.xtask("firmware", &[&newer, "--wait", "60", "--now"]);
    let each = |status: &str| {
        let board = |host, board| format!("host{host} crs000{board} {status}");
        [board(0, 1), board(0, 2), board(1, 1), board(1, 2)]
    };
    assert_eq!(boards(&told), each("flashed"), "{}", told.progress);
    assert!(told.success);
    for host in &lab.hosts {
        host.until("the daemon works again", "systemctl is-active twotone");
        let listed =
            host.sh("/opt/twotone/current/bin/twotone firmware list /etc/twotone/map.toml");
        assert_eq!(listed.matches("1.8.0").count(), 2, "{listed}");
    }

    let told = lab.xtask("firmware", &[&newer]);
    assert_eq!(boards(&told), each("already_done"), "{}", told.progress);
    assert!(told.success);

    // An image that makes boards unusable is refused by name.
    let bricks = image(&lab, "1.6.0");
    let refused = lab.verb_fails("firmware", &[&bricks]);
    assert!(refused.contains("makes a board unusable"), "{refused}");
}
