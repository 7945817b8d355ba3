//! The items of lists and the entries of maps, one after another.

use std::borrow::Cow;

use super::cursor::{Cursor, Kind};
use super::error::{DecodeError, DecodeErrorKind};
use super::format::Format;
use super::{cbor, json};

/// The items of a list that is being read.
#[derive(Debug)]
pub struct Items<'c, 'a>(pub(super) Level<'c, 'a>);

impl<'a> Items<'_, 'a> {
    /// Returns the next item, or `None` at the end of the list. The cursor then stands past the
    /// list.
    ///
    /// The next call skips an item that is not touched. It fails if an item is left half read.
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

    /// The cursor. After the last item it stands past the list.
    pub(super) fn cursor(&self) -> &Cursor<'a> {
        self.0.cursor
    }
}

/// The entries of a map that is being read.
#[derive(Debug)]
pub struct Entries<'c, 'a>(pub(super) Level<'c, 'a>);

impl<'a> Entries<'_, 'a> {
    /// Returns the next key, with the cursor at its value, or `None` at the end of the map. The
    /// cursor then stands past the map.
    ///
    /// The next call skips a value that is not touched. It fails if a value is left half read.
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

/// Number of items or entries that a list or map still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remaining {
    /// Known from its head.
    Exactly(u64),
    /// Any number until a closing mark; `first` is true before the first item.
    UntilMark { first: bool, kind: Kind },
    /// None: the cursor stands past the end.
    Done,
}

/// A list or map that has been entered.
#[derive(Debug)]
pub(super) struct Level<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    remaining: Remaining,
    depth: u8,
    /// Position of the value that was handed out last.
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

    /// Moves to the next item. Returns true if there is one.
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
