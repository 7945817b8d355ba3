//! Tuber: remote procedure calls in JSON or CBOR over HTTP, as CRS boards speak it.
//!
//! # The protocol
//!
//! A client posts a body to [`PATH`]. Its `Content-Type` gives its format ([`Format`]; JSON if
//! absent), and `Accept` gives the formats that the answer may have ([`negotiate`]). The status of
//! an answer is always 200: errors are in the body. Any other status is not an answer of the
//! protocol.
//!
//! The body is one request or a list of them, a batch. A request is a map:
//!
//! | keys | meaning | result |
//! |---|---|---|
//! | `object`, `method`, maybe `args` (list), `kwargs` (map) | call a method | its return value |
//! | `object`, `property` | read a property, or describe a method | its value, or the description |
//! | `object`, `resolve: true` | describe an object whole | a [`Description`] |
//! | `object` alone | list the names of an object's members | a [`Description`] of names |
//! | none | list the objects | `{"objects": [names]}` |
//!
//! An object is a name, or a path to an object inside another: a list of attributes and of
//! `[attribute, index]` pairs, with further indices if containers are nested ([`Object`]).
//!
//! The answer to a request is a map with `result` or with `error`, which is a map with a text under
//! `message`, and maybe `warnings`, a list of texts. A batch is answered by a list, element by
//! element in the order of the calls. It is run strictly in that order. After the first failure the
//! rest is not run but answered by the error [`NOT_RUN`], unless the header [`OPTIONS_HEADER`]
//! holds `continue-on-error` ([`Options`]). A request that fails as a whole, since it could not be
//! read, is answered by one error, even if it was a batch.
//!
//! There are no error codes. An error is a text for people, mostly the last line or the whole of a
//! Python traceback.
//!
//! # The two formats
//!
//! JSON from a Python server can hold the bare words `NaN`, `Infinity` and `-Infinity`. They are
//! read here and never written: a number that is not finite is written as null. In JSON, arrays of
//! numbers are nested lists, and bytes are the map `{"bytes": [numbers]}`. In CBOR, a
//! multi-dimensional array of numbers is tag 40 (by rows) or 1040 (by columns) around its extents
//! and a typed array, as in RFC 8746; bytes are a byte string. [`Cursor::f64_into`] reads all forms
//! into the same flat row of floats.
//!
//! # The client's half
//!
//! [`BatchWriter`] writes requests, [`Answer`] reads answers, [`Description`] reads either form of
//! an object's description. A [`Cursor`] reads values straight from a body, without a tree in
//! between. A [`Value`] holds values whose shape is not known.
//!
//! # The server's half
//!
//! This half is behind the feature `server`, which clients leave out. [`Server`] takes a request's
//! headers and body and writes the answer. It calls back the object that is served: a [`Service`],
//! which declares its methods as data ([`Interface`]) and gets its arguments bound and checked
//! ([`Args`]), or a [`Dispatch`] if more than one object is served. [`Exchange`] does the same step
//! by step, for a server that has to wait between calls.
//!
//! Neither half allocates per call once its buffers have grown. The memory that reading takes is
//! always in proportion to the bytes that came ([`Limits`]).

mod answer;
mod array;
mod batch;
mod cbor;
mod cursor;
mod describe;
mod emit;
mod error;
mod format;
mod json;
mod keys;
mod nested;
mod put;
#[cfg(feature = "server")]
mod server;
mod typed;
mod value;

pub use answer::{Answer, Element, Elements, NOT_RUN, Warnings};
pub use array::Shape;
pub use batch::{BatchWriter, Call, Index, Kwargs, Object, Step};
pub use cursor::{Cursor, Kind, Number};
pub use describe::{Description, MethodInfo, ParamInfo, ParamKind};
pub use emit::{Encode, Map, Numeric, Seq, Slot};
pub use error::{DecodeError, DecodeErrorKind, Limits};
pub use format::{Format, OPTIONS_HEADER, Options, PATH};
pub use nested::{Entries, Items};
#[cfg(feature = "server")]
pub use server::{
    Args, Constant, DescribeForm, Dispatch, Exchange, Fault, Head, Interface, Invocation, Method,
    Negotiated, NotNegotiable, Param, Property, PropertyValue, Reply, Server, Service, negotiate,
};
pub use value::{NdArray, NdData, Value};
