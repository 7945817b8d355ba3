//! The tree of files of a release. The archive contains this tree, and the Debian package is made
//! from it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use super::elf::Needs;
use super::source::Source;
use super::tree::Tree;
use super::{INPUTS, gzipped, manual, notices, said};
use crate::Result;

/// Shells: the name in `twotone completions`, and the path of the file in the tree.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/twotone"),
    ("fish", "share/fish/vendor_completions.d/twotone.fish"),
    ("zsh", "share/zsh/vendor-completions/_twotone"),
];

/// Folder of the documentation pages.
const DOC: &str = "share/doc/twotone";

/// Description of a release in its file `MANIFEST.toml`.
#[derive(Debug, Serialize)]
pub(crate) struct Manifest {
    /// Version of the release.
    version: String,
    /// Version of the Cargo package of the program. The output of `twotone --version` begins with
    /// this version.
    program_version: String,
    commit: String,
    commit_date: String,
    /// Target triple of rustc.
    target: String,
    /// Profile of cargo. `dev` is only used in tests.
    profile: String,
    /// Oldest glibc that the program runs with. `None` if the program needs no glibc.
    #[serde(skip_serializing_if = "Option::is_none")]
    glibc: Option<String>,
    /// Shared libraries that the program needs.
    libraries: Vec<String>,
    /// Number of the format of the state folder, `/var/lib/twotone`. The program prints this
    /// number.
    state_format: u32,
    /// Description that the compiler gives of itself with `rustc -vV`.
    rustc: String,
}

impl Manifest {
    pub(crate) fn new(
        source: &Source,
        needs: &Needs,
        target: &str,
        profile: &str,
        rustc: &str,
        state_format: u32,
    ) -> Self {
        Self {
            version: source.version.clone(),
            program_version: source.workspace_version.clone(),
            commit: source.commit.clone(),
            commit_date: source.date.clone(),
            target: target.to_owned(),
            profile: profile.to_owned(),
            glibc: needs.glibc.map(|glibc| glibc.to_string()),
            libraries: needs.libraries.iter().cloned().collect(),
            state_format,
            rustc: rustc.trim().to_owned(),
        }
    }

    fn text(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| format!("cannot write the manifest: {error}"))
    }
}

/// Reads the output of `twotone --version`, and returns the format of the program's state folder, a
/// number. Returns `None` if the output contains no such number.
pub(crate) fn state_format(version: &str) -> Option<u32> {
    let mut lines = version.lines();
    lines.find_map(|line| line.strip_prefix("state format ")?.parse().ok())
}

/// Returns the tree of a release. To get its help and its completions for shells, the program is
/// run.
pub(crate) fn of(source: &Source, program: &Path, manifest: &Manifest) -> Result<Tree> {
    let mut tree = Tree::default();
    let bytes = fs::read(program);
    let bytes = bytes.map_err(|error| format!("cannot read {}: {error}", program.display()))?;
    tree.put_program("bin/twotone", bytes);
    tree.put("MANIFEST.toml", manifest.text()?);
    for (shell, path) in SHELLS {
        tree.put(path, says(program, &["completions", shell])?);
    }
    let page = manual::page(&source.version, &source.date, |words| {
        Ok(String::from_utf8_lossy(&says(program, words)?).into_owned())
    })?;
    tree.put("share/man/man1/twotone.1.gz", gzipped(page)?);
    let third_party = notices::of(&source.root, &manifest.target)?;
    tree.put(format!("{DOC}/THIRD-PARTY.gz"), gzipped(third_party)?);
    add_files(&mut tree, source)?;
    Ok(tree)
}

/// Puts the files that are packed unchanged into a tree.
pub(crate) fn add_files(tree: &mut Tree, source: &Source) -> Result<()> {
    for name in ["README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        tree.put(format!("{DOC}/{name}"), source.bytes(name)?);
    }
    let changes = source.bytes("CHANGELOG.md")?;
    tree.put(format!("{DOC}/CHANGELOG.md.gz"), gzipped(changes)?);
    for (from, to, end) in [
        ("docs", format!("{DOC}/docs"), ".md"),
        (
            &format!("{INPUTS}/maps"),
            format!("{DOC}/examples/maps"),
            ".toml",
        ),
        (
            &format!("{INPUTS}/systemd"),
            "lib/systemd/system".to_owned(),
            ".service",
        ),
    ] {
        for name in names(source, from, end)? {
            tree.put(
                format!("{to}/{name}"),
                source.bytes(&format!("{from}/{name}"))?,
            );
        }
    }
    let activate = source.bytes(&format!("{INPUTS}/libexec/activate"))?;
    tree.put_program("libexec/activate", activate);
    let users = source.bytes(&format!("{INPUTS}/sysusers.conf"))?;
    tree.put("lib/sysusers.d/twotone.conf", users);
    let settings = source.bytes(&format!("{INPUTS}/sysctl.conf"))?;
    tree.put(format!("{DOC}/examples/sysctl.conf"), settings);
    let site = source.bytes(&format!("{INPUTS}/site.toml"))?;
    tree.put(format!("{DOC}/examples/site.toml"), site);
    Ok(())
}

