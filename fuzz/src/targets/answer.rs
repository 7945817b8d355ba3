//! Targets (functions that read any bytes) that read answers as a client of Tuber does. Tuber is
//! the protocol of the boards. An answer consists of values, of arrays, of descriptions, or of the
//! elements that answer a batch, which is a list of calls.

use twotone_wire::tuber::{
    Answer, BatchWriter, Cursor, DecodeErrorKind, Description, Format, Kind, Limits, MethodInfo,
    Value,
};

use super::check::{twice, wire_error};

pub(super) fn json(bytes: &[u8]) -> String {
    run(Format::Json, bytes)
}

pub(super) fn cbor(bytes: &[u8]) -> String {
    run(Format::Cbor, bytes)
}

fn run(format: Format, bytes: &[u8]) -> String {
    let start = Cursor::new(format, bytes, &Limits::ANSWER).expect("short enough");
    let skipped = twice(|| {
        let mut cursor = start;
        cursor.skip().map(|()| cursor.position())
    });
    let read = twice(|| {
        let mut cursor = start;
        cursor.value().map(|value| (value, cursor.position()))
    });
    let mut outline = match &read {
        Ok((value, end)) => {
            match &skipped {
                Ok(other) => assert_eq!(end, other, "a value ends in two places"),
                // Some values can be read but not skipped. `skip` counts a tag as a level of
                // nesting, which reading does not. And `skip` refuses integers of thousands of
                // digits.
                Err(error) => assert!(
                    matches!(
                        error.kind,
                        DecodeErrorKind::TooDeep(_) | DecodeErrorKind::OutOfRange
                    ),
                    "{error}"
                ),
            }
            assert!(*end <= bytes.len());
            comes_back(format, value);
            format!("value {:?}", start.kind())
        }
        Err(error) => wire_error(error, bytes.len()),
    };
    if let Err(error) = &skipped {
        wire_error(error, bytes.len());
    }
    flat(
        start,
        read.as_ref().ok().map(|(value, _)| value),
        bytes.len(),
    );
    let described = twice(|| Description::read(&mut { start }));
    let method = twice(|| MethodInfo::read("m", &mut { start }));
    for error in [described.err(), method.err()].into_iter().flatten() {
        wire_error(&error, bytes.len());
    }
    outline.push_str(&elements(format, start, bytes));
    outline
}

/// Reads the value as an array of numbers, and appends them to a buffer that is not empty. Asserts
/// that the numbers that were in the buffer are still there.
fn flat(start: Cursor<'_>, value: Option<&Value>, length: usize) {
    let mut out = vec![7.5];
    match { start }.array_into(&mut out) {
        Ok(shape) => {
            let count = out.len() - 1;
            assert_eq!(shape.values(), Some(count), "{shape:?}");
            if let Some(value) = value {
                assert_eq!(numbers(value), count);
            }
        }
        Err(error) => {
            wire_error(&error, length);
            assert_eq!(out.len(), 1, "numbers of an array that is none");
        }
    }
    assert_eq!(out[0], 7.5);
}

/// Counts the numbers of a value. A null in an array counts as a number, since it is read as NaN.
fn numbers(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(numbers).sum(),
        Value::NdArray(array) => array.to_f64().len(),
        _ => 1,
    }
}

/// Asserts that a value can be written in both formats, and is the same when it is read again in
/// its own format.
fn comes_back(format: Format, value: &Value) {
    let limits = Limits {
        depth: Limits::MAX_DEPTH,
        ..Limits::ANSWER
    };
    for other in Format::ALL {
        let mut batch = BatchWriter::new(other);
        batch.call("o", "m").arg(value);
        let body = batch.finish();
        let cursor = Cursor::new(other, &body, &limits).expect("short enough");
        let again = first_argument(cursor);
        if other == format {
            let (again, value) = (kept(other, &again), kept(other, value));
            assert_eq!(format!("{again:?}"), format!("{value:?}"));
        }
    }
}

fn first_argument(mut cursor: Cursor<'_>) -> Value {
    let mut calls = cursor.items().expect("a batch");
    let call = calls.next().expect("readable").expect("one call");
    let mut entries = call.entries().expect("a call");
    while let Some((key, value)) = entries.next().expect("readable") {
        if key == "args" {
            let mut args = value.items().expect("a list");
            let arg = args.next().expect("readable").expect("an argument");
            return arg.value().expect("a written value is one");
        }
    }
    panic!("a call without its argument");
}

/// Returns `value` as it is after it was written in a format and read again: JSON represents NaN
/// and infinite numbers as null. All NaN become the same one, so that they can be compared.
pub(super) fn kept(format: Format, value: &Value) -> Value {
    match value {
        Value::Float(number) if format == Format::Json && !number.is_finite() => Value::Null,
        Value::Float(number) if number.is_nan() => Value::Float(f64::NAN),
        Value::Array(items) => Value::Array(items.iter().map(|item| kept(format, item)).collect()),
        Value::Map(entries) => {
            let entries = entries.iter();
            Value::Map(
                entries
                    .map(|(key, value)| (key.clone(), kept(format, value)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

/// Reads the bytes as the answer to batches of several lengths. Asserts that they can be read to
/// the end only if the batch has as many calls as the answer has elements. Returns the outline (a
/// short text about the result) for this batch.
fn elements(format: Format, start: Cursor<'_>, bytes: &[u8]) -> String {
    let count: usize = match { start }.kind() {
        Ok(Kind::Array) => {
            let mut cursor = start;
            let mut items = cursor.items().expect("it is a list");
            let mut count = 0;
            while let Ok(Some(_)) = items.next() {
                count += 1;
            }
            count
        }
        _ => 0,
    };
    let mut outline = String::new();
    for calls in [count, count + 1, count.saturating_sub(1), 0] {
        let (ended, read) = twice(|| read_elements(format, bytes, calls));
        assert!(
            !ended || calls == count,
            "{count} elements answer {calls} calls"
        );
        if calls == count {
            outline = read;
        }
    }
    outline
}

/// Reads the bytes as the answer to a batch of `calls` calls. Returns true if they were read to the
/// end, and the outline of the result.
fn read_elements(format: Format, bytes: &[u8], calls: usize) -> (bool, String) {
    let content_type = Some(format.content_type());
    let mut answer = Answer::new(content_type, bytes, &Limits::ANSWER).expect("short enough");
    let single = answer.single().map(|element| element.outcome.is_ok());
    let mut outline = match single {
        Ok(well) => format!(" single {well}"),
        Err(error) => wire_error(&error, bytes.len()),
    };
    let mut elements = match answer.elements(calls) {
        Ok(elements) => elements,
        Err(error) => return (false, outline + &wire_error(&error, bytes.len())),
    };
    if elements.refusal().is_some() {
        return (false, outline + " refused");
    }
    let mut read = 0;
    loop {
        match elements.next() {
            Ok(Some(element)) => {
                read += 1;
                assert!(read <= calls, "more elements than calls");
                let mut warnings = 0;
                element.warnings.for_each(|_| warnings += 1);
                let well = element.outcome.map(|mut cursor| cursor.value().is_ok());
                if read < 4 {
                    outline.push_str(&format!(" {:?}{}", well.ok(), "w".repeat(warnings.min(2))));
                }
            }
            Ok(None) => return (true, outline),
            Err(error) => {
                outline.push_str(&wire_error(&error, bytes.len()));
                if error.kind != DecodeErrorKind::NoOutcome {
                    return (false, outline);
                }
                read += 1;
            }
        }
    }
}
