//! Check that `docs/dependencies.md` gives a reason for every external dependency and lists no
//! other dependencies, and that a package uses each of them.

use std::collections::BTreeSet;

use super::manifests::{at, table};
use super::{breach, breach_at, toml};
use crate::workspace::Workspace;

const PAGE: &str = "docs/dependencies.md";

pub(super) fn find(workspace: &Workspace) -> Vec<String> {
    let Some(page) = workspace.text(PAGE.as_ref()) else {
        return vec![breach(PAGE, "is missing")];
    };
    let root = toml(workspace, "Cargo.toml");
    let shared = at(&root, &["workspace", "dependencies"]);
    let shared = table(shared).filter(|(_, entry)| entry.get("path").is_none());
    let names: BTreeSet<&str> = shared
        .map(|(name, entry)| {
            entry
                .get("package")
                .and_then(|it| it.as_str())
                .unwrap_or(name)
        })
        .collect();
    let mut breaches = Vec::new();
    let mut explained = BTreeSet::new();
    // Rows are ``| `name` | reason | ... |``.
    for (index, line) in page.lines().enumerate() {
        let row = line.strip_prefix("| `").and_then(|row| row.split_once('`'));
        let Some((name, rest)) = row else { continue };
        let reason = rest.split('|').nth(1).unwrap_or_default();
        explained.insert(name);
        if !names.contains(name) {
            let what = format!("`{name}` is not a dependency of the workspace");
            breaches.push(breach_at(PAGE, index + 1, what));
        } else if reason.split_whitespace().count() < 3 {
            breaches.push(breach_at(
                PAGE,
                index + 1,
                format!("`{name}` has no reason"),
            ));
        }
    }
    for name in names {
        if !explained.contains(name) {
            breaches.push(breach(
                "Cargo.toml",
                format!("`{name}` has no line in {PAGE}"),
            ));
        }
        let mut used = workspace.packages.iter().flat_map(|it| &it.dependencies);
        if !used.any(|dependency| dependency.name == name) {
            breaches.push(breach("Cargo.toml", format!("no package uses `{name}`")));
        }
    }
    breaches
}
