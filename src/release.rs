//! The version of this build, and the commit from which it was made.
//!
//! `cargo xtask dist` sets two environment variables while it builds. Any other build, such as a
//! plain `cargo build`, needs no git. It does not know its commit, and reports that it is no
//! release.

use std::sync::LazyLock;

/// Version of the package, such as `0.1.0`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Commit from which a release was built, as 40 hexadecimal digits, followed by `-changed` if the
/// sources differed from those of the commit. `None` if this is no release.
pub const COMMIT: Option<&str> = option_env!("TWOTONE_COMMIT");

/// Time of the commit [`COMMIT`] in UTC, such as `2026-11-22T21:04:21Z`. `None` if this is no
/// release.
pub const COMMIT_DATE: Option<&str> = option_env!("TWOTONE_COMMIT_DATE");

/// Returns the version with its commit and its date, or with the remark that it is no release.
pub fn described() -> &'static str {
    static DESCRIBED: LazyLock<String> = LazyLock::new(|| describe(COMMIT, COMMIT_DATE));
    &DESCRIBED
}

fn describe(commit: Option<&str>, date: Option<&str>) -> String {
    match (commit, date) {
        (Some(commit), Some(date)) => format!("{VERSION} (commit {commit} of {date})"),
        _ => format!("{VERSION} (not a release)"),
    }
}

#[cfg(test)]
#[test]
fn a_build_without_a_commit_says_that_it_is_no_release() {
    let date = "2026-11-22T21:04:21Z";
    assert_eq!(
        describe(Some("34ef050"), Some(date)),
        format!("{VERSION} (commit 34ef050 of {date})")
    );
    for (commit, date) in [(None, None), (Some("34ef050"), None), (None, Some(date))] {
        assert_eq!(describe(commit, date), format!("{VERSION} (not a release)"));
    }
}
