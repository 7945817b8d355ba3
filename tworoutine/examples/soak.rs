//! Runs random programs of waits, joins, cancels and panics for a given number of seconds:
//!
//! `cargo run --release -p tworoutine --example soak -- --soak 3600 [--seed N]`

#[path = "../tests/stress.rs"]
mod stress;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |flag: &str| -> Option<Option<u64>> {
        let at = arguments.iter().position(|argument| argument == flag)?;
        Some(arguments.get(at + 1).and_then(|text| text.parse().ok()))
    };
    let (seconds, seed) = (number("--soak"), number("--seed"));
    let (Some(Some(seconds)), None | Some(Some(_))) = (seconds, seed) else {
        eprintln!("usage: soak --soak SECONDS [--seed N]");
        return ExitCode::from(2);
    };
    let seed = seed.flatten().unwrap_or_else(stress::seed_of_the_time);
    stress::soak(seed, seconds);
    println!("no failure");
    ExitCode::SUCCESS
}
