//! Iteration over the items of a list and the entries of a map.

use std::borrow::Cow;

use super::cursor::{Cursor, Kind};
use super::error::{DecodeError, DecodeErrorKind};
use super::format::Format;
use super::{cbor, json};

/// Items of a list that is being read.
#[derive(Debug)]
pub struct Items<'c, 'a>(pub(super) Level<'c, 'a>);

impl<'a> Items<'_, 'a> {
    /// Returns a cursor at the next item. At the end of the list it returns `None`, and the cursor
    /// is past the list.
    ///
    /// The next call skips an item that was not read. It fails if an item was read only in part.
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends the cursor, and it can fail"
    )]
    pub fn next(&mut self) -> Result<Option<&mut Cursor<'a>>, DecodeError> {
        if self.0.step()? {
            self.0.untouched = self.0.cursor.at;
            Ok(Some(self.0.cursor))
        } else {
            Ok(None)
        }
    }

    /// The cursor. After the last item it is past the list.
    pub(super) fn cursor(&self) -> &Cursor<'a> {
        self.0.cursor
    }
}

/// Entries of a map that is being read.
#[derive(Debug)]
pub struct Entries<'c, 'a>(pub(super) Level<'c, 'a>);

impl<'a> Entries<'_, 'a> {
    /// Returns the next key, and a cursor at its value. At the end of the map it returns `None`,
    /// and the cursor is past the map.
    ///
    /// The next call skips a value that was not read. It fails if a value was read only in part.
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends the cursor, and it can fail"
    )]
    pub fn next(&mut self) -> Result<Option<(Cow<'a, str>, &mut Cursor<'a>)>, DecodeError> {
        if !self.0.step()? {
            return Ok(None);
        }
        let key = match self.0.cursor.format {
            Format::Json => json::key(self.0.cursor)?,
            Format::Cbor => cbor::key(self.0.cursor)?,
        };
        self.0.untouched = self.0.cursor.at;
        Ok(Some((key, self.0.cursor)))
    }
}

/// Number of items or entries that have not been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remaining {
    /// The number is known from the head.
    Exactly(u64),
    /// The list or map ends with a closing bracket (JSON) or a break (CBOR). In JSON, `first` is
    /// true before the first item.
    UntilMark { first: bool, kind: Kind },
    /// None: the cursor is past the end.
    Done,
}

/// List or map whose items are being read.
#[derive(Debug)]
pub(super) struct Level<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    remaining: Remaining,
    depth: u8,
    /// Position of the value that was returned last. If the cursor is still there, the value was
    /// not read.
    untouched: usize,
}

impl<'c, 'a> Level<'c, 'a> {
    pub(super) fn new(cursor: &'c mut Cursor<'a>, remaining: Remaining) -> Self {
        let depth = cursor.depth;
        Level {
            cursor,
            remaining,
            depth,
            untouched: usize::MAX,
        }
    }

    /// Moves to the next item. Returns true if there is an item.
    fn step(&mut self) -> Result<bool, DecodeError> {
        if self.remaining == Remaining::Done {
            return Ok(false);
        }
        if self.cursor.depth != self.depth {
            return Err(self.cursor.fail(DecodeErrorKind::HalfRead));
        }
        if self.cursor.at == self.untouched {
            self.cursor.skip()?;
        }
        let more = self.cursor.step(&mut self.remaining)?;
        if !more {
            self.remaining = Remaining::Done;
            self.cursor.depth -= 1;
        }
        Ok(more)
    }
}
