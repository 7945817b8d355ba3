//! The log of the program: to standard error, or to the journal of systemd with its fields.

use std::env;

use rustix::fs::fstat;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, registry};

use super::output;

/// Begins the log. `verbose` is the number of times that the option was given. A daemon logs more,
/// and to the journal if systemd has it write there.
pub(crate) fn begin(verbose: u8, is_daemon: bool) {
    let level = match verbose + u8::from(is_daemon) {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("TWOTONE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    if is_daemon
        && writes_to_journal()
        && let Ok(journal) = tracing_journald::layer()
    {
        registry().with(filter).with(journal).init();
        return;
    }
    // Without colours, every control character in a line comes from a board or a file, and is
    // escaped.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(output::Log)
        .with_ansi(false)
        .init();
}

/// True if standard error is the journal: systemd names its device and inode in the environment,
/// which programs of other outputs may inherit.
fn writes_to_journal() -> bool {
    let named = env::var("JOURNAL_STREAM").ok();
    let is_named = |named: String| {
        let found = fstat(rustix::stdio::stderr()).ok()?;
        Some(named == format!("{}:{}", found.st_dev, found.st_ino))
    };
    named.and_then(is_named).unwrap_or(false)
}
