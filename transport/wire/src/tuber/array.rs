//! Arrays of numbers, of any shape, as one flat row of floats.

use super::cbor::{self, COLUMN_MAJOR, ROW_MAJOR};
use super::cursor::{Cursor, Kind};
use super::error::{DecodeError, DecodeErrorKind};
use super::format::Format;
use super::json;
use half::f16;
use jiter::{Jiter, Peek};
use std::borrow::Cow;
use std::ops::Deref;

/// The extents of an array, outermost first. Reads as a slice; made without allocating.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Shape {
    extents: [usize; Shape::MAX_AXES],
    axes: usize,
}

impl Shape {
    /// The most axes that are read.
    pub const MAX_AXES: usize = 8;

    /// The shape with these extents, or none where they are too many.
    pub fn new(extents: &[usize]) -> Option<Shape> {
        let mut shape = Shape {
            axes: extents.len(),
            ..Shape::default()
        };
        shape
            .extents
            .get_mut(..extents.len())?
            .copy_from_slice(extents);
        Some(shape)
    }

    /// The number of values, or none where it is beyond a `usize`.
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

/// What nested lists have shown of their shape so far.
#[derive(Default)]
struct Nested {
    extents: [Option<usize>; Shape::MAX_AXES],
    /// At which level the numbers lie, once one has been seen.
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

/// Reads one list, inside which the numbers or further lists lie at `level + 1`.
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

/// The element types of typed arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
}

impl Element {
    /// The element type and byte order (true for little-endian) behind a tag.
    fn of_tag(tag: u64) -> Result<(Element, bool), DecodeErrorKind> {
        use Element::*;
        Ok(match tag {
            64 => (U8, true),
            65..=67 => ([U16, U32, U64][tag as usize - 65], false),
            69..=71 => ([U16, U32, U64][tag as usize - 69], true),
            72 => (I8, true),
            73..=75 => ([I16, I32, I64][tag as usize - 73], false),
            77..=79 => ([I16, I32, I64][tag as usize - 77], true),
            80..=82 => ([F16, F32, F64][tag as usize - 80], false),
            84..=86 => ([F16, F32, F64][tag as usize - 84], true),
            68 => return Err(DecodeErrorKind::Unsupported("typed array of clamped bytes")),
            83 | 87 => {
                return Err(DecodeErrorKind::Unsupported(
                    "typed array of 128-bit floats",
                ));
            }
            _ => return Err(DecodeErrorKind::Unsupported("reserved typed array")),
        })
    }

    pub(super) const fn width(self) -> usize {
        match self {
            Element::U8 | Element::I8 => 1,
            Element::U16 | Element::I16 | Element::F16 => 2,
            Element::U32 | Element::I32 | Element::F32 => 4,
            Element::U64 | Element::I64 | Element::F64 => 8,
        }
    }
}

/// A typed array whose data still lie in the body.
#[derive(Debug)]
pub(super) struct Typed<'a> {
    pub(super) element: Element,
    pub(super) shape: Shape,
    data: Cow<'a, [u8]>,
    little_endian: bool,
    by_columns: bool,
}

