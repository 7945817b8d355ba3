//! The units of systemd: how those of the package differ, and what is checked of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::tree::Tree;
use crate::Result;

/// Program of a deployed host, which the units of the archive start.
const DEPLOYED: &str = "/opt/twotone/current/";

/// Unit that takes a deployed version back. A package has nothing to go back to.
const ROLLBACK: &str = "twotone-rollback.service";

/// Largest exposure that `systemd-analyze security` may find, in tenths.
const EXPOSURE: u32 = 20;

/// Returns the unit as the package has it: its program is in `/usr`, and nothing is taken back.
/// `None` if the package does not have it.
pub(crate) fn for_package(name: &str, unit: &str) -> Option<String> {
    let lines = unit.lines().filter(|line| !line.contains(ROLLBACK));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    (name != ROLLBACK).then(|| text.replace(DEPLOYED, "/usr/"))
}

/// Result of the check of units.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    Good,
    /// Not checked, with the reason.
    Not(String),
}

/// Checks every unit of a tree with `systemd-analyze`: that each line is understood, and that a
/// service exposes no more than it must.
///
/// # Errors
/// The fault of a unit.
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
        // Without `--recursive-errors=no` a misspelt key is a warning and no error.
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

/// Returns a unit whose programs exist on this computer, which `systemd-analyze verify` wants.
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
    // Of the table of exposures, what was found lacking.
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
            // No systemd, or an old one.
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

    /// The needs of the daemon from its unit, however it is hardened.
    #[test]
    fn the_unit_lets_the_daemon_work() {
        let has = |line: &str| SERVICE.lines().any(|it| it == line);
        for line in [
            "Type=notify",
            "WatchdogSec=30",
            "ExecStart=/opt/twotone/current/bin/twotone serve --map /etc/twotone/map.toml",
            "StateDirectory=twotone",
            "RuntimeDirectory=twotone",
            // The locks of boards are seen by other programs.
            "ReadWritePaths=-/run/lock",
            "BindPaths=-/tmp/twotone-locks",
            // The socket is given to the group of `--group`.
            "SystemCallFilter=@chown",
        ] {
            assert!(has(line), "{line}");
        }
        // The daemon tells who gives a command. Other users would be `nobody` to it.
        assert!(!SERVICE.contains("\nPrivateUsers="));
        // tworoutine reads a kernel setting that it would hide.
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
