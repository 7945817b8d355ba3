//! The package `algorithms` uses hal alone: no board's client, no simulator, no runtime, no clock,
//! and nothing of the physics that it is tested against.

use super::{Breach, Tree};

const ALGORITHMS: &str = "twotone-algorithms";

/// The clients, the server and the runtimes, as crates are named in code.
const BOARDS_AND_RUNTIMES: [&str; 9] = [
    "async_std",
    "hyper",
    "smol",
    "std::net",
    "tokio",
    "tokio_util",
    "twotone_sim",
    "twotone_transport",
    "twotone_wire",
];

/// Crates and items that tell the time or wait for it.
const CLOCKS: [&str; 9] = [
    "chrono",
    "futures_timer",
    "jiff",
    "std::thread::park_timeout",
    "std::thread::sleep",
    "std::thread::sleep_until",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::time::UNIX_EPOCH",
];

/// Uses of boards by other means than hal, and of runtimes.
pub(super) fn names(tree: &Tree) -> Vec<Breach> {
    named_in(tree, &BOARDS_AND_RUNTIMES)
}

/// Uses of clocks of any kind.
pub(super) fn clocks(tree: &Tree) -> Vec<Breach> {
    named_in(tree, &CLOCKS)
}

/// Uses of the simulator's physics, as a package or as an included file.
pub(super) fn physics(tree: &Tree) -> Vec<Breach> {
    let mut breaches = named_in(tree, &["twotone_physics"]);
    for source in tree.sources_of(ALGORITHMS) {
        for (literal, line) in source
            .literals()
            .filter(|(text, _)| text.contains("sim/physics"))
        {
            let what = format!("reaches into the simulator's physics: {literal}");
            breaches.push(Breach::at(&source.path, line, what));
        }
    }
    breaches
}

/// Places at which the package depends on one of these crates, or a source of it names an item of
/// them.
fn named_in(tree: &Tree, items: &[&str]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for package in tree
        .workspace
        .packages
        .iter()
        .filter(|package| package.name == ALGORITHMS)
    {
        for dependency in &package.dependencies {
            if items.contains(&dependency.name.replace('-', "_").as_str()) {
                let manifest = tree.workspace.folder(package).join("Cargo.toml");
                let what = format!("depends on {}", dependency.name);
                breaches.push(Breach::new(manifest, what));
            }
        }
    }
    for source in tree.sources_of(ALGORITHMS) {
        for name in &source.names {
            if items.iter().any(|item| name.is(item) || name.is_in(item)) {
                let what = format!("names `{}`", name.path);
                breaches.push(Breach::at(&source.path, name.line, what));
            }
        }
    }
    breaches
}
