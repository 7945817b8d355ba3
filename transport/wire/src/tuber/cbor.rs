//! The CBOR half of [`Cursor`]: one head at a time, by way of minicbor's decoder.
//!
//! Tags that say nothing about how to read their content (dates, sets, ...) are passed over.

use super::cursor::{Cursor, Kind, Number, Remaining};
use super::error::{DecodeError, DecodeErrorKind};
use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};
use std::borrow::Cow;

/// Tags of multi-dimensional arrays, stored by rows and by columns.
pub(super) const ROW_MAJOR: u64 = 40;
pub(super) const COLUMN_MAJOR: u64 = 1040;
/// Tags of typed arrays, supported or not.
pub(super) const TYPED: std::ops::RangeInclusive<u64> = 64..=87;
const POSITIVE_BIGNUM: u64 = 2;
const NEGATIVE_BIGNUM: u64 = 3;

/// Runs a reading step of the decoder and moves the cursor as far as it got.
pub(super) fn run<'a, T>(
    cursor: &mut Cursor<'a>,
    step: impl FnOnce(&mut Decoder<'a>) -> Result<T, Error>,
) -> Result<T, DecodeError> {
    let mut decoder = Decoder::new(cursor.bytes);
    decoder.set_position(cursor.at);
    let value = step(&mut decoder).map_err(|error| convert(cursor.at, &error))?;
    cursor.at = decoder.position();
    Ok(value)
}

fn convert(at: usize, error: &Error) -> DecodeError {
    let at = error.position().unwrap_or(at);
    if error.is_end_of_input() {
        DecodeError::new(at, DecodeErrorKind::Truncated)
    } else {
        DecodeError::malformed(at, error.to_string())
    }
}

fn datatype(cursor: &Cursor<'_>) -> Result<Type, DecodeError> {
    run(&mut cursor.clone(), |decoder| decoder.datatype())
}

/// Moves past tags without a meaning here and gives the type that comes next, with its tag where that
/// has one.
fn untagged(cursor: &mut Cursor<'_>) -> Result<(Type, Option<u64>), DecodeError> {
    loop {
        let datatype = datatype(cursor)?;
        if datatype != Type::Tag {
            return Ok((datatype, None));
        }
        let before = cursor.at;
        let tag = run(cursor, |decoder| decoder.tag())?.as_u64();
        let meant = matches!(
            tag,
            POSITIVE_BIGNUM | NEGATIVE_BIGNUM | ROW_MAJOR | COLUMN_MAJOR
        );
        if meant || TYPED.contains(&tag) {
            cursor.at = before;
            return Ok((Type::Tag, Some(tag)));
        }
    }
}

pub(super) fn kind(cursor: &Cursor<'_>) -> Result<Kind, DecodeError> {
    let mut cursor = *cursor;
    Ok(match untagged(&mut cursor)? {
        (Type::Null | Type::Undefined, _) => Kind::Null,
        (Type::Bool, _) => Kind::Bool,
        (Type::U8 | Type::U16 | Type::U32 | Type::U64, _) => Kind::Number,
        (Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int, _) => Kind::Number,
        (Type::F16 | Type::F32 | Type::F64, _) => Kind::Number,
        (Type::String | Type::StringIndef, _) => Kind::Str,
        (Type::Bytes | Type::BytesIndef, _) => Kind::Bytes,
        (Type::Array | Type::ArrayIndef, _) => Kind::Array,
        (Type::Map | Type::MapIndef, _) => Kind::Map,
        (Type::Tag, Some(POSITIVE_BIGNUM | NEGATIVE_BIGNUM)) => Kind::Number,
        (Type::Tag, _) => Kind::TypedArray,
        (Type::Simple, _) => return Err(cursor.fail(DecodeErrorKind::Unsupported("simple value"))),
        (Type::Break, _) => return Err(DecodeError::malformed(cursor.at, "a break by itself")),
        (Type::Unknown(_), _) => return Err(DecodeError::malformed(cursor.at, "a reserved head")),
    })
}

pub(super) fn bool(cursor: &mut Cursor<'_>) -> Result<bool, DecodeError> {
    match untagged(cursor)? {
        (Type::Bool, _) => run(cursor, |decoder| decoder.bool()),
        _ => Err(cursor.unexpected("a truth value")),
    }
}

