//! Developer and deployment commands of twotone: `cargo xtask VERB`.
//!
//! One file a verb. Nothing here links a package of the workspace, so that the commands build
//! first and fast on any machine, and still run when the product does not compile.

#![allow(
    clippy::disallowed_methods,
    reason = "it runs programs and says how long they took"
)]

mod advisories;
mod bench;
mod child;
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
    /// Run every check: what a person runs before a commit, and what CI runs.
    Test(test::Args),
    /// Check the layers and the other invariants of the workspace.
    Tidy(tidy::Args),
    /// Check that every dependency is under a licence that is allowed.
    Licences,
    /// Check Cargo.lock against a database of advisories, if one is on this computer.
    Advisories,
    /// Run a benchmark by its name; without a name, list them.
    Bench(bench::Args),
    /// Run for long what the tests run shortly: boards that come and go, many boards, kills.
    Soak(soak::Args),
    /// Give changed inputs to every reader of files and packets, and keep one that fails.
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

/// Result whose error is one sentence for a person.
type Result<T> = std::result::Result<T, String>;
