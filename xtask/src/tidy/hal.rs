//! The package `hal` names no runtime and no protocol.

use super::{Breach, Tree};

const HAL: &str = "twotone-hal";

/// Runtimes, executors and packages of protocols, by the start of the package's name.
const NOT_NEUTRAL: [&str; 18] = [
    "async-executor",
    "async-global-executor",
    "async-std",
    "axum",
    "compio",
    "corosensei",
    "futures-executor",
    "glommio",
    "h2",
    "http",
    "hyper",
    "jiter",
    "minicbor",
    "monoio",
    "reqwest",
    "smol",
    "tokio",
    "tower",
];

/// Words of protocols, in any identifier.
const PROTOCOL_WORDS: [&str; 5] = ["tuber", "ipbus", "cbor", "http", "multicast"];

pub(super) fn find(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for package in tree
        .workspace
        .packages
        .iter()
        .filter(|package| package.name == HAL)
    {
        for dependency in &package.dependencies {
            // `futures` includes an executor: allowed in a test, not in the library.
            let executor =
                dependency.name == "futures" && dependency.kind.as_deref() != Some("dev");
            if executor || is_not_neutral(&dependency.name) {
                let what = format!("depends on {}, a runtime or a protocol", dependency.name);
                breaches.push(Breach::new(
                    tree.workspace.folder(package).join("Cargo.toml"),
                    what,
                ));
            }
        }
    }
    for source in tree.sources_of(HAL) {
        for name in &source.names {
            let first = name
                .path
                .split("::")
                .next()
                .unwrap_or_default()
                .replace('_', "-");
            if (name.path.contains("::") && is_not_neutral(&first)) || name.is_in("std::net") {
                let what = format!("names `{}`, a runtime or a protocol", name.path);
                breaches.push(Breach::at(&source.path, name.line, what));
            }
        }
        for (ident, line) in source.idents() {
            let word = PROTOCOL_WORDS
                .iter()
                .find(|word| ident.to_lowercase().contains(**word));
            if let Some(word) = word {
                let what = format!("`{ident}` names a protocol ({word})");
                breaches.push(Breach::at(&source.path, line, what));
            }
        }
    }
    breaches
}

fn is_not_neutral(package: &str) -> bool {
    NOT_NEUTRAL.iter().any(|name| {
        package
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}
