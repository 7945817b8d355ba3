//! Implementation of [`Cursor`] for CBOR (RFC 8949). It reads one head at a time: the first bytes
//! of a data item, which have its type and its length or value.
//!
//! Tags that do not change the way in which their content is read (dates, sets, ...) are ignored.

use std::borrow::Cow;

use half::f16;

use super::cursor::{Cursor, Kind, Number};
use super::error::{DecodeError, DecodeErrorKind};
use super::nested::Remaining;

/// Tags of multi-dimensional arrays, row-major and column-major.
pub(super) const ROW_MAJOR: u64 = 40;
pub(super) const COLUMN_MAJOR: u64 = 1040;
/// Tags of typed arrays, supported or not.
const TYPED: std::ops::RangeInclusive<u64> = 64..=87;
const POSITIVE_BIGNUM: u64 = 2;
const NEGATIVE_BIGNUM: u64 = 3;

/// The byte that ends an item of indefinite length.
const BREAK: u8 = 0xff;
/// Additional information of a head of indefinite length.
const INDEFINITE: u8 = 31;

/// The major types, in the order of their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Major {
    Unsigned,
    Negative,
    Bytes,
    Text,
    Array,
    Map,
    Tag,
    Simple,
}

/// The head of a data item.
#[derive(Debug, Clone, Copy)]
struct Head {
    major: Major,
    /// Additional information: the five low bits of the first byte. They hold the argument or its
    /// width.
    info: u8,
    /// Argument: a value, a length, a tag or the bits of a float. 0 if the length is indefinite.
    argument: u64,
    /// Position of the end of the head.
    end: usize,
}

impl Head {
    /// Length of the item, or `None` if it is indefinite.
    fn length(&self) -> Option<u64> {
        (self.info != INDEFINITE).then_some(self.argument)
    }
}

/// Reads the head at the cursor, without moving.
#[inline]
fn head(cursor: &Cursor<'_>) -> Result<Head, DecodeError> {
    use Major::*;
    let Some((&first, rest)) = cursor.rest().split_first() else {
        return Err(cursor.fail(DecodeErrorKind::Truncated));
    };
    let major = [Unsigned, Negative, Bytes, Text, Array, Map, Tag, Simple][usize::from(first >> 5)];
    let info = first & 0x1f;
    let width = match info {
        0..24 => {
            return Ok(Head {
                major,
                info,
                argument: u64::from(info),
                end: cursor.at + 1,
            });
        }
        24..28 => 1 << (info - 24),
        INDEFINITE if matches!(major, Bytes | Text | Array | Map) => {
            return Ok(Head {
                major,
                info,
                argument: 0,
                end: cursor.at + 1,
            });
        }
        _ if first == BREAK => return Err(DecodeError::malformed(cursor.at, "a break by itself")),
        _ => return Err(DecodeError::malformed(cursor.at, "a reserved head")),
    };
    let Some(bytes) = rest.get(..width) else {
        return Err(cursor.fail(DecodeErrorKind::Truncated));
    };
    let argument = bytes
        .iter()
        .fold(0, |argument, byte| argument << 8 | u64::from(*byte));
    Ok(Head {
        major,
        info,
        argument,
        end: cursor.at + 1 + width,
    })
}

/// Moves past tags that are ignored, and returns the head that follows without moving past it.
#[inline]
fn untagged(cursor: &mut Cursor<'_>) -> Result<Head, DecodeError> {
    loop {
        let head = head(cursor)?;
        let is_meant = match head.argument {
            POSITIVE_BIGNUM | NEGATIVE_BIGNUM | ROW_MAJOR | COLUMN_MAJOR => true,
            tag => TYPED.contains(&tag),
        };
        if head.major != Major::Tag || is_meant {
            return Ok(head);
        }
        cursor.at = head.end;
    }
}

/// Moves past a tag and returns it. The caller has checked that there is one.
pub(super) fn tag(cursor: &mut Cursor<'_>) -> Result<u64, DecodeError> {
    let head = untagged(cursor)?;
    cursor.at = head.end;
    Ok(head.argument)
}

pub(super) fn kind(cursor: &Cursor<'_>) -> Result<Kind, DecodeError> {
    let mut cursor = *cursor;
    let head = untagged(&mut cursor)?;
    Ok(match (head.major, head.argument) {
        (Major::Unsigned | Major::Negative, _) => Kind::Number,
        (Major::Bytes, _) => Kind::Bytes,
        (Major::Text, _) => Kind::Str,
        (Major::Array, _) => Kind::Array,
        (Major::Map, _) => Kind::Map,
        (Major::Tag, POSITIVE_BIGNUM | NEGATIVE_BIGNUM) => Kind::Number,
        (Major::Tag, _) => Kind::TypedArray,
        (Major::Simple, _) => match head.info {
            20 | 21 => Kind::Bool,
            22 | 23 => Kind::Null,
            25..=27 => Kind::Number,
            _ => return Err(cursor.fail(DecodeErrorKind::Unsupported("a simple value"))),
        },
    })
}

pub(super) fn bool(cursor: &mut Cursor<'_>) -> Result<bool, DecodeError> {
    let head = untagged(cursor)?;
    match (head.major, head.info) {
        (Major::Simple, info @ (20 | 21)) => {
            cursor.at = head.end;
            Ok(info == 21)
        }
        _ => Err(cursor.unexpected("a truth value")),
    }
}

