//! Manifests of members inherit the settings of the workspace.

use std::path::PathBuf;

use toml::{Table, Value};

use super::{Breach, Tree};

/// Keys of `[package]` that are inherited.
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

/// The one package with a lint table of its own, and the lint in which it differs.
const OWN_LINTS: (&str, &str) = ("tworoutine", "unsafe_code");

/// Members that do not inherit version, edition, licence and lints.
pub(super) fn inherited(tree: &Tree) -> Vec<Breach> {
    let root = tree.toml("Cargo.toml");
    let shared = at(&root, &["workspace", "lints"]);
    let mut breaches = Vec::new();
    for (package, path, manifest) in members(tree) {
        for key in INHERITED {
            if at(&manifest, &["package", key, "workspace"]) != Some(&Value::Boolean(true)) {
                let what = format!("`{key}` is not inherited from the workspace");
                breaches.push(Breach::new(&path, what));
            }
        }
        let lints = manifest.get("lints");
        let all = lints.and_then(|lints| lints.get("workspace")) == Some(&Value::Boolean(true));
        let own = package == OWN_LINTS.0 && same_but_one(lints, shared);
        if !all && !own {
            breaches.push(Breach::new(&path, "lints are not the workspace's"));
        }
    }
    breaches
}

/// Dependencies that are not `workspace = true`.
pub(super) fn versions(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (_, path, manifest) in members(tree) {
        let platforms = manifest
            .get("target")
            .and_then(Value::as_table)
            .into_iter()
            .flatten();
        let tables = platforms
            .filter_map(|(_, table)| table.as_table())
            .chain([&manifest]);
        for table in tables {
            for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
                let listed = table
                    .get(kind)
                    .and_then(Value::as_table)
                    .into_iter()
                    .flatten();
                for (name, entry) in listed {
                    if entry.get("workspace") != Some(&Value::Boolean(true)) {
                        let what = format!("`{name}` is not from the workspace's table");
                        breaches.push(Breach::new(&path, what));
                    }
                }
            }
        }
    }
    breaches
}

/// Name of each member, with the path and the content of its manifest.
fn members(tree: &Tree) -> impl Iterator<Item = (&str, PathBuf, Table)> {
    tree.workspace.packages.iter().map(|package| {
        let path = tree.workspace.folder(package).join("Cargo.toml");
        let manifest = tree.toml(&path);
        (package.name.as_str(), path, manifest)
    })
}

/// True if a package's own lints contain all shared ones at their levels, except for the one in
/// [`OWN_LINTS`]. The package may have further ones.
fn same_but_one(own: Option<&Value>, shared: Option<&Value>) -> bool {
    let Some(shared) = shared.and_then(Value::as_table) else {
        return false;
    };
    shared.iter().all(|(group, lints)| {
        lints.as_table().into_iter().flatten().all(|(lint, level)| {
            let same = own.and_then(|own| own.get(group)?.get(lint)) == Some(level);
            same || lint == OWN_LINTS.1
        })
    })
}

fn at<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    rest.iter()
        .try_fold(table.get(*first)?, |value, key| value.get(key))
}
