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
    /// Check Cargo.lock for known vulnerabilities, if a database of advisories is on this computer.
    Advisories,
    /// Run a benchmark by its name; without a name, list them.
    Bench(bench::Args),
    /// Run long versions of the tests with boards that come and go, with many boards, and with
    /// kills.
    Soak(soak::Args),
    /// Run every reader of files and packets on mutated inputs, and store an input that fails.
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

/// Result whose error is a message for the user.
type Result<T> = std::result::Result<T, String>;