impl<'a> Typed<'a> {
    /// Reads the heads and checks that shape and data agree.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Typed<'a>, DecodeError> {
        let start = *cursor;
        let tag = cbor::tag(cursor)?;
        if tag != ROW_MAJOR && tag != COLUMN_MAJOR {
            return Typed::one_axis(cursor, tag, start);
        }
        let not_a_pair = DecodeErrorKind::Shape("not a pair of shape and data");
        let mut parts = cursor.items()?;
        let Some(part) = parts.next()? else {
            return Err(start.fail(not_a_pair));
        };
        let shape = read_extents(part)?;
        let Some(part) = parts.next()? else {
            return Err(start.fail(not_a_pair));
        };
        let at = *part;
        if part.kind()? != Kind::TypedArray {
            return Err(part.unexpected("a typed array"));
        }
        let element_tag = cbor::tag(part)?;
        let typed = Typed::one_axis(part, element_tag, at)?;
        if parts.next()?.is_some() {
            return Err(start.fail(not_a_pair));
        }
        if shape.values() != Some(typed.data.len() / typed.element.width()) {
            return Err(start.fail(DecodeErrorKind::Shape("its shape and its data disagree")));
        }
        Ok(Typed {
            shape,
            by_columns: tag == COLUMN_MAJOR,
            ..typed
        })
    }

    /// Reads the data of a typed array whose tag has been read.
    fn one_axis(
        cursor: &mut Cursor<'a>,
        tag: u64,
        start: Cursor<'a>,
    ) -> Result<Typed<'a>, DecodeError> {
        let (element, little_endian) = Element::of_tag(tag).map_err(|kind| start.fail(kind))?;
        let data = cursor.bytes()?;
        if data.len() % element.width() != 0 {
            return Err(start.fail(DecodeErrorKind::Shape("a part of an element")));
        }
        let shape = Shape::new(&[data.len() / element.width()]).unwrap_or_default();
        Ok(Typed {
            element,
            shape,
            data,
            little_endian,
            by_columns: false,
        })
    }

    /// Appends the values as floats, row-major.
    pub(super) fn append_to(&self, out: &mut Vec<f64>) {
        match self.element {
            Element::U8 => self.extend(out, |[b]: [u8; 1]| f64::from(b)),
            Element::U16 => self.extend(out, |b| f64::from(u16::from_le_bytes(b))),
            Element::U32 => self.extend(out, |b| f64::from(u32::from_le_bytes(b))),
            Element::U64 => self.extend(out, |b| u64::from_le_bytes(b) as f64),
            Element::I8 => self.extend(out, |b| f64::from(i8::from_le_bytes(b))),
            Element::I16 => self.extend(out, |b| f64::from(i16::from_le_bytes(b))),
            Element::I32 => self.extend(out, |b| f64::from(i32::from_le_bytes(b))),
            Element::I64 => self.extend(out, |b| i64::from_le_bytes(b) as f64),
            Element::F16 => self.extend(out, |b| f16::from_le_bytes(b).to_f64()),
            Element::F32 => self.extend(out, |b| f64::from(f32::from_le_bytes(b))),
            Element::F64 => self.extend(out, f64::from_le_bytes),
        }
    }

    /// Appends the values, row-major, each made from its bytes in little-endian order.
    pub(super) fn extend<T, const N: usize>(&self, out: &mut Vec<T>, make: impl Fn([u8; N]) -> T) {
        let (elements, _) = self.data.as_chunks::<N>();
        let read = |bytes: &[u8; N]| {
            let mut bytes = *bytes;
            if !self.little_endian {
                bytes.reverse();
            }
            make(bytes)
        };
        if self.by_columns {
            out.extend(
                by_rows(self.shape)
                    .filter_map(|at| elements.get(at))
                    .map(read),
            );
        } else if self.little_endian {
            // Without the test in the loop, it is a copy.
            out.extend(elements.iter().map(|bytes| make(*bytes)));
        } else {
            out.extend(elements.iter().map(read));
        }
    }
}

fn read_extents(cursor: &mut Cursor<'_>) -> Result<Shape, DecodeError> {
    let mut shape = Shape::default();
    let mut extents = cursor.items()?;
    while let Some(extent) = extents.next()? {
        let at = *extent;
        let value =
            usize::try_from(extent.i64()?).map_err(|_| at.fail(DecodeErrorKind::OutOfRange))?;
        let Some(slot) = shape.extents.get_mut(shape.axes) else {
            return Err(at.fail(DecodeErrorKind::Shape("too many axes")));
        };
        *slot = value;
        shape.axes += 1;
    }
    Ok(shape)
}

/// For each value in the order by rows, its place in the order by columns.
fn by_rows(shape: Shape) -> impl Iterator<Item = usize> {
    let mut strides = [0; Shape::MAX_AXES];
    let mut stride = 1;
    for (axis, extent) in shape.iter().enumerate() {
        strides[axis] = stride;
        stride *= extent;
    }
    let mut index = [0; Shape::MAX_AXES];
    let mut at = 0;
    (0..stride).map(move |_| {
        let here = at;
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
        here
    })
}
