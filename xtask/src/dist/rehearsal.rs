//! Rehearsal of the Debian package: it is installed, upgraded, removed and purged in a throw-away
//! root folder. The package contains the program that the tests build.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::{Args, emptied, files, missing};
use crate::workspace::Workspace;
use crate::{Result, child};

/// Longest duration of the script in the throw-away root.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Exit status of the script if it cannot make a throw-away root folder.
const NO_ROOT: i32 = 77;

const SCRIPT: &str = include_str!("rehearsal.sh");

/// Programs that the script needs, each with the Debian package that contains it.
const TOOLS: [(&str, &str); 4] = [
    ("deb-systemd-helper", "init-system-helpers"),
    ("dpkg", "dpkg"),
    ("systemd-sysusers", "systemd"),
    ("unshare", "util-linux"),
];

/// Result of a rehearsal.
pub(crate) enum Rehearsed {
    Well,
    /// The rehearsal was not done, or was done only in part. The text is the reason.
    LeftOut(String),
}

/// Packages the program that the tests have built, and rehearses the installation and removal of
/// the package.
///
/// # Errors
/// If the program cannot be packaged, or if the rehearsal fails.
pub(crate) fn run(workspace: &Workspace) -> Result<Rehearsed> {
    if let Some(missing) = missing(&super::TOOLS) {
        return Ok(Rehearsed::LeftOut(missing));
    }
    let quick = Args {
        quick: true,
        ..Args::default()
    };
    super::run(workspace, &quick)?;
    if let Some(missing) = missing(&TOOLS) {
        let why = format!("the package is not installed anywhere: {missing}");
        return Ok(Rehearsed::LeftOut(why));
    }
    if !rustix::process::geteuid().is_root() {
        let why = "the package is not installed anywhere: this takes root";
        return Ok(Rehearsed::LeftOut(why.to_owned()));
    }
    let mut probe = Command::new("unshare");
    if !child::run(probe.args(["--mount", "true"]), LIMIT)?.success() {
        let why = "the package is not installed anywhere: no namespace can be made here";
        return Ok(Rehearsed::LeftOut(why.to_owned()));
    }
    let packages = files(&workspace.target.join("dist-quick"))?;
    let package = packages
        .iter()
        .find(|path| path.extension().is_some_and(|it| it == "deb"))
        .ok_or("there is no package")?;
    let root = workspace.target.join("dist-root");
    emptied(&root)?;
    let mut script = Command::new("unshare");
    script
        .args(["--mount", "--propagation=private", "sh", "-c", SCRIPT, "sh"])
        .arg(&root)
        .arg(package);
    let status = child::run(&mut script, LIMIT)?;
    // The mounts below the folder have disappeared with their namespace, so the folder is empty.
    let _ = fs::remove_dir(&root);
    match status.code() {
        Some(0) => Ok(Rehearsed::Well),
        Some(NO_ROOT) => Ok(Rehearsed::LeftOut(
            "the package is not installed anywhere: no overlay can be mounted here".to_owned(),
        )),
        _ => Err(format!(
            "the rehearsal ended with {}",
            child::ending(status)
        )),
    }
}
