//! Tests of the daemon `twotone serve` as a service of systemd: it hangs, crashes and is killed,
//! its disk is full, and a person reads its journal. A *job* is a command that the daemon runs.

use super::lab::{Host, Lab};
use super::releases;

/// Option of clients that names the socket of the daemon.
const HOST: &str = "--host unix:/run/twotone/control.sock";

/// Starts a host with the Debian package, simulated boards and the daemon. `sim` has the arguments
/// of the simulator, and `settings` has further settings of the service. The script `before` is run
/// before the daemon starts.
fn host(sim: &str, settings: &str, before: &str) -> Lab {
    let lab = Lab::start(1);
    let host = &lab.hosts[0];
    let package = lab.path("host0/root/srv/twotone.deb");
    std::fs::copy(releases::package(), package).expect("the host has a disk");
    host.sh("dpkg --install /srv/twotone.deb </dev/null");
    host.sh(&format!(
        "systemd-run --quiet --unit=sim twotone sim {sim} --write-map /tmp/map.toml"
    ));
    host.until("the boards are there", "test -s /tmp/map.toml");
    host.sh(&format!(
        "cp /tmp/map.toml /etc/twotone/map.toml
         mkdir -p /etc/systemd/system/twotone.service.d
         printf '[Service]\\n{settings}\\n' >/etc/systemd/system/twotone.service.d/50-test.conf
         systemctl daemon-reload
         {before}"
    ));
    host.sh("systemctl start twotone");
    lab
}

/// Sends a question to the port of the daemon. Returns the answer.
fn get(host: &Host, path: &str) -> String {
    host.sh(&format!(
        "bash -c 'exec 3<>/dev/tcp/127.0.0.1/8742
         printf \"GET {path} HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n\" >&3
         cat <&3'"
    ))
}

