//! A table for a terminal. Each column is as wide as its widest cell.

use std::fmt;

use twotone::hal::{legible, legible_within};

/// Largest number of characters of a cell.
pub(crate) const WIDEST: usize = 100;

/// Rows of cells under a heading, with notes between them.
#[derive(Debug)]
pub(crate) struct Table {
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    Cells(Vec<String>),
    Note(String),
}

impl Table {
    pub(crate) fn new<T: Into<String>>(heading: impl IntoIterator<Item = T>) -> Self {
        let mut table = Self { lines: Vec::new() };
        table.row(heading);
        table
    }

    /// Adds a row. Cells that are not given are empty. Control characters, which may come from
    /// boards, are escaped as by [`legible`].
    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells = cells.into_iter().map(Into::into);
        let cells = cells.map(|cell| legible_within(&cell, WIDEST).into_owned());
        let cells = cells.collect();
        self.lines.push(Line::Cells(cells));
    }

    /// Adds a line of text that belongs to the row before it.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.lines.push(Line::Note(legible(&text).into_owned()));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths: Vec<usize> = Vec::new();
        let mut numbers: Vec<bool> = Vec::new();
        for (row, line) in self.lines.iter().enumerate() {
            let Line::Cells(cells) = line else { continue };
            for (column, cell) in cells.iter().enumerate() {
                if column == widths.len() {
                    widths.push(0);
                    numbers.push(true);
                }
                widths[column] = widths[column].max(cell.chars().count());
                let number = cell.is_empty() || cell.parse::<f64>().is_ok();
                numbers[column] &= row == 0 || number;
            }
        }
        for line in &self.lines {
            let mut text = String::new();
            match line {
                Line::Note(note) => text.extend([&" ".repeat(widths[0] + 2), "  ", note]),
                Line::Cells(cells) => {
                    for (column, cell) in cells.iter().enumerate() {
                        let width = widths[column];
                        // Numbers are aligned to the right.
                        text.push_str(&match numbers[column] {
                            true => format!("{cell:>width$}  "),
                            false => format!("{cell:width$}  "),
                        });
                    }
                }
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// Returns the median of `values`, which is the larger of the two middle values if their number is
/// even. Returns `None` if there are no values.
pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Formats a number with `decimals` decimals. The text is empty if there is no number.
pub(super) fn shown(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut table = Table::new(["board", "tuned", "status"]);
        table.row(["crs0001", "256", "ok"]);
        table.note("all is well");
        table.row(["b2", "9"]);
        assert_eq!(
            table.to_string(),
            "board    tuned  status\n\
             crs0001    256  ok\n           \
             all is well\n\
             b2           9\n"
        );
    }
}
