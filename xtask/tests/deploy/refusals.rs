//! Tests of deployments that are refused: a problem is found before the host is switched to another
//! version. A map is a file that lists boards. To tune is to set a tone on the resonance of each
//! detector.

use super::lab::Lab;
use super::releases::{Daemon, Releases};
use super::{KEYS, MAP, TRACES, site};

/// Returns a script that installs a fake program, which the PATH finds before the real one.
fn fake(program: &str, script: &str) -> String {
    format!(
        "printf '#!/bin/sh\\n%s\\n' '{script}' >/usr/local/bin/{program}; \
             chmod 755 /usr/local/bin/{program}"
    )
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn a_host_that_lacks_something_is_left_as_it_is() {
    let releases = Releases::new();
    let lab = site(1);
    let host = &lab.hosts[0];
    let first = releases.make("0.1.0~1", Daemon::Good);
    lab.deploy(&["--archive", &first])
        .expect("active", "healthy");
    let second = releases.make("0.1.0~2", Daemon::Good);
    host.sh("echo 212992 >/tmp/setting");
    let small_disk = "mkdir /tmp/empty && mount -t tmpfs -o size=1M tmpfs /opt/twotone/versions";
    let setting = "mount --bind /tmp/setting /proc/sys/net/core/rmem_max";
    for (fault, mend, words) in [
        (
            fake("uname", "echo aarch64"),
            "rm /usr/local/bin/uname",
            "the processor is aarch64",
        ),
        (
            fake("getconf", "echo glibc 2.17"),
            "rm /usr/local/bin/getconf",
            "glibc is 2.17 and must be at least",
        ),
        (
            small_disk.to_owned(),
            "umount /opt/twotone/versions",
            "it takes",
        ),
        (
            setting.to_owned(),
            "umount /proc/sys/net/core/rmem_max",
            "rmem_max is 212992",
        ),
        (
            fake("dpkg-query", "echo installed"),
            "rm /usr/local/bin/dpkg-query",
            "--take-over-package",
        ),
        (
            "mv /usr/bin/flock /usr/bin/f".to_owned(),
            "mv /usr/bin/f /usr/bin/flock",
            "flock",
        ),
        (
            "cp -p /etc/twotone/map.toml /tmp/map; echo '# mine' >>/etc/twotone/map.toml"
                .to_owned(),
            "cp -p /tmp/map /etc/twotone/map.toml",
            "--replace-map",
        ),
    ] {
        lab.site(KEYS, |_| {
            "kernel = { 'net.core.rmem_max' = 212993 }".to_owned()
        });
        host.sh("mount --bind /dev/null /proc/sys/net/core/rmem_max; umount /proc/sys/net/core/rmem_max");
        let enough =
            "echo 212993 >/tmp/enough; mount --bind /tmp/enough /proc/sys/net/core/rmem_max";
        if !fault.contains("rmem_max") {
            host.sh(enough);
        }
        host.sh(&fault);
        let before = host.sh(TRACES);
        for options in [&["--dry-run"][..], &[]] {
            let told = lab.deploy(&[&["--archive", &second], options].concat());
            told.expect("refused", words);
            assert!(!told.success);
        }
        assert_eq!(before, host.sh(TRACES), "{fault}");
        host.sh(mend);
        if !fault.contains("rmem_max") {
            host.sh("umount /proc/sys/net/core/rmem_max");
        }
    }
    lab.site(KEYS, |_| String::new());
    let clock = fake("date", "exec /bin/date -d \"1 hour ago\" \"$@\"").replace("\"", "\\\"");
    host.sh(&clock.replace("\\\"", "\""));
    let told = lab.deploy(&["--archive", &second]);
    told.expect("active", "healthy");
    let warnings = told.host(0, "warnings").to_string();
    assert!(warnings.contains("s behind ours"), "{warnings}");
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn a_release_for_another_processor_is_not_sent() {
    let releases = Releases::new();
    let lab = Lab::start_with(1, |folder| {
        std::fs::write(folder.join("host0.machine"), "i686").expect("a folder");
    });
    lab.write("map.toml", MAP);
    lab.site(KEYS, |_| String::new());
    let archive = releases.make("0.1.0~1", Daemon::Good);
    let told = lab.deploy(&["--archive", &archive]);
    told.expect(
        "refused",
        "the processor is i686, and the release is for x86_64",
    );
    assert_eq!(told.host(0, "sent_bytes"), 0);
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn faults_that_the_check_cannot_detect_are_found_before_the_switch() {
    let releases = Releases::new();
    let lab = site(1);
    let host = &lab.hosts[0];
    let first = releases.make("0.1.0~1", Daemon::Good);
    lab.deploy(&["--archive", &first])
        .expect("active", "healthy");
    let running = host.sh("systemctl show -p MainPID twotone");
    let same = || {
        assert_eq!(host.sh("readlink /opt/twotone/current"), "versions/0.1.0~1");
        assert_eq!(host.sh("systemctl show -p MainPID twotone"), running);
    };

    // The program in this release cannot be run.
    let broken = releases.make_with("0.1.0~2", Daemon::Good, |tree| {
        super::releases::replace(&tree.join("bin/twotone"), "no program\n");
    });
    lab.deploy(&["--archive", &broken])
        .expect("failed", "0.1.0~2 does not run here");
    same();

    // This map is not valid.
    let third = releases.make("0.1.0~3", Daemon::Good);
    lab.write("map.toml", "[[board]]\nname = 'b0'\nkin = 'crs'\n");
    lab.deploy(&["--archive", &third])
        .expect("failed", "0.1.0~3 refuses the map");
    same();
    lab.write("map.toml", MAP);

    // The disk is full in the middle of the upload, although `df` has reported enough space.
    host.sh("mount -t tmpfs -o size=2M tmpfs /opt/twotone/versions");
    host.sh(&fake("df", "printf \"a\\na b c 99999999 e f\\n\""));
    let told = lab.deploy(&["--archive", &third]);
    told.expect("failed", "No space left on device");
    host.sh("umount /opt/twotone/versions; rm /usr/local/bin/df");
    same();
    lab.deploy(&["--archive", &third])
        .expect("active", "healthy");
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn two_deployers_do_not_meet() {
    let releases = Releases::new();
    let lab = site(1);
    let host = &lab.hosts[0];
    let waits = releases.make("0.1.0~1", Daemon::Waits);
    let other = releases.make("0.1.0~2", Daemon::Good);
    let start = || {
        let deployer = lab.start_deploy(&["--archive", &waits]);
        host.until(
            "the version is there",
            "test -d /opt/twotone/versions/0.1.0~1",
        );
        host.until("it has the claim", "test -e /opt/twotone/claim");
        deployer
    };
    let first = start();
    lab.deploy(&["--archive", &other])
        .expect("failed", "another deployment is under way: tester@");
    host.sh("touch /tmp/go");
    first.wait().expect("active", "0.1.0~1 is healthy");
    lab.deploy(&["--archive", &other])
        .expect("active", "0.1.0~2 is healthy");

    // The claim (the text that keeps others off a host) of a deployment that was killed does not
    // keep later deployments off the host.
    host.sh("rm /tmp/go");
    start().kill();
    let third = releases.make("0.1.0~3", Daemon::Good);
    lab.deploy(&["--archive", &third])
        .expect("active", "0.1.0~3 is healthy");
    assert!(!host.try_sh("test -e /opt/twotone/claim").status.success());

    // The claim of a deployment from another computer keeps others off the host, but only until it
    // is too old.
    let fifth = releases.make("0.1.0~5", Daemon::Good);
    host.sh("echo 1-1 somebody@elsewhere >/opt/twotone/claim");
    lab.deploy(&["--archive", &fifth])
        .expect("failed", "under way: somebody@elsewhere");
    host.sh("touch -d '10 minutes ago' /opt/twotone/claim");
    lab.deploy(&["--archive", &fifth])
        .expect("active", "0.1.0~5 is healthy");
    lab.deploy(&["rollback"])
        .expect("active", "0.1.0~3 is healthy");

    // Somebody changes the version of the host after the deployment has checked the host.
    host.sh("rm -rf /tmp/go /opt/twotone/versions/0.1.0~1");
    let fourth = start();
    host.sh("ln -sfn versions/0.1.0~2 /opt/twotone/current; touch /tmp/go");
    fourth
        .wait()
        .expect("refused", "the host was at 0.1.0~3 when it was checked");
    assert_eq!(host.sh("readlink /opt/twotone/current"), "versions/0.1.0~2");
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn a_daemon_with_a_job_is_not_interrupted_unless_told() {
    let releases = Releases::new();
    let lab = site(1);
    let host = &lab.hosts[0];
    lab.site("service = { TimeoutStartSec = '60' }", |_| {
        "health_seconds = 60".to_owned()
    });
    let first = releases.make("0.1.0~1", Daemon::Good);
    lab.deploy(&["--archive", &first])
        .expect("refused", "there is no /etc/twotone/map.toml");
    host.sh("mkdir -p /etc/twotone");
    host.sh(&format!("cat >/etc/twotone/map.toml <<'X'\n{MAP}\nX"));
    lab.deploy(&["--archive", &first])
        .expect("active", "healthy");

    // This board is slow, so it takes a while to tune it.
    let twotone = "/opt/twotone/versions/0.1.0~1/bin/twotone";
    host.sh(&format!(
        "systemd-run --quiet --unit=sim {twotone} sim --boards 1 --detectors 32 --real-time \
         --call-us 2000 --write-map /tmp/map.toml"
    ));
    host.until("the board is there", "test -s /tmp/map.toml");
    host.sh("cp /tmp/map.toml /etc/twotone/map.toml && systemctl restart twotone");
    host.sh(&format!(
        "{twotone} --host unix:/run/twotone/control.sock --detach tune --out slow"
    ));
    let second = releases.make("0.1.0~2", Daemon::Good);
    let running = host.sh("systemctl show -p MainPID twotone");
    for options in [&["--dry-run"][..], &[]] {
        lab.deploy(&[&["--archive", &second], options].concat())
            .expect("refused", "the daemon has 1 jobs");
    }
    lab.deploy(&["rollback"]).expect("refused", "");
    assert_eq!(host.sh("systemctl show -p MainPID twotone"), running);
    lab.deploy(&["--archive", &second, "--now"])
        .expect("active", "0.1.0~2 is healthy");
}
