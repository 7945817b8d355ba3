//! Processing of a request: from its headers and body to the body of the answer.

use bytes::BytesMut;

use super::fault::Fault;
use super::negotiate::{Negotiated, negotiate};
use super::request::{RequestParts, write_object};
use super::service::{Dispatch, Reply};
use crate::tuber::answer::NOT_RUN;
use crate::tuber::cursor::{Cursor, Kind};
use crate::tuber::emit::Slot;
use crate::tuber::error::{DecodeError, DecodeErrorKind, Limits};
use crate::tuber::format::{Format, Options};
use crate::tuber::keys;
use crate::tuber::nested::Remaining;
use crate::tuber::put::{MAP, OPEN_ARRAY, put_head, put_null, put_str};

/// Headers of a request that Tuber uses. `None` is an absent header.
#[derive(Debug, Clone, Copy, Default)]
pub struct Head<'a> {
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `X-Tuber-Options`.
    pub options: Option<&'a str>,
}

/// Tuber server without sockets. Between requests it keeps only its buffers, to avoid allocations.
///
/// The following code passes a call and its answer, as bytes, between the client half and the
/// server half of this crate:
///
/// ```
/// use bytes::BytesMut;
/// use twotone_wire::tuber::{
///     Answer, Args, BatchWriter, Fault, Format, Head, Interface, Limits, Method, Param, Reply,
///     Server, Service,
/// };
///
/// static BOARD: Interface = Interface {
///     name: "Board",
///     doc: "Doubles numbers.",
///     methods: &[Method { name: "double", doc: "Twice x.", params: &[Param::required("x")] }],
///     properties: &[],
/// };
///
/// struct Board;
///
/// impl Service for Board {
///     fn interface(&self) -> &'static Interface {
///         &BOARD
///     }
///
///     fn call(
///         &mut self,
///         _: &'static Method,
///         args: &Args<'_>,
///         reply: Reply<'_>,
///     ) -> Result<(), Fault> {
///         reply.send(&(2.0 * args.f64("x")?));
///         Ok(())
///     }
/// }
///
/// // The client's half writes a batch, the server's half answers, the client's half reads.
/// let mut batch = BatchWriter::new(Format::Json);
/// batch.call("Board", "double").arg(21.0);
/// let (calls, body) = (batch.calls(), batch.finish());
///
/// let mut answer = BytesMut::new();
/// Server::default().serve(&Head::default(), &body, &mut Board, &mut answer);
///
/// let mut read = Answer::new(Some("application/json"), &answer, &Limits::ANSWER)?;
/// let element = read.elements(calls)?.next()?.expect("one call, one answer");
/// assert_eq!(element.outcome.expect("no fault").f64()?, 42.0);
/// # Ok::<(), twotone_wire::tuber::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Server {
    limits: Limits,
    /// Object of the current request, as written by [`write_object`].
    object: String,
    warnings: Vec<String>,
}

impl Default for Server {
    fn default() -> Self {
        Self::new(Limits::REQUEST)
    }
}

impl Server {
    /// Creates a server that accepts requests within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            object: String::new(),
            warnings: Vec::new(),
        }
    }

    /// Answers a request completely: has `target` execute its calls, appends the body of the answer
    /// to `out`, and returns the format of the answer.
    ///
    /// There is always an answer, and its HTTP status is always 200. The answer to a request that
    /// cannot be read is an error.
    pub fn serve(
        &mut self,
        head: &Head<'_>,
        body: &[u8],
        target: &mut impl Dispatch,
        out: &mut BytesMut,
    ) -> Format {
        let mut exchange = self.open(head, body, out);
        while exchange.step(target, out) {}
        exchange.close(out)
    }

    /// Begins to answer a request step by step: call [`Exchange::step`] until it returns false,
    /// then [`Exchange::close`]. The whole body is checked first, so that no call of a malformed
    /// body is executed.
    pub fn open<'s, 'b>(
        &'s mut self,
        head: &Head<'_>,
        body: &'b [u8],
        out: &mut BytesMut,
    ) -> Exchange<'s, 'b> {
        let refused = Exchange {
            server: self,
            format: Format::Json,
            cursor: Cursor {
                bytes: &[],
                at: 0,
                format: Format::Json,
                depth: 0,
                max_depth: 0,
            },
            pending: Pending::Nothing,
            continue_on_error: Options::parse(head.options).continue_on_error,
            failed: false,
            answered: 0,
            batch: false,
            start: out.len(),
            before: None,
        };
        let formats = match negotiate(head.content_type, head.accept) {
            Ok(formats) => formats,
            Err(refusal) => {
                put_error(refusal.answer, out, &refusal.fault);
                return Exchange {
                    format: refusal.answer,
                    ..refused
                };
            }
        };
        match open_body(formats, body, &refused.server.limits) {
            Ok((cursor, pending)) => {
                let batch = pending != Pending::Single;
                if batch {
                    match formats.answer {
                        Format::Json => out.extend_from_slice(b"["),
                        Format::Cbor => out.extend_from_slice(&OPEN_ARRAY),
                    }
                }
                Exchange {
                    format: formats.answer,
                    cursor,
                    pending,
                    batch,
                    ..refused
                }
            }
            Err(fault) => {
                put_error(formats.answer, out, &fault);
                Exchange {
                    format: formats.answer,
                    ..refused
                }
            }
        }
    }
}

