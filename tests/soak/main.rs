//! Tests over long times, under load, and with programs that are killed. `cargo test` has a short
//! version of each; `cargo xtask soak` has the long ones.

mod comes_and_goes;
mod holds;
mod killed;
mod load;
#[path = "../program/process.rs"]
#[allow(dead_code, reason = "what other tests need of it")]
mod process;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lets one test of this program run at a time: each would count the resources of the others.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number in an environment variable; the short version's if it is not set.
fn asked_for(variable: &str, short: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(short, |text| text.parse().expect("a whole number"))
}
