//! Long tests, tests under load, and tests in which programs are killed. `cargo test` runs a short
//! version of each test, and `cargo xtask soak` runs the long version.

mod comes_and_goes;
mod holds;
mod killed;
mod load;
#[path = "../program/process.rs"]
#[allow(dead_code, reason = "what other tests need of it")]
mod process;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Makes the tests of this program run one after the other, because each would count the resources
/// of the others.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the number in an environment variable, or `short` if the variable is not set.
fn asked_for(variable: &str, short: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(short, |text| text.parse().expect("a whole number"))
}