/// Checks that the whole body is well formed, and returns its requests.
fn open_body<'b>(
    formats: Negotiated,
    body: &'b [u8],
    limits: &Limits,
) -> Result<(Cursor<'b>, Pending), Fault> {
    let read = || {
        let start = Cursor::new(formats.request, body, limits)?;
        let kind = start.kind()?;
        let mut end = start;
        if kind == Kind::Array {
            let mut items = end.items()?;
            let mut count = 0;
            while let Some(item) = items.next()? {
                count += 1;
                if count > limits.requests {
                    return Err(item.fail(DecodeErrorKind::TooMany(limits.requests)));
                }
            }
        } else {
            end.skip()?;
        }
        end.end()?;
        if formats.request == Format::Json && std::str::from_utf8(body).is_err() {
            return Err(start.fail(DecodeErrorKind::Malformed("not UTF-8".into())));
        }
        Ok((start, kind))
    };
    let (mut cursor, kind) = read().map_err(|error| body_error(formats.request, body, &error))?;
    match kind {
        Kind::Map => Ok((cursor, Pending::Single)),
        Kind::Array => {
            let remaining = cursor.open_list()?;
            Ok((cursor, Pending::Batch(remaining)))
        }
        _ => Err(Fault::type_error("Unexpected type in request")),
    }
}

fn body_error(format: Format, body: &[u8], error: &DecodeError) -> Fault {
    match format {
        Format::Json => {
            let before = &body[..error.at.min(body.len())];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let column = before
                .iter()
                .rev()
                .take_while(|byte| **byte != b'\n')
                .count()
                + 1;
            let what = &error.kind;
            Fault::new(format!(
                "JSONDecodeError: {what}: line {line} column {column} (char {})",
                error.at
            ))
        }
        Format::Cbor => Fault::new(format!("CBORDecodeError: {error}")),
    }
}

/// HTTP request that is being answered. Its body has one Tuber request, such as the call of a
/// method, or a batch (a list) of them.
#[derive(Debug)]
pub struct Exchange<'s, 'b> {
    server: &'s mut Server,
    format: Format,
    cursor: Cursor<'b>,
    pending: Pending,
    continue_on_error: bool,
    failed: bool,
    answered: u32,
    batch: bool,
    /// Position of the start of the answer in its buffer.
    start: usize,
    /// State before the last step. `None` if the step cannot be undone.
    before: Option<Snapshot<'b>>,
}

/// State that a step changes, so that the step can be undone.
#[derive(Debug, Clone, Copy)]
struct Snapshot<'b> {
    cursor: Cursor<'b>,
    pending: Pending,
    failed: bool,
    answered: u32,
    written: usize,
}

/// Requests of the body that have not been executed: none, a single one, or the rest of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pending {
    Nothing,
    Single,
    Batch(Remaining),
}

impl Exchange<'_, '_> {
    /// Format of the answer.
    pub fn format(&self) -> Format {
        self.format
    }

    /// True if a request of the body was answered with an error. It stays false if
    /// [`Server::open`] has refused the whole body.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// Executes the next request of the body and appends its answer. Returns false and does nothing
    /// if none is left. `out` must hold the output of the earlier steps.
    ///
    /// After a failure the remaining requests are not executed, and each one is answered with
    /// [`NOT_RUN`] in a step of its own, unless the options in the headers ask to continue. Once
    /// the answer is longer than [`Limits::answer_bytes`], no further request is executed either.
    pub fn step(&mut self, target: &mut impl Dispatch, out: &mut BytesMut) -> bool {
        self.before = Some(Snapshot {
            cursor: self.cursor,
            pending: self.pending,
            failed: self.failed,
            answered: self.answered,
            written: out.len(),
        });
        match &mut self.pending {
            Pending::Nothing => return false,
            Pending::Single => {}
            Pending::Batch(remaining) => {
                // The body was checked in `open_body`, so this cannot fail.
                if !self.cursor.step(remaining).unwrap_or(false) {
                    self.pending = Pending::Nothing;
                    return false;
                }
                if self.answered > 0 && self.format == Format::Json {
                    out.extend_from_slice(b",");
                }
            }
        }
        self.answered += 1;
        let start = self.cursor;
        let too_long = out.len().saturating_sub(self.start) > self.server.limits.answer_bytes;
        let parts = if self.failed && !self.continue_on_error {
            Err(Fault::new(NOT_RUN))
        } else if too_long {
            Err(Fault::new("MemoryError: the answer has grown too long"))
        } else {
            RequestParts::read(&mut self.cursor)
        };
        if parts.is_err() {
            self.cursor = start;
            if self.cursor.skip().is_err() {
                self.pending = Pending::Nothing;
            }
        }
        self.failed |= self.server.answer(self.format, parts, target, out).is_err();
        if self.pending == Pending::Single {
            self.pending = Pending::Nothing;
        }
        true
    }

