//! Reading of values directly from the body of a message, in JSON and CBOR.

use std::borrow::Cow;

use super::array::{self, Shape};
use super::error::{DecodeError, DecodeErrorKind, Limits};
use super::format::Format;
use super::nested::{Entries, Items, Level, Remaining};
use super::value::Value;
use super::{cbor, json};

/// Position of a value in a body. Each reading method moves the cursor past the value that it read.
///
/// A cursor is cheap to copy, and a copy continues from the same position. After an error the
/// position is undefined: use an earlier copy, or discard the body. Texts are borrowed from the
/// body, except those that contain escapes (JSON) or come in chunks (CBOR).
///
/// ```
/// use twotone_wire::tuber::{Cursor, Format, Limits};
///
/// let mut cursor = Cursor::new(Format::Json, br#"{"i": [1.5, NaN], "n": 2}"#, &Limits::ANSWER)?;
/// let (mut i, mut n) = (Vec::new(), 0);
/// let mut entries = cursor.entries()?;
/// while let Some((key, value)) = entries.next()? {
///     match &*key {
///         "i" => value.f64_into(&mut i)?,
///         "n" => n = value.i64()?,
///         _ => value.skip()?,
///     }
/// }
/// assert_eq!((i[0], i[1].is_nan(), n), (1.5, true, 2));
/// # Ok::<(), twotone_wire::tuber::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    pub(super) format: Format,
    pub(super) depth: u8,
    pub(super) max_depth: u8,
}

/// Kind of a value that has not been read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Null, or CBOR's undefined.
    Null,
    /// A boolean.
    Bool,
    /// An integer or a float.
    Number,
    /// A text.
    Str,
    /// Bytes (only in CBOR; in JSON they have the form of a map).
    Bytes,
    /// A list.
    Array,
    /// A map.
    Map,
    /// A typed or multi-dimensional array (only in CBOR).
    TypedArray,
}

impl Kind {
    /// Name of the kind in error messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a truth value",
            Self::Number => "a number",
            Self::Str => "a text",
            Self::Bytes => "bytes",
            Self::Array => "a list",
            Self::Map => "a map",
            Self::TypedArray => "a typed array",
        }
    }
}

/// An integer or a float, as it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer within the range of `i64`.
    Int(i64),
    /// A float, or an integer beyond the range of `i64`.
    Float(f64),
}

impl Number {
    /// The number as a float.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

impl<'a> Cursor<'a> {
    /// Creates a cursor at the start of a body.
    pub fn new(format: Format, body: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        if body.len() > limits.body_bytes {
            let kind = DecodeErrorKind::TooLarge {
                bytes: body.len(),
                limit: limits.body_bytes,
            };
            return Err(DecodeError::new(0, kind));
        }
        let max_depth = limits.depth.min(Limits::MAX_DEPTH) as u8;
        Ok(Cursor {
            bytes: body,
            at: 0,
            format,
            depth: 0,
            max_depth,
        })
    }

    /// Format of the body.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Position of the cursor, in bytes from the start of the body.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Kind of the next value. The cursor does not move.
    pub fn kind(&self) -> Result<Kind, DecodeError> {
        match self.format {
            Format::Json => json::kind(self),
            Format::Cbor => cbor::kind(self),
        }
    }

    /// Moves past a null and returns true. Returns false and does not move if the next value is not
    /// null.
    pub fn take_null(&mut self) -> Result<bool, DecodeError> {
        if self.kind()? != Kind::Null {
            return Ok(false);
        }
        self.skip()?;
        Ok(true)
    }

