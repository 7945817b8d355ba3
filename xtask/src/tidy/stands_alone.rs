//! Check that the repository refers to no files outside of it.

use super::{breach, breach_at};
use crate::workspace::Workspace;

/// Folders outside the repository. They are written in two parts, so that the check does not find
/// them in this file.
const OUTSIDE: [&str; 2] = [concat!("../", "shared"), concat!("/work/", "shared")];

pub(super) fn find(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for path in &workspace.files {
        let text = workspace.text(path).unwrap_or_default();
        for (index, line) in text.lines().enumerate() {
            if let Some(outside) = OUTSIDE.iter().find(|outside| line.contains(**outside)) {
                let what = format!("refers to `{outside}`, which is not in the tree");
                breaches.push(breach_at(path, index + 1, what));
            }
        }
    }
    for package in &workspace.packages {
        for dependency in &package.dependencies {
            let path = dependency.path.as_deref();
            if path.is_some_and(|path| !path.starts_with(&workspace.root)) {
                let manifest = workspace.folder(package).join("Cargo.toml");
                let what = format!("`{}` is outside the tree", dependency.name);
                breaches.push(breach(manifest, what));
            }
        }
    }
    breaches
}
