//! Deployments to throw-away hosts, with real parts: systemd, sshd, the program of this workspace.
//!
//! They need root, and are run by `cargo xtask test hosts`.

mod lab;
mod releases;

use lab::Lab;
use releases::{Daemon, Releases};

/// A map whose board is not there. The daemon is healthy without it.
const MAP: &str = "[[board]]\nname = 'b0'\nkind = 'crs'\naddress = '127.0.0.1:9'\n";

/// A site of so many hosts with a map, whose daemons have 4 s to start.
fn site(hosts: usize) -> Lab {
    let lab = Lab::start(hosts);
    lab.write("map.toml", MAP);
    lab.site(
        "map = 'map.toml'\nservice = { TimeoutStartSec = '4', RestartSec = '0.2' }",
        |_| String::new(),
    );
    lab
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn a_host_gets_a_version_and_then_the_next_one() {
    let releases = Releases::new();
    let lab = site(1);
    let host = &lab.hosts[0];
    let first = releases.make("0.1.0~1", Daemon::Good);
    let told = lab.deploy(&["--archive", &first]);
    told.expect("active", "0.1.0~1 is healthy");
    assert!(told.success);
    assert_eq!(host.sh("systemctl is-active twotone"), "active");
    assert_eq!(host.sh("systemctl is-enabled twotone"), "enabled");
    assert_eq!(host.sh("readlink /opt/twotone/current"), "versions/0.1.0~1");

    let before =
        host.sh("systemctl show -p MainPID twotone; find /opt /etc -newer /run/utmp | sort");
    let told = lab.deploy(&["--archive", &first]);
    told.expect("unchanged", "");
    assert_eq!(told.host(0, "sent_bytes"), 0);
    let after =
        host.sh("systemctl show -p MainPID twotone; find /opt /etc -newer /run/utmp | sort");
    assert_eq!(before, after);

    let second = releases.make("0.1.0~2", Daemon::Good);
    lab.deploy(&["--archive", &second])
        .expect("active", "0.1.0~2 is healthy");
    assert_eq!(host.sh("readlink /opt/twotone/current"), "versions/0.1.0~2");
    assert_eq!(
        host.sh("readlink /opt/twotone/previous"),
        "versions/0.1.0~1"
    );
}
