//! Tuber, the protocol of CRS boards: remote procedure calls in JSON or CBOR over HTTP.
//!
//! # The protocol
//!
//! A client posts a body to [`PATH`]. Its `Content-Type` gives its format ([`Format`]; JSON if
//! absent), and `Accept` gives the formats that the answer may have ([`negotiate`]). The status of
//! an answer is always 200, since errors are in the body. A response with another status is no
//! answer of the protocol.
//!
//! The body is one request, or a list of requests, called a batch. A request is a map:
//!
//! | keys | meaning | result |
//! |---|---|---|
//! | `object`, `method`, maybe `args` (list), `kwargs` (map) | call a method | its return value |
//! | `object`, `property` | read a property, or describe a method | its value, or the description |
//! | `object`, `resolve: true` | describe a whole object | a [`Description`] |
//! | `object` alone | list the names of an object's members | a [`Description`] of names |
//! | none | list the objects | `{"objects": [names]}` |
//!
//! A request gives an object by its name, or by a path to an object inside another one
//! ([`Object`]). A path is a list of attributes and of `[attribute, index]` pairs, with more
//! indices if containers are nested.
//!
//! The answer to a request is a map with `result` or `error`, and maybe with `warnings`, a list of
//! texts. `error` is a map with a text under `message`. The answer to a batch is a list with one
//! element for each request. Requests are executed strictly in order. After the first failure the
//! server does not execute the remaining requests, and answers them with the error [`NOT_RUN`],
//! unless the header [`OPTIONS_HEADER`] has `continue-on-error` ([`Options`]). If a body cannot be
//! read, the answer is a single error, even if the body was a batch.
//!
//! There are no error codes. An error is a text for people, usually the last line of a Python
//! traceback or the whole traceback.
//!
//! # The two formats
//!
//! JSON from a Python server can hold the bare words `NaN`, `Infinity` and `-Infinity`. This module
//! reads them and never writes them: it writes a number that is not finite as null. In JSON, arrays
//! of numbers are nested lists, and bytes are the map `{"bytes": [numbers]}`. In CBOR, a
//! multi-dimensional array of numbers is tag 40 (row-major) or 1040 (column-major) around its
//! extents and a typed array, as in RFC 8746. Bytes are a byte string. [`Cursor::f64_into`] reads
//! an array of numbers in each of these forms into a flat list of floats.
//!
//! # The client half
//!
//! [`BatchWriter`] writes requests, [`Answer`] reads answers, and [`Description`] reads the
//! description of an object, in full or with names only. A [`Cursor`] reads values directly from a
//! body, without an intermediate tree. A [`Value`] holds a value whose type is not known in
//! advance.
//!
//! # The server half
//!
//! This half needs the feature `server`, which clients do not enable. [`Server`] takes the headers
//! and the body of a request and writes the answer. It calls methods of the served object. A single
//! object is a [`Service`], which declares its methods as data ([`Interface`]) and gets arguments
//! that are checked and assigned to the parameters of the method ([`Args`]). Several objects are a
//! [`Dispatch`]. [`Exchange`] does the same step by step, for a server that has to wait between
//! calls.
//!
//! Once its buffers have grown, neither half allocates memory for a call, except for faults,
//! warnings, and texts that cannot be borrowed from the body. Reading takes memory in proportion to
//! the bytes that came, whatever lengths they claim ([`Limits`]).

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
