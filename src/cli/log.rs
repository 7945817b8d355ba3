//! The log of the program. It is written to standard error, or with its fields to the journal of
//! systemd.

use std::env;

use rustix::fs::fstat;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, registry};

use super::output;

/// Starts the log. `verbose` is the number of times that the option `--verbose` was given. If
/// `is_daemon` is true, one more level is logged, and the log goes to the journal of systemd if
/// standard error is connected to it.
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
    // Without colours, the logger itself writes no control character. So a control character in a
    // line comes from a board or a file, and is escaped.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(output::Log)
        .with_ansi(false)
        .init();
}

/// True if standard error is connected to the journal. systemd stores the device and the inode of
/// the journal's stream in an environment variable. They are compared with those of standard error,
/// because a process whose standard error goes elsewhere may inherit the variable.
fn writes_to_journal() -> bool {
    let named = env::var("JOURNAL_STREAM").ok();
    let is_named = |named: String| {
        let found = fstat(rustix::stdio::stderr()).ok()?;
        Some(named == format!("{}:{}", found.st_dev, found.st_ino))
    };
    named.and_then(is_named).unwrap_or(false)
}
