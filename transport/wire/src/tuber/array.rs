//! Reading of number arrays of up to [`Shape::MAX_AXES`] axes into a flat list of floats.

use std::ops::Deref;

use jiter::{Jiter, Peek};

use super::cursor::{Cursor, Kind};
use super::error::{DecodeError, DecodeErrorKind};
use super::format::Format;
use super::json;
use super::typed::Typed;

/// Extents of an array, outermost first. It dereferences to a slice, and needs no allocation.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    pub(super) extents: [usize; Self::MAX_AXES],
    pub(super) axes: usize,
}

impl Shape {
    /// Largest number of axes that can be read.
    pub const MAX_AXES: usize = 8;

    /// Returns the shape with these extents, or `None` if there are too many axes.
    pub fn new(extents: &[usize]) -> Option<Self> {
        let mut shape = Self {
            axes: extents.len(),
            ..Self::default()
        };
        shape
            .extents
            .get_mut(..extents.len())?
            .copy_from_slice(extents);
        Some(shape)
    }

    /// Number of values, or `None` if it overflows a `usize`.
    pub fn values(&self) -> Option<usize> {
        self.iter()
            .try_fold(1_usize, |n, extent| n.checked_mul(*extent))
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.extents[..self.axes]
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.deref().fmt(f)
    }
}

/// Appends the numbers of an array to `out`. After an error `out` is as long as before.
pub(super) fn read(cursor: &mut Cursor<'_>, out: &mut Vec<f64>) -> Result<Shape, DecodeError> {
    let before = out.len();
    let result = match cursor.format {
        Format::Json => read_json(cursor, out),
        Format::Cbor => read_cbor(cursor, out),
    };
    if result.is_err() {
        out.truncate(before);
    }
    result
}

/// Shape of nested lists, as far as it is known from the part that was read.
#[derive(Default)]
struct Nested {
    extents: [Option<usize>; Shape::MAX_AXES],
    /// Depth of the numbers; `None` before the first one.
    numbers_at: Option<usize>,
}

impl Nested {
    fn number_at(&mut self, level: usize) -> Result<(), DecodeErrorKind> {
        if *self.numbers_at.get_or_insert(level) == level {
            Ok(())
        } else {
            Err(DecodeErrorKind::Shape("numbers at different depths"))
        }
    }

    fn extent_at(&mut self, level: usize, extent: usize) -> Result<(), DecodeErrorKind> {
        let Some(known) = self.extents.get_mut(level) else {
            return Err(DecodeErrorKind::Shape("too many axes"));
        };
        if *known.get_or_insert(extent) == extent {
            Ok(())
        } else {
            Err(DecodeErrorKind::Shape("rows of different lengths"))
        }
    }

    fn shape(&self) -> Result<Shape, DecodeErrorKind> {
        let axes = self
            .extents
            .iter()
            .take_while(|extent| extent.is_some())
            .count();
        if self.numbers_at.is_some_and(|level| level != axes) {
            return Err(DecodeErrorKind::Shape("an empty row beside numbers"));
        }
        let mut shape = Shape {
            axes,
            ..Shape::default()
        };
        for (to, from) in shape.extents.iter_mut().zip(self.extents) {
            *to = from.unwrap_or(0);
        }
        Ok(shape)
    }
}

fn read_json(cursor: &mut Cursor<'_>, out: &mut Vec<f64>) -> Result<Shape, DecodeError> {
    if cursor.kind()? != Kind::Array {
        return Err(cursor.unexpected("an array of numbers"));
    }
    let start = *cursor;
    let mut parser = json::parser(cursor);
    let mut nested = Nested::default();
    parser
        .peek()
        .map_err(|error| json::convert(start.at, error))?;
    json_rows(&start, &mut parser, &mut nested, 0, out)?;
    cursor.at += parser.current_index();
    nested.shape().map_err(|kind| start.fail(kind))
}

/// Reads the list at depth `level`. Its numbers or inner lists are at depth `level + 1`.
fn json_rows<'a>(
    start: &Cursor<'a>,
    parser: &mut Jiter<'a>,
    nested: &mut Nested,
    level: usize,
    out: &mut Vec<f64>,
) -> Result<(), DecodeError> {
    let here = |parser: &Jiter<'a>, kind| DecodeError::new(start.at + parser.current_index(), kind);
    if level >= Shape::MAX_AXES {
        return Err(here(parser, DecodeErrorKind::Shape("too many axes")));
    }
    let fail = |error| json::convert(start.at, error);
    let mut extent = 0;
    let mut next = parser.known_array().map_err(fail)?;
    while let Some(peek) = next {
        if peek == Peek::Array {
            json_rows(start, parser, nested, level + 1, out)?;
        } else {
            nested
                .number_at(level + 1)
                .map_err(|kind| here(parser, kind))?;
            if peek == Peek::Null {
                parser.known_null().map_err(fail)?;
                out.push(f64::NAN);
            } else if peek.is_num() {
                out.push(parser.known_float(peek).map_err(fail)?);
            } else {
                let mut at = *start;
                at.at += parser.current_index();
                return Err(at.unexpected("a number"));
            }
        }
        extent += 1;
        next = parser.array_step().map_err(fail)?;
    }
    nested
        .extent_at(level, extent)
        .map_err(|kind| here(parser, kind))
}

fn read_cbor(cursor: &mut Cursor<'_>, out: &mut Vec<f64>) -> Result<Shape, DecodeError> {
    let start = *cursor;
    match cursor.kind()? {
        Kind::TypedArray => {
            let typed = Typed::read(cursor)?;
            typed.append_to(out);
            Ok(typed.shape)
        }
        Kind::Array => {
            let mut nested = Nested::default();
            cbor_rows(cursor, &mut nested, 0, out)?;
            nested.shape().map_err(|kind| start.fail(kind))
        }
        _ => Err(cursor.unexpected("an array of numbers")),
    }
}

fn cbor_rows(
    cursor: &mut Cursor<'_>,
    nested: &mut Nested,
    level: usize,
    out: &mut Vec<f64>,
) -> Result<(), DecodeError> {
    if level >= Shape::MAX_AXES {
        return Err(cursor.fail(DecodeErrorKind::Shape("too many axes")));
    }
    let start = *cursor;
    let fail = |kind| start.fail(kind);
    let mut extent = 0;
    let mut items = cursor.items()?;
    while let Some(item) = items.next()? {
        match item.kind()? {
            Kind::Array => cbor_rows(item, nested, level + 1, out)?,
            Kind::TypedArray => {
                let typed = Typed::read(item)?;
                typed.append_to(out);
                for (axis, extent) in typed.shape.iter().enumerate() {
                    nested.extent_at(level + 1 + axis, *extent).map_err(fail)?;
                }
                if typed.shape.values() != Some(0) {
                    nested
                        .number_at(level + 1 + typed.shape.len())
                        .map_err(fail)?;
                }
            }
            Kind::Null => {
                item.skip()?;
                nested.number_at(level + 1).map_err(fail)?;
                out.push(f64::NAN);
            }
            _ => {
                out.push(item.f64()?);
                nested.number_at(level + 1).map_err(fail)?;
            }
        }
        extent += 1;
    }
    nested.extent_at(level, extent).map_err(fail)
}
