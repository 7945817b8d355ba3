//! Reading of a table of a TOML file key by key, so that all problems of the file are reported
//! together.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::plausible::written;
use super::sources::Sources;
use super::suggest::{list, nearest};
use super::{MapError, Place, Problem};

/// Largest number of problems that are reported for one file. Further problems are only counted.
pub(super) const TOLD: usize = 100;

/// Largest number of characters of a message. A longer message contains a very long name, so its
/// middle is left out.
const LONGEST: usize = 1000;

/// Largest number of comparisons between names, in one file, to find the name that was probably
/// meant by an unknown name.
const COMPARED: usize = 100_000;

/// Largest text, in bytes, for which every syntax error is reported. In a longer text, the memory
/// for all errors might be too much.
const RECOVERED: usize = 2 << 20;

/// Problems that have been found so far.
pub(super) struct Findings<'t> {
    sources: Sources<'t>,
    problems: Vec<Problem>,
    /// Number of problems beyond those that are reported.
    more: usize,
    /// True if the rest of the file was not checked, so that there may be more problems.
    unfinished: bool,
    compared: usize,
}

/// A value with its byte offset in the text.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) at: usize,
}

impl<'t> Findings<'t> {
    pub(super) fn new(text: &'t str, file: &'t str) -> Self {
        Self {
            sources: Sources::new(text, file),
            problems: Vec::new(),
            more: 0,
            unfinished: false,
            compared: 0,
        }
    }

    /// Parses the text as TOML, or returns all of its syntax errors. If the text is longer than
    /// [`RECOVERED`], returns only the first error.
    pub(super) fn toml(&mut self) -> Result<Spanned<DeTable<'t>>, MapError> {
        let text = self.sources.text();
        let (root, errors) = match DeTable::parse(text) {
            Ok(root) => return Ok(root),
            Err(_) if text.len() <= RECOVERED => DeTable::parse_recoverable(text),
            Err(error) => {
                self.stop();
                (Spanned::new(0..0, DeTable::new()), vec![error])
            }
        };
        let mut last_line = 0;
        for error in errors {
            let at = error.span().map_or(text.len(), |span| span.start);
            // Later errors on the same line usually follow from the first one.
            let line = self.place(at).line;
            if line != last_line {
                let message = error.message().trim_end_matches(", expected nothing");
                let hint = match message {
                    "unexpected leading zero" => "; in quotes it would be a string",
                    _ => "",
                };
                self.say(at, format!("{message}{hint}"));
            }
            last_line = line;
        }
        self.done().map(|()| root)
    }

    /// Adds the text of another file. Returns the byte offset that its first byte has from now on.
    #[cfg(feature = "cli")]
    pub(super) fn add(&mut self, text: std::rc::Rc<str>, file: String) -> usize {
        self.sources.add(text, file)
    }

    pub(super) fn place(&self, at: usize) -> Place {
        self.sources.place(at)
    }

    /// Returns the place at `to` in words, for a message at `from`.
    pub(super) fn refer(&self, from: usize, to: usize) -> String {
        self.sources.refer(from, to)
    }

    /// Returns a problem at the byte offset `at`.
    pub(super) fn problem(&self, at: usize, message: String, suggestion: Option<&str>) -> Problem {
        Problem {
            file: self.sources.other_file(at).map(str::to_owned),
            place: Some(self.place(at)),
            message: shortened(message),
            suggestion: suggestion.map(str::to_owned),
        }
    }

    pub(super) fn say(&mut self, at: usize, message: impl Into<String>) {
        self.suggest(at, message, None);
    }

    pub(super) fn suggest(
        &mut self,
        at: usize,
        message: impl Into<String>,
        suggestion: Option<&str>,
    ) {
        if self.is_full() {
            self.more += 1;
            return;
        }
        let problem = self.problem(at, message.into(), suggestion);
        self.problems.push(problem);
    }

    /// True if further problems are only counted.
    fn is_full(&self) -> bool {
        self.problems.len() >= TOLD
    }

    /// Notes that the rest of the file is not checked.
    pub(super) fn stop(&mut self) {
        self.unfinished = true;
    }

    /// Returns the one of `names` that was probably meant by `found`. There may be very many names,
    /// so that comparing all would take too long. So it returns `None` once the file has had
    /// [`COMPARED`] comparisons. It also returns `None` if no name is similar, or if further
    /// problems are only counted.
    pub(super) fn nearest_of<'k>(
        &mut self,
        names: impl ExactSizeIterator<Item = &'k str>,
        found: &str,
    ) -> Option<&'k str> {
        if self.is_full() || self.compared >= COMPARED {
            return None;
        }
        self.compared += names.len();
        nearest(found, names)
    }

    /// Reports a name that is not among `known`. The message has the name that was probably meant,
    /// or else all known names. Returns the name that was probably meant.
    pub(super) fn unknown<'k>(
        &mut self,
        at: usize,
        what: &str,
        known: impl IntoIterator<Item = &'k str> + Clone,
        found: &str,
    ) -> Option<&'k str> {
        let near = nearest(found, known.clone());
        match near {
            Some(_) => self.suggest(at, what, near),
            None => self.say(at, format!("{what}; known: {}", list(known))),
        }
        near
    }

    pub(super) fn any(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Returns an error with all problems if there are any.
    pub(super) fn done(&mut self) -> Result<(), MapError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        let error = MapError::new(self.sources.file(), std::mem::take(&mut self.problems));
        Err(match (self.more, self.unfinished) {
            (0, false) => error,
            (0, true) => error.with_last("there may be more problems: mend these first".to_owned()),
            (more, false) => error.with_last(format!("{more} more problems: mend these first")),
            (more, true) => error.with_last(format!(
                "{more} more problems, and perhaps others, since the rest was not checked: mend these first"
            )),
        })
    }
}

