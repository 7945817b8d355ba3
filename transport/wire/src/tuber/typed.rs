//! Typed arrays of CBOR (RFC 8746): packed numbers of one type, with or without a shape.

use std::borrow::Cow;

use half::f16;

use super::array::Shape;
use super::cbor::{self, COLUMN_MAJOR, ROW_MAJOR};
use super::cursor::{Cursor, Kind};
use super::error::{DecodeError, DecodeErrorKind};

/// Element type of a typed array.
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
    /// Returns the element type of a tag, and true if it is little-endian.
    fn of_tag(tag: u64) -> Result<(Self, bool), DecodeErrorKind> {
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
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

/// Typed array whose data are still in the body.
#[derive(Debug)]
pub(super) struct Typed<'a> {
    pub(super) element: Element,
    pub(super) shape: Shape,
    data: Cow<'a, [u8]>,
    little_endian: bool,
    by_columns: bool,
}

impl<'a> Typed<'a> {
    /// Reads the array, and checks that its shape and its data agree.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
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
    fn one_axis(cursor: &mut Cursor<'a>, tag: u64, start: Cursor<'a>) -> Result<Self, DecodeError> {
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

    /// Appends the values in row-major order. `make` gets the bytes of each value, least
    /// significant first.
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
            // This loop has no test of the byte order, so it compiles to a copy.
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

/// For each value in row-major order, its position in column-major order.
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
