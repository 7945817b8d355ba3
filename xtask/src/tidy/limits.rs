//! Check that every limit that a constant sets in the code has a row in `docs/threat-model.md` with
//! the same value.

use std::path::Path;

use super::{breach, breach_at};
use crate::workspace::Workspace;

const PAGE: &str = "docs/threat-model.md";

/// Folders with the code of the product. Only there, a constant whose name begins like one of
/// [`BEGINNINGS`] counts as a limit.
const FOLDERS: [&str; 6] = [
    "hal/src/",
    "sim/src/",
    "src/",
    "transport/src/",
    "transport/wire/src/",
    "tworoutine/src/",
];

/// Beginnings of the names of limits.
const BEGINNINGS: [&str; 5] = ["DEEPEST", "LARGEST", "LONGEST", "MAX_", "MOST"];

/// Units in the page, as factors. Times are converted to seconds.
const UNITS: [(&str, f64); 8] = [
    ("KiB", 1024.0),
    ("MiB", 1024.0 * 1024.0),
    ("GiB", 1024.0 * 1024.0 * 1024.0),
    ("ms", 1e-3),
    ("MHz", 1e6),
    ("GHz", 1e9),
    ("minutes", 60.0),
    ("days", 86_400.0),
];
/// Functions and types in the code that give a number a unit, as factors.
const FUNCTIONS: [(&str, f64); 3] = [
    ("Duration::from_secs(", 1.0),
    ("Duration::from_millis(", 1e-3),
    ("Dbm(", 1.0),
];

pub(super) fn find(workspace: &Workspace) -> Vec<String> {
    let Some(page) = workspace.text(PAGE.as_ref()) else {
        return vec![breach(PAGE, "is missing")];
    };
    let mut breaches = Vec::new();
    let mut rows = Vec::new();
    for (index, line) in page.lines().enumerate() {
        let Some((cell, name, path)) = row(line) else {
            continue;
        };
        rows.push((name, Path::new(path)));
        if let Some(what) = wrong(&code(workspace, path.as_ref()), cell, name, path) {
            breaches.push(breach_at(PAGE, index + 1, what));
        }
    }
    for path in workspace.sources().filter(|path| is_product(path)) {
        for (index, line) in code(workspace, path).lines().enumerate() {
            if let Some(name) = limit(line).filter(|name| !rows.contains(&(name, path))) {
                breaches.push(breach_at(
                    path,
                    index + 1,
                    format!("`{name}` is not in {PAGE}"),
                ));
            }
        }
    }
    breaches
}

fn is_product(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let is_test = text.contains("/tests/") || text.ends_with("/tests.rs");
    !is_test && FOLDERS.iter().any(|folder| text.starts_with(folder))
}

/// Returns the text of a file without the tests at its end.
fn code(workspace: &Workspace, path: &Path) -> String {
    let mut text = workspace.text(path).unwrap_or_default();
    // A test module with a body ends the code of its file. The line `mod tests;` does not: it may
    // be anywhere, because its tests are in another file.
    let mut tests = text.match_indices("#[cfg(test)]\nmod ");
    let at = tests.find(|(at, found)| {
        let name = &text[at + found.len()..];
        name.lines().next().is_some_and(|line| line.ends_with('{'))
    });
    let end = at.map_or(text.len(), |(at, _)| at);
    text.truncate(end);
    text
}

/// Returns the name of the limit that a line of code defines: a constant of type `Duration`, or a
/// number whose name begins with one of [`BEGINNINGS`].
fn limit(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once("const ")?;
    let (name, rest) = rest.split_once(": ")?;
    let (kind, _) = rest.split_once(" =")?;
    let is_item = before.trim().is_empty() || before.trim_start().starts_with("pub");
    let is_called_limit = BEGINNINGS.iter().any(|it| name.starts_with(it));
    let is_number = kind.starts_with(['f', 'i', 'u']);
    (is_item && (kind == "Duration" || is_number && is_called_limit)).then_some(name)
}

/// Returns value, name and file of a row: ``| text | value | `NAME` in `path` | place to change it
/// |``.
fn row(line: &str) -> Option<(&str, &str, &str)> {
    let cells: Vec<_> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
    let (name, path) = cells.get(2)?.split_once(" in ")?;
    Some((cells[1], name.trim_matches('`'), path.trim_matches('`')))
}

/// Returns a message about a row of the page if its value differs from that in the code, or if its
/// name is not in the code. Returns `None` if the row is right.
fn wrong(code: &str, cell: &str, name: &str, path: &str) -> Option<String> {
    // The name belongs to a constant, or to a field in the default value of a struct.
    let expressions: Vec<_> = code
        .lines()
        .filter_map(|line| match line.split_once(&format!("const {name}: ")) {
            Some((_, rest)) => Some(rest.split_once("= ")?.1.trim_end_matches(';')),
            None => {
                let field = line.trim().strip_prefix(name)?.strip_prefix(": ")?;
                field.strip_suffix(',').filter(|it| value(it).is_some())
            }
        })
        .collect();
    let Some(first) = expressions.first() else {
        return Some(format!("there is no `{name}` in {path}"));
    };
    // Values that are computed from other constants are not checked.
    let mut values = expressions.iter().filter_map(|it| value(it)).peekable();
    values.peek()?;
    let Some(documented) = documented(cell) else {
        return Some(format!(
            "the value of `{name}` does not begin with a number"
        ));
    };
    let is_it = |value: f64| (value - documented).abs() <= 1e-9 * documented.abs();
    (!values.any(is_it)).then(|| format!("`{name}` is {first}, not {cell}"))
}

/// Returns the value of an expression of literals, products and shifts, or `None` for any other
/// expression.
fn value(expression: &str) -> Option<f64> {
    let expression = expression.trim();
    for (function, unit) in FUNCTIONS {
        if let Some(rest) = expression.strip_prefix(function) {
            return Some(value(rest.strip_suffix(')')?)? * unit);
        }
    }
    if let Some((left, right)) = expression.split_once("<<") {
        return Some(value(left)? * value(right)?.exp2());
    }
    if let Some((left, right)) = expression.split_once('*') {
        return Some(value(left)? * value(right)?);
    }
    expression.replace('_', "").parse().ok()
}

/// Returns the number at the beginning of a cell of the page, times its unit if it has one.
fn documented(cell: &str) -> Option<f64> {
    let mut words = cell.split_whitespace();
    let number: f64 = words.next()?.replace(',', "").parse().ok()?;
    let word = words.next().map(|word| word.trim_end_matches([',', ';']));
    let unit = UNITS.iter().find(|(unit, _)| Some(*unit) == word);
    Some(number * unit.map_or(1.0, |(_, factor)| *factor))
}

#[cfg(test)]
#[test]
fn values_of_the_code_and_of_the_page_are_compared_as_numbers() {
    for (expression, cell) in [
        ("32 << 20", "32 MiB"),
        ("1_000_000", "1,000,000 nodes"),
        ("Duration::from_millis(2500)", "2.5 s, then each"),
        ("Duration::from_secs(365 * 24 * 3600)", "365 days"),
        ("313.5e6", "313.5 MHz"),
    ] {
        let (value, in_page) = (value(expression).unwrap(), documented(cell).unwrap());
        assert!(
            (value - in_page).abs() < 1e-9 * in_page,
            "{value} is not {in_page}"
        );
    }
    assert_eq!(value("Limits::REQUEST.body_bytes"), None);
    assert_eq!(documented("a few"), None);
}
