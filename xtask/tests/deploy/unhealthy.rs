//! Versions that are not healthy: the host goes back by itself.

use super::lab::Lab;
use super::releases::{Daemon, Releases};
use super::site;

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
    // The files of the site come back too.
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

/// Waits until a host has switched to a version, and has not decided about it.
fn until_switched(lab: &Lab, version: &str) {
    let switched = format!(
        "test -e /opt/twotone/pending && \
         test \"$(readlink /opt/twotone/current)\" = versions/{version}"
    );
    lab.hosts[0].until("the host has switched", &switched);
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn after_a_loss_of_power_the_host_decides_by_itself() {
    let releases = Releases::new();
    let mut lab = site(1);
    let first = releases.make("0.1.0~1", Daemon::Good);
    lab.deploy(&["--archive", &first])
        .expect("active", "healthy");
    for (version, daemon, deployer_lives, expected) in [
        ("0.1.0~2", Daemon::Hangs, false, "0.1.0~1"),
        ("0.1.0~3", Daemon::Hangs, true, "0.1.0~1"),
        ("0.1.0~4", Daemon::Good, true, "0.1.0~4"),
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
        assert_eq!(
            host.sh("readlink /opt/twotone/current"),
            format!("versions/{expected}")
        );
        host.until("the service runs", "systemctl is-active twotone");
        if let Some(deployer) = deployer {
            let result = match expected == version {
                true => "active",
                false => "rolled_back",
            };
            deployer.wait().expect(result, version);
        }
    }
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn a_killed_activation_is_decided_about() {
    let releases = Releases::new();
    let lab = site(1);
    let first = releases.make("0.1.0~1", Daemon::Good);
    lab.deploy(&["--archive", &first])
        .expect("active", "healthy");
    let hangs = releases.make("0.1.0~2", Daemon::Hangs);
    let deployer = lab.start_deploy(&["--archive", &hangs]);
    until_switched(&lab, "0.1.0~2");
    lab.hosts[0].sh("systemctl kill --signal=KILL twotone-activate");
    deployer
        .wait()
        .expect("rolled_back", "its activation was cut");
    assert_eq!(lab.hosts[0].sh("systemctl is-active twotone"), "active");
}
