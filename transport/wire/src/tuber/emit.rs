//! Writing of values directly into a buffer, in JSON and CBOR.

use bytes::BytesMut;

use super::format::Format;
use super::keys;
use super::put::{
    ARRAY, BYTES, MAP, NEGATIVE, UNSIGNED, put_array_heads, put_f64, put_head, put_key, put_null,
    put_str, put_text, set_head,
};

/// Place for exactly one value in the output.
///
/// Each writing method consumes the slot, so that a slot never gets two values. A slot that is
/// dropped without a value becomes null, so that the output is always well formed.
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

    /// Format of the output.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Writes any value that implements [`Encode`].
    pub fn write(self, value: &(impl Encode + ?Sized)) {
        value.encode(self);
    }

    /// Writes null.
    pub fn null(self) {
        put_null(self.format, self.buffer);
    }

    /// Writes a boolean.
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

    /// Writes a float. It is written as a float even if it is a whole number.
    ///
    /// A value that is not finite is written as null in JSON, which has no such numbers, and as it
    /// is in CBOR.
    pub fn f64(self, value: f64) {
        put_f64(self.format, self.buffer, value);
    }

    /// Writes a text.
    pub fn str(self, value: &str) {
        put_str(self.format, self.buffer, value);
    }

    /// Writes bytes: as a byte string in CBOR, and as `{"bytes": [..]}` in JSON, which Python
    /// clients expect.
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

    /// Writes a row-major array of floats of any shape: as nested lists in JSON, and in CBOR as its
    /// extents and a little-endian typed array of 64-bit floats under tag 40.
    ///
    /// If the product of the extents is not the number of values, the array is written with one
    /// axis. In JSON this is also done if there are no values and the shape needs more than 1024
    /// inner lists. Values that are not finite are null in JSON.
    pub fn f64_array(self, values: &[f64], shape: &[usize]) {
        self.typed_array(values, shape);
    }

    /// Writes an array of numbers of one type, as [`Slot::f64_array`] does for floats.
    pub fn typed_array<T: Numeric>(self, values: &[T], shape: &[usize]) {
        let one_axis = [values.len()];
        let product = shape
            .iter()
            .try_fold(1_usize, |n, extent| n.checked_mul(*extent));
        // Empty lists take bytes in JSON, too, so a shape such as `[1 << 40, 0]` must be refused.
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

    /// Begins an array. [`Seq::item`] adds items, and dropping the returned value ends the array.
    pub fn seq(self) -> Seq<'w> {
        Seq(OpenContainer::new(self.format, self.buffer, b'[', ARRAY))
    }

    /// Begins a map. [`Map::key`] adds entries, and dropping the returned value ends the map.
    pub fn map(self) -> Map<'w> {
        Map(OpenContainer::new(self.format, self.buffer, b'{', MAP))
    }
}

/// An array that is being written. Dropping it ends the array.
#[derive(Debug)]
pub struct Seq<'w>(OpenContainer<'w>);

impl Seq<'_> {
    /// Slot of the next item.
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
    /// Writes a key and returns the slot of its value. The caller must not use a key twice.
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

/// Array or map whose end has not been written yet.
#[derive(Debug)]
struct OpenContainer<'w> {
    format: Format,
    buffer: &'w mut BytesMut,
    /// Position of the first byte. In CBOR, the head of the array or map (its type and its number
    /// of items) replaces this byte once the number of items is known.
    head: usize,
    major: u8,
    count: u64,
    /// Length of the buffer when the last slot was returned. If the length is still the same, the
    /// slot has no value.
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

/// Largest number of lists that are written for an array without values.
const MAX_EMPTY_LISTS: usize = 1024;

/// Number of lists that JSON needs inside the outermost list, for an array without values. An empty
/// list contains no others.
fn lists(shape: &[usize]) -> usize {
    let in_each = shape.iter().take_while(|extent| **extent > 0);
    let rows = in_each.scan(1_usize, |rows, extent| {
        *rows = rows.saturating_mul(*extent);
        Some(*rows)
    });
    rows.fold(0, usize::saturating_add)
}

/// Writes nested lists. The caller has checked that the product of the extents is the number of
/// values.
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

/// Number type for which CBOR has typed arrays.
pub trait Numeric: Encode + Copy {
    /// Tag of the little-endian typed array of this type.
    const TAG: u64;

    /// Appends the bytes of the number, least significant first.
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
