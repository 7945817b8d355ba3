//! Virtual time works everywhere: code that reads a clock, puts a thread to sleep or spawns a task
//! without an owner is on a list.

use std::path::Path;

use super::places::{FOLDERS, ITEMS, PLACES, Place};
use super::{Breach, Tree};

/// Lint that checks the same list by type.
const LINT: &str = "clippy::disallowed_methods";

/// Uses of the items outside their places, and places that are no longer used.
pub(super) fn places(tree: &Tree) -> Vec<Breach> {
    let mut used = [false; PLACES.len()];
    let mut breaches = Vec::new();
    for source in tree
        .sources
        .iter()
        .filter(|source| !in_folders(&source.path))
    {
        for name in &source.names {
            let Some(item) = ITEMS.iter().find(|item| name.is(item.path)) else {
                continue;
            };
            let allowed = |place: &Place| {
                covers(place.path, &source.path) && ["*", item.path].contains(&place.item)
            };
            match PLACES.iter().position(allowed) {
                Some(place) => used[place] = true,
                None => {
                    let what = format!("`{}` outside the places named for it", item.path);
                    breaches.push(Breach::at(&source.path, name.line, what));
                }
            }
        }
    }
    for (place, used) in PLACES.iter().zip(used) {
        let exists = tree
            .sources
            .iter()
            .any(|source| covers(place.path, &source.path));
        if exists && !used {
            let what = format!("named for `{}` but does not use it", place.item);
            breaches.push(Breach::new(place.path, what));
        }
    }
    breaches
}

/// Items that `clippy.toml` does not list, and exceptions from the lint outside the places.
pub(super) fn lint(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let clippy = tree.toml("clippy.toml");
    let listed: Vec<&str> = clippy
        .get("disallowed-methods")
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.as_str().or_else(|| entry.get("path")?.as_str()))
        .collect();
    for item in ITEMS
        .iter()
        .filter(|item| item.in_clippy && !listed.contains(&item.path))
    {
        let what = format!("`disallowed-methods` lacks `{}`", item.path);
        breaches.push(Breach::new("clippy.toml", what));
    }
    for source in &tree.sources {
        let placed =
            in_folders(&source.path) || PLACES.iter().any(|place| covers(place.path, &source.path));
        for name in source
            .names
            .iter()
            .filter(|name| name.is_in(LINT) && !placed)
        {
            let what = format!("an exception from `{LINT}` outside the places named for it");
            breaches.push(Breach::at(&source.path, name.line, what));
        }
    }
    breaches
}

fn in_folders(path: &Path) -> bool {
    FOLDERS.iter().any(|(folder, _)| covers(folder, path))
}

/// True if a place is this file or a folder around it.
fn covers(place: &str, path: &Path) -> bool {
    if place.ends_with('/') {
        path.starts_with(place)
    } else {
        path == Path::new(place)
    }
}
