//! Test of the Debian package on a host: it is installed, upgraded, removed and purged under
//! systemd.

use super::lab::Lab;
use super::releases::{self, Daemon, Releases};
use super::{KEYS, MAP};

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn the_package_starts_nothing_unasked_and_leaves_maps_and_runs() {
    let lab = Lab::start(1);
    let host = &lab.hosts[0];
    let package = lab.path("host0/root/srv/twotone.deb");
    std::fs::copy(releases::package(), package).expect("the host has a disk");
    let install = "dpkg --install /srv/twotone.deb </dev/null";
    let state = || {
        let told = host.try_sh("systemctl is-enabled twotone; systemctl is-active twotone");
        String::from_utf8_lossy(&told.stdout).replace('\n', " ")
    };

    host.sh(install);
    assert_eq!(state(), "disabled inactive ");
    host.sh(&format!("cat >/etc/twotone/map.toml <<'X'\n{MAP}X"));
    host.sh("systemctl enable --now twotone && twotone health");
    assert_eq!(state(), "enabled active ");

    // A deployment is refused, because its service would hide the service of the package.
    lab.write("map.toml", MAP);
    lab.site(KEYS, |_| String::new());
    let releases = Releases::new();
    let archive = releases.make("0.1.0~1", Daemon::Good);
    lab.deploy(&["--archive", &archive, "--replace-map"])
        .expect("refused", "the Debian package twotone is installed");

    let process = "systemctl show -p MainPID --value twotone";
    let before = host.sh(process);
    host.sh(install);
    host.until("the daemon is healthy", "twotone health");
    assert_ne!(host.sh(process), before, "an upgrade starts it again");
    assert_eq!(state(), "enabled active ");

    host.sh("dpkg --remove twotone </dev/null");
    let runs = host.try_sh("systemctl is-active --quiet twotone");
    assert!(!runs.status.success(), "it runs without its package");
    host.sh("test ! -e /usr/bin/twotone && test -e /etc/twotone/map.toml");
    host.sh(install);
    assert!(
        state().starts_with("enabled"),
        "as it was before: {}",
        state()
    );
    host.sh("dpkg --purge twotone </dev/null");
    host.sh("test -e /etc/twotone/map.toml && test -d /var/lib/twotone");
    assert_eq!(
        host.sh("find /etc/systemd /lib/systemd -name 'twotone*'"),
        ""
    );

    // Without the package, the host accepts a deployment.
    lab.deploy(&["--archive", &archive, "--replace-map"])
        .expect("active", "0.1.0~1 is healthy");
}
