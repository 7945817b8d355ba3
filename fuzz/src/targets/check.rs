//! Assertions for every reader.

use std::fmt::Debug;

use twotone::map::MapError;
use twotone_wire::tuber::DecodeError;

/// Reads twice, and asserts that both results are the same. Returns the result.
pub(super) fn twice<T: Debug>(read: impl Fn() -> T) -> T {
    let (one, other) = (read(), read());
    let (shown, again) = (format!("{one:?}"), format!("{other:?}"));
    assert_eq!(shown, again, "reading twice gives two results");
    one
}

/// Asserts that an error of the wire has a position within the bytes.
pub(super) fn wire_error(error: &DecodeError, length: usize) -> String {
    assert!(
        error.at <= length,
        "an error beyond the end of {length} bytes: {error}"
    );
    error.kind.to_string()
}

/// Asserts that an error of a file has problems, each in the text and on one line of a bounded
/// length.
pub(super) fn map_error(error: &MapError, text: &str) -> String {
    let lines = text.split('\n').count();
    assert!(!error.problems().is_empty(), "an error without a problem");
    assert!(error.problems().len() <= 101, "problems without end");
    for problem in error.problems() {
        let length = problem.message.chars().count();
        assert!(
            (1..2000).contains(&length),
            "a message of {length} characters"
        );
        let shown = problem.to_string();
        assert!(!shown.contains(['\n', '\r', '\u{1b}', '\0']), "{shown:?}");
        if let Some(place) = problem.place {
            assert!(
                (1..=lines).contains(&place.line),
                "{place} of {lines} lines"
            );
            let line = text.split('\n').nth(place.line - 1).unwrap_or_default();
            let columns = line.chars().count() + 1;
            assert!(
                (1..=columns).contains(&place.column),
                "{place} of {columns} columns"
            );
        }
    }
    error.to_string()
}
