//! Values of any type that a message in JSON or CBOR can hold.

use super::array::Shape;
use super::cursor::{Cursor, Kind, Number};
use super::emit::{Encode, Slot};
use super::error::DecodeError;
use super::keys;
use super::typed::{Element, Typed};

/// A value of any type, for answers whose form is not known in advance.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float, or an integer beyond the range of `i64`.
    Float(f64),
    /// A text.
    Str(String),
    /// Bytes. In JSON they are the map `{"bytes": [..]}`.
    Bytes(Vec<u8>),
    /// A list.
    Array(Vec<Self>),
    /// A map, with its entries in the order in which they were written.
    Map(Vec<(String, Self)>),
    /// An array of numbers of one type, of any shape. It comes only from CBOR: in JSON an array is
    /// nested lists.
    NdArray(Box<NdArray>),
}

/// Array of numbers of one type, of any shape, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct NdArray {
    /// The extents, outermost first. Their product is the number of values.
    pub shape: Shape,
    /// The values, row-major.
    pub data: NdData,
}

/// The values of an [`NdArray`].
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is named by its element type")]
pub enum NdData {
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    I8(Vec<i8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Value {
    /// Returns the value of a key, if this is a map that has the key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// Returns the entries if this is a map.
    pub fn as_map(&self) -> Option<&[(String, Self)]> {
        if let Self::Map(entries) = self {
            Some(entries)
        } else {
            None
        }
    }

    /// Returns the items if this is a list.
    pub fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self {
            Some(items)
        } else {
            None
        }
    }

    /// Returns the text if this is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Str(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// Returns the number as a float if this is an integer or a float.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns the integer if this is one.
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Int(value) = self {
            Some(*value)
        } else {
            None
        }
    }

    /// Returns the boolean if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self {
            Some(*value)
        } else {
            None
        }
    }

    /// True if the value is truthy in Python. Null, false, zero and empty values are not. A
    /// [`Value::NdArray`] counts as a list, so it is truthy unless it is empty.
    pub fn truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
            Self::Array(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
            Self::NdArray(array) => array.shape.values() != Some(0),
        }
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        Ok(match cursor.kind()? {
            Kind::Null => {
                cursor.skip()?;
                Self::Null
            }
            Kind::Bool => Self::Bool(cursor.bool()?),
            Kind::Number => match cursor.number()? {
                Number::Int(value) => Self::Int(value),
                Number::Float(value) => Self::Float(value),
            },
            Kind::Str => Self::Str(cursor.str()?.into_owned()),
            Kind::Bytes => Self::Bytes(cursor.bytes()?.into_owned()),
            Kind::Array => {
                let mut values = Vec::new();
                let mut items = cursor.items()?;
                while let Some(item) = items.next()? {
                    values.push(Self::read(item)?);
                }
                Self::Array(values)
            }
            Kind::Map => {
                let mut values = Vec::new();
                let mut entries = cursor.entries()?;
                while let Some((key, value)) = entries.next()? {
                    values.push((key.into_owned(), Self::read(value)?));
                }
                bytes_of_map(&values).map_or(Self::Map(values), Value::Bytes)
            }
            Kind::TypedArray => Self::NdArray(Box::new(NdArray::of(&Typed::read(cursor)?))),
        })
    }
}

/// Returns the bytes if the map is `{"bytes": [..]}`, the form of bytes in JSON.
fn bytes_of_map(entries: &[(String, Value)]) -> Option<Vec<u8>> {
    let fits = match entries {
        [(key, _)] => key == keys::BYTES,
        [(a, _), (b, _)] => {
            let found = [a.as_str(), b.as_str()];
            found == [keys::BYTES, keys::SUBTYPE] || found == [keys::SUBTYPE, keys::BYTES]
        }
        _ => false,
    };
    let (_, value) = entries.iter().find(|(key, _)| fits && key == keys::BYTES)?;
    value
        .as_array()?
        .iter()
        .map(|item| u8::try_from(item.as_i64()?).ok())
        .collect()
}

