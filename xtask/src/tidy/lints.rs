//! Checks of the lints that enforce rules for the code: the lints are enabled, the lists of what
//! they forbid are complete, and exceptions from them are only in named places.

use std::path::Path;

use toml::Value;

use super::{breach, breach_at, manifests, rows, toml};
use crate::workspace::Workspace;

/// Lints in the manifest of the workspace, and the level that each must have.
const LEVELS: [(&str, &str, &str); 4] = [
    ("rust", "missing_docs", "warn"),
    ("rust", "unsafe_code", "forbid"),
    ("clippy", "all", "warn"),
    ("clippy", "undocumented_unsafe_blocks", "warn"),
];

/// Configuration files of clippy, and the methods and types that each file must disallow. For a
/// package, clippy reads only the nearest file. So each file must also contain the list of the file
/// in the root.
const LISTS: &str = "
clippy.toml: std::time::Instant::now std::time::SystemTime::now std::thread::sleep tokio::spawn \
    jiff::Timestamp::now jiff::Zoned::now
hal/clippy.toml: std::net::IpAddr std::net::SocketAddr std::net::TcpListener std::net::TcpStream \
    std::net::ToSocketAddrs std::net::UdpSocket
algorithms/clippy.toml: std::net::IpAddr std::net::SocketAddr std::net::TcpListener \
    std::net::TcpStream std::net::ToSocketAddrs std::net::UdpSocket std::thread::park_timeout \
    std::time::Instant std::time::SystemTime std::time::SystemTime::elapsed
";

/// Files and folders that are exceptions: they may read a clock, put a thread to sleep or spawn a
/// task without an owner. Each has its reason.
const PLACES: &str = "
fuzz/src/main.rs: inputs are tried for a number of seconds
sim/benches: a benchmark measures wall time
sim/physics/benches: a benchmark measures wall time
src/record/calendar.rs: a run record says on what date it was made
tests/bench: a benchmark measures wall time
transport/benches: a benchmark measures wall time
transport/wire/benches: a benchmark measures wall time
tworoutine: it is the runtime: it owns the clock and the tasks
xtask: it runs programs and says how long they took
";

/// Beginnings of the attributes that would also disable the lint against reading clocks.
const EXCEPTIONS: [&str; 5] = [
    "clippy::disallowed_",
    "clippy::all",
    "clippy::style",
    "allow(warnings",
    "expect(warnings",
];

/// Finds lints that are not enabled, and lists of `clippy.toml` that lack an item.
pub(super) fn on(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    let manifest = toml(workspace, "Cargo.toml");
    for (tool, lint, expected) in LEVELS {
        let set = manifests::at(&manifest, &["workspace", "lints", tool, lint]);
        let level = set.map(|set| set.get("level").unwrap_or(set));
        if level.and_then(Value::as_str) != Some(expected) {
            let what = format!("the workspace's lints must have `{lint} = \"{expected}\"`");
            breaches.push(breach("Cargo.toml", what));
        }
    }
    for (path, items) in rows(LISTS) {
        let clippy = toml(workspace, path);
        let listed: Vec<_> = ["disallowed-methods", "disallowed-types"]
            .iter()
            .filter_map(|list| clippy.get(*list)?.as_array())
            .flatten()
            .filter_map(|entry| entry.get("path")?.as_str())
            .collect();
        let of_root = rows(LISTS).next().map_or("", |(_, items)| items);
        for item in of_root.split_whitespace().chain(items.split_whitespace()) {
            if !listed.contains(&item) {
                breaches.push(breach(path, format!("does not disallow `{item}`")));
            }
        }
    }
    for path in &workspace.files {
        let is_list = path.ends_with("clippy.toml") || path.ends_with(".clippy.toml");
        if is_list && rows(LISTS).all(|(known, _)| path != Path::new(known)) {
            breaches.push(breach(path, "hides the lists of the root's `clippy.toml`"));
        }
    }
    breaches
}

/// Returns the rows of [`PLACES`]: paths with their reasons.
pub(super) fn places() -> impl Iterator<Item = (&'static str, &'static str)> {
    rows(PLACES)
}

/// Finds exceptions from the lints outside the named places, and named places without an exception.
pub(super) fn exceptions(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    // The exception of `tworoutine` is in its manifest.
    let mut used = vec!["tworoutine"];
    for path in workspace.sources() {
        let place = places().find(|(place, _)| path.starts_with(place));
        let text = workspace.text(path).unwrap_or_default();
        for (index, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let Some(lint) = EXCEPTIONS.iter().find(|lint| code.contains(**lint)) else {
                continue;
            };
            match place {
                Some((place, _)) => used.push(place),
                None => {
                    let what = format!("an exception from `{lint}` outside the named places");
                    breaches.push(breach_at(path, index + 1, what));
                }
            }
        }
    }
    for (place, _) in places().filter(|(place, _)| !used.contains(place)) {
        breaches.push(breach(place, "is named for an exception but has none"));
    }
    breaches
}

/// Finds foreign blocks (`extern "C"`) and unsafe attributes that have no `SAFETY:` comment above
/// them. Clippy checks the comments of the other unsafe code. Outside tworoutine, the lint
/// `unsafe_code` forbids all unsafe code.
pub(super) fn foreign(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for path in workspace
        .sources()
        .filter(|path| path.starts_with("tworoutine/src"))
    {
        let text = workspace.text(path).unwrap_or_default();
        let mut explained = false;
        for (index, line) in text.lines().map(str::trim).enumerate() {
            let block = line.starts_with("unsafe extern") && !line.contains("fn");
            if (block || line.contains("#[unsafe(")) && !explained {
                let what = "unsafe code without a `SAFETY:` comment";
                breaches.push(breach_at(path, index + 1, what));
            }
            explained = line.starts_with("//") && (explained || line.contains("SAFETY:"));
        }
    }
    breaches
}
