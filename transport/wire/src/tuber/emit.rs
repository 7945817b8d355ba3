//! Writing values, in either format, straight into a buffer.

use bytes::BytesMut;

use super::format::Format;
use super::keys;
use super::put::{
    ARRAY, BYTES, MAP, NEGATIVE, UNSIGNED, put_array_heads, put_f64, put_head, put_key, put_null,
    put_str, put_text, set_head,
};

/// The place where exactly one value is to be written.
///
/// Each writing method consumes the slot, so that one slot never holds two values. A slot that is
/// dropped unwritten holds null, so that the output is always well formed.
#[derive(Debug)]
pub struct Slot<'w> {
    format: Format,
    buffer: &'w mut BytesMut,
}

/// A value that can write itself into a [`Slot`].
pub trait Encode {
    /// Writes the value.
    fn encode(&self, slot: Slot<'_>);
}

impl<'w> Slot<'w> {
    pub(super) fn new(format: Format, buffer: &'w mut BytesMut) -> Self {
        Slot { format, buffer }
    }

    /// The format that is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Writes any value that can encode itself.
    pub fn write(self, value: &(impl Encode + ?Sized)) {
        value.encode(self);
    }

    /// Writes null.
    pub fn null(self) {
        put_null(self.format, self.buffer);
    }

    /// Writes a truth value.
    pub fn bool(self, value: bool) {
        match self.format {
            Format::Json => self
                .buffer
                .extend_from_slice(if value { b"true" } else { b"false" }),
            Format::Cbor => self.buffer.extend_from_slice(&[0xf4 | u8::from(value)]),
        }
    }

    /// Writes an integer.
    pub fn i64(self, value: i64) {
        match self.format {
            Format::Json => put_text(self.buffer, itoa::Buffer::new().format(value)),
            Format::Cbor if value < 0 => put_head(self.buffer, NEGATIVE, !value as u64),
            Format::Cbor => put_head(self.buffer, UNSIGNED, value as u64),
        }
    }

    /// Writes an unsigned integer.
    pub fn u64(self, value: u64) {
        match self.format {
            Format::Json => put_text(self.buffer, itoa::Buffer::new().format(value)),
            Format::Cbor => put_head(self.buffer, UNSIGNED, value),
        }
    }

    /// Writes a float, which stays a float even if it is a whole number.
    ///
    /// JSON cannot express a value that is not finite: null is written for it. CBOR keeps it.
    pub fn f64(self, value: f64) {
        put_f64(self.format, self.buffer, value);
    }

    /// Writes a text.
    pub fn str(self, value: &str) {
        put_str(self.format, self.buffer, value);
    }

    /// Writes bytes: a byte string in CBOR, `{"bytes": [..]}` in JSON, as Python clients expect it.
    pub fn bytes(self, value: &[u8]) {
        match self.format {
            Format::Json => {
                let mut map = self.map();
                let mut numbers = map.key(keys::BYTES).seq();
                for byte in value {
                    numbers.item().u64(u64::from(*byte));
                }
            }
            Format::Cbor => {
                put_head(self.buffer, BYTES, value.len() as u64);
                self.buffer.extend_from_slice(value);
            }
        }
    }

    /// Writes an array of floats of any shape, row-major: nested lists in JSON, a little-endian
    /// typed array of 64-bit floats in CBOR.
    ///
    /// A shape whose product is not the number of values is replaced by one axis. In JSON, so is a
    /// shape of more than 1024 lists without a value. Values that are not finite are null in JSON.
    pub fn f64_array(self, values: &[f64], shape: &[usize]) {
        self.typed_array(values, shape);
    }

    /// Writes an array of numbers of one type, as [`Slot::f64_array`] does for floats.
    pub fn typed_array<T: Numeric>(self, values: &[T], shape: &[usize]) {
        let one_axis = [values.len()];
        let product = shape
            .iter()
            .try_fold(1_usize, |n, extent| n.checked_mul(*extent));
        // Lists without values cost bytes in JSON too, so that their number must be bounded.
        let bounded =
            self.format == Format::Cbor || !values.is_empty() || lists(shape) <= MAX_EMPTY_LISTS;
        let fits = product == Some(values.len()) && bounded;
        let shape = if fits { shape } else { &one_axis };
        match self.format {
            Format::Json => put_json_rows(self.buffer, values, shape),
            Format::Cbor => {
                put_array_heads(self.buffer, shape, T::TAG, size_of_val(values));
                self.buffer.reserve(size_of_val(values));
                for value in values {
                    value.put_little_endian(self.buffer);
                }
            }
        }
    }

    /// Starts an array; each item is written through [`Seq::item`]. It ends when the returned value
    /// is dropped.
    pub fn seq(self) -> Seq<'w> {
        Seq(OpenContainer::new(self.format, self.buffer, b'[', ARRAY))
    }

    /// Starts a map; each value is written through [`Map::key`]. It ends when the returned value is
    /// dropped.
    pub fn map(self) -> Map<'w> {
        Map(OpenContainer::new(self.format, self.buffer, b'{', MAP))
    }
}

/// An array that is being written. Dropping it ends the array.
#[derive(Debug)]
pub struct Seq<'w>(OpenContainer<'w>);

impl Seq<'_> {
    /// The place of the next item.
    pub fn item(&mut self) -> Slot<'_> {
        self.0.next();
        self.0.mark = self.0.buffer.len();
        Slot {
            format: self.0.format,
            buffer: self.0.buffer,
        }
    }
}

/// A map that is being written. Dropping it ends the map.
#[derive(Debug)]
pub struct Map<'w>(OpenContainer<'w>);

