//! Tests of deployments (installing a version of twotone on a host) whose connection is cut at any
//! moment. Each deployment succeeds in spite of the cut.

use super::lab::until;
use super::releases::{Daemon, Releases};
use super::{KEYS, site};

/// Reads the messages about the progress of a deployment. Returns for each upload the number of
/// bytes that were on the host already, and the number of bytes that were still to send.
fn uploads(progress: &str) -> Vec<(u64, u64)> {
    let lines = progress.lines().filter_map(|line| {
        let (_, rest) = line.split_once("sends ")?;
        let (rest, length) = rest.split_once(" bytes of ")?;
        let (rest, length): (u64, u64) = (rest.parse().ok()?, length.parse().ok()?);
        Some((length - rest, rest))
    });
    lines.collect()
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn an_upload_goes_on_where_it_was_cut() {
    let releases = Releases::new();
    let lab = site(1);
    let host = &lab.hosts[0];
    let archive = releases.make("0.1.0~1", Daemon::Good);
    // The link is limited to 2 MB/s, so that the upload takes a few seconds.
    let slow = ["tc", "qdisc", "add", "dev", "v10", "root", "tbf"];
    let rate = ["rate", "16mbit", "burst", "64kb", "latency", "400ms"];
    let status = lab.command(&[slow.as_slice(), &rate].concat()).status();
    assert!(status.expect("tc runs").success());
    let some = |bytes: u64| {
        format!("test $(cat /opt/twotone/versions/0.1.0~1.part/* 2>/dev/null | wc -c) -gt {bytes}")
    };
    let start = || lab.start_deploy(&["--archive", &archive]);

    // The process of the first deployment is killed during the upload.
    let killed = start();
    host.until("a part is there", &some(500_000));
    assert_eq!(uploads(&killed.kill())[0].0, 0);

    // During the second deployment the link is cut, and comes back.
    let cut = start();
    host.until("the upload goes on", "pgrep -f 'dd .*seek=[1-9]'");
    host.until("more is there", &some(4_000_000));
    lab.link(0, "down");
    until("the deployer has given up the connection", || {
        let masters = lab.command(&["pgrep", "-f", "ControlPersist=no"]).output();
        masters.expect("pgrep runs").stdout.is_empty().then_some(())
    });
    lab.link(0, "up");
    let told = cut.wait();
    told.expect("active", "0.1.0~1 is healthy");
    let uploads = uploads(&told.progress);
    assert!(uploads.len() >= 2, "{}", told.progress);
    assert!(
        uploads[0].0 >= 500_000 && uploads[1].0 >= 4_000_000,
        "{uploads:?}"
    );
}

/// Script that sshd runs in place of every command that is requested. The script runs the requested
/// command itself. At the command with the number `n`, it cuts the connection before or after it
/// runs this command.
const CUTTER: &str = "#!/bin/sh
read -r n when </tmp/cut
echo $((n - 1)) $when >/tmp/cut
[ $n != 1 ] || [ $when = after ] || { kill -9 $PPID; exit; }
sh -c \"$SSH_ORIGINAL_COMMAND\"
status=$?
[ $n != 1 ] || [ $when = before ] || kill -9 $PPID
exit $status
";

/// Deploys again and again. Each time, the connection is cut `before` or `after` another command of
/// the deployment.
fn cut_at_each_command(when: &str) {
    let releases = Releases::new();
    let lab = site(1);
    lab.site(KEYS, |_| "steady_seconds = 0".to_owned());
    let host = &lab.hosts[0];
    let archives = ["0.1.0~1", "0.1.0~2"].map(|it| (it, releases.make(it, Daemon::Good)));
    host.sh(&format!(
        "cat >/usr/local/bin/cutter <<'X'\n{CUTTER}X\nchmod 755 /usr/local/bin/cutter"
    ));
    host.sh(
        "echo ForceCommand /usr/local/bin/cutter >>/etc/ssh/sshd_config; systemctl restart ssh",
    );
    for n in 1.. {
        let (version, archive) = &archives[n % 2];
        // Without this version on the host, the deployment must send the archive.
        host.sh(&format!(
            "rm -rf /opt/twotone/versions/{version}; echo {n} {when} >/tmp/cut"
        ));
        let told = lab.deploy(&["--archive", archive]);
        told.expect("active", &format!("{version} is healthy"));
        assert_eq!(
            host.sh("readlink /opt/twotone/current"),
            format!("versions/{version}"),
            "{when} command {n}"
        );
        assert_eq!(host.sh("systemctl is-active twotone"), "active");
        let left = host.sh("ls -A /opt/twotone | tr '\\n' ' '");
        let left_over = |it: &&str| ["pending", "claim", "staged", "before"].contains(it);
        assert_eq!(left.split(' ').find(left_over), None, "{when} command {n}");
        let to_come = host.sh("cut -d ' ' -f 1 /tmp/cut").parse::<i32>();
        if to_come.expect("a number") >= 1 {
            // This deployment needed fewer than `n` commands, so nothing was cut. All its commands
            // have been cut in earlier rounds.
            assert!(n > 10, "{n} commands");
            return;
        }
    }
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn a_deployment_that_is_cut_before_any_command_comes_to_its_end() {
    cut_at_each_command("before");
}

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn a_deployment_that_is_cut_after_any_command_comes_to_its_end() {
    cut_at_each_command("after");
}
