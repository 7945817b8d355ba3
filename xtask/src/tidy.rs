//! `cargo xtask tidy`: checks the invariants of the workspace that the compiler does not check.
//!
//! Each is one small check in [`CHECKS`]. A new check is a function, a line in that table, and a
//! breach in the tests that it must find.

mod algorithms;
mod bench_table;
mod clocks;
mod dependencies;
mod hal;
mod layers;
mod limits;
mod links;
mod long_files;
mod manifests;
mod places;
mod sim;
mod source;
mod stands_alone;
mod top_level;
mod unsafety;

#[cfg(test)]
mod breaches;
#[cfg(test)]
mod fixture;

use std::fmt;
use std::path::{Path, PathBuf};

use self::source::Source;
use crate::Result;
use crate::workspace::Workspace;

/// An invariant.
struct Check {
    name: &'static str,
    /// Reason for the invariant.
    reason: &'static str,
    find: fn(&Tree) -> Vec<Breach>,
}

/// The invariants, in the order in which they are checked.
const CHECKS: [Check; 19] = [
    Check {
        name: "layers",
        reason: "a package uses those of ours that the layer table allows, so that each part can be read, tested and replaced alone",
        find: layers::find,
    },
    Check {
        name: "hal-is-neutral",
        reason: "an algorithm written on hal must run on any board and under any executor",
        find: hal::find,
    },
    Check {
        name: "algorithms-name-no-board",
        reason: "algorithms know boards by hal alone: no transport, wire, simulator or runtime",
        find: algorithms::names,
    },
    Check {
        name: "algorithms-have-no-clock",
        reason: "every wait of an algorithm is a board operation, so that simulated time holds",
        find: algorithms::clocks,
    },
    Check {
        name: "algorithms-know-no-physics",
        reason: "a fit that is tested on the formula that it fits proves nothing",
        find: algorithms::physics,
    },
    Check {
        name: "sim-is-not-the-client",
        reason: "client and server meet only in wire's bytes, so that the simulator cannot flatter the client",
        find: sim::find,
    },
    Check {
        name: "clocks-and-bare-tasks",
        reason: "virtual time holds and every task has an owner, except in the places that are named with their reasons",
        find: clocks::places,
    },
    Check {
        name: "clock-lint",
        reason: "clippy finds by type what the scan of names cannot, so its list must be whole and its exceptions named",
        find: clocks::lint,
    },
    Check {
        name: "unsafe-only-in-tworoutine",
        reason: "one package needs unsafe code; a reader must find all of it there",
        find: unsafety::elsewhere,
    },
    Check {
        name: "unsafe-says-why",
        reason: "a reader must be able to check each unsafe block against its stated reason",
        find: unsafety::unexplained,
    },
    Check {
        name: "manifests-inherit",
        reason: "version, edition, licence and lints are the workspace's, the same for every package",
        find: manifests::inherited,
    },
    Check {
        name: "versions-are-shared",
        reason: "one version of each dependency, set in one table",
        find: manifests::versions,
    },
    Check {
        name: "dependencies-have-reasons",
        reason: "a dependency is chosen for the long run, and docs/dependencies.md says why",
        find: dependencies::find,
    },
    Check {
        name: "limits-are-told",
        reason: "who runs this on a network looks up each limit in docs/threat-model.md, and finds the value of the code",
        find: limits::find,
    },
    Check {
        name: "links",
        reason: "a reader who follows a link in a document finds what it names",
        find: links::find,
    },
    Check {
        name: "bench-table",
        reason: "every benchmark is reached by `cargo xtask bench NAME`",
        find: bench_table::find,
    },
    Check {
        name: "top-level",
        reason: "the layout of the top folder is fixed, so that a newcomer finds things",
        find: top_level::entries,
    },
    Check {
        name: "lock-committed",
        reason: "everyone builds the same versions",
        find: top_level::lock,
    },
    Check {
        name: "stands-alone",
        reason: "a clone builds with nothing beside it",
        find: stands_alone::find,
    },
];

/// Place at which an invariant is broken, with a sentence about it.
#[derive(Debug)]
struct Breach {
    path: PathBuf,
    /// Line, from 1.
    line: Option<usize>,
    what: String,
}

impl Breach {
    fn new(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Self {
            path: path.as_ref().to_path_buf(),
            line: None,
            what: what.into(),
        }
    }

    fn at(path: impl AsRef<Path>, line: usize, what: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            ..Self::new(path, what)
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// A workspace with its sources read.
struct Tree {
    workspace: Workspace,
    sources: Vec<Source>,
}

impl Tree {
    fn read(workspace: Workspace) -> Result<Self> {
        let mut sources = Vec::new();
        for path in workspace.sources() {
            let text = workspace
                .text(path)
                .ok_or_else(|| format!("{} is not UTF-8", path.display()))?;
            let source = Source::parse(path, &text)
                .map_err(|error| format!("{} is not Rust: {error}", path.display()))?;
            sources.push(source);
        }
        Ok(Self { workspace, sources })
    }

    /// The sources of a package, its tests, benches and examples included.
    fn sources_of<'a>(&'a self, package: &'a str) -> impl Iterator<Item = &'a Source> {
        self.sources.iter().filter(move |source| {
            self.workspace
                .package_of(&source.path)
                .is_some_and(|owner| owner.name == package)
        })
    }

    /// A TOML file as a table. A missing or broken file is an empty table, which the checks that
    /// look for something in it report.
    fn toml(&self, path: impl AsRef<Path>) -> toml::Table {
        let text = self.workspace.text(path.as_ref());
        text.and_then(|text| text.parse().ok()).unwrap_or_default()
    }
}

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Say the invariants and the exceptions with their reasons, and check nothing.
    #[arg(long)]
    list: bool,
}

/// Checks every invariant; false if one is broken.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<bool> {
    if args.list {
        for check in &CHECKS {
            println!("{}\n    {}", check.name, check.reason);
        }
        println!("\nplaces with a clock or bare tasks");
        for (path, item, reason) in places::all() {
            println!("{path} ({item})\n    {reason}");
        }
        return Ok(true);
    }
    let tree = Tree::read(Workspace::read(&workspace.root)?)?;
    let mut broken = 0;
    for check in &CHECKS {
        let breaches = (check.find)(&tree);
        if !breaches.is_empty() {
            broken += 1;
            println!("{}: {}", check.name, check.reason);
            for breach in &breaches {
                println!("    {breach}");
            }
        }
    }
    for note in long_files::find(&tree) {
        println!("warning: {note}");
    }
    println!(
        "tidy: {} of {} invariants hold",
        CHECKS.len() - broken,
        CHECKS.len()
    );
    Ok(broken == 0)
}
