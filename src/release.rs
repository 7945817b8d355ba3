//! The version of this build, and the commit that it was made from.
//!
//! `cargo xtask dist` sets two environment variables while it builds. Another build, such as a
//! plain `cargo build`, does not know its commit: it needs no git, and says that it is no release.

use std::sync::LazyLock;

/// Version of the package, such as `0.1.0`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Commit that a release was built from, as 40 hexadecimal digits. They are followed by `-changed`
/// if the sources were not those of the commit. `None` if this is no release.
pub const COMMIT: Option<&str> = option_env!("TWOTONE_COMMIT");

/// Time of that commit in UTC, such as `2026-11-22T21:04:21Z`. `None` if this is no release.
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
