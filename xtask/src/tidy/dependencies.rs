//! Every external dependency has its reason in `docs/dependencies.md`, every row there has its
//! dependency, and a package uses it.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::{Breach, Tree};

const PAGE: &str = "docs/dependencies.md";

pub(super) fn find(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let table = shared(tree);
    let Some(text) = tree.workspace.text(PAGE.as_ref()) else {
        return vec![Breach::new(PAGE, "is missing")];
    };
    let reasons = reasons(&text);
    for name in table
        .iter()
        .filter(|name| !reasons.contains_key(name.as_str()))
    {
        breaches.push(Breach::new(
            "Cargo.toml",
            format!("`{name}` has no line in {PAGE}"),
        ));
    }
    for (name, (line, reason)) in &reasons {
        if !table.contains(*name) {
            let what = format!("`{name}` is not a dependency of the workspace");
            breaches.push(Breach::at(PAGE, *line, what));
        } else if reason.split_whitespace().count() < 3 {
            breaches.push(Breach::at(PAGE, *line, format!("`{name}` has no reason")));
        }
    }
    for name in &table {
        let mut packages = tree.workspace.packages.iter();
        if !packages.any(|package| package.dependencies.iter().any(|it| it.name == *name)) {
            breaches.push(Breach::new(
                "Cargo.toml",
                format!("no package uses `{name}`"),
            ));
        }
    }
    breaches
}

/// Names of the external packages in the workspace's table.
fn shared(tree: &Tree) -> BTreeSet<String> {
    let root = tree.toml("Cargo.toml");
    let table = root
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"));
    table
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
        .filter(|(_, entry)| entry.get("path").is_none())
        .map(|(name, entry)| {
            entry
                .get("package")
                .and_then(Value::as_str)
                .unwrap_or(name)
                .to_owned()
        })
        .collect()
}

/// Rows of the page's tables, ``| `name` | reason | ... |``: line and reason, by name.
fn reasons(text: &str) -> BTreeMap<&str, (usize, &str)> {
    let row = |line: &'_ str| -> Option<(usize, usize)> {
        let start = line
            .strip_prefix("| `")
            .map(|rest| line.len() - rest.len())?;
        let end = start + line[start..].find('`')?;
        Some((start, end))
    };
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let (start, end) = row(line)?;
            let reason = line[end..].split('|').nth(1).unwrap_or_default();
            Some((&line[start..end], (index + 1, reason)))
        })
        .collect()
}
