//! Tests of deployed versions that are not healthy. The host goes back to the earlier version by
//! itself. A map is a file that lists boards.

use super::lab::Lab;
use super::releases::{Daemon, Releases};
use super::{KEYS, site};

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn a_version_that_is_not_healthy_is_taken_back() {
    let releases = Releases::new();
    let lab = site(1);
    let host = &lab.hosts[0];
    let first = releases.make("0.1.0~0", Daemon::Ends);
    lab.deploy(&["--archive", &first])
        .expect("down", "there was no version before it");
    assert_eq!(
        host.sh("find /etc/systemd/system -name 'twotone*.service'"),
        ""
    );
    assert!(!host.try_sh("systemctl is-active twotone").status.success());
    assert_eq!(host.sh("ls /etc/twotone"), "");

    let good = releases.make("0.1.0~1", Daemon::Good);
    lab.deploy(&["--archive", &good])
        .expect("active", "healthy");
    let map = host.sh("cat /etc/twotone/map.toml");
    // The deployments change the map too. The host also goes back to the old map.
    lab.write("map.toml", &format!("{map}\n# another one\n"));
    for (version, daemon, words) in [
        ("0.1.0~2", Daemon::Ends, "it cannot go on"),
        ("0.1.0~3", Daemon::Hangs, "does not start"),
        ("0.1.0~4", Daemon::Sick, "not healthy within 5 s"),
        ("0.1.0~5", Daemon::Short, "not healthy within 5 s"),
    ] {
        lab.site(
            "map = 'map.toml'\nservice = { TimeoutStartSec = '3', RestartSec = '0.2' }",
            |_| "health_seconds = 5\nsteady_seconds = 2\n".to_owned(),
        );
        let archive = releases.make(version, daemon);
        let told = lab.deploy(&["--archive", &archive]);
        told.expect("rolled_back", words);
        assert!(!told.success);
        assert_eq!(told.host(0, "version"), "0.1.0~1");
        assert_eq!(host.sh("readlink /opt/twotone/current"), "versions/0.1.0~1");
        assert_eq!(host.sh("systemctl is-active twotone"), "active");
        assert_eq!(host.sh("cat /etc/twotone/map.toml"), map);
        assert!(!host.try_sh("test -e /opt/twotone/pending").status.success());
    }
    lab.deploy(&["status"]).expect("told", "active, healthy");
}

/// Waits until a host has switched to a version, but has not yet decided if it keeps the version.
fn until_switched(lab: &Lab, version: &str) {
    let switched = format!(
        "test -e /opt/twotone/pending && \
         test \"$(readlink /opt/twotone/current)\" = versions/{version} && \
         systemctl is-active twotone | grep -E '^activating|^active'"
    );
    lab.hosts[0].until("the host has switched", &switched);
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn after_a_loss_of_power_the_host_decides_by_itself() {
    let releases = Releases::new();
    let mut lab = site(1);
    // With this setting, the host takes long enough to decide for the test to act in the meantime.
    lab.site(KEYS, |_| "steady_seconds = 4".to_owned());
    for (version, daemon, deployer_lives, result, expected) in [
        ("0.1.0~1", Daemon::Hangs, true, "down", "none"),
        ("0.1.0~2", Daemon::Good, true, "active", "0.1.0~2"),
        ("0.1.0~3", Daemon::Hangs, false, "", "0.1.0~2"),
        ("0.1.0~4", Daemon::Hangs, true, "rolled_back", "0.1.0~2"),
    ] {
        let archive = releases.make(version, daemon);
        let deployer = lab.start_deploy(&["--archive", &archive]);
        until_switched(&lab, version);
        let deployer = match deployer_lives {
            true => Some(deployer),
            false => {
                deployer.kill();
                None
            }
        };
        lab.lose_power(0);
        let host = &lab.hosts[0];
        host.until("the host decides", "! test -e /opt/twotone/pending");
        if let Some(deployer) = deployer {
            deployer.wait().expect(result, version);
        }
        if expected == "none" {
            assert_eq!(
                host.sh("find /etc/systemd/system -name 'twotone*.service'"),
                ""
            );
            continue;
        }
        let current = host.sh("readlink /opt/twotone/current");
        assert_eq!(current, format!("versions/{expected}"), "after {version}");
        host.until("the service runs", "systemctl is-active twotone");
    }

    // The power was lost before the switch of the version, while the files of the site were being
    // replaced. The files of the earlier version must come back.
    let host = &lab.hosts[0];
    let map = host.sh("cat /etc/twotone/map.toml");
    host.sh(
        "mkdir /opt/twotone/before && cp /etc/twotone/map.toml /opt/twotone/before &&
         cp /etc/systemd/system/twotone.service.d/50-site.conf /opt/twotone/before &&
         echo no map >/etc/twotone/map.toml &&
         printf '%s\\n' id 0.1.0~4 0.1.0~2 20 1 tester boot >/opt/twotone/pending",
    );
    lab.lose_power(0);
    let host = &lab.hosts[0];
    host.until("the host decides", "! test -e /opt/twotone/pending");
    assert_eq!(host.sh("cat /etc/twotone/map.toml"), map);
    host.until("the service runs", "systemctl is-active twotone");
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn a_killed_activation_is_decided_about() {
    let releases = Releases::new();
    let lab = site(1);
    let first = releases.make("0.1.0~1", Daemon::Good);
    lab.deploy(&["--archive", &first])
        .expect("active", "healthy");
    let host = &lab.hosts[0];

    // The activation (the script that switches the version) is killed while the new daemon starts.
    let hangs = releases.make("0.1.0~2", Daemon::Hangs);
    let deployer = lab.start_deploy(&["--archive", &hangs]);
    until_switched(&lab, "0.1.0~2");
    host.until(
        "the daemon starts",
        "systemctl is-active twotone | grep '^activating'",
    );
    host.sh("systemctl kill --signal=KILL twotone-activate");
    deployer
        .wait()
        .expect("rolled_back", "its activation was cut");
    assert_eq!(host.sh("systemctl is-active twotone"), "active");

    // The activation is killed after the switch and before the restart. The old daemon still runs,
    // and is healthy.
    host.sh("ln -sfn versions/0.1.0~2 /opt/twotone/current &&
         printf '%s\\n' id 0.1.0~2 0.1.0~1 9 1 tester \"$(cat /proc/sys/kernel/random/boot_id)\" \\
             >/opt/twotone/pending");
    lab.deploy(&["--archive", &first]).expect("unchanged", "");
    assert_eq!(host.sh("systemctl is-active twotone"), "active");
    let log = host.sh("tail -n 1 /opt/twotone/log");
    assert!(log.contains("back at 0.1.0~1"), "{log}");
}
