//! Check of the parts of the layout that rustfmt does not check: the groups of imports, and the
//! width of comments and prose.

use super::breach_at;
use crate::workspace::Workspace;

/// Largest number of columns of a comment in a Rust source, and of a line of prose in a Markdown
/// file.
const COMMENT: usize = 100;
const PROSE: usize = 120;

/// Finds imports out of order, and lines that are too wide.
pub(super) fn find(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for path in &workspace.files {
        let is = |end| path.extension().is_some_and(|extension| extension == end);
        let text = workspace.text(path).unwrap_or_default();
        let wide = match () {
            () if is("rs") => wide(&text, COMMENT, |line| line.trim_start().strip_prefix("//")),
            () if is("md") => wide(&text, PROSE, Some),
            () => continue,
        };
        if let Some(line) = wide {
            breaches.push(breach_at(path, line, "a comment or prose is too wide"));
        }
        if let Some(line) = import_out_of_order(&text).filter(|_| is("rs")) {
            let what = "imports go in groups: std, other packages, this one";
            breaches.push(breach_at(path, line, what));
        }
    }
    breaches
}

/// Returns the first line of prose that has more than `columns` columns. Lines in tables and in
/// code do not count. `prose` returns the prose in a line.
fn wide<'t>(text: &'t str, columns: usize, prose: fn(&'t str) -> Option<&'t str>) -> Option<usize> {
    let mut in_code = false;
    let mut lines = text.lines().zip(1..);
    let line = lines.find(|(line, _)| {
        let prose = prose(line).map_or("", |prose| prose.trim_start_matches(['/', '!', ' ']));
        in_code ^= prose.starts_with("```");
        !in_code && !prose.is_empty() && !prose.starts_with('|') && line.chars().count() > columns
    });
    line.map(|(_, number)| number)
}

/// Returns the line of the first import that is out of order. The groups are std, then other
/// packages, then `crate`, `super`, `self` and modules of the file, with an empty line between
/// groups.
fn import_out_of_order(text: &str) -> Option<usize> {
    let name = |line: &str| {
        line.split([' ', ';', ':'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let is_module = |first: &str| {
        text.contains(&format!("\nmod {first};")) || text.contains(&format!(" mod {first};"))
    };
    let (mut group, mut apart) = (0, true);
    for (line, number) in text.lines().zip(1..) {
        if let Some(path) = line.strip_prefix("use ") {
            let own = match name(path).as_str() {
                "std" | "core" | "alloc" => 1,
                "crate" | "super" | "self" => 3,
                first if is_module(first) => 3,
                _ => 2,
            };
            if own < group || (own > group) != apart {
                return Some(number);
            }
            (group, apart) = (own, false);
        } else if line.is_empty() {
            apart = true;
        } else if line.starts_with("mod ") || line.starts_with("pub") {
            (group, apart) = (0, true);
        } else if !line.starts_with([' ', '}', '#', '/']) {
            break;
        }
    }
    None
}
