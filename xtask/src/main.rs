//! Developer and deployment commands of twotone: `cargo xtask VERB`.
//!
//! Each verb has a file. This package depends on no other package of the workspace, so that it
//! compiles quickly, and runs even if the product does not compile.

#![allow(
    clippy::disallowed_methods,
    reason = "it runs programs and prints how long they took"
)]

mod advisories;
mod bench;
mod child;
mod deploy;
mod dist;
mod fuzz;
mod licences;
mod soak;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Developer and deployment commands of twotone.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run every check, as before a commit and in CI.
    Test(test::Args),
    /// Check the layers and the other invariants of the workspace.
    Tidy(tidy::Args),
    /// Check that the licence of every dependency is allowed.
    Licences,
    /// Check Cargo.lock for known vulnerabilities.
    ///
    /// Needs a database of advisories on this computer.
    Advisories,
    /// Run a benchmark by its name; without a name, list them.
    Bench(bench::Args),
    /// Run long versions of some tests.
    ///
    /// They are the tests with boards that come and go, with many boards, and with kills.
    Soak(soak::Args),
    /// Make the archive and the Debian package of this commit.
    Dist(dist::Args),
    /// Bring the control hosts of a site to a version, and back.
    Deploy(deploy::Args),
    /// Flash a new firmware to the boards of a site, some first.
    Firmware(deploy::firmware::Args),
    /// Run every reader on mutated inputs, and store an input that fails.
    Fuzz(fuzz::Args),
}

fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    let outcome = child::watch_signals()
        .and_then(|()| Workspace::here())
        .and_then(|workspace| match verb {
            Verb::Test(args) => test::run(&workspace, &args),
            Verb::Tidy(args) => tidy::run(&workspace, &args),
            Verb::Licences => licences::run(&workspace),
            Verb::Advisories => advisories::run(&workspace),
            Verb::Bench(args) => bench::run(&workspace, &args),
            Verb::Soak(args) => soak::run(&workspace, &args),
            Verb::Dist(args) => dist::run(&workspace, &args),
            Verb::Deploy(args) => deploy::run(&workspace, &args),
            Verb::Firmware(args) => deploy::firmware::run(&args),
            Verb::Fuzz(args) => fuzz::run(&workspace, &args),
        });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Result whose error is a message for the user.
type Result<T> = std::result::Result<T, String>;

#[cfg(test)]
#[test]
fn the_help_has_one_line_for_every_verb() {
    use clap::CommandFactory;

    let mut program = Cli::command().term_width(80);
    let help = program.render_help().to_string();
    let (_, verbs) = help.split_once("Commands:\n").expect("a list of verbs");
    let (verbs, _) = verbs.split_once("\n\n").expect("the options follow");
    // The help of a verb must be one line with the name and some words. Any other line fails this
    // check.
    let listed = verbs.lines().map(|line| {
        let (name, about) = line.trim().split_once("  ").unwrap_or((line, ""));
        assert!(!about.trim().is_empty(), "`{name}` says nothing in {help}");
        name
    });
    let listed: Vec<_> = listed.filter(|name| *name != "help").collect();
    let names: Vec<_> = Cli::command()
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect();
    assert_eq!(listed, names);
}
