//! Places in a text, by line and column.

use std::fmt;

/// A place in a text. Both numbers count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Place {
    /// Returns the place of byte `offset` of `text`, or of the end of `text` if `offset` lies
    /// beyond.
    pub fn of(text: &str, offset: usize) -> Self {
        Lines::of(text).place(text, offset)
    }
}

/// Number of bytes in a block of text. The characters before each block are counted in advance.
const BLOCK: usize = 256;

/// Index of the lines of a text. With the index, a place in a long text is found about as fast as
/// in a short one.
pub(super) struct Lines {
    /// The byte at which each line begins.
    begin: Vec<usize>,
    /// The number of characters before each block of the text, and before its end.
    before: Vec<usize>,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let begin = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1));
        let blocks = text.as_bytes().chunks(BLOCK);
        let through = blocks.scan(0, |count, block| {
            *count += characters(block);
            Some(*count)
        });
        Self {
            begin: begin.collect(),
            before: std::iter::once(0).chain(through).collect(),
        }
    }

    /// As [`Place::of`]. `text` is the text of which this is the index.
    pub(super) fn place(&self, text: &str, offset: usize) -> Place {
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let line = self.begin.partition_point(|begin| *begin <= end);
        let begin = self.begin[line - 1];
        Place {
            line,
            column: self.characters_before(text, end) - self.characters_before(text, begin) + 1,
        }
    }

    fn characters_before(&self, text: &str, end: usize) -> usize {
        let block = end / BLOCK;
        self.before[block] + characters(&text.as_bytes()[block * BLOCK..end])
    }
}

/// Returns the number of characters that begin in these bytes of a text.
fn characters(bytes: &[u8]) -> usize {
    let begins = |byte: &&u8| (**byte as i8) >= -0x40;
    bytes.iter().filter(begins).count()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let text = "a\nµb = 1\r\n\nc";
        for (offset, line, column) in [
            (0, 1, 1),
            (1, 1, 2),
            (2, 2, 1),
            (4, 2, 2),
            (3, 2, 1),
            (12, 4, 1),
            (99, 4, 2),
        ] {
            assert_eq!(
                Place::of(text, offset),
                Place { line, column },
                "offset {offset}"
            );
        }
        assert_eq!(Place::of("", 0), Place { line: 1, column: 1 });
    }

    /// Compares the place of every byte with the result of counting all characters before it, for
    /// texts of about one to three blocks.
    #[test]
    fn places_in_long_texts_are_those_of_a_count() {
        for length in [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 3 * BLOCK + 7] {
            for unit in ["a", "\n", "µ\n", "x = \"é€😀\"\r\n", "😀"] {
                let mut text = unit.repeat(length / unit.len());
                text.push_str(&"z".repeat(length - text.len()));
                let lines = Lines::of(&text);
                for (at, _) in text.char_indices().chain([(length, ' ')]) {
                    let before = &text[..at];
                    let expected = Place {
                        line: before.matches('\n').count() + 1,
                        column: before.chars().rev().take_while(|c| *c != '\n').count() + 1,
                    };
                    assert_eq!(
                        lines.place(&text, at),
                        expected,
                        "{length} of {unit:?} at {at}"
                    );
                }
            }
        }
    }
}
