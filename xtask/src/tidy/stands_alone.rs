//! The tree needs no files outside of it.

use super::{Breach, Tree};

/// Folders outside the tree. In two parts, so that this file does not name them.
const OUTSIDE: [&str; 2] = [concat!("../", "shared"), concat!("/work/", "shared")];

pub(super) fn find(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for path in &tree.workspace.files {
        let Some(text) = tree.workspace.text(path) else {
            continue;
        };
        for (index, line) in text.lines().enumerate() {
            if let Some(outside) = OUTSIDE.iter().find(|outside| line.contains(**outside)) {
                let what = format!("refers to `{outside}`, which is not in the tree");
                breaches.push(Breach::at(path, index + 1, what));
            }
        }
    }
    for package in &tree.workspace.packages {
        for dependency in &package.dependencies {
            let path = dependency.path.as_deref();
            if path.is_some_and(|path| !path.starts_with(&tree.workspace.root)) {
                let manifest = tree.workspace.folder(package).join("Cargo.toml");
                let what = format!("`{}` is outside the tree", dependency.name);
                breaches.push(Breach::new(manifest, what));
            }
        }
    }
    breaches
}
