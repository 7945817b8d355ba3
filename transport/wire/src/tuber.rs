//! Tuber: remote procedure calls in JSON or CBOR over HTTP, as CRS boards speak it.

mod answer;
mod array;
mod batch;
mod cbor;
mod cursor;
mod emit;
mod error;
mod format;
mod json;
mod value;

pub use answer::{Answer, Element, Elements, NOT_RUN, Warnings};
pub use array::Shape;
pub use batch::{BatchWriter, Call, Kwargs, Object, Step};
pub use cursor::{Cursor, Entries, Items, Kind, Number};
pub use emit::{Encode, Map, Numeric, Seq, Slot};
pub use error::{DecodeError, DecodeErrorKind, Limits};
pub use format::{Format, Negotiated, NotNegotiable, OPTIONS_HEADER, Options, PATH, negotiate};
pub use value::{NdArray, NdData, Value};
