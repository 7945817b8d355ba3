//! Test that runs the commands of the operator's guide one by one, on a host with nothing
//! installed.

use super::lab::Lab;
use super::releases;

/// The guide.
const GUIDE: &str = include_str!("../../../docs/operators-guide.md");

#[test]
#[ignore = "needs root: run `cargo xtask test hosts`"]
fn ten_commands_lead_from_an_empty_host_to_a_tuned_site() {
    let lab = Lab::start(1);
    let host = &lab.hosts[0];
    let package = lab.path("host0/root/root/twotone_0.1.0_amd64.deb");
    std::fs::copy(releases::package(), package).expect("the host has a disk");
    let (_, block) = GUIDE.split_once("```sh\n").expect("a block of commands");
    let (block, _) = block.split_once("```").expect("the block has an end");
    let commands: Vec<&str> = block.lines().collect();
    assert_eq!(commands.len(), 10);
    let mut told = Vec::new();
    for command in commands {
        // A person takes a moment between two commands. Meanwhile the simulated boards start.
        if command.contains("twotone check") {
            host.until(
                "the boards wrote their map",
                "test -e /etc/twotone/map.toml",
            );
        }
        let command = format!("cd /root && {command} </dev/null");
        told.push(host.sh(&command));
    }
    let [_, _, check, _, _, info, tune, capture, off, jobs] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert!(check.contains("4 boards"), "{check}");
    assert!(info.contains("crs0004"), "{info}");
    assert!(tune.contains("crs0004"), "{tune}");
    assert!(capture.contains("crs0004"), "{capture}");
    assert_eq!(off.matches("off, read back").count(), 4, "{off}");
    for job in ["tune", "capture", "off"] {
        assert!(jobs.contains(job), "{jobs}");
    }
    host.sh("test -e /var/lib/twotone/runs/first/manifest.json");
    host.sh("test -e /var/lib/twotone/runs/samples/manifest.json");
}
