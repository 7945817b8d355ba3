//! Files and folders at the top of the tree.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::{Breach, Tree};

/// Folders, besides those that begin with a dot.
const FOLDERS: [&str; 12] = [
    "algorithms",
    "docs",
    "examples",
    "fuzz",
    "hal",
    "python",
    "sim",
    "src",
    "tests",
    "transport",
    "tworoutine",
    "xtask",
];

/// Files, besides those that begin with a dot.
const FILES: [&str; 11] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "rust-toolchain.toml",
    "rustfmt.toml",
];

const LOCK: &str = "Cargo.lock";

/// Entries that do not belong there.
pub(super) fn entries(tree: &Tree) -> Vec<Breach> {
    let mut top: BTreeMap<&str, bool> = BTreeMap::new();
    for path in &tree.workspace.files {
        let mut parts = path.components();
        if let Some(Component::Normal(first)) = parts.next() {
            top.insert(first.to_str().unwrap_or("?"), parts.next().is_some());
        }
    }
    top.into_iter()
        .filter(|(name, is_folder)| {
            let listed = if *is_folder {
                FOLDERS.contains(name)
            } else {
                FILES.contains(name)
            };
            !listed && !name.starts_with('.')
        })
        .map(|(name, _)| Breach::new(name, "does not belong at the top level"))
        .collect()
}

/// A lock file that is missing, that git does not track, or whose committed state is stale.
pub(super) fn lock(tree: &Tree) -> Vec<Breach> {
    let lock = Path::new(LOCK);
    let exists = tree.workspace.files.iter().any(|path| path == lock);
    if !exists || tree.workspace.is_tracked(lock) == Some(false) {
        return vec![Breach::new(LOCK, "is not committed")];
    }
    let changed = tree.workspace.changed().unwrap_or_default();
    let manifest = |path: &PathBuf| path.ends_with("Cargo.toml");
    if changed.iter().any(|path| path == lock) && !changed.iter().any(manifest) {
        // Cargo wrote it anew to run this program.
        return vec![Breach::new(
            LOCK,
            "is not what was committed, though no manifest changed",
        )];
    }
    Vec::new()
}
