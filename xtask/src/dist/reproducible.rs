//! Check that a second build gives the same archive and package, in all bytes. The second build
//! runs in a deeper folder and with a cargo home of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::build::Build;
use super::source::Source;
use super::{deliver, described, done, emptied, files, pack};
use crate::Result;
use crate::workspace::Workspace;

/// Parts of a cargo home that a build reads. The build unpacks the sources of dependencies from
/// them.
const HOME: [&str; 3] = ["config.toml", "registry/cache", "registry/index"];

/// Makes all files again, and compares them with those in `finished`. Returns false if a file
/// differs. In this case the second build is kept.
pub(super) fn check(workspace: &Workspace, first: &Build<'_>, finished: &Path) -> Result<bool> {
    // The name of this folder has spaces, and the folder is deeper than that of the first build.
    let folder = workspace.target.join("dist again/in another folder");
    emptied(&folder)?;
    let root = folder.join("clone");
    let commit = &first.source.commit;
    let mut clone = Command::new("git");
    clone.args(["clone", "--quiet", "--shared", "--no-checkout"]);
    done(clone.arg(&first.source.root).arg(&root))?;
    let mut checkout = Command::new("git");
    checkout.args(["checkout", "--quiet", "--detach", commit]);
    done(checkout.current_dir(&root))?;
    let cargo_home = folder.join("cargo home");
    for part in HOME {
        copied(&first.cargo_home.join(part), &cargo_home.join(part))?;
    }

    let source = Source::read(&root, false)?;
    let second = Build {
        source: &source,
        folder: folder.join("build"),
        cargo_home,
        ..*first
    };
    let built = described(&source, second.run()?, first.target, false)?;
    let scratch = folder.join("work");
    emptied(&scratch)?;
    let again = folder.join("dist");
    deliver(&pack(&source, &built, &scratch, false)?, &again)?;

    let differ = differing(finished, &again)?;
    for name in &differ {
        println!("dist: {name} is not the same in {}", again.display());
    }
    if differ.is_empty() {
        println!("dist: a second build, in another folder and cargo home, has the same bytes");
        let all = workspace.target.join("dist again");
        fs::remove_dir_all(&all)
            .map_err(|error| format!("cannot remove {}: {error}", all.display()))?;
    }
    Ok(differ.is_empty())
}

fn copied(from: &Path, to: &Path) -> Result<()> {
    if !from.exists() {
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)
            .map_err(|error| format!("cannot make {}: {error}", parent.display()))?;
    }
    done(
        Command::new("cp")
            .args(["--recursive", "--"])
            .arg(from)
            .arg(to),
    )
}

/// Returns the names of the files that are missing in one of the two folders, or that differ.
fn differing(one: &Path, other: &Path) -> Result<Vec<String>> {
    let mut names: Vec<_> = files(one)?
        .iter()
        .chain(&files(other)?)
        .map(|path| path.file_name().unwrap_or_default().to_owned())
        .collect();
    names.sort();
    names.dedup();
    names.retain(|name| {
        let read = |folder: &Path| fs::read(folder.join(name)).ok();
        let (one, other) = (read(one), read(other));
        one.is_none() || one != other
    });
    let told = names.iter().map(|name| name.to_string_lossy().into_owned());
    Ok(told.collect())
}

#[cfg(test)]
#[test]
fn files_that_are_missing_or_have_other_bytes_differ() {
    let scratch = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| scratch.path().join(name));
    for (folder, name, text) in [
        (&one, "same", "x"),
        (&other, "same", "x"),
        (&one, "changed", "x"),
        (&other, "changed", "y"),
        (&one, "gone", "x"),
        (&other, "new", "x"),
    ] {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    }
    assert_eq!(differing(&one, &other).unwrap(), ["changed", "gone", "new"]);
    assert!(differing(&one, &one).unwrap().is_empty());
}
