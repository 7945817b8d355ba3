//! `cargo xtask advisories`: looks up the packages of `Cargo.lock` in a local database of known
//! vulnerabilities.
//!
//! An *advisory* is a description of one vulnerability, in a file of the database.
//!
//! The database is a clone of <https://github.com/rustsec/advisory-db>. This command downloads
//! nothing.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use semver::{Version, VersionReq};
use serde::Deserialize;

use crate::Result;
use crate::workspace::Workspace;

/// Environment variable with the folder of the database.
const VARIABLE: &str = "RUSTSEC_DB";

/// Source, in `Cargo.lock`, of packages from crates.io. The advisories are about packages from this
/// source.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Result of the check.
#[derive(Debug, PartialEq)]
pub(crate) enum Checked {
    /// The packages were looked up. The value is true if none is vulnerable.
    Against(bool),
    /// There is no database on this computer.
    NoDatabase,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
}

/// Front matter (the block of TOML at the beginning) of an advisory.
#[derive(Deserialize)]
struct Advisory {
    advisory: About,
    #[serde(default)]
    versions: Versions,
}

#[derive(Deserialize)]
struct About {
    id: String,
    package: String,
    /// Remark such as `unmaintained`, if the advisory is not about a vulnerability.
    informational: Option<String>,
    withdrawn: Option<toml::Value>,
}

#[derive(Default, Deserialize)]
struct Versions {
    #[serde(default)]
    patched: Vec<VersionReq>,
    #[serde(default)]
    unaffected: Vec<VersionReq>,
}

/// Checks `Cargo.lock` and prints the findings. Returns false if a package is vulnerable. Without a
/// database it prints a notice and returns true.
pub(crate) fn run(workspace: &Workspace) -> Result<bool> {
    Ok(check(workspace)? != Checked::Against(false))
}

/// Checks `Cargo.lock` and prints the findings.
pub(crate) fn check(workspace: &Workspace) -> Result<Checked> {
    let Some(database) = database() else {
        println!(
            "advisories: not checked, since there is no database on this computer: clone \
            rustsec/advisory-db to ~/.cargo/advisory-db, or name its folder in {VARIABLE}"
        );
        return Ok(Checked::NoDatabase);
    };
    let lock = workspace.text("Cargo.lock".as_ref());
    let lock = lock.ok_or("Cargo.lock cannot be read")?;
    let found = look(&lock, &database)?;
    for line in found.vulnerable.iter().chain(&found.remarks) {
        println!("{line}");
    }
    println!(
        "advisories: {} vulnerable, {} remarks, of {} packages, by the database in {}",
        found.vulnerable.len(),
        found.remarks.len(),
        found.packages,
        database.display()
    );
    Ok(Checked::Against(found.vulnerable.is_empty()))
}

/// Returns the folder of the database: the one that [`VARIABLE`] names, or else the one that `cargo
/// audit` uses, if that one exists.
fn database() -> Option<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE) {
        return Some(named.into());
    }
    let cargo = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
    Some(cargo.join("advisory-db")).filter(|folder| folder.exists())
}

/// Findings, one line each.
#[derive(Debug, Default, PartialEq)]
struct Found {
    /// Number of packages that were looked up.
    packages: usize,
    vulnerable: Vec<String>,
    /// Remarks about packages, for example that they are unmaintained or unsound.
    remarks: Vec<String>,
}

/// Looks up those packages of a lock file that come from the registry.
fn look(lock: &str, database: &Path) -> Result<Found> {
    let lock: Lock =
        toml::from_str(lock).map_err(|error| format!("Cargo.lock cannot be read: {error}"))?;
    let folder = database.join("crates");
    if !folder.is_dir() {
        let shown = database.display();
        return Err(format!(
            "{shown} is no database of advisories: it has no folder `crates`"
        ));
    }
    let mut found = Found::default();
    let packages = lock.package.iter();
    for package in packages.filter(|it| it.source.as_deref() == Some(REGISTRY)) {
        found.packages += 1;
        let version = Version::parse(&package.version)
            .map_err(|error| format!("version of {} in Cargo.lock: {error}", package.name))?;
        for path in advisories(&folder.join(&package.name))? {
            let Advisory { advisory, versions } = read(&path)?;
            let mut not_affected = versions.patched.iter().chain(&versions.unaffected);
            let is_affected = !not_affected.any(|range| range.matches(&version));
            if advisory.package != package.name || advisory.withdrawn.is_some() || !is_affected {
                continue;
            }
            let line = format!("{} {version}: {}", package.name, advisory.id);
            match advisory.informational {
                Some(kind) => found.remarks.push(format!("{line} ({kind})")),
                None => found.vulnerable.push(line),
            }
        }
    }
    Ok(found)
}

