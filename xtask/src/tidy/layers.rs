//! Checks of the dependencies that each package may have, and of words that the code of two
//! packages must not contain.

use std::path::Path;

use super::{breach, breach_at, rows};
use crate::workspace::Workspace;

/// The layers. A row has a folder and its package. Then it has the packages of this workspace that
/// the package may depend on (also for tests, benches and the build), the external packages that it
/// may depend on, and further external packages for its tests.
///
/// A package of this workspace without a row breaks the rule. The simulator does not use the
/// package `transport`, so that it shares no code with the client that it tests. Algorithms do not
/// use the package with the physics of the simulator, because a fit that is tested on its own
/// formula proves nothing. `*` allows all external packages.
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

/// Words that the code of a folder must not contain, in lower case.
const WORDS: &str = "
hal: tuber ipbus cbor http multicast
algorithms: sim/physics
";

/// Finds dependencies that [`LAYERS`] does not allow.
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

/// Returns the rows of [`LAYERS`]: the folder, and the other columns.
pub(super) fn layers() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    rows(LAYERS).map(|(folder, columns)| {
        let folder = folder.trim_start_matches('.');
        (folder, columns.split('|').map(str::trim).collect())
    })
}

/// Finds words about protocols in the package `hal`, and paths to the physics of the simulator in
/// `algorithms`. Comments may contain these words.
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