pub(super) fn number(cursor: &mut Cursor<'_>) -> Result<Number, DecodeError> {
    let head = untagged(cursor)?;
    let int = i64::try_from(head.argument);
    let number = match (head.major, head.info) {
        (Major::Unsigned, _) => int.map_or(Number::Float(head.argument as f64), Number::Int),
        (Major::Negative, _) => int.map_or(Number::Float(-1.0 - head.argument as f64), |value| {
            Number::Int(!value)
        }),
        (Major::Simple, 25) => Number::Float(f16::from_bits(head.argument as u16).to_f64()),
        (Major::Simple, 26) => Number::Float(f32::from_bits(head.argument as u32).into()),
        (Major::Simple, 27) => Number::Float(f64::from_bits(head.argument)),
        (Major::Tag, _) if matches!(head.argument, POSITIVE_BIGNUM | NEGATIVE_BIGNUM) => {
            cursor.at = head.end;
            let magnitude = bytes(cursor)?
                .iter()
                .fold(0.0, |n, b| n * 256.0 + f64::from(*b));
            let is_negative = head.argument == NEGATIVE_BIGNUM;
            return Ok(Number::Float(if is_negative {
                -1.0 - magnitude
            } else {
                magnitude
            }));
        }
        _ => return Err(cursor.unexpected("a number")),
    };
    cursor.at = head.end;
    Ok(number)
}

pub(super) fn str<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, DecodeError> {
    let head = untagged(cursor)?;
    let at = cursor.at;
    let not_utf8 = || DecodeError::malformed(at, "a text that is not UTF-8");
    match string(cursor, head, Major::Text, "a text")? {
        Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(_) => Err(not_utf8()),
        },
        Cow::Owned(bytes) => String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|_| not_utf8()),
    }
}

pub(super) fn bytes<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, [u8]>, DecodeError> {
    let head = untagged(cursor)?;
    string(cursor, head, Major::Bytes, "bytes")
}

/// Content of a byte or text string. The chunks of a string of indefinite length are joined.
fn string<'a>(
    cursor: &mut Cursor<'a>,
    head: Head,
    wanted: Major,
    name: &'static str,
) -> Result<Cow<'a, [u8]>, DecodeError> {
    if head.major != wanted {
        return Err(cursor.unexpected(name));
    }
    if head.length().is_some() {
        return chunk(cursor, head).map(Cow::Borrowed);
    }
    cursor.at = head.end;
    let mut joined = Vec::new();
    while cursor.rest().first() != Some(&BREAK) {
        let part = self::head(cursor)?;
        if part.major != wanted || part.length().is_none() {
            return Err(DecodeError::malformed(cursor.at, "a chunk of another type"));
        }
        joined.extend_from_slice(chunk(cursor, part)?);
    }
    cursor.at += 1;
    Ok(Cow::Owned(joined))
}

fn chunk<'a>(cursor: &mut Cursor<'a>, head: Head) -> Result<&'a [u8], DecodeError> {
    let length = usize::try_from(head.argument).unwrap_or(usize::MAX);
    let bytes = head
        .end
        .checked_add(length)
        .and_then(|end| cursor.bytes.get(head.end..end));
    let Some(bytes) = bytes else {
        return Err(cursor.fail(DecodeErrorKind::Truncated));
    };
    cursor.at = head.end + length;
    Ok(bytes)
}

pub(super) fn open(cursor: &mut Cursor<'_>, wanted: Kind) -> Result<Remaining, DecodeError> {
    let head = untagged(cursor)?;
    let fits = match wanted {
        Kind::Map => head.major == Major::Map,
        // The content of a multi-dimensional array, a pair, is also read as an array, after its
        // tag.
        _ => head.major == Major::Array,
    };
    if !fits {
        return Err(cursor.unexpected(wanted.name()));
    }
    cursor.at = head.end;
    let no_length = Remaining::UntilMark {
        first: true,
        kind: wanted,
    };
    Ok(head.length().map_or(no_length, Remaining::Exactly))
}

pub(super) fn step(cursor: &mut Cursor<'_>, left: &mut Remaining) -> Result<bool, DecodeError> {
    match left {
        Remaining::Done | Remaining::Exactly(0) => Ok(false),
        Remaining::Exactly(count) => {
            *count -= 1;
            Ok(true)
        }
        Remaining::UntilMark { .. } => match cursor.rest().first() {
            Some(&BREAK) => {
                cursor.at += 1;
                Ok(false)
            }
            Some(_) => Ok(true),
            None => Err(cursor.fail(DecodeErrorKind::Truncated)),
        },
    }
}

pub(super) fn key<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, DecodeError> {
    match kind(cursor)? {
        Kind::Number => match number(cursor)? {
            Number::Int(value) => Ok(Cow::Owned(value.to_string())),
            Number::Float(value) => Ok(Cow::Owned(value.to_string())),
        },
        _ => str(cursor),
    }
}

/// Moves past one value. Nested values are entered up to the depth limit of the cursor. A tag
/// counts as a level, too, so that a long row of tags cannot overflow the stack.
pub(super) fn skip(cursor: &mut Cursor<'_>) -> Result<(), DecodeError> {
    let head = head(cursor)?;
    match head.major {
        Major::Unsigned | Major::Negative | Major::Simple => cursor.at = head.end,
        Major::Bytes => drop(string(cursor, head, Major::Bytes, "bytes")?),
        Major::Text => drop(str(cursor)?),
        Major::Tag => {
            cursor.descend()?;
            cursor.at = head.end;
            skip(cursor)?;
            cursor.depth -= 1;
        }
        Major::Array | Major::Map => {
            cursor.descend()?;
            cursor.at = head.end;
            let no_length = Remaining::UntilMark {
                first: true,
                kind: Kind::Array,
            };
            let mut left = head.length().map_or(no_length, Remaining::Exactly);
            while step(cursor, &mut left)? {
                skip(cursor)?;
                if head.major == Major::Map {
                    skip(cursor)?;
                }
            }
            cursor.depth -= 1;
        }
    }
    Ok(())
}