/// Shortens `message` to its beginning and its end if it has more than [`LONGEST`] characters.
pub(super) fn shortened(message: String) -> String {
    // A text has at least as many bytes as characters, and the number of bytes is known without
    // counting.
    if message.len() <= LONGEST {
        return message;
    }
    let length = message.chars().count();
    if length <= LONGEST {
        return message;
    }
    let begin: String = message.chars().take(LONGEST / 2).collect();
    let end = message.char_indices().rev().nth(LONGEST / 4);
    let end = end.map_or("", |(at, _)| &message[at..]);
    format!("{begin} ... {end} (of {length} characters)")
}

/// A table with its title, such as `[[board]]`.
#[derive(Clone, Copy)]
pub(super) struct Section<'a, 'i> {
    pub(super) title: &'static str,
    pub(super) table: &'a DeTable<'i>,
    /// Byte offset of the table.
    pub(super) at: usize,
}

impl<'a> Section<'a, '_> {
    /// Reports keys of the table that are not among `known`, and returns the keys that were
    /// probably meant by them. `elsewhere` returns the section to which a key belongs, if another
    /// section has it.
    pub(super) fn only(
        &self,
        findings: &mut Findings<'_>,
        known: &[&'static str],
        elsewhere: impl Fn(&str) -> Option<&'static str>,
    ) -> Vec<&'static str> {
        let mut meant = Vec::new();
        for key in self.table.keys() {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let what = format!("unknown key `{name}` in {}", self.title);
            let at = key.span().start;
            match elsewhere(name) {
                Some(home) => findings.say(at, format!("{what}; it belongs in {home}")),
                None => meant.extend(findings.unknown(at, &what, known.iter().copied(), name)),
            }
        }
        meant
    }

    /// Returns the byte offset of the value under `key`, or of the table if it has no such key.
    pub(super) fn place_of(&self, key: &str) -> usize {
        let value = self.table.get(key);
        value.map_or(self.at, |value| value.span().start)
    }

    /// Reads a string, if the key exists.
    pub(super) fn string(&self, findings: &mut Findings<'_>, key: &str) -> Option<Found<String>> {
        let value = self.table.get(key)?;
        let at = value.span().start;
        match value.get_ref() {
            DeValue::String(text) if text.trim().is_empty() => {
                findings.say(at, format!("`{key}` is empty"));
                None
            }
            DeValue::String(text) => Some(Found {
                value: text.clone().into_owned(),
                at,
            }),
            DeValue::Integer(number) => {
                let wrong = format!("`{key}` is a string: write \"{number}\"");
                findings.say(at, wrong);
                None
            }
            other => {
                findings.say(at, format!("`{key}` must be a string, not {}", kind(other)));
                None
            }
        }
    }

    /// Reads the number under `key`, if there is one.
    pub(super) fn as_number(&self, key: &str) -> Option<Found<f64>> {
        let value = self.table.get(key)?;
        let at = value.span().start;
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => integer(number).map(|number| number as f64),
            _ => None,
        };
        number.map(|value| Found { value, at })
    }

    /// Reads a number within `range`, in `unit`, if the key exists.
    pub(super) fn number(
        &self,
        findings: &mut Findings<'_>,
        key: &str,
        range: RangeInclusive<f64>,
        unit: &str,
    ) -> Option<Found<f64>> {
        let value = self.table.get(key)?;
        let at = value.span().start;
        if !matches!(value.get_ref(), DeValue::Float(_) | DeValue::Integer(_)) {
            let kind = kind(value.get_ref());
            findings.say(at, format!("`{key}` must be a number, not {kind}"));
            return None;
        }
        let number = self.as_number(key);
        // The check of the range also refuses infinities and NaN: no range contains them.
        match number.filter(|number| range.contains(&number.value)) {
            Some(found) => Some(found),
            None => {
                let what = format!(
                    "`{key}` must be from {} to {} {unit}",
                    written(*range.start()),
                    written(*range.end())
                );
                findings.say(at, what.trim_end());
                None
            }
        }
    }

    /// Reads a whole number within `range`, if the key exists.
    pub(super) fn count(
        &self,
        findings: &mut Findings<'_>,
        key: &str,
        range: RangeInclusive<u8>,
    ) -> Option<Found<u8>> {
        let value = self.table.get(key)?;
        let at = value.span().start;
        let number = match value.get_ref() {
            DeValue::Integer(number) => integer(number).and_then(|n| u8::try_from(n).ok()),
            _ => None,
        };
        match number.filter(|number| range.contains(number)) {
            Some(value) => Some(Found { value, at }),
            None => {
                findings.say(
                    at,
                    format!(
                        "`{key}` must be a whole number from {} to {}",
                        range.start(),
                        range.end()
                    ),
                );
                None
            }
        }
    }

    /// Reads the tables of the list under `key`. The list is empty if the key is absent. `title` is
    /// the title of each table.
    pub(super) fn list<'s>(
        &'s self,
        findings: &mut Findings<'_>,
        key: &str,
        title: &'static str,
    ) -> Vec<Section<'a, 's>> {
        let Some(value) = self.table.get(key) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value.get_ref() else {
            findings.say(
                value.span().start,
                format!("`{key}` is a list of tables: write {title}"),
            );
            return Vec::new();
        };
        let mut sections = Vec::with_capacity(array.len());
        for item in array.iter() {
            let at = item.span().start;
            match item.get_ref() {
                DeValue::Table(table) => sections.push(Section { title, table, at }),
                other => findings.say(
                    at,
                    format!(
                        "`{key}` must hold tables, not {}: write {title}",
                        kind(other)
                    ),
                ),
            }
        }
        sections
    }

    /// Reports `key` if it is missing and is not merely misspelt. `meant` are the keys that
    /// [`Section::only`] has returned for this table.
    pub(super) fn needs(&self, findings: &mut Findings<'_>, key: &str, meant: &[&str]) {
        if !self.table.contains_key(key) && !meant.contains(&key) {
            findings.say(self.at, format!("{} has no `{key}`", self.title));
        }
    }
}

fn integer(number: &toml::de::DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
