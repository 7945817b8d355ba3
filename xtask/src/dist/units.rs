//! The units of systemd (its descriptions of services): the changes that the Debian package makes
//! to them, and their check.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::tree::Tree;
use crate::Result;

/// Folder of the deployed version on a host. The units of the archive start the program in it.
const DEPLOYED: &str = "/opt/twotone/current/";

/// Unit that makes a host go back from a deployed version to the earlier one. In a package there is
/// no earlier version.
const ROLLBACK: &str = "twotone-rollback.service";

/// Largest exposure level (a measure of the rights of a service) that `systemd-analyze security`
/// may report, in tenths.
const EXPOSURE: u32 = 20;

/// Returns a unit as the package contains it: it starts the program in `/usr`, and does not refer
/// to the unit that reverts a deployment. Returns `None` if the package does not contain the unit.
pub(crate) fn for_package(name: &str, unit: &str) -> Option<String> {
    let lines = unit.lines().filter(|line| !line.contains(ROLLBACK));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    (name != ROLLBACK).then(|| text.replace(DEPLOYED, "/usr/"))
}

/// Result of the check of units.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    Good,
    /// The units were not checked, or not fully. The text is the reason.
    Not(String),
}

/// Checks every unit of a tree with `systemd-analyze`: each line must be valid, and the exposure of
/// a service must not be larger than [`EXPOSURE`].
///
/// Returns the message of `systemd-analyze` about a unit.
pub(crate) fn check(tree: &Tree, scratch: &Path) -> Result<Checked> {
    let Some(release) = systemd_release() else {
        return Ok(Checked::Not(
            "systemd-analyze is not here (package systemd)".to_owned(),
        ));
    };
    let folder = scratch.join("units");
    let failed = |error| format!("cannot write into {}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    for (path, content) in tree
        .iter()
        .filter(|(path, _)| path.extension().is_some_and(|it| it == "service"))
    {
        let unit = folder.join(path.file_name().unwrap_or_default());
        fs::write(
            &unit,
            as_if_installed(&String::from_utf8_lossy(&content.bytes)),
        )
        .map_err(failed)?;
    }
    for (path, _) in tree.iter() {
        let unit = folder.join(path.file_name().unwrap_or_default());
        if !unit.is_file() {
            continue;
        }
        // Without `--recursive-errors=no`, a misspelt key only causes a warning.
        let mut verify = Command::new("systemd-analyze");
        verify
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(&unit);
        verdict(path, &mut verify)?;
        let is_service = fs::read_to_string(&unit)
            .map_err(failed)?
            .contains("\nUser=");
        if release >= 250 && is_service {
            let mut security = Command::new("systemd-analyze");
            security
                .args(["security", "--offline=true", "--no-pager"])
                .arg(format!("--threshold={EXPOSURE}"))
                .arg(&unit);
            verdict(path, &mut security)?;
        }
    }
    if release < 250 {
        return Ok(Checked::Not(format!(
            "systemd {release} cannot judge the exposure of a file; 250 can"
        )));
    }
    Ok(Checked::Good)
}

/// Returns the unit, changed so that it starts a program of this computer. `systemd-analyze verify`
/// requires that the program of a unit exists.
fn as_if_installed(unit: &str) -> String {
    let line = |line: &str| match line.split_once(DEPLOYED) {
        Some((before, program)) => {
            let arguments = program.split_once(' ').map_or("", |(_, rest)| rest);
            format!("{before}/bin/true {arguments}\n")
        }
        None => format!("{line}\n"),
    };
    unit.lines().map(line).collect()
}

fn systemd_release() -> Option<u32> {
    let output = Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace()
        .nth(1)?
        .split('.')
        .next()?
        .parse()
        .ok()
}

fn verdict(unit: &Path, command: &mut Command) -> Result<()> {
    let output = command
        .env("SYSTEMD_COLORS", "0")
        .output()
        .map_err(|error| format!("cannot run systemd-analyze: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    // The output contains a table of exposures. Only its lines about problems are kept.
    let lines = told
        .lines()
        .filter(|line| !line.trim_start().starts_with('✓'));
    let lines: Vec<_> = lines.collect();
    Err(format!("{}: {}", unit.display(), lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = include_str!("../../packaging/systemd/twotone.service");

    #[track_caller]
    fn check_with(changed: &str, expected: Option<&str>) {
        let scratch = tempfile::tempdir().unwrap();
        let mut tree = Tree::default();
        tree.put("lib/systemd/system/twotone.service", changed);
        match (check(&tree, scratch.path()), expected) {
            // This computer has no systemd, or a systemd that is too old for the check.
            (Ok(Checked::Not(_)), _) => {}
            (found, None) => assert_eq!(found, Ok(Checked::Good)),
            (found, Some(words)) => {
                let error = found.unwrap_err();
                assert!(error.contains(words), "{error}");
            }
        }
    }

    #[test]
    fn the_unit_is_understood_and_exposes_little() {
        check_with(SERVICE, None);
        let changed = |from: &str, to: &str| {
            assert!(SERVICE.contains(from), "{from}");
            SERVICE.replacen(from, to, 1)
        };
        check_with(&changed("WatchdogSec=", "WatchdgSec="), Some("WatchdgSec"));
        check_with(&changed("WatchdogSec=30", "WatchdogSec=soon"), Some("soon"));
        let open = SERVICE
            .lines()
            .filter(|line| !line.starts_with("Protect") && !line.starts_with("SystemCall"));
        let open: String = open.map(|line| format!("{line}\n")).collect();
        check_with(&open, Some("ProtectSystem"));
    }

    /// Checks that the unit grants the daemon the rights that it needs, although it takes most
    /// other rights away.
    #[test]
    fn the_unit_lets_the_daemon_work() {
        let has = |line: &str| SERVICE.lines().any(|it| it == line);
        for line in [
            "Type=notify",
            "WatchdogSec=30",
            "ExecStart=/opt/twotone/current/bin/twotone serve --map /etc/twotone/map.toml",
            "StateDirectory=twotone",
            "RuntimeDirectory=twotone",
            // Other programs must see the locks of boards, which are in this folder.
            "ReadWritePaths=-/run/lock",
            "BindPaths=-/tmp/twotone-locks",
            // With the option `--group`, the daemon gives its socket to a group of users.
            "SystemCallFilter=@chown",
        ] {
            assert!(has(line), "{line}");
        }
        // The daemon tells which user has given a command. With this setting, all other users would
        // appear as `nobody`.
        assert!(!SERVICE.contains("\nPrivateUsers="));
        // The crate tworoutine reads a kernel setting in `/proc`. With this setting, it could not
        // see it.
        assert!(!SERVICE.contains("\nProcSubset="));
    }

    #[test]
    fn the_units_of_the_package_differ_in_the_program_and_the_way_back_alone() {
        let unit = "[Unit]\nOnFailure=twotone-rollback.service\n[Service]\n\
                    ExecStart=/opt/twotone/current/bin/twotone serve\nUser=twotone\n";
        assert_eq!(
            for_package("twotone.service", unit).as_deref(),
            Some("[Unit]\n[Service]\nExecStart=/usr/bin/twotone serve\nUser=twotone\n")
        );
        assert_eq!(for_package(ROLLBACK, "[Unit]\n"), None);
        let packaged = for_package("twotone.service", SERVICE).unwrap();
        assert!(!packaged.contains("/opt/"), "{packaged}");
        check_with(&packaged.replace("/usr/bin/twotone", "/bin/true"), None);
    }
}
