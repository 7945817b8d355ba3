//! Checks that the manifests of the member packages inherit the settings of the workspace.

use std::path::PathBuf;

use toml::{Table, Value};

use super::{breach, toml};
use crate::workspace::Workspace;

/// Keys of `[package]` that are inherited.
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

/// The only package with a lint table of its own, and the lint whose level differs there.
const OWN_LINTS: (&str, &str) = ("tworoutine", "unsafe_code");

/// Finds members that do not inherit version, edition, licence and lints.
pub(super) fn inherited(workspace: &Workspace) -> Vec<String> {
    let root = toml(workspace, "Cargo.toml");
    let shared = at(&root, &["workspace", "lints"]);
    let mut breaches = Vec::new();
    for (package, path, manifest) in members(workspace) {
        for key in INHERITED {
            if at(&manifest, &["package", key, "workspace"]) != Some(&Value::Boolean(true)) {
                let what = format!("`{key}` is not inherited from the workspace");
                breaches.push(breach(&path, what));
            }
        }
        let all = at(&manifest, &["lints", "workspace"]) == Some(&Value::Boolean(true));
        let own = package == OWN_LINTS.0 && same_but_one(manifest.get("lints"), shared);
        if !all && !own {
            breaches.push(breach(&path, "lints are not the workspace's"));
        }
    }
    breaches
}

/// Finds dependencies that do not inherit their version by `workspace = true`.
pub(super) fn versions(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for (_, path, manifest) in members(workspace) {
        let platforms = table(manifest.get("target")).filter_map(|(_, each)| each.as_table());
        for tables in platforms.chain([&manifest]) {
            for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
                for (name, entry) in table(tables.get(kind)) {
                    if entry.get("workspace") != Some(&Value::Boolean(true)) {
                        let what = format!("`{name}` is not from the workspace's table");
                        breaches.push(breach(&path, what));
                    }
                }
            }
        }
    }
    breaches
}

/// Returns the name of each member, with the path and the content of its manifest.
fn members(workspace: &Workspace) -> impl Iterator<Item = (&str, PathBuf, Table)> {
    workspace.packages.iter().map(|package| {
        let path = workspace.folder(package).join("Cargo.toml");
        let manifest = toml(workspace, &path);
        (package.name.as_str(), path, manifest)
    })
}

/// True if the lint table `own` of a package contains all lints of the workspace at the same
/// levels. The lint in [`OWN_LINTS`] may differ, and the package may have further lints.
fn same_but_one(own: Option<&Value>, shared: Option<&Value>) -> bool {
    table(shared).all(|(group, lints)| {
        table(Some(lints)).all(|(lint, level)| {
            let own = own.and_then(|own| own.get(group)?.get(lint));
            own == Some(level) || lint == OWN_LINTS.1
        })
    })
}

/// Returns the entries of a table. Returns no entries if the table is missing.
pub(super) fn table(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_table).into_iter().flatten()
}

/// Returns the value at a path of keys.
pub(super) fn at<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    rest.iter()
        .try_fold(table.get(*first)?, |value, key| value.get(key))
}