/// Returns the names of those files in a folder that end with `end`, sorted.
fn names(source: &Source, folder: &str, end: &str) -> Result<Vec<String>> {
    let unreadable = |error| format!("cannot list {folder}: {error}");
    let mut names = Vec::new();
    for entry in fs::read_dir(source.root.join(folder)).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let name = name.to_string_lossy().into_owned();
        if name.ends_with(end) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Returns the output of the program for the arguments `words`.
///
/// # Errors
/// If the program fails, or cannot run on this computer, for instance because it is built for
/// another processor.
pub(crate) fn says(program: &Path, words: &[&str]) -> Result<Vec<u8>> {
    let (width, columns) = manual::WIDE;
    let mut command = Command::new(program);
    said(command.args(words).env(width, columns)).map_err(|error| {
        format!("{error}; the program is asked for its help, so it must run on this computer")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::elf::Version;
    use super::super::tests::source;
    use super::*;

    /// Checks that the manifest is valid TOML with the expected values. It matters to `cargo xtask
    /// deploy`, which reads the manifest before it sends anything to a host.
    #[test]
    fn the_manifest_says_what_it_is_and_what_it_needs() {
        let needs = |glibc| Needs {
            machine: 62,
            glibc,
            libraries: BTreeSet::from(["libc.so.6".to_owned()]),
        };
        let text = |glibc| {
            let target = "x86_64-unknown-linux-gnu";
            let manifest = Manifest::new(
                &source(),
                &needs(glibc),
                target,
                "dist",
                "rustc 1\nLLVM 2\n",
                7,
            );
            manifest.text().unwrap()
        };
        let manifest: toml::Table = text(Version::read("2.28")).parse().unwrap();
        for (key, expected) in [
            ("version", "0.1.0~20261122T210421.34ef050"),
            ("program_version", "0.1.0"),
            ("commit", "34ef0501111111111111111111111111111111ab"),
            ("commit_date", "2026-11-22T21:04:21Z"),
            ("target", "x86_64-unknown-linux-gnu"),
            ("profile", "dist"),
            ("glibc", "2.28"),
            ("rustc", "rustc 1\nLLVM 2"),
        ] {
            assert_eq!(manifest[key].as_str(), Some(expected), "{key}");
        }
        assert_eq!(manifest["state_format"].as_integer(), Some(7));
        assert_eq!(manifest["libraries"][0].as_str(), Some("libc.so.6"));
        let linked_statically: toml::Table = text(None).parse().unwrap();
        assert!(!linked_statically.contains_key("glibc"));
    }

    #[test]
    fn the_form_of_the_state_is_what_the_program_says() {
        for (version, expected) in [
            ("twotone 0.1.0 (not a release)\nstate format 12\n", Some(12)),
            ("twotone 0.1.0 (not a release)\n", None),
            ("twotone 0.1.0\nstate format of old\n", None),
        ] {
            assert_eq!(state_format(version), expected, "{version}");
        }
    }

    #[test]
    fn units_maps_pages_and_licences_of_this_workspace_are_packed() {
        let mut tree = Tree::default();
        add_files(&mut tree, &source()).unwrap();
        let paths: Vec<_> = tree
            .iter()
            .map(|(path, _)| path.to_string_lossy().into_owned())
            .collect();
        for path in [
            "lib/systemd/system/twotone-rollback.service",
            "lib/systemd/system/twotone.service",
            "lib/sysusers.d/twotone.conf",
            "libexec/activate",
            "share/doc/twotone/CHANGELOG.md.gz",
            "share/doc/twotone/LICENSE-APACHE",
            "share/doc/twotone/LICENSE-MIT",
            "share/doc/twotone/README.md",
            "share/doc/twotone/docs/hardware-map.md",
            "share/doc/twotone/examples/maps/one-board.toml",
            "share/doc/twotone/examples/sysctl.conf",
            "share/doc/twotone/examples/site.toml",
        ] {
            assert!(
                paths.iter().any(|it| it == path),
                "{path} is not in {paths:?}"
            );
        }
        let programs = tree.iter().filter(|(_, content)| content.is_program);
        let programs: Vec<_> = programs.map(|(path, _)| path.to_owned()).collect();
        assert_eq!(programs, [Path::new("libexec/activate")]);
    }
}
