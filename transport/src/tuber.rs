//! Client of any server of Tuber, the remote procedure calls of CRS boards. A *batch* is the calls
//! that one request carries.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;
use twotone_hal::{Certainty, Error, ErrorKind, Result, Safety};
use twotone_wire::tuber::{
    Answer, BatchWriter, Cursor, DecodeError, Description, Element, Format, Limits, MethodInfo,
    Object, Value,
};

use crate::deadline;
use crate::formats::Calls;
use crate::http::Answer as Received;
use crate::link::{Link, Unwatched};
use crate::stream::Known;
use crate::{ConnectOptions, Connector, Host};

/// Client of any Tuber server, for methods that only one board family has and for servers that are
/// not boards. It has one connection, which is opened with the first call.
///
/// A batch is not sent again if its answer was lost, since the client does not know the effect of
/// its calls.
#[derive(Debug)]
pub struct TuberClient {
    link: Link,
    options: ConnectOptions,
    /// Format of the next batch: JSON until the server has answered in CBOR.
    format: Mutex<Format>,
    reads_no_cbor: Known,
}

/// Result of one call of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The value, or the error message of the server. The text of the message is not part of the
    /// protocol.
    pub result: Result<Value, String>,
    /// Warnings of the server.
    pub warnings: Vec<String>,
}

impl TuberClient {
    /// Client of the server at `host`, driven by the process-wide runtime
    /// ([`tworoutine::runtime()`]).
    pub fn new(host: Host, options: ConnectOptions) -> Self {
        Self::on(Connector::tcp(host), options, tworoutine::runtime().clone())
    }

