//! Checks of the files and folders at the top of the repository.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::breach;
use crate::workspace::Workspace;

/// Folders that belong at the top, besides those whose names begin with a dot.
const FOLDERS: &str =
    "algorithms docs examples fuzz hal python sim src tests transport tworoutine xtask";

/// Files that belong at the top, besides those whose names begin with a dot.
const FILES: &str = "CHANGELOG.md CONTRIBUTING.md Cargo.lock Cargo.toml LICENSE-APACHE LICENSE-MIT \
    README.md clippy.toml deny.toml rust-toolchain.toml rustfmt.toml";

/// Finds files and folders that do not belong at the top.
pub(super) fn entries(workspace: &Workspace) -> Vec<String> {
    let mut unknown = BTreeSet::new();
    for path in &workspace.files {
        let mut parts = path.iter().map(|part| part.to_str().unwrap_or("?"));
        let first = parts.next().unwrap_or_default();
        let known = if parts.next().is_some() {
            FOLDERS
        } else {
            FILES
        };
        if !first.starts_with('.') && known.split(' ').all(|name| name.trim() != first) {
            unknown.insert(breach(first, "does not belong at the top level"));
        }
    }
    unknown.into_iter().collect()
}

/// Finds a `Cargo.lock` that is missing, that git does not track, or whose committed state is out
/// of date.
pub(super) fn lock(workspace: &Workspace) -> Vec<String> {
    let lock = Path::new("Cargo.lock");
    let exists = workspace.files.iter().any(|path| path == lock);
    if !exists || workspace.is_tracked(lock) == Some(false) {
        return vec![breach(lock, "is not committed")];
    }
    let changed = workspace.changed().unwrap_or_default();
    let manifest = |path: &PathBuf| path.ends_with("Cargo.toml");
    if changed.iter().any(|path| path == lock) && !changed.iter().any(manifest) {
        // Cargo has updated the file before it ran this program. So the committed file is out of
        // date.
        let what = "is not what was committed, though no manifest changed";
        return vec![breach(lock, what)];
    }
    Vec::new()
}
