//! Every limit in the code has its row in `docs/threat-model.md`, with the value of the code.

use std::path::Path;

use super::{Breach, Tree};

const PAGE: &str = "docs/threat-model.md";

/// Folders whose constants are limits of the product if their names begin like one.
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

/// A row of the page: ``| text | value | `NAME` in `path` | place to change it |``.
struct Row<'p> {
    /// Line, from 1.
    line: usize,
    value: &'p str,
    name: &'p str,
    path: &'p str,
}

pub(super) fn find(tree: &Tree) -> Vec<Breach> {
    let Some(text) = tree.workspace.text(PAGE.as_ref()) else {
        return vec![Breach::new(PAGE, "is missing")];
    };
    let rows: Vec<_> = rows(&text).collect();
    let mut breaches: Vec<_> = rows.iter().filter_map(|row| wrong(tree, row)).collect();
    for path in tree.workspace.sources().filter(|path| is_ours(path)) {
        let code = code(tree, path);
        for (line, name, kind) in constants(&code) {
            let is_limit = kind == "Duration" || BEGINNINGS.iter().any(|it| name.starts_with(it));
            let is_told = |row: &Row<'_>| row.name == name && Path::new(row.path) == path;
            if is_limit && !rows.iter().any(is_told) {
                breaches.push(Breach::at(path, line, format!("`{name}` is not in {PAGE}")));
            }
        }
    }
    breaches
}

fn is_ours(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let is_test = text.contains("/tests/") || text.ends_with("/tests.rs");
    !is_test && FOLDERS.iter().any(|folder| text.starts_with(folder))
}

/// The text of a file, without the tests at its end.
fn code(tree: &Tree, path: &Path) -> String {
    let mut text = tree.workspace.text(path).unwrap_or_default();
    if let Some(tests) = text.find("#[cfg(test)]\nmod ") {
        text.truncate(tests);
    }
    text
}

/// Line, name and type of each constant.
fn constants(code: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    code.lines().enumerate().filter_map(|(index, line)| {
        let (before, rest) = line.split_once("const ")?;
        let (name, rest) = rest.split_once(": ")?;
        let (kind, _) = rest.split_once(" =")?;
        let is_item = before.trim().is_empty() || before.trim_start().starts_with("pub");
        let is_number = kind == "Duration" || kind.starts_with(['f', 'i', 'u']);
        (is_item && is_number).then_some((index + 1, name, kind))
    })
}

fn rows(text: &str) -> impl Iterator<Item = Row<'_>> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let cells: Vec<_> = line.strip_prefix('|')?.split('|').map(str::trim).collect();
        let (name, path) = cells.get(2)?.split_once(" in ")?;
        Some(Row {
            line: index + 1,
            value: cells[1],
            name: name.trim_matches('`'),
            path: path.trim_matches('`'),
        })
    })
}

/// Breach of a row whose value is not that of the code, or which names something that does not
/// exist.
fn wrong(tree: &Tree, row: &Row<'_>) -> Option<Breach> {
    let Row {
        line, name, path, ..
    } = row;
    let breach = |what| Some(Breach::at(PAGE, *line, what));
    let code = code(tree, path.as_ref());
    let expressions = expressions(&code, name);
    if expressions.is_empty() {
        return breach(format!("there is no `{name}` in {path}"));
    }
    let values: Vec<_> = expressions.iter().filter_map(|it| value(it)).collect();
    // Values that are computed from other constants are not followed.
    if values.is_empty() {
        return None;
    }
    let Some(told) = told(row.value) else {
        return breach(format!(
            "the value of `{name}` does not begin with a number"
        ));
    };
    let is_it = |value: &f64| (value - told).abs() <= 1e-9 * told.abs();
    match values.iter().any(is_it) {
        true => None,
        false => breach(format!("`{name}` is {}, not {}", expressions[0], row.value)),
    }
}

/// Expressions that a file has for a name: as a constant, or as a field in a list of defaults.
fn expressions<'c>(code: &'c str, name: &str) -> Vec<&'c str> {
    let constant = format!("const {name}: ");
    let constants = code.split(&constant).skip(1).filter_map(|rest| {
        let (_, rest) = rest.split_once('=')?;
        Some(rest.split_once(';')?.0.trim())
    });
    let field = format!("{name}: ");
    let lines = code.lines().map(str::trim);
    let fields = lines.filter_map(|line| line.strip_prefix(&field)?.strip_suffix(','));
    constants
        .chain(fields.filter(|it| value(it).is_some()))
        .collect()
}

/// Value of a simple expression; times are in seconds.
fn value(expression: &str) -> Option<f64> {
    let expression = expression.trim();
    for (function, unit) in [
        ("Duration::from_secs(", 1.0),
        ("Duration::from_millis(", 1e-3),
        ("Dbm(", 1.0),
    ] {
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

/// Value of the number at the beginning of a cell, times its unit if it has one; times in seconds.
fn told(cell: &str) -> Option<f64> {
    let mut words = cell.split_whitespace();
    let number: f64 = words.next()?.replace(',', "").parse().ok()?;
    let unit = match words.next().map(|word| word.trim_end_matches([',', ';'])) {
        Some("KiB") => 1024.0,
        Some("MiB") => 1024.0 * 1024.0,
        Some("GiB") => 1024.0 * 1024.0 * 1024.0,
        Some("ms") => 1e-3,
        Some("MHz") => 1e6,
        Some("GHz") => 1e9,
        Some("minutes") => 60.0,
        Some("days") => 86_400.0,
        _ => 1.0,
    };
    Some(number * unit)
}

#[cfg(test)]
mod tests {
    use super::{told, value};

    #[track_caller]
    fn check(expression: &str, cell: &str) {
        let (value, told) = (value(expression).unwrap(), told(cell).unwrap());
        assert!((value - told).abs() < 1e-9 * told, "{value} is not {told}");
    }

    #[test]
    fn values_of_the_code_and_of_the_page_are_compared_as_numbers() {
        check("32 << 20", "32 MiB");
        check("1 << 16", "65,536");
        check("1_000_000", "1,000,000 nodes");
        check("Duration::from_millis(2500)", "2.5 s, then each");
        check("Duration::from_secs(365 * 24 * 3600)", "365 days");
        check("64 * 1024", "64 KiB");
        check("313.5e6", "313.5 MHz");
        assert_eq!(value("Limits::REQUEST.body_bytes"), None);
        assert_eq!(told("a few"), None);
    }
}