    /// Reads a boolean.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.format {
            Format::Json => json::bool(self),
            Format::Cbor => cbor::bool(self),
        }
    }

    /// Reads an integer or a float.
    pub fn number(&mut self) -> Result<Number, DecodeError> {
        match self.format {
            Format::Json => json::number(self),
            Format::Cbor => cbor::number(self),
        }
    }

    /// Reads a number as a float. Integers are converted. In JSON, the bare words `NaN`, `Infinity`
    /// and `-Infinity` are numbers, too.
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(self.number()?.as_f64())
    }

    /// Reads a number as a float, or `None` for null.
    pub fn opt_f64(&mut self) -> Result<Option<f64>, DecodeError> {
        if self.take_null()? {
            Ok(None)
        } else {
            self.f64().map(Some)
        }
    }

    /// Reads an integer. A float is an error, even if it is a whole number.
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        let start = *self;
        match self.number()? {
            Number::Int(value) => Ok(value),
            Number::Float(_) => Err(start.wrong_type("an integer", "a float")),
        }
    }

    /// Reads an integer, or `None` for null.
    pub fn opt_i64(&mut self) -> Result<Option<i64>, DecodeError> {
        if self.take_null()? {
            Ok(None)
        } else {
            self.i64().map(Some)
        }
    }

    /// Reads a text.
    pub fn str(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        match self.format {
            Format::Json => json::str(self),
            Format::Cbor => cbor::str(self),
        }
    }

    /// Reads bytes; in JSON these are a map `{"bytes": [..]}`.
    pub fn bytes(&mut self) -> Result<Cow<'a, [u8]>, DecodeError> {
        match self.format {
            Format::Json => json::bytes(self),
            Format::Cbor => cbor::bytes(self),
        }
    }

    /// Enters a list, to read its items.
    pub fn items(&mut self) -> Result<Items<'_, 'a>, DecodeError> {
        let remaining = self.open_list()?;
        Ok(Items(Level::new(self, remaining)))
    }

    /// Enters a map, to read its keys and values in their order. Keys that are numbers, which CBOR
    /// allows, are returned as texts.
    pub fn entries(&mut self) -> Result<Entries<'_, 'a>, DecodeError> {
        let remaining = match self.format {
            Format::Json => json::open(self, Kind::Map)?,
            Format::Cbor => cbor::open(self, Kind::Map)?,
        };
        self.descend()?;
        Ok(Entries(Level::new(self, remaining)))
    }

    /// Moves past one value of any kind, and checks that it is well formed.
    pub fn skip(&mut self) -> Result<(), DecodeError> {
        match self.format {
            Format::Json => json::skip(self),
            Format::Cbor => cbor::skip(self),
        }
    }

    /// Appends the numbers of an array to `out`, row-major. A null among them is NaN. The array may
    /// have any shape of up to [`Shape::MAX_AXES`] axes.
    pub fn f64_into(&mut self, out: &mut Vec<f64>) -> Result<(), DecodeError> {
        self.array_into(out).map(|_| ())
    }

    /// Appends the numbers of an array to `out`, row-major, and returns its shape, which may have
    /// up to [`Shape::MAX_AXES`] axes. After an error, `out` is as long as before.
    ///
    /// Reads nested lists in both formats. In CBOR it also reads typed arrays of integers and
    /// floats of up to 64 bits in either byte order, alone (one axis) or inside a multi-dimensional
    /// array in row-major or column-major order. A null in a list of numbers is read as NaN, since
    /// some servers write NaN in this way.
    pub fn array_into(&mut self, out: &mut Vec<f64>) -> Result<Shape, DecodeError> {
        array::read(self, out)
    }

    /// Reads a value of any kind.
    pub fn value(&mut self) -> Result<Value, DecodeError> {
        Value::read(self)
    }

    /// Checks that the body ends here.
    pub fn end(&self) -> Result<(), DecodeError> {
        let rest = self.rest();
        let blank = match self.format {
            Format::Json => rest.iter().all(|byte| json::is_blank(*byte)),
            Format::Cbor => rest.is_empty(),
        };
        if blank {
            Ok(())
        } else {
            Err(self.fail(DecodeErrorKind::Trailing))
        }
    }

    /// Enters a list whose items the caller reaches with [`Cursor::step`], for callers that cannot
    /// keep a borrow in [`Items`].
    pub(super) fn open_list(&mut self) -> Result<Remaining, DecodeError> {
        let remaining = match self.format {
            Format::Json => json::open(self, Kind::Array)?,
            Format::Cbor => cbor::open(self, Kind::Array)?,
        };
        self.descend()?;
        Ok(remaining)
    }

    /// Moves to the next item of a list or entry of a map. Returns true if there is one.
    pub(super) fn step(&mut self, remaining: &mut Remaining) -> Result<bool, DecodeError> {
        match self.format {
            Format::Json => json::step(self, remaining),
            Format::Cbor => cbor::step(self, remaining),
        }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(super) fn fail(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(self.at, kind)
    }

    pub(super) fn wrong_type(&self, expected: &'static str, found: &'static str) -> DecodeError {
        self.fail(DecodeErrorKind::WrongType { expected, found })
    }

    /// The error for a value whose kind is not the expected one.
    pub(super) fn unexpected(&self, expected: &'static str) -> DecodeError {
        match self.kind() {
            Ok(kind) => self.wrong_type(expected, kind.name()),
            Err(error) => error,
        }
    }

    pub(super) fn descend(&mut self) -> Result<(), DecodeError> {
        if self.depth >= self.max_depth {
            return Err(self.fail(DecodeErrorKind::TooDeep(usize::from(self.max_depth))));
        }
        self.depth += 1;
        Ok(())
    }
}