impl Map<'_> {
    /// Writes a key and returns the slot of its value. Keys are not checked for repetition.
    pub fn key(&mut self, key: &str) -> Slot<'_> {
        self.0.next();
        put_key(self.0.format, self.0.buffer, key);
        self.0.mark = self.0.buffer.len();
        Slot {
            format: self.0.format,
            buffer: self.0.buffer,
        }
    }

    /// Writes a key and its value.
    pub fn entry(&mut self, key: &str, value: &(impl Encode + ?Sized)) -> &mut Self {
        value.encode(self.key(key));
        self
    }
}

/// An array or map whose end has not been written.
#[derive(Debug)]
struct OpenContainer<'w> {
    format: Format,
    buffer: &'w mut BytesMut,
    /// Position of the one byte that becomes the head in CBOR.
    head: usize,
    major: u8,
    count: u64,
    /// Length of the buffer when the last slot was handed out. If it is still the same, the slot
    /// is unwritten.
    mark: usize,
}

impl<'w> OpenContainer<'w> {
    fn new(format: Format, buffer: &'w mut BytesMut, bracket: u8, major: u8) -> Self {
        let head = buffer.len();
        buffer.extend_from_slice(&[if format == Format::Json {
            bracket
        } else {
            major
        }]);
        OpenContainer {
            format,
            buffer,
            head,
            major,
            count: 0,
            mark: usize::MAX,
        }
    }

    fn next(&mut self) {
        self.fill();
        if self.format == Format::Json && self.count > 0 {
            self.buffer.extend_from_slice(b",");
        }
        self.count += 1;
    }

    fn fill(&mut self) {
        if self.buffer.len() == self.mark {
            put_null(self.format, self.buffer);
        }
    }
}

impl Drop for OpenContainer<'_> {
    fn drop(&mut self) {
        self.fill();
        match self.format {
            Format::Json => {
                let end = if self.major == MAP { b"}" } else { b"]" };
                self.buffer.extend_from_slice(end);
            }
            Format::Cbor => set_head(self.buffer, self.head, self.major, self.count),
        }
    }
}

/// The most lists that are written of an array without values.
const MAX_EMPTY_LISTS: usize = 1024;

/// Number of lists, inside the outermost one, of an array without values in JSON. An empty list
/// holds no further ones.
fn lists(shape: &[usize]) -> usize {
    let in_each = shape.iter().take_while(|extent| **extent > 0);
    let rows = in_each.scan(1_usize, |rows, extent| {
        *rows = rows.saturating_mul(*extent);
        Some(*rows)
    });
    rows.fold(0, usize::saturating_add)
}

/// Nested lists. The caller has checked that the shape's product is the number of values.
fn put_json_rows<T: Numeric>(buffer: &mut BytesMut, values: &[T], shape: &[usize]) {
    let [extent, inner @ ..] = shape else {
        return values
            .iter()
            .for_each(|value| value.encode(Slot::new(Format::Json, buffer)));
    };
    buffer.extend_from_slice(b"[");
    let stride = values.len().checked_div(*extent).unwrap_or(0);
    for row in 0..*extent {
        if row > 0 {
            buffer.extend_from_slice(b",");
        }
        put_json_rows(buffer, &values[row * stride..(row + 1) * stride], inner);
    }
    buffer.extend_from_slice(b"]");
}

/// A type of number that CBOR has typed arrays of.
pub trait Numeric: Encode + Copy {
    /// The tag of its little-endian typed array.
    const TAG: u64;

    /// Appends the number's bytes, lowest first.
    fn put_little_endian(self, buffer: &mut BytesMut);
}

macro_rules! elements {
    ($($type:ty => $tag:literal),*) => {
        $(impl Numeric for $type {
            const TAG: u64 = $tag;

            #[inline]
            fn put_little_endian(self, buffer: &mut BytesMut) {
                buffer.extend_from_slice(&self.to_le_bytes());
            }
        })*
    };
}

elements!(u8 => 64, u16 => 69, u32 => 70, u64 => 71, i8 => 72, i16 => 77, i32 => 78, i64 => 79);
elements!(f32 => 85, f64 => 86);

macro_rules! encode_by {
    ($($type:ty => |$value:ident, $slot:ident| $body:expr;)*) => {
        $(impl Encode for $type {
            fn encode(&self, $slot: Slot<'_>) {
                let $value = self;
                $body
            }
        })*
    };
}

encode_by! {
    () => |_v, slot| slot.null();
    bool => |v, slot| slot.bool(*v);
    f64 => |v, slot| slot.f64(*v);
    f32 => |v, slot| slot.f64(f64::from(*v));
    i64 => |v, slot| slot.i64(*v);
    i8 => |v, slot| slot.i64(i64::from(*v));
    i16 => |v, slot| slot.i64(i64::from(*v));
    i32 => |v, slot| slot.i64(i64::from(*v));
    u64 => |v, slot| slot.u64(*v);
    u32 => |v, slot| slot.u64(u64::from(*v));
    u16 => |v, slot| slot.u64(u64::from(*v));
    u8 => |v, slot| slot.u64(u64::from(*v));
    usize => |v, slot| slot.u64(*v as u64);
    str => |v, slot| slot.str(v);
    String => |v, slot| slot.str(v);
    [f64] => |v, slot| slot.f64_array(v, &[v.len()]);
    Vec<f64> => |v, slot| slot.f64_array(v, &[v.len()]);
}

impl<T: Encode + ?Sized> Encode for &T {
    fn encode(&self, slot: Slot<'_>) {
        (**self).encode(slot);
    }
}

/// Writes null for `None`.
impl<T: Encode> Encode for Option<T> {
    fn encode(&self, slot: Slot<'_>) {
        match self {
            Some(value) => value.encode(slot),
            None => slot.null(),
        }
    }
}