impl NdArray {
    fn of(typed: &Typed<'_>) -> Self {
        /// Makes each element from its bytes.
        fn all<T, const N: usize>(typed: &Typed<'_>, make: impl Fn([u8; N]) -> T) -> Vec<T> {
            let mut values = Vec::new();
            typed.extend(&mut values, make);
            values
        }
        let data = match typed.element {
            Element::U8 => NdData::U8(all(typed, u8::from_le_bytes)),
            Element::U16 => NdData::U16(all(typed, u16::from_le_bytes)),
            Element::U32 => NdData::U32(all(typed, u32::from_le_bytes)),
            Element::U64 => NdData::U64(all(typed, u64::from_le_bytes)),
            Element::I8 => NdData::I8(all(typed, i8::from_le_bytes)),
            Element::I16 => NdData::I16(all(typed, i16::from_le_bytes)),
            Element::I32 => NdData::I32(all(typed, i32::from_le_bytes)),
            Element::I64 => NdData::I64(all(typed, i64::from_le_bytes)),
            // Rust has no stable 16-bit float, so these are widened to 32 bits without loss.
            Element::F16 => NdData::F32(all(typed, |b| half::f16::from_le_bytes(b).to_f32())),
            Element::F32 => NdData::F32(all(typed, f32::from_le_bytes)),
            Element::F64 => NdData::F64(all(typed, f64::from_le_bytes)),
        };
        Self {
            shape: typed.shape,
            data,
        }
    }

    /// The values as floats, row-major.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            NdData::U8(v) => v.iter().map(|x| f64::from(*x)).collect(),
            NdData::U16(v) => v.iter().map(|x| f64::from(*x)).collect(),
            NdData::U32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            NdData::U64(v) => v.iter().map(|x| *x as f64).collect(),
            NdData::I8(v) => v.iter().map(|x| f64::from(*x)).collect(),
            NdData::I16(v) => v.iter().map(|x| f64::from(*x)).collect(),
            NdData::I32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            NdData::I64(v) => v.iter().map(|x| *x as f64).collect(),
            NdData::F32(v) => v.iter().map(|x| f64::from(*x)).collect(),
            NdData::F64(v) => v.clone(),
        }
    }
}

impl Encode for Value {
    /// Writes the value. A [`Value::NdArray`] keeps its element type in CBOR; in JSON it becomes
    /// nested lists of numbers.
    fn encode(&self, slot: Slot<'_>) {
        match self {
            Self::Null => slot.null(),
            Self::Bool(value) => slot.bool(*value),
            Self::Int(value) => slot.i64(*value),
            Self::Float(value) => slot.f64(*value),
            Self::Str(text) => slot.str(text),
            Self::Bytes(bytes) => slot.bytes(bytes),
            Self::Array(items) => {
                let mut seq = slot.seq();
                for item in items {
                    seq.item().write(item);
                }
            }
            Self::Map(entries) => {
                let mut map = slot.map();
                for (key, value) in entries {
                    map.entry(key, value);
                }
            }
            Self::NdArray(array) => array.encode(slot),
        }
    }
}

impl Encode for NdArray {
    fn encode(&self, slot: Slot<'_>) {
        match &self.data {
            NdData::U8(v) => slot.typed_array(v, &self.shape),
            NdData::U16(v) => slot.typed_array(v, &self.shape),
            NdData::U32(v) => slot.typed_array(v, &self.shape),
            NdData::U64(v) => slot.typed_array(v, &self.shape),
            NdData::I8(v) => slot.typed_array(v, &self.shape),
            NdData::I16(v) => slot.typed_array(v, &self.shape),
            NdData::I32(v) => slot.typed_array(v, &self.shape),
            NdData::I64(v) => slot.typed_array(v, &self.shape),
            NdData::F32(v) => slot.typed_array(v, &self.shape),
            NdData::F64(v) => slot.typed_array(v, &self.shape),
        }
    }
}
