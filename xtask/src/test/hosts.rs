//! Step of `cargo xtask test` that runs the tests in `xtask/tests/deploy/`. They deploy to
//! throw-away control hosts, which `xtask/tests/deploy/lab.sh` makes on this computer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::steps::{has_nextest, in_order, runner};
use super::{Outcome, Run};
use crate::{Result, child, dist};

/// Environment variable with the path of the archive that the tests and the benchmark deploy.
pub(crate) const VARIABLE: &str = "TWOTONE_RELEASE";

/// Message that is printed if the tests are skipped because no hosts can be made.
const LEFT_OUT: &str = "left out: deployments to throw-away hosts (xtask/tests/deploy)";

/// Programs that the hosts need, each with the Debian package that contains it.
const TOOLS: [(&str, &str); 12] = [
    ("/lib/systemd/systemd", "systemd"),
    ("dbus-daemon", "dbus"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("pgrep", "procps"),
    ("setarch", "util-linux"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("sshd", "openssh-server"),
    ("sudo", "sudo"),
    ("tc", "iproute2"),
    ("unshare", "util-linux"),
];

/// Longest time for the installation of missing programs.
const INSTALL_LIMIT: Duration = Duration::from_secs(10 * 60);

pub(super) fn run(run: &Run<'_>) -> Outcome {
    match hindrance(run.ci) {
        Ok(None) => {}
        Ok(Some(why)) => return Outcome::Skipped(format!("{LEFT_OUT}: {why}")),
        Err(error) => return Outcome::Failed(error),
    }
    remove_groups();
    let release = match dist::quick(run.workspace) {
        Ok(release) => release,
        Err(error) => return Outcome::Failed(error),
    };
    let mut command = runner();
    command.args(["--test", "deploy"]).env(VARIABLE, release);
    // More tests run at the same time than there are processors, because the tests wait most of the
    // time.
    if has_nextest() {
        command.args(["--run-ignored", "all", "--test-threads", "4"]);
    } else {
        command.args(["--", "--include-ignored", "--test-threads", "4"]);
    }
    in_order(run, [command])
}

/// Returns the reason why no throw-away hosts can be made on this computer, or `None` if they can.
/// Missing programs are installed in two cases: in CI, and on a computer without a running systemd,
/// because there the installation starts no service.
pub(crate) fn hindrance(ci: bool) -> Result<Option<String>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Some("this takes root".to_owned()));
    }
    let mut missing: Vec<_> = missing();
    if !missing.is_empty() && (ci || !Path::new("/run/systemd/system").exists()) {
        install(&missing)?;
        missing = self::missing();
    }
    if !missing.is_empty() {
        return Ok(Some(format!("install {}", missing.join(", "))));
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--net", "--pid", "--cgroup", "--fork", "true"]);
    let status = child::run(unshare.stderr(Stdio::null()), INSTALL_LIMIT)?;
    if !status.success() {
        return Ok(Some("no namespaces can be made here".to_owned()));
    }
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mut mounts = mounts.lines().map(|line| line.split(' '));
    let has_groups = mounts.any(|mut words| words.nth(2) == Some("cgroup2"));
    let why = "no control groups of version 2 are mounted here";
    Ok((!has_groups).then(|| why.to_owned()))
}

/// Removes the control groups that throw-away hosts have left behind because their tests were
/// killed.
fn remove_groups() {
    // The group of a host that still runs contains a process, and is not removed.
    let script = "for top in $(awk '$3 == \"cgroup2\" { print $2 }' /proc/mounts); do \
                  for group in \"$top\"/tt-deploy-*; do \
                  if grep -qs '^populated 0' \"$group/cgroup.events\"; then \
                  find \"$group\" -depth -type d -exec rmdir {} \\; ; fi; done; done";
    let mut remove = Command::new("sh");
    // A group that cannot be removed is empty and does no harm.
    let _ = child::run(remove.args(["-c", script]), INSTALL_LIMIT);
}

/// Returns the packages that contain programs that are missing on this computer.
fn missing() -> Vec<&'static str> {
    let mut packages: Vec<_> = TOOLS
        .iter()
        .filter(|(tool, _)| !is_here(tool))
        .map(|(_, package)| *package)
        .collect();
    packages.dedup();
    packages
}

/// True if a program is on the PATH or in the folders that only root has on its PATH.
fn is_here(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let of_root = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    folders.chain(of_root).any(|it| it.join(tool).is_file())
}

fn install(packages: &[&str]) -> Result<()> {
    let apt = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        // Standard output is only for the report of a benchmark.
        command.args(words).stdout(std::io::stderr());
        let status = child::run(&mut command, INSTALL_LIMIT)?;
        Ok::<_, String>(status.success())
    };
    let words = [&["install", "-y", "--no-install-recommends"], packages].concat();
    eprintln!("apt-get {}", words.join(" "));
    // If the installation fails, the reason may be that the list of packages is old or missing. So
    // the list is updated, and the installation is tried again.
    if apt(&words)? || (apt(&["update"])? && apt(&words)?) {
        return Ok(());
    }
    Err(format!("apt-get cannot install {}", packages.join(", ")))
}
