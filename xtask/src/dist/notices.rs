//! Notices: the texts of the licences of the packages that are linked into the program. They are
//! copied from the files of these packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::said;
use crate::Result;
use crate::workspace::cargo;

/// Beginnings of the names, in lower case, of files with texts that must be kept with a copy of the
/// package.
const NAMES: [&str; 5] = ["license", "licence", "copying", "notice", "copyright"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: PathBuf,
    /// Null for a package of this workspace.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// Null for a normal dependency, else `dev` or `build`.
    kind: Option<String>,
}

/// Returns the notices of the packages that `twotone` depends on, if it is built for `target`.
/// Packages of macros are included, although they are not part of the program.
pub(crate) fn of(root: &Path, target: &str) -> Result<String> {
    let mut metadata = cargo();
    metadata
        .args([
            "metadata",
            "--locked",
            "--format-version=1",
            "--filter-platform",
            target,
        ])
        .current_dir(root);
    let metadata: Metadata = serde_json::from_slice(&said(&mut metadata)?)
        .map_err(|error| format!("cannot read what cargo metadata said: {error}"))?;
    let linked = linked(&metadata)?;
    let mut packages: Vec<_> = metadata
        .packages
        .iter()
        .filter(|it| linked.contains(it.id.as_str()) && it.source.is_some())
        .collect();
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    written(&packages)
}

/// Returns the ids of the packages that `twotone` depends on, directly or indirectly.
fn linked(metadata: &Metadata) -> Result<BTreeSet<&str>> {
    let ours = metadata
        .packages
        .iter()
        .find(|it| it.name == "twotone" && it.source.is_none());
    let ours = ours.ok_or("the workspace has no package `twotone`")?;
    let nodes: BTreeMap<_, _> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node))
        .collect();
    let mut found = BTreeSet::new();
    let mut left = vec![ours.id.as_str()];
    while let Some(id) = left.pop() {
        if found.insert(id) {
            let edges = nodes.get(id).map_or(&[][..], |node| &node.deps);
            let normal = edges
                .iter()
                .filter(|edge| edge.dep_kinds.iter().any(|it| it.kind.is_none()));
            left.extend(normal.map(|edge| edge.pkg.as_str()));
        }
    }
    Ok(found)
}

/// Returns a list of the packages, followed by their texts. A text that several packages share
/// appears once.
fn written(packages: &[&Package]) -> Result<String> {
    let mut list = "The program has parts of these packages. Their licences follow.\n\n".to_owned();
    let mut texts: Vec<(String, Vec<String>)> = Vec::new();
    for package in packages {
        let name = format!("{} {}", package.name, package.version);
        let licence = package.license.as_deref().unwrap_or("see its text");
        let folder = package.manifest_path.parent().unwrap_or(Path::new("/"));
        let kept = kept(folder)?;
        let remark = if kept.is_empty() {
            ", which comes without a text"
        } else {
            ""
        };
        let _ = writeln!(list, "{name}: {licence}{remark}");
        for text in kept {
            match texts.iter_mut().find(|(known, _)| *known == text) {
                Some((_, names)) => names.push(name.clone()),
                None => texts.push((text, vec![name.clone()])),
            }
        }
    }
    for (text, names) in texts {
        let _ = write!(
            list,
            "\n{}\n{}:\n\n{text}\n",
            "=".repeat(80),
            names.join(", ")
        );
    }
    Ok(list)
}

/// Returns the texts in the folder of a package that must be kept with a copy of it.
fn kept(folder: &Path) -> Result<Vec<String>> {
    let unreadable = |error| format!("cannot read {}: {error}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        if path.is_file() && NAMES.iter().any(|it| name.starts_with(it)) {
            paths.push(path);
        }
    }
    paths.sort();
    let text = |path: &PathBuf| {
        let bytes =
            fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    paths.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_is_named_and_each_text_is_there_once() {
        let scratch = tempfile::tempdir().unwrap();
        let package = |name: &str, files: &[(&str, &str)]| {
            let folder = scratch.path().join(name);
            fs::create_dir(&folder).unwrap();
            for (file, text) in files {
                fs::write(folder.join(file), text).unwrap();
            }
            Package {
                id: name.to_owned(),
                name: name.to_owned(),
                version: "1.0.0".to_owned(),
                license: Some("MIT".to_owned()),
                manifest_path: folder.join("Cargo.toml"),
                source: Some("registry".to_owned()),
            }
        };
        let one = package("one", &[("LICENSE-MIT", "same text\n"), ("main.c", "code")]);
        let two = package("two", &[("license.txt", "same text"), ("NOTICE", "of two")]);
        let bare = package("bare", &[]);
        let told = written(&[&one, &two, &bare]).unwrap();
        for part in [
            "one 1.0.0: MIT\n",
            "bare 1.0.0: MIT, which comes without",
            "of two",
            "one 1.0.0, two 1.0.0:",
        ] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        assert_eq!(told.matches("same text").count(), 1);
        assert!(!told.contains("code"));
        assert!(!told.contains(&scratch.path().display().to_string()));
    }

    #[test]
    fn linked_packages_are_followed_and_those_of_tests_are_not() {
        let node = |id: &str, deps: &[(&str, Option<&str>)]| {
            let edge = |(pkg, kind): &(&str, Option<&str>)| Edge {
                pkg: (*pkg).to_owned(),
                dep_kinds: vec![Kind {
                    kind: kind.map(str::to_owned),
                }],
            };
            Node {
                id: id.to_owned(),
                deps: deps.iter().map(edge).collect(),
            }
        };
        let metadata = Metadata {
            packages: vec![Package {
                id: "twotone".to_owned(),
                name: "twotone".to_owned(),
                version: "0.1.0".to_owned(),
                license: None,
                manifest_path: PathBuf::new(),
                source: None,
            }],
            resolve: Resolve {
                nodes: vec![
                    node("twotone", &[("hal", None), ("tests", Some("dev"))]),
                    node("hal", &[("serde", None), ("twotone", Some("dev"))]),
                    node("serde", &[("autocfg", Some("build"))]),
                ],
            },
        };
        let linked: Vec<_> = linked(&metadata).unwrap().into_iter().collect();
        assert_eq!(linked, ["hal", "serde", "twotone"]);
    }
}