/// Runs a command of `twotone`. Returns its exit status and its output.
fn said(host: &Host, command: &str) -> (Option<i32>, String) {
    let output = host.try_sh(&format!("twotone {command} 2>&1"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn systemd_starts_a_daemon_again_that_hangs_or_is_gone() {
    let lab = host(
        "--boards 1 --detectors 200 --real-time --call-us 200",
        "WatchdogSec=5\\nRestartSec=0.2",
        ":",
    );
    let host = &lab.hosts[0];
    let show = |property: &str| host.sh(&format!("systemctl show -p {property} --value twotone"));
    for (job, signal, words) in [
        (1, "STOP", "Failed with result 'watchdog'"),
        (2, "KILL", "code=killed, status=9/KILL"),
        (3, "ILL", "status=4/ILL"),
    ] {
        let before = show("MainPID");
        host.sh(&format!("twotone {HOST} --detach tune --out job{job}"));
        let sweeps = format!("twotone --json jobs | grep -q '\"id\":{job},.*\"running\"'");
        host.until("the job runs", &sweeps);
        host.until(
            "tones are on",
            &format!(
                "bash -c 'exec 3<>/dev/tcp/127.0.0.1/8742; printf \"GET /jobs/{job} HTTP/1.1\\r\\n\
                 Host: localhost\\r\\nConnection: close\\r\\n\\r\\n\" >&3; \
                 grep -q network_analysis <&3'"
            ),
        );
        // Earlier starts must not count towards systemd's limit on restarts, because here the
        // version itself can run.
        host.sh(&format!(
            "systemctl reset-failed twotone; systemctl kill --kill-whom=main --signal={signal} \
             twotone"
        ));
        host.until(
            "systemd starts it again",
            &format!(
                "test \"$(systemctl show -p MainPID --value twotone)\" != {before} &&
                 systemctl is-active twotone && twotone health"
            ),
        );
        let journal = host.sh("journalctl --unit=twotone --output=cat");
        assert!(journal.contains(words), "{signal}: {journal}");
        let (status, told) = said(host, &format!("follow {job}"));
        assert_eq!(status, Some(3), "{signal}: {told}");
        assert!(
            told.contains("the daemon ended before the job did"),
            "{told}"
        );
        let tones = told.lines().find(|line| line.contains("read back when"));
        let tones = tones.unwrap_or_else(|| panic!("{signal}: {told}"));
        assert!(tones.contains("board crs0001 module 1"), "{tones}");
        assert!(!tones.contains(" 0 tones"), "{tones}");
        // The restarted daemon leaves the tones as they are.
        let boards = get(host, "/boards");
        assert!(!boards.contains("\"tones_on\":0"), "{boards}");
        assert!(!boards.contains("\"tones_on\":null"), "{boards}");
    }
    let (status, told) = said(host, &format!("{HOST} off"));
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(show("ActiveState"), "active");
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn the_journal_of_one_board_has_what_is_about_it() {
    let lab = host("--boards 2 --detectors 4", "", ":");
    let host = &lab.hosts[0];
    let (status, told) = said(host, &format!("{HOST} tune --board crs0002 --out tonight"));
    assert_eq!(status, Some(0), "{told}");
    let of = |field: &str| {
        let entries = host.sh(&format!(
            "journalctl --sync; journalctl --unit=twotone --output=cat {field}"
        ));
        entries.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let has = |field: &str, words: &str| of(field).iter().any(|line| line.contains(words));
    assert!(has("F_BOARD=crs0001", "connected"));
    assert!(has("F_BOARD=crs0002", "connected"));
    // A journal entry about a step of the job has a field with the name of its board, and of no
    // other board.
    assert!(has("F_BOARD=crs0002", "network_analysis"));
    assert!(!has("F_BOARD=crs0001", "network_analysis"));
    assert!(has("F_BOARD=crs0002 F_JOB=1", "network_analysis"));
    assert!(has("F_JOB=1", "submitted") && has("F_JOB=1", "ended"));
    assert_eq!(of("F_BOARD=crs0003"), Vec::<String>::new());
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn a_full_disk_is_told_and_the_daemon_works_on() {
    let lab = host(
        "--boards 1 --detectors 4",
        "",
        "mkdir -p /var/lib/twotone && mount -t tmpfs -o size=4M tmpfs /var/lib/twotone",
    );
    let host = &lab.hosts[0];
    let process = || host.sh("systemctl show -p MainPID --value twotone");
    let before = process();
    let tune = |out: &str| said(host, &format!("{HOST} tune --out {out}"));
    let (status, told) = tune("before");
    assert_eq!(status, Some(0), "{told}");
    let fill = "head -c 8M /dev/zero >/var/lib/twotone/fill; test -s /var/lib/twotone/fill";
    host.sh(fill);

    let (status, told) = tune("full");
    assert_eq!(status, Some(2), "{told}");
    assert!(
        told.contains("no room for `/var/lib/twotone/runs/full`"),
        "{told}"
    );
    assert!(told.contains("nothing was sent to any board"), "{told}");
    assert!(told.contains("the job is not on record"), "{told}");
    // A client that asks later gets the same answer.
    let (status, told) = said(host, "follow 2");
    assert_eq!(status, Some(2), "{told}");
    assert!(told.contains("no room for"), "{told}");
    let (status, told) = said(host, &format!("{HOST} off"));
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("off, read back"), "{told}");
    let (status, told) = said(host, "health --expect-boards 1");
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(process(), before, "it was never started again");

    // The daemon crashes while the disk is full, in the middle of a job. The job was recorded
    // before the disk was full.
    host.sh("rm /var/lib/twotone/fill");
    host.sh("systemctl stop sim twotone; rm /tmp/map.toml
         systemd-run --quiet --unit=sim twotone sim --boards 1 --detectors 200 --real-time \\
             --call-us 200 --write-map /tmp/map.toml");
    host.until("the board is there", "test -s /tmp/map.toml");
    host.sh("cp /tmp/map.toml /etc/twotone/map.toml; systemctl start twotone");
    let job = host.sh(&format!("twotone {HOST} --detach tune --out slow"));
    host.sh(fill);
    let before = process();
    host.sh("systemctl kill --kill-whom=main --signal=KILL twotone");
    host.until(
        "systemd starts it again",
        &format!(
            "test \"$(systemctl show -p MainPID --value twotone)\" != {before} && twotone health"
        ),
    );
    let number = job.trim_start_matches("job ");
    let (status, told) = said(host, &format!("follow {number}"));
    assert_eq!(status, Some(3), "{told}");
    assert!(
        told.contains("the daemon ended before the job did"),
        "{told}"
    );

    // Once there is space again, the daemon works as before.
    host.sh("rm /var/lib/twotone/fill");
    let (status, told) = said(host, &format!("{HOST} info"));
    assert_eq!(status, Some(0), "{told}");
    assert!(!told.contains("not on record"), "{told}");
    let (status, told) = said(host, &format!("{HOST} off"));
    assert_eq!(status, Some(0), "{told}");
}
