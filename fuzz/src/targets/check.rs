//! Assertions that several targets (functions that read any bytes) share.

use std::fmt::Debug;

use twotone::map::MapError;
use twotone_wire::tuber::DecodeError;

/// Calls `read` twice, and asserts that both results are the same. Returns one of them.
pub(super) fn twice<T: Debug>(read: impl Fn() -> T) -> T {
    let (one, other) = (read(), read());
    let (shown, again) = (format!("{one:?}"), format!("{other:?}"));
    assert_eq!(shown, again, "reading twice gives two results");
    one
}

/// Asserts that the position of a decoding error is within the bytes. Returns the kind of the error
/// as text.
pub(super) fn wire_error(error: &DecodeError, length: usize) -> String {
    assert!(
        error.at <= length,
        "an error beyond the end of {length} bytes: {error}"
    );
    error.kind.to_string()
}

/// Asserts that an error of a file lists problems, that each problem is one line of bounded length,
/// and that the position of the error is within the text. Returns the error as text.
pub(super) fn map_error(error: &MapError, text: &str) -> String {
    map_errors(error, |file| file.is_none().then_some(text))
}

/// As `map_error`, for an error of several files. `text_of` returns the text of a file by its name,
/// or of the first file.
pub(super) fn map_errors<'t>(
    error: &MapError,
    text_of: impl Fn(Option<&str>) -> Option<&'t str>,
) -> String {
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
            let text = text_of(problem.file.as_deref()).expect("the text of a problem");
            let lines = text.split('\n').count();
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
