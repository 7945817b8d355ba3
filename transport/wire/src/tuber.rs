//! Tuber: remote procedure calls in JSON or CBOR over HTTP, as CRS boards speak it.
//!
//! # The protocol
//!
//! A client posts a body to [`PATH`]. Its `Content-Type` says how it is written ([`Format`]; absent, JSON),
//! and `Accept` says how the answer may be ([`negotiate`]). The status of an answer is always 200: errors
//! lie in the body. Any other status is not an answer of the protocol.
//!
//! The body is one request or a list of them, a batch. A request is a map:
//!
//! | keys | means | result |
//! |---|---|---|
//! | `object`, `method`, maybe `args` (list), `kwargs` (map) | call a method | what it returns |
//! | `object`, `property` | read a property, or describe a method | its value, or the description |
//! | `object`, `resolve: true` | describe an object whole | a [`Description`] |
//! | `object` alone | name what an object has | a [`Description`] of names |
//! | none | list the objects | `{"objects": [names]}` |
//!
//! An object is a name, or a path to an object inside another: a list of attributes and of
//! `[attribute, index]` pairs, which have further indices where containers lie in containers
//! ([`Object`]).
//!
//! The answer to a request is a map with `result` or with `error`, which is a map with a text under
//! `message`, and maybe `warnings`, a list of texts. A batch is answered by a list, element by element in
//! the order of the calls. It is run strictly in that order, and after the first failure the rest is not
//! run but answered by the error [`NOT_RUN`], unless the header [`OPTIONS_HEADER`] holds
//! `continue-on-error` ([`Options`]). A request that fails as a whole, for it could not be read, is
//! answered by one error, even if it was a batch.
//!
//! There are no error codes. An error is a text, mostly the last line or the whole of a Python traceback: it
//! is to be shown to people.
//!
//! # The two formats
//!
//! JSON from a Python server can hold the bare words `NaN`, `Infinity` and `-Infinity`, which are read here
//! and never written: a number that is not finite is written as null. Arrays of numbers are nested lists,
//! and bytes are the map `{"bytes": [numbers]}`. In CBOR a multi-dimensional array of numbers is tag 40 (by
//! rows) or 1040 (by columns) around its extents and a typed array, as RFC 8746 has them; bytes are bytes.
//! [`Cursor::f64_into`] reads all forms into the same flat row of floats.
//!
//! # The client's half
//!
//! [`BatchWriter`] writes requests, [`Answer`] reads what came back, [`Description`] reads either form of an
//! object's description. Values are pulled from a body by a [`Cursor`], without a tree in between, or as a
//! [`Value`] where their shape is not known.
//!
//! # The server's half
//!
//! [`Server`] takes a request's headers and body and writes the answer, calling back the object that is
//! served: a [`Service`], which declares its methods as data ([`Interface`]) and gets its arguments bound and
//! checked ([`Args`]), or a [`Dispatch`] where more than one object is served. [`Exchange`] does the same step by
//! step, for a server that has to wait between calls.
//!
//! Neither half allocates per call once its buffers have grown, and nothing that is read can make it take
//! memory out of proportion to the bytes that came ([`Limits`]).

mod answer;
mod args;
mod array;
mod batch;
mod cbor;
mod cursor;
mod describe;
mod emit;
mod error;
mod fault;
mod format;
mod interface;
mod json;
mod nested;
mod put;
mod request;
mod serve;
mod service;
mod typed;
mod value;

pub use answer::{Answer, Element, Elements, NOT_RUN, Warnings};
pub use args::Args;
pub use array::Shape;
pub use batch::{BatchWriter, Call, Index, Kwargs, Object, Step};
pub use cursor::{Cursor, Kind, Number};
pub use describe::{Description, MethodInfo, ParamInfo};
pub use emit::{Encode, Map, Numeric, Seq, Slot};
pub use error::{DecodeError, DecodeErrorKind, Limits};
pub use fault::Fault;
pub use format::{Format, Negotiated, NotNegotiable, OPTIONS_HEADER, Options, PATH, negotiate};
pub use interface::{
    Constant, DescribeForm, Interface, Method, Param, ParamKind, Property, PropertyValue,
};
pub use nested::{Entries, Items};
pub use serve::{Exchange, Head, Server};
pub use service::{Dispatch, Invocation, Reply, Service};
pub use value::{NdArray, NdData, Value};
