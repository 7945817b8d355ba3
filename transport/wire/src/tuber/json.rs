//! Implementation of [`Cursor`] for JSON. The crate jiter parses the single values.

use std::borrow::Cow;

use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, NumberAny, NumberInt};

use super::cursor::{Cursor, Kind, Number};
use super::error::{DecodeError, DecodeErrorKind};
use super::keys;
use super::nested::Remaining;

/// Parser of the bytes that the cursor has not read. It is cheap to create, and allocates memory
/// only for escapes.
pub(super) fn parser<'a>(cursor: &Cursor<'a>) -> Jiter<'a> {
    Jiter::new(cursor.rest()).with_allow_inf_nan()
}

/// Runs a step of the parser, and moves the cursor to the position of the parser after it.
fn run<'a, T>(
    cursor: &mut Cursor<'a>,
    step: impl FnOnce(&mut Jiter<'a>) -> Result<T, JiterError>,
) -> Result<T, DecodeError> {
    let mut parser = parser(cursor);
    let value = step(&mut parser).map_err(|error| convert(cursor.at, error))?;
    cursor.at += parser.current_index();
    Ok(value)
}

pub(super) fn convert(base: usize, error: JiterError) -> DecodeError {
    let kind = match error.error_type {
        JiterErrorType::JsonError(
            JsonErrorType::EofWhileParsingList
            | JsonErrorType::EofWhileParsingObject
            | JsonErrorType::EofWhileParsingString
            | JsonErrorType::EofWhileParsingValue,
        ) => DecodeErrorKind::Truncated,
        JiterErrorType::JsonError(JsonErrorType::NumberOutOfRange) => DecodeErrorKind::OutOfRange,
        other => DecodeErrorKind::Malformed(Cow::Owned(other.to_string())),
    };
    DecodeError::new(base + error.index, kind)
}

/// True for the white space of JSON.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Moves past white space and returns the next byte.
fn peek(cursor: &mut Cursor<'_>) -> Result<u8, DecodeError> {
    let rest = cursor.rest();
    let blank = rest.iter().position(|byte| !is_blank(*byte));
    cursor.at += blank.unwrap_or(rest.len());
    match cursor.rest().first() {
        Some(byte) => Ok(*byte),
        None => Err(cursor.fail(DecodeErrorKind::Truncated)),
    }
}

fn expect(cursor: &mut Cursor<'_>, byte: u8, what: &'static str) -> Result<(), DecodeError> {
    if peek(cursor)? != byte {
        return Err(DecodeError::malformed(cursor.at, what));
    }
    cursor.at += 1;
    Ok(())
}

pub(super) fn kind(cursor: &Cursor<'_>) -> Result<Kind, DecodeError> {
    let mut cursor = *cursor;
    match peek(&mut cursor)? {
        b'n' => Ok(Kind::Null),
        b't' | b'f' => Ok(Kind::Bool),
        b'"' => Ok(Kind::Str),
        b'[' => Ok(Kind::Array),
        b'{' => Ok(Kind::Map),
        b'0'..=b'9' | b'-' | b'N' | b'I' => Ok(Kind::Number),
        _ => Err(DecodeError::malformed(cursor.at, "expected a value")),
    }
}

pub(super) fn bool(cursor: &mut Cursor<'_>) -> Result<bool, DecodeError> {
    if kind(cursor)? != Kind::Bool {
        return Err(cursor.unexpected("a truth value"));
    }
    run(cursor, |parser| parser.next_bool())
}

pub(super) fn number(cursor: &mut Cursor<'_>) -> Result<Number, DecodeError> {
    if kind(cursor)? != Kind::Number {
        return Err(cursor.unexpected("a number"));
    }
    let mut parser = parser(cursor);
    let value = match parser.next_number() {
        Ok(NumberAny::Int(NumberInt::Int(value))) => Number::Int(value),
        Ok(NumberAny::Float(value)) => Number::Float(value),
        // An integer beyond the range of `i64` is read as a float: JSON has only one type of
        // number.
        _ => return run(cursor, |parser| parser.next_float()).map(Number::Float),
    };
    cursor.at += parser.current_index();
    Ok(value)
}

pub(super) fn str<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, DecodeError> {
    if kind(cursor)? != Kind::Str {
        return Err(cursor.unexpected("a text"));
    }
    peek(cursor)?;
    let start = *cursor;
    run(cursor, |parser| parser.next_bytes().map(|_| ()))?;
    let raw = start
        .bytes
        .get(start.at + 1..cursor.at - 1)
        .unwrap_or_default();
    if raw.contains(&b'\\') {
        *cursor = start;
        return run(cursor, |parser| {
            parser.next_str().map(|text| Cow::Owned(text.to_owned()))
        });
    }
    match std::str::from_utf8(raw) {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(_) => Err(DecodeError::malformed(start.at, "a text that is not UTF-8")),
    }
}

/// Reads bytes in the form that Tuber uses for bytes in JSON.
pub(super) fn bytes<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, [u8]>, DecodeError> {
    let start = *cursor;
    let mut found = None;
    let mut entries = cursor.entries()?;
    while let Some((key, value)) = entries.next()? {
        match &*key {
            keys::BYTES => {
                let mut bytes = Vec::new();
                let mut items = value.items()?;
                while let Some(item) = items.next()? {
                    let at = *item;
                    let byte = u8::try_from(item.i64()?);
                    bytes.push(byte.map_err(|_| at.fail(DecodeErrorKind::OutOfRange))?);
                }
                found = Some(bytes);
            }
            keys::SUBTYPE => value.skip()?,
            _ => return Err(start.wrong_type("bytes", "a map")),
        }
    }
    found
        .map(Cow::Owned)
        .ok_or_else(|| start.wrong_type("bytes", "a map"))
}

pub(super) fn open(cursor: &mut Cursor<'_>, wanted: Kind) -> Result<Remaining, DecodeError> {
    if kind(cursor)? != wanted {
        return Err(cursor.unexpected(wanted.name()));
    }
    peek(cursor)?;
    cursor.at += 1;
    Ok(Remaining::UntilMark {
        first: true,
        kind: wanted,
    })
}

pub(super) fn step(cursor: &mut Cursor<'_>, left: &mut Remaining) -> Result<bool, DecodeError> {
    let Remaining::UntilMark { first, kind } = left else {
        return Ok(false);
    };
    let mark = if *kind == Kind::Map { b'}' } else { b']' };
    let byte = peek(cursor)?;
    if byte == mark {
        cursor.at += 1;
        return Ok(false);
    }
    // A trailing comma is not checked here. The closing bracket after it is then read as an item,
    // which fails.
    if *first {
        *first = false;
    } else {
        expect(cursor, b',', "expected a comma or the end")?;
        peek(cursor)?;
    }
    Ok(true)
}

pub(super) fn key<'a>(cursor: &mut Cursor<'a>) -> Result<Cow<'a, str>, DecodeError> {
    if peek(cursor)? != b'"' {
        return Err(DecodeError::malformed(cursor.at, "expected a key"));
    }
    let key = str(cursor)?;
    expect(cursor, b':', "expected a colon")?;
    peek(cursor)?;
    Ok(key)
}

pub(super) fn skip(cursor: &mut Cursor<'_>) -> Result<(), DecodeError> {
    run(cursor, |parser| parser.next_skip())
}
