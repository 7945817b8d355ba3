//! `cargo xtask tidy`: checks the invariants of the workspace that neither cargo, rustc nor clippy
//! checks, and that the lints which check the others are on.
//!
//! A new check is a function, a line in [`REASONS`] and in [`CHECKS`], and a breach in the tests
//! that it must find.

mod bench_table;
mod dependencies;
mod layers;
mod layout;
mod limits;
mod links;
mod lints;
mod manifests;
mod stands_alone;
mod top_level;

#[cfg(test)]
mod breaches;

use std::fmt::Display;
use std::path::Path;

use crate::Result;
use crate::workspace::Workspace;

/// Number of lines above which a source gets a remark.
const MANY_LINES: usize = 500;

/// Names of the invariants and their reasons, in the order in which they are checked.
const REASONS: &str = "
layers: a package uses the packages that its layer allows, so that each part can be read, tested and replaced alone
neutral-words: hal names no protocol, and algorithms use nothing of the physics that they are tested against
lints-are-on: rustc and clippy find unsafe code, clocks, bare tasks and network types if they are told to
lint-exceptions: virtual time holds and every task has an owner, except in the places that are named with their reasons
unsafe-says-why: a reader must be able to check each piece of unsafe code against its stated reason
manifests-inherit: version, edition, licence and lints are the workspace's, the same for every package
versions-are-shared: one version of each dependency, set in one table
dependencies-have-reasons: a dependency is chosen for the long run, and docs/dependencies.md says why
limits-are-told: whoever runs this on a network finds each limit, with its value, in docs/threat-model.md
links: a link in a document leads to a file or folder of the tree
bench-table: every benchmark is reached by `cargo xtask bench NAME`
layout: comments, prose and imports have one form, as far as rustfmt does not see to it
top-level: the layout of the top folder is fixed, so that a newcomer finds things
lock-committed: everyone builds the same versions
stands-alone: a clone builds with nothing beside it
";

/// Returns a sentence for each place at which an invariant is broken.
type Find = fn(&Workspace) -> Vec<String>;

/// Checks by the name of their invariant.
const CHECKS: [(&str, Find); 15] = [
    ("layers", layers::find),
    ("neutral-words", layers::words),
    ("lints-are-on", lints::on),
    ("lint-exceptions", lints::exceptions),
    ("unsafe-says-why", lints::foreign),
    ("manifests-inherit", manifests::inherited),
    ("versions-are-shared", manifests::versions),
    ("dependencies-have-reasons", dependencies::find),
    ("limits-are-told", limits::find),
    ("links", links::find),
    ("bench-table", bench_table::find),
    ("layout", layout::find),
    ("top-level", top_level::entries),
    ("lock-committed", top_level::lock),
    ("stands-alone", stands_alone::find),
];

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Say the invariants and the exceptions with their reasons, and check nothing.
    #[arg(long)]
    list: bool,
}

/// Checks every invariant; false if one is broken.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<bool> {
    if args.list {
        for (name, reason) in rows(REASONS) {
            println!("{name}\n    {reason}");
        }
        println!("\nplaces that may read a clock, sleep or start a bare task");
        for (path, reason) in lints::places() {
            println!("{path}\n    {reason}");
        }
        return Ok(true);
    }
    let mut broken = 0;
    for (name, find) in CHECKS {
        let breaches = find(workspace);
        if !breaches.is_empty() {
            broken += 1;
            let reason = rows(REASONS).find(|(row, _)| *row == name);
            println!("{name}: {}", reason.map_or("", |(_, reason)| reason));
            breaches.iter().for_each(|breach| println!("    {breach}"));
        }
    }
    for path in workspace.sources() {
        let lines = workspace.text(path).unwrap_or_default().lines().count();
        if lines > MANY_LINES {
            println!("warning: {} has {lines} lines", path.display());
        }
    }
    let all = CHECKS.len();
    println!("tidy: {} of {all} invariants hold", all - broken);
    Ok(broken == 0)
}

/// Sentence about a file.
fn breach(path: impl AsRef<Path>, what: impl Display) -> String {
    format!("{}: {what}", path.as_ref().display())
}

/// Sentence about a line of a file; lines count from 1.
fn breach_at(path: impl AsRef<Path>, line: usize, what: impl Display) -> String {
    format!("{}:{line}: {what}", path.as_ref().display())
}

/// Rows of a table in a text: a key, a colon and the rest of the line.
fn rows(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter_map(|line| line.split_once(": "))
}

/// A TOML file as a table. A missing or broken file is an empty table, which the checks that look
/// for something in it report.
fn toml(workspace: &Workspace, path: impl AsRef<Path>) -> toml::Table {
    let text = workspace.text(path.as_ref());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}