/// Returns the paths of the advisories in the folder of one package, sorted. Returns no paths if
/// the folder does not exist.
fn advisories(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let unreadable = |error| format!("cannot list {}: {error}", folder.display());
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|end| end == "md") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads the front matter of an advisory.
///
/// # Errors
/// If the advisory cannot be read. Such an advisory is not skipped, since it might be
/// about a version in the lock file.
fn read(path: &Path) -> Result<Advisory> {
    let wrong = |why: String| format!("advisory {}: {why}", path.display());
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let matter = text
        .trim_start()
        .strip_prefix("```toml")
        .and_then(|rest| rest.split("\n```").next());
    let matter = matter.ok_or_else(|| wrong("it does not begin with TOML".to_owned()))?;
    toml::from_str(matter).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
        version = 4
        [[package]]
        name = "left"
        version = "1.2.3"
        source = "registry+https://github.com/rust-lang/crates.io-index"
        [[package]]
        name = "ours"
        version = "0.1.0"
    "#;

    /// Looks up the packages of the lock file `LOCK` in a database that has one advisory, in the
    /// folder of `package`.
    fn found(package: &str, advisory: &str) -> Result<Found> {
        let folder = tempfile::tempdir().unwrap();
        let crates = folder.path().join("crates").join(package);
        fs::create_dir_all(&crates).unwrap();
        fs::write(crates.join("README"), "no advisory").unwrap();
        fs::write(crates.join("RUSTSEC-2026-0001.md"), advisory).unwrap();
        look(LOCK, folder.path())
    }

    fn advisory(package: &str, more: &str, versions: &str) -> String {
        format!(
            "```toml\n[advisory]\nid = \"RUSTSEC-2026-0001\"\npackage = \"{package}\"\ndate = \"2026-01-02\"\n\
             {more}\n[versions]\n{versions}\n```\n\n# Title\n\n```rust\ncode\n```\n"
        )
    }

    #[track_caller]
    fn check(package: &str, more: &str, versions: &str, [vulnerable, remarks]: [&[&str]; 2]) {
        let found = found(package, &advisory(package, more, versions)).unwrap();
        let advisory = format!("{more} {versions}");
        assert_eq!(found.packages, 1, "{advisory}");
        assert_eq!(found.vulnerable, vulnerable, "{advisory}");
        assert_eq!(found.remarks, remarks, "{advisory}");
    }

    #[test]
    fn a_version_that_is_neither_patched_nor_unaffected_is_vulnerable() {
        const IT: &[&str] = &["left 1.2.3: RUSTSEC-2026-0001"];
        for (versions, vulnerable) in [
            ("patched = []", IT),
            ("patched = [\">= 1.2.4\"]", IT),
            ("patched = [\">= 1.2.3\"]", &[][..]),
            ("patched = [\"^1.1.9, < 1.2.0\", \">= 1.3\"]", IT),
            ("patched = [\">= 2\", \"^1.2.3\"]", &[]),
            ("patched = []\nunaffected = [\"< 1.2.3\"]", IT),
            ("patched = []\nunaffected = [\"< 1.3.0\"]", &[]),
        ] {
            check("left", "", versions, [vulnerable, &[]]);
        }
        check(
            "left",
            "withdrawn = \"2026-02-03\"",
            "patched = []",
            [&[], &[]],
        );
        let kind = "informational = \"unmaintained\"";
        let remark: &[&str] = &["left 1.2.3: RUSTSEC-2026-0001 (unmaintained)"];
        check("left", kind, "patched = []", [&[], remark]);
        // A package without a source is a package of this workspace. The advisories are about
        // packages of the registry, which may have the same name.
        check("ours", "", "patched = []", [&[], &[]]);
        check("right", "", "patched = []", [&[], &[]]);
    }

    #[test]
    fn an_advisory_that_cannot_be_read_is_an_error() {
        for (advisory, words) in [
            ("# Title\n", "does not begin with TOML"),
            ("```toml\n[advisory\n```\n", "RUSTSEC-2026-0001.md"),
            (
                &advisory("left", "", "patched = [\"newer\"]"),
                "RUSTSEC-2026-0001.md",
            ),
        ] {
            let error = found("left", advisory).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let error = look(LOCK, Path::new("/nowhere")).unwrap_err();
        assert!(error.contains("no database"), "{error}");
    }
}