pub(super) fn number(cursor: &mut Cursor<'_>) -> Result<Number, DecodeError> {
    match untagged(cursor)? {
        (Type::F16, _) => run(cursor, |decoder| decoder.f16()).map(|v| Number::Float(v.into())),
        (Type::F32, _) => run(cursor, |decoder| decoder.f32()).map(|v| Number::Float(v.into())),
        (Type::F64, _) => run(cursor, |decoder| decoder.f64()).map(Number::Float),
        (Type::Tag, Some(tag @ (POSITIVE_BIGNUM | NEGATIVE_BIGNUM))) => {
            run(cursor, |decoder| decoder.tag())?;
            let magnitude = bytes(cursor)?
                .iter()
                .fold(0.0, |n, b| n * 256.0 + f64::from(*b));
            Ok(Number::Float(if tag == NEGATIVE_BIGNUM {
                -1.0 - magnitude
            } else {
                magnitude
            }))
        }
        (
            Type::U8
            | Type::U16
            | Type::U32
            | Type::U64
            | Type::I8
            | Type::I16
            | Type::I32
            | Type::I64
            | Type::Int,
            _,
        ) => {
            let wide = i128::from(run(cursor, |decoder| decoder.int())?);
            Ok(i64::try_from(wide).map_or(Number::Float(wide as f64), Number::Int))
        }
        _ => Err(cursor.unexpected("a number")),
    }
}

pub(super) fn str<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, DecodeError> {
    match untagged(cursor)? {
        (Type::String, _) => run(cursor, |decoder| decoder.str()).map(Cow::Borrowed),
        (Type::StringIndef, _) => run(cursor, |decoder| {
            let parts: Result<String, Error> = decoder.str_iter()?.collect();
            parts.map(Cow::Owned)
        }),
        _ => Err(cursor.unexpected("a text")),
    }
}

pub(super) fn bytes<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, [u8]>, DecodeError> {
    match untagged(cursor)? {
        (Type::Bytes, _) => run(cursor, |decoder| decoder.bytes()).map(Cow::Borrowed),
        (Type::BytesIndef, _) => run(cursor, |decoder| {
            let mut all = Vec::new();
            for part in decoder.bytes_iter()? {
                all.extend_from_slice(part?);
            }
            Ok(Cow::Owned(all))
        }),
        _ => Err(cursor.unexpected("bytes")),
    }
}

pub(super) fn open(cursor: &mut Cursor<'_>, wanted: Kind) -> Result<Remaining, DecodeError> {
    let count = match (untagged(cursor)?, wanted) {
        ((Type::Array | Type::ArrayIndef, _), Kind::Array) => {
            run(cursor, |decoder| decoder.array())?
        }
        ((Type::Map | Type::MapIndef, _), Kind::Map) => run(cursor, |decoder| decoder.map())?,
        _ => return Err(cursor.unexpected(wanted.name())),
    };
    Ok(count.map_or(
        Remaining::UntilMark {
            first: true,
            kind: wanted,
        },
        Remaining::Exactly,
    ))
}

pub(super) fn step(cursor: &mut Cursor<'_>, left: &mut Remaining) -> Result<bool, DecodeError> {
    match left {
        Remaining::Done | Remaining::Exactly(0) => Ok(false),
        Remaining::Exactly(count) => {
            *count -= 1;
            Ok(true)
        }
        Remaining::UntilMark { .. } => match cursor.rest().first() {
            Some(0xff) => {
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

/// Moves past one value. Nested ones are entered up to the cursor's depth, whatever their heads claim.
pub(super) fn skip(cursor: &mut Cursor<'_>) -> Result<(), DecodeError> {
    match datatype(cursor)? {
        Type::Array | Type::ArrayIndef => {
            let mut items = cursor.items()?;
            while items.next()?.is_some() {}
            Ok(())
        }
        Type::Map | Type::MapIndef => {
            let count = run(cursor, |decoder| decoder.map())?;
            let mut left = count.map_or(
                Remaining::UntilMark {
                    first: true,
                    kind: Kind::Map,
                },
                Remaining::Exactly,
            );
            cursor.descend()?;
            while step(cursor, &mut left)? {
                skip(cursor)?;
                skip(cursor)?;
            }
            cursor.depth -= 1;
            Ok(())
        }
        Type::Tag => {
            run(cursor, |decoder| decoder.tag())?;
            // A tag is one more level, so that a long row of tags cannot overflow the stack.
            cursor.descend()?;
            skip(cursor)?;
            cursor.depth -= 1;
            Ok(())
        }
        Type::String | Type::StringIndef => str(cursor).map(drop),
        Type::Bytes | Type::BytesIndef => bytes(cursor).map(drop),
        Type::Bool => run(cursor, |decoder| decoder.bool()).map(drop),
        Type::Null => run(cursor, |decoder| decoder.null()),
        Type::Undefined => run(cursor, |decoder| decoder.undefined()),
        Type::Simple => run(cursor, |decoder| decoder.simple()).map(drop),
        _ => number(cursor).map(drop),
    }
}
