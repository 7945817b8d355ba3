//! The package `sim` never uses `transport`.

use super::{Breach, Tree};

/// The simulator and the packages that it is made of.
const SERVERS: [&str; 3] = ["twotone-sim", "twotone-physics", "twotone-wire"];

/// The clients, and the packages of the programs that use them.
const CLIENTS: [&str; 3] = ["twotone-transport", "twotone-hal", "twotone-algorithms"];

pub(super) fn find(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for package in tree
        .workspace
        .packages
        .iter()
        .filter(|it| SERVERS.contains(&&*it.name))
    {
        for dependency in package
            .dependencies
            .iter()
            .filter(|it| CLIENTS.contains(&&*it.name))
        {
            let manifest = tree.workspace.folder(package).join("Cargo.toml");
            let what = format!("{} depends on {}", package.name, dependency.name);
            breaches.push(Breach::new(manifest, what));
        }
        for source in tree.sources_of(&package.name) {
            for name in &source.names {
                let client = |item: &&str| name.is_in(&item.replace('-', "_"));
                if CLIENTS.iter().any(client) {
                    let what = format!("names `{}`", name.path);
                    breaches.push(Breach::at(&source.path, name.line, what));
                }
            }
        }
    }
    breaches
}