    /// Client over byte streams that the caller provides, driven by the runtime of the caller.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn over(connector: Connector, options: ConnectOptions) -> Self {
        Self::on(connector, options, Handle::current())
    }

    fn on(connector: Connector, options: ConnectOptions, runtime: Handle) -> Self {
        let link = Link::new(connector, options.clone(), Unwatched, runtime);
        Self {
            link,
            options,
            format: Mutex::new(Format::Json),
            reads_no_cbor: Known::default(),
        }
    }

    /// Executes the calls that `write` adds, in order, and returns the result of each. With
    /// `continue_on_error`, the calls after a failed one are executed, too. Without it, they are
    /// not executed, and each of them has an error as its result.
    ///
    /// If this future is dropped before the batch was sent, the batch is not sent. If it is dropped
    /// later, the client still awaits the answer before it sends the next batch.
    ///
    /// If the server refuses the batch because it does not read CBOR, `write` is called once more
    /// to write the batch in JSON. The server has then executed nothing of the first one.
    ///
    /// # Errors
    /// If no answer came, if the answer cannot be read, or if the server refused the batch as a
    /// whole.
    pub async fn batch(
        &self,
        continue_on_error: bool,
        write: impl Fn(&mut BatchWriter),
    ) -> Result<Vec<Reply>> {
        let mut replies = Vec::new();
        self.exchange(continue_on_error, write, |element| {
            let mut warnings = Vec::new();
            element
                .warnings
                .for_each(|warning| warnings.push(warning.into_owned()));
            let result = match element.outcome {
                Ok(mut cursor) => Ok(cursor.value()?),
                Err(message) => Err(message.into_owned()),
            };
            replies.push(Reply { result, warnings });
            Ok(())
        })
        .await?;
        Ok(replies)
    }

    /// Makes one call.
    ///
    /// # Errors
    /// As [`TuberClient::batch`], and [`ErrorKind::Rejected`] with the server's message if the call
    /// failed. [`ErrorKind::InvalidArgument`] if `write` does not add exactly one call. The server
    /// has then executed the calls nevertheless.
    pub async fn call(&self, write: impl Fn(&mut BatchWriter)) -> Result<Value> {
        let mut replies = self.batch(false, write).await?;
        match replies.pop() {
            Some(reply) if replies.is_empty() => reply
                .result
                .map_err(|message| Error::new(ErrorKind::Rejected, message)),
            _ => Err(Error::new(
                ErrorKind::InvalidArgument,
                "not exactly one call was written",
            )),
        }
    }

    /// Returns the description of an object. If the server lists only names, a second batch
    /// requests the description of each name. A method or property that the server does not
    /// describe has only its name.
    ///
    /// # Errors
    /// As [`TuberClient::call`]. An object that does not exist is an error, too.
    pub async fn describe<'a>(&self, object: impl Into<Object<'a>> + Send) -> Result<Description> {
        let object = object.into();
        let mut answer = Err(String::new());
        let resolve = |writer: &mut BatchWriter| writer.resolve(object);
        self.exchange(false, resolve, |element| {
            answer = described(element, Description::read)?;
            Ok(())
        })
        .await?;
        let mut found = answer.map_err(|message| Error::new(ErrorKind::Rejected, message))?;
        if !found.names_only {
            return Ok(found);
        }
        let (methods, properties) = (&mut found.methods, &mut found.properties);
        let names = methods.iter().map(|method| &method.name);
        let names: Vec<String> = names
            .chain(properties.iter().map(|(name, _)| name))
            .cloned()
            .collect();
        let ask = |writer: &mut BatchWriter| {
            names
                .iter()
                .for_each(|name| writer.property(object, name.as_str()));
        };
        let mut next = 0;
        self.exchange(true, ask, |element| {
            let index = next;
            next += 1;
            if let Some(method) = methods.get_mut(index) {
                let read = |cursor: &mut Cursor<'_>| MethodInfo::read(&method.name, cursor);
                if let Ok(known) = described(element, read)? {
                    *method = known;
                }
            } else if let Some((_, value)) = properties.get_mut(index - methods.len()) {
                *value = described(element, |cursor| cursor.value())?.ok();
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// Sends a batch and calls `take` with each element of its answer, in order.
    async fn exchange(
        &self,
        continue_on_error: bool,
        write: impl Fn(&mut BatchWriter),
        take: impl FnMut(Element<'_>) -> Result<(), DecodeError>,
    ) -> Result<()> {
        let calls = Calls {
            write,
            continue_on_error,
            safety: Safety::Once,
            format: *self.format.lock().unwrap_or_else(PoisonError::into_inner),
            reads_no_cbor: &self.reads_no_cbor,
        };
        let deadline = deadline::within(self.options.request_timeout);
        let (calls, answer) = calls.exchange(&self.link, deadline).await;
        let answer = answer?;
        if let Some(format) = Format::of_answer(answer.content_type.as_deref()) {
            *self.format.lock().unwrap_or_else(PoisonError::into_inner) = format;
        }
        let limits = Limits {
            body_bytes: self.options.answer_limit,
            ..Limits::ANSWER
        };
        if let Some(refusal) = read(&answer, calls, &limits, take).map_err(broken)? {
            return Err(Error::new(ErrorKind::Rejected, refusal));
        }
        Ok(())
    }
}

/// Reads an answer to its end. Returns the message of the server if it refused the batch as a
/// whole.
fn read(
    answer: &Received,
    calls: usize,
    limits: &Limits,
    mut take: impl FnMut(Element<'_>) -> Result<(), DecodeError>,
) -> Result<Option<String>, DecodeError> {
    let mut body = Answer::new(answer.content_type.as_deref(), &answer.body, limits)?;
    let mut elements = body.elements(calls)?;
    if let Some(refusal) = elements.refusal() {
        return Ok(Some(refusal.to_owned()));
    }
    while let Some(element) = elements.next()? {
        take(element)?;
    }
    Ok(None)
}

/// Value of an element, or the error message of the server.
fn described<T>(
    element: Element<'_>,
    read: impl FnOnce(&mut Cursor<'_>) -> Result<T, DecodeError>,
) -> Result<Result<T, String>, DecodeError> {
    match element.outcome {
        Ok(mut cursor) => read(&mut cursor).map(Ok),
        Err(message) => Ok(Err(message.into_owned())),
    }
}

/// The error for an answer that cannot be read. It is not known how many calls of the batch were
/// executed.
pub(crate) fn broken(error: DecodeError) -> Error {
    Error::new(ErrorKind::Protocol, "the answer cannot be read")
        .certainty_is(Certainty::Unknown)
        .caused_by(error)
}
