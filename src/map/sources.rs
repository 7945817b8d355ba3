//! Texts that are read together: a file, and the files that it includes or names. A byte offset
//! counts through all of them, so that it stands for a place in one of the files.

use std::cell::OnceCell;
use std::rc::Rc;

use super::Place;
use super::place::Lines;

/// The texts, each with the name of its file.
pub(super) struct Sources<'t> {
    text: &'t str,
    file: &'t str,
    lines: OnceCell<Lines>,
    /// The texts after the first one, by the offsets at which they begin.
    others: Vec<Source>,
}

struct Source {
    begin: usize,
    file: String,
    text: Rc<str>,
    lines: OnceCell<Lines>,
}

impl<'t> Sources<'t> {
    pub(super) fn new(text: &'t str, file: &'t str) -> Self {
        Self {
            text,
            file,
            lines: OnceCell::new(),
            others: Vec::new(),
        }
    }

    /// The text of the first file.
    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// The name of the first file.
    pub(super) fn file(&self) -> &'t str {
        self.file
    }

    /// Adds the text of another file. Returns the offset at which it begins.
    #[cfg(feature = "cli")]
    pub(super) fn add(&mut self, text: Rc<str>, file: String) -> usize {
        let (before, length) = match self.others.last() {
            Some(last) => (last.begin, last.text.len()),
            None => (0, self.text.len()),
        };
        // The end of a text is a place of its own, apart from the beginning of the next text.
        let begin = before + length + 1;
        self.others.push(Source {
            begin,
            file,
            text,
            lines: OnceCell::new(),
        });
        begin
    }

    /// Returns the index in `others` of the text at `at`, or `None` for the first text.
    fn index(&self, at: usize) -> Option<usize> {
        let after = self.others.partition_point(|source| source.begin <= at);
        after.checked_sub(1)
    }

    /// Returns the place at the offset `at` in its file.
    pub(super) fn place(&self, at: usize) -> Place {
        let (text, lines, begin) = match self.index(at) {
            Some(index) => {
                let source = &self.others[index];
                (&*source.text, &source.lines, source.begin)
            }
            None => (self.text, &self.lines, 0),
        };
        let lines = lines.get_or_init(|| Lines::of(text));
        lines.place(text, at - begin)
    }

    /// Returns the name of the file at the offset `at`, or `None` for the first file.
    pub(super) fn other_file(&self, at: usize) -> Option<&str> {
        self.index(at).map(|index| &*self.others[index].file)
    }

    /// Returns the place at `to` in words, for a message at `from`. They have the name of the file
    /// if it is not that of the message.
    pub(super) fn refer(&self, from: usize, to: usize) -> String {
        let place = self.place(to);
        if self.index(from) == self.index(to) {
            return place.to_string();
        }
        format!("{place} of {}", self.other_file(to).unwrap_or(self.file))
    }
}