    /// Undoes the last step and removes its output, so that the next step executes the same request
    /// again. This is for a target that must wait before it can answer; the target itself remembers
    /// which part of the request it has done. Does nothing if there was no step since the start or
    /// since the last call of this method.
    pub fn take_back(&mut self, out: &mut BytesMut) {
        if let Some(before) = self.before.take() {
            self.cursor = before.cursor;
            self.pending = before.pending;
            self.failed = before.failed;
            self.answered = before.answered;
            out.truncate(before.written);
        }
    }

    /// Ends the answer and returns its format.
    pub fn close(self, out: &mut BytesMut) -> Format {
        match self.format {
            Format::Json if self.batch => out.extend_from_slice(b"]"),
            Format::Cbor if self.batch => {
                if let Some(count) = out.get_mut(self.start + 1..self.start + 5) {
                    count.copy_from_slice(&self.answered.to_be_bytes());
                }
            }
            _ => {}
        }
        self.format
    }
}

/// A request failed, and its error has been written.
struct Failed;

impl Server {
    /// Answers one request. `request` is a fault if the request could not be read or must not be
    /// executed.
    fn answer(
        &mut self,
        format: Format,
        request: Result<RequestParts<'_>, Fault>,
        target: &mut impl Dispatch,
        out: &mut BytesMut,
    ) -> Result<(), Failed> {
        let element = out.len();
        self.warnings.clear();
        match format {
            Format::Json => out.extend_from_slice(keys::JSON_RESULT),
            Format::Cbor => {
                out.extend_from_slice(&[MAP | 1]);
                put_str(format, out, keys::RESULT);
            }
        }
        let value = out.len();
        let outcome = request.and_then(|parts| self.run(format, &parts, target, out));
        if let Err(fault) = &outcome {
            out.truncate(element);
            put_open_error(format, out, fault);
        } else if out.len() == value {
            put_null(format, out);
        }
        if !self.warnings.is_empty() {
            match format {
                Format::Json => out.extend_from_slice(keys::JSON_WARNINGS),
                Format::Cbor => {
                    out[element] = MAP | 2;
                    put_str(format, out, keys::WARNINGS);
                }
            }
            let mut texts = Slot::new(format, out).seq();
            for text in &self.warnings {
                texts.item().str(text);
            }
        }
        if format == Format::Json {
            out.extend_from_slice(b"}");
        }
        outcome.map_err(|_| Failed)
    }

    fn run(
        &mut self,
        format: Format,
        parts: &RequestParts<'_>,
        target: &mut impl Dispatch,
        out: &mut BytesMut,
    ) -> Result<(), Fault> {
        let slot = Slot::new(format, out);
        match parts.object {
            Some(object) => write_object(&mut self.object, object)?,
            None if parts.method.is_some() || parts.property.is_some() => {
                return Err(Fault::value(
                    "a method or property was asked for without an object",
                ));
            }
            None => return list_objects(target, parts.resolve, slot),
        }
        match (&parts.method, &parts.property) {
            (Some(method), _) => {
                let call = parts.call(&self.object, method)?;
                target.call(&call, Reply::new(slot, &mut self.warnings))
            }
            (None, Some(property)) => target.property(&self.object, property, slot),
            (None, None) => target.describe(&self.object, parts.resolve, slot),
        }
    }
}

fn list_objects(target: &mut impl Dispatch, resolve: bool, slot: Slot<'_>) -> Result<(), Fault> {
    let names = target.objects();
    let mut map = slot.map();
    if resolve {
        let mut objects = map.key(keys::OBJECTS).map();
        for name in &names {
            target.describe(name, true, objects.key(name))?;
        }
    } else {
        let mut objects = map.key(keys::OBJECTS).seq();
        names.iter().for_each(|name| objects.item().str(name));
    }
    Ok(())
}

/// Writes `{"error":{"message":"..."}}`.
fn put_error(format: Format, out: &mut BytesMut, fault: &Fault) {
    put_open_error(format, out, fault);
    if format == Format::Json {
        out.extend_from_slice(b"}");
    }
}

/// Writes `{"error":{"message":"..."}`. In JSON the outer map stays open, so that warnings can
/// follow.
fn put_open_error(format: Format, out: &mut BytesMut, fault: &Fault) {
    match format {
        Format::Json => out.extend_from_slice(keys::JSON_ERROR),
        Format::Cbor => {
            put_head(out, MAP, 1);
            put_str(format, out, keys::ERROR);
        }
    }
    Slot::new(format, out)
        .map()
        .entry(keys::MESSAGE, fault.message());
}
