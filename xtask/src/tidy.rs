//! `cargo xtask tidy`: checks rules for the workspace (invariants) that neither cargo, rustc nor
//! clippy checks. Lints of rustc and clippy check the other invariants, and this command checks
//! that these lints are enabled.
//!
//! A new check needs a function, a line in [`REASONS`], a line in [`CHECKS`], and a breach of the
//! invariant in `breaches/planted.txt`, which the check must find.

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

/// Number of lines above which the command warns about a source file.
const MANY_LINES: usize = 500;

/// Names of the invariants and their reasons, in the order in which they are checked.
const REASONS: &str = "
layers: a package depends only on the packages that its layer allows, so that each part can be read, tested and replaced on its own
neutral-words: hal names no protocol, and algorithms use nothing of the physics that they are tested against
lints-are-on: the lints that find unsafe code, clocks, tasks without an owner and network types must be enabled
lint-exceptions: virtual time holds and every task has an owner, except in the places that are named with their reasons
unsafe-says-why: each piece of unsafe code has a reason that a reader can check
manifests-inherit: every package has the version, edition, licence and lints of the workspace
versions-are-shared: each dependency has one version, which is set in the table of the workspace
dependencies-have-reasons: a dependency is chosen for the long run, and docs/dependencies.md says why
limits-listed: docs/threat-model.md lists each limit with its value, for those who run this on a network
links: a link in a document leads to a file or folder of the repository
bench-table: `cargo xtask bench NAME` can run every benchmark
layout: comments, prose and imports have a uniform layout where rustfmt does not check it
top-level: the layout of the top folder is fixed, so that a newcomer finds things
lock-committed: the lock file is committed, so that everyone builds the same versions
stands-alone: a clone of the repository builds without files outside of it
";

/// Check of an invariant. It returns a message for each place that breaks the invariant.
type Find = fn(&Workspace) -> Vec<String>;

/// The checks, each after the name of its invariant.
const CHECKS: [(&str, Find); 15] = [
    ("layers", layers::find),
    ("neutral-words", layers::words),
    ("lints-are-on", lints::on),
    ("lint-exceptions", lints::exceptions),
    ("unsafe-says-why", lints::foreign),
    ("manifests-inherit", manifests::inherited),
    ("versions-are-shared", manifests::versions),
    ("dependencies-have-reasons", dependencies::find),
    ("limits-listed", limits::find),
    ("links", links::find),
    ("bench-table", bench_table::find),
    ("layout", layout::find),
    ("top-level", top_level::entries),
    ("lock-committed", top_level::lock),
    ("stands-alone", stands_alone::find),
];

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Print the invariants and the exceptions with their reasons, and check nothing.
    #[arg(long)]
    list: bool,
}

/// Checks every invariant and prints the breaches. Returns false if there is one.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<bool> {
    if args.list {
        for (name, reason) in rows(REASONS) {
            println!("{name}\n    {reason}");
        }
        println!("\nplaces that may read a clock, sleep or start a task without an owner");
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

/// Returns a message about a file that breaks an invariant.
fn breach(path: impl AsRef<Path>, what: impl Display) -> String {
    format!("{}: {what}", path.as_ref().display())
}

/// Returns a message about a line of a file that breaks an invariant. Lines count from 1.
fn breach_at(path: impl AsRef<Path>, line: usize, what: impl Display) -> String {
    format!("{}:{line}: {what}", path.as_ref().display())
}

/// Returns the rows of a table in a text. A row is a key, a colon and a value.
fn rows(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter_map(|line| line.split_once(": "))
}

/// Reads a TOML file. For a missing or invalid file the result is an empty table, so that the
/// checks report missing entries.
fn toml(workspace: &Workspace, path: impl AsRef<Path>) -> toml::Table {
    let text = workspace.text(path.as_ref());
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}
