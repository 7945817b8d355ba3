//! Dependencies that are allowed to each package, and words that two packages must not use.

use std::path::Path;

use super::{breach, breach_at, rows};
use crate::workspace::Workspace;

/// Folder, package, packages of ours that it may depend on (for its tests, benches and build too),
/// packages of others that it may depend on, and those that its tests may depend on besides.
///
/// A package of ours that is not here is a breach. The simulator does not use transport, so that it
/// is not made of the client that it tests; algorithms do not use physics, because a fit that is
/// tested on the formula that it fits proves nothing. `*` allows all packages of others.
pub(super) const LAYERS: &str = "
hal: twotone-hal | | async-trait mockall num-complex serde thiserror | futures serde_json
transport/wire: twotone-wire | | *
transport: twotone-transport | twotone-hal twotone-wire tworoutine | *
tworoutine: tworoutine | tworoutine-macros | *
tworoutine/macros: tworoutine-macros | | *
algorithms: twotone-algorithms | twotone-hal tworoutine | num-complex serde | proptest serde_json
sim/physics: twotone-physics | | *
sim: twotone-sim | twotone-wire twotone-physics | *
.: twotone | twotone-hal twotone-wire twotone-transport twotone-algorithms twotone-physics \
    twotone-sim tworoutine | *
fuzz: twotone-fuzz | twotone twotone-hal twotone-wire twotone-transport twotone-algorithms \
    twotone-sim | *
xtask: xtask | | *
";

/// Words that the code of a folder must not have, in lower case.
const WORDS: &str = "
hal: tuber ipbus cbor http multicast
algorithms: sim/physics
";

/// Dependencies that the table does not allow.
pub(super) fn find(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in &workspace.packages {
        let (own, folder) = (package.name.as_str(), workspace.folder(package));
        let manifest = folder.join("Cargo.toml");
        let Some((place, columns)) = layers().find(|(_, columns)| columns[0] == own) else {
            breaches.push(breach(manifest, format!("{own} has no layer")));
            continue;
        };
        if folder != Path::new(place) {
            breaches.push(breach(&manifest, format!("{own} belongs in `{place}/`")));
        }
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let is_ours = workspace.packages.iter().any(|each| each.name == name);
            let for_tests = dependency.kind.as_deref() == Some("dev");
            let listed = |column: usize| {
                let names = columns.get(column).copied().unwrap_or_default();
                names.split_whitespace().any(|it| it == name || it == "*")
            };
            let allowed = match is_ours || dependency.path.is_some() {
                true => listed(1),
                false => listed(2) || (for_tests && listed(3)),
            };
            if !allowed {
                let kind = dependency.kind.as_deref().unwrap_or("normal");
                let what = format!("{own} may not depend on {name} ({kind})");
                breaches.push(breach(&manifest, what));
            }
        }
    }
    breaches
}

/// Folder of each package, its name, and the lists of packages that it may depend on.
pub(super) fn layers() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    rows(LAYERS).map(|(folder, columns)| {
        let folder = folder.trim_start_matches('.');
        (folder, columns.split('|').map(str::trim).collect())
    })
}

/// Words of protocols in hal, and paths to the simulator's physics in algorithms. Comments may have
/// them.
pub(super) fn words(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for (folder, words) in rows(WORDS) {
        for path in workspace.sources().filter(|path| path.starts_with(folder)) {
            let text = workspace.text(path).unwrap_or_default().to_lowercase();
            for (index, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                if let Some(word) = words.split(' ').find(|word| code.contains(*word)) {
                    let what = format!("`{word}` in the code of `{folder}/`");
                    breaches.push(breach_at(path, index + 1, what));
                }
            }
        }
    }
    breaches
}
