//! Tables of the Python package rfmux: lines of fields that tabs separate, with the names of the
//! columns first. Lines that begin with `#` are no part of a table. A field with a space must be in
//! quotes.

use crate::map::section::Found;

/// A table, with the byte offsets of its fields.
#[derive(Default)]
pub(super) struct Table {
    pub(super) columns: Vec<Found<String>>,
    /// The rows, without the empty ones.
    pub(super) rows: Vec<Row>,
    /// True if the text begins with a byte order mark.
    pub(super) marked: bool,
}

pub(super) struct Row {
    pub(super) at: usize,
    pub(super) fields: Vec<Found<String>>,
}

impl Row {
    /// Returns the field of the column with this index, unless it is empty or missing.
    pub(super) fn field(&self, column: Option<usize>) -> Option<&Found<String>> {
        let field = self.fields.get(column?)?;
        (!field.value.is_empty()).then_some(field)
    }
}

/// Reads the table in `text`, whose first byte has the offset `begin`. Calls `problem` with the
/// place and the description of each problem.
pub(super) fn read(text: &str, begin: usize, problem: &mut dyn FnMut(usize, String)) -> Table {
    let body = text.strip_prefix('\u{feff}');
    let marked = body.is_some();
    let body = body.unwrap_or(text);
    let begin = begin + text.len() - body.len();
    let mut parser = Parser::default();
    for line in lines(body).filter(|line| !line.text.starts_with('#')) {
        let mut at = begin + line.at;
        for field in line.text.split('\t') {
            let quoted = field.starts_with('"') && field.ends_with('"');
            if field.contains(' ') && !quoted {
                let what = "a field with a space must be in quotes, and tabs separate the fields";
                problem(at, format!("{field:?}: {what}"));
            }
            at += field.len() + 1;
        }
        parser.line(&line, begin);
    }
    if let Some(at) = parser.end() {
        problem(at, "this quote is never closed".to_owned());
    }
    let mut rows = parser.rows.into_iter();
    let columns = rows.next().map(|row| row.fields).unwrap_or_default();
    Table {
        columns,
        rows: rows.filter(|row| !row.fields.is_empty()).collect(),
        marked,
    }
}

/// A line of a text, without the characters that end it.
struct Line<'t> {
    at: usize,
    text: &'t str,
}

/// Splits `text` into lines. As in Python, a carriage return ends a line too.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let (text, end) = rest.split_at(length);
        let line = Line { at, text };
        at += length + if end.starts_with("\r\n") { 2 } else { 1 };
        Some(line)
    })
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Row,
    Field,
    Plain,
    Quoted,
    /// After a quote in a quoted field: the end of the quoted part, or the first of two quotes that
    /// stand for one.
    Quote,
}

#[derive(Default)]
struct Parser {
    rows: Vec<Row>,
    row: Vec<Found<String>>,
    field: Found<String>,
    state: State,
}

impl Parser {
    fn line(&mut self, line: &Line<'_>, begin: usize) {
        let mut next = begin + line.at;
        for c in line.text.chars() {
            let at = next;
            next += c.len_utf8();
            if matches!(self.state, State::Row | State::Field) {
                self.field.at = at;
            }
            self.state = match (self.state, c) {
                (State::Quoted, '"') => State::Quote,
                (State::Row | State::Field, '"') => State::Quoted,
                (State::Row | State::Field | State::Plain | State::Quote, '\t') => {
                    self.save();
                    State::Field
                }
                (before, c) => {
                    self.field.value.push(c);
                    match before {
                        State::Quoted => State::Quoted,
                        State::Quote if c == '"' => State::Quoted,
                        _ => State::Plain,
                    }
                }
            };
        }
        match self.state {
            State::Quoted => self.field.value.push('\n'),
            State::Row => self.row_ends(next),
            State::Field => {
                self.field.at = next;
                self.save();
                self.row_ends(next);
            }
            State::Plain | State::Quote => {
                self.save();
                self.row_ends(next);
            }
        }
    }

    fn save(&mut self) {
        self.row.push(std::mem::take(&mut self.field));
    }

    fn row_ends(&mut self, at: usize) {
        let fields = std::mem::take(&mut self.row);
        let at = fields.first().map_or(at, |field| field.at);
        self.rows.push(Row { at, fields });
        self.state = State::Row;
    }

    /// Ends the last row. Returns the place of a quote that is not closed.
    fn end(&mut self) -> Option<usize> {
        if self.state != State::Quoted {
            return None;
        }
        let at = self.field.at;
        self.save();
        self.row_ends(at);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the columns and the rows of a table as text, and its problems.
    fn table(text: &str) -> (String, Vec<(usize, String)>) {
        let mut problems = Vec::new();
        let table = read(text, 100, &mut |at, what| problems.push((at, what)));
        let shown = |fields: &[Found<String>]| {
            let texts = fields.iter().map(|field| field.value.as_str());
            texts.collect::<Vec<_>>().join("|")
        };
        let rows = table.rows.iter().map(|row| shown(&row.fields));
        let all: Vec<_> = std::iter::once(shown(&table.columns)).chain(rows).collect();
        (all.join(";"), problems)
    }

    #[test]
    fn tables_are_those_that_python_reads() {
        for text in [
            "n\tf\na\t1\nb\t2\n",
            "n\tf\na\t1\nb\t2",
            "n\tf\r\na\t1\r\nb\t2\r\n",
            "n\tf\ra\t1\rb\t2\r",
            "\u{feff}n\tf\na\t1\nb\t2\n",
            "# two\n#\nn\tf\n# rows\na\t1\n\n\nb\t2\n#",
            "\"n\"\t\"f\"\n\"a\"\t1\n\"b\"\t2\n",
        ] {
            assert_eq!(table(text), ("n|f;a|1;b|2".to_owned(), vec![]), "{text:?}");
        }
        for (text, expected) in [
            ("", ""),
            ("# nothing\n", ""),
            ("\nn\tf\n", ";n|f"),
            ("n\t\n\t1\n", "n|;|1"),
            ("n\na\t\t\n", "n;a||"),
            ("n\n\"a \"\"b\"\"\"\n", "n;a \"b\""),
            ("n\n\"a\"b\"c\tc\n", "n;ab\"c|c"),
            ("n\na\"b\"\n", "n;a\"b\""),
            ("n\n\"a\tb\"\tc\n", "n;a\tb|c"),
            ("n\n\"a\n# no part\n\nb\"\tc\n", "n;a\n\nb|c"),
        ] {
            assert_eq!(table(text), (expected.to_owned(), vec![]), "{text:?}");
        }
    }

    #[test]
    fn problems_of_tables_have_their_places() {
        for (text, at) in [
            ("n\tf\na b\t1\n", 104),
            ("n f\n", 100),
            ("\u{feff}n\t f\n", 105),
            ("n\n \n", 102),
            ("n\n\"a\" b\n", 102),
            ("n\na\t\"b\n", 104),
        ] {
            let problems = table(text).1;
            assert_eq!((problems.len(), problems[0].0), (1, at), "{text:?}");
        }
        let mut none = |_, _: String| ();
        let table = read("n\tf\n\"a\"\t\t1\n", 7, &mut none);
        let fields = table.rows[0].fields.iter().map(|field| field.at);
        assert_eq!(fields.collect::<Vec<_>>(), [11, 15, 16]);
        assert_eq!(table.rows[0].field(Some(0)).map(|field| field.at), Some(11));
        assert!(table.rows[0].field(Some(1)).is_none());
    }
}
