//! A client of any Tuber server.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::time::Instant;
use twotone_hal::{Certainty, Error, ErrorKind, Result};
use twotone_wire::tuber::{Answer, BatchWriter, DecodeError, Format, Limits, Value};

use crate::http::Post;
use crate::link::{Link, Repeat, Unwatched};
use crate::{ConnectOptions, Connector, Host};

/// A client of any Tuber server, for what one board family alone has and for servers that are no
/// boards. One connection, opened with the first call.
///
/// A batch is not sent again when its answer was lost: what the calls do is not known here.
#[derive(Debug)]
pub struct TuberClient {
    link: Link,
    options: ConnectOptions,
    /// JSON until the server has answered in CBOR.
    format: Mutex<Format>,
}

/// What became of one call of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The value, or the server's message, to be shown and not parsed.
    pub result: Result<Value, String>,
    /// What the server warned about.
    pub warnings: Vec<String>,
}

impl TuberClient {
    /// A client of the server at `host`, driven by the process-wide runtime.
    pub fn new(host: Host, options: ConnectOptions) -> Self {
        Self::on(Connector::tcp(host), options, tworoutine::runtime().clone())
    }

    /// A client over byte streams of the caller's, driven by the caller's runtime.
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
        }
    }

    /// Runs the calls that `write` adds, in order, and answers what became of each. With
    /// `continue_on_error` the calls after a failed one are run too.
    ///
    /// Dropped before it was sent, the batch is not sent; dropped later, it is driven to its
    /// answer.
    ///
    /// # Errors
    /// Where no answer came, it cannot be read, or the server refused the batch as a whole.
    pub async fn batch(
        &self,
        continue_on_error: bool,
        write: impl FnOnce(&mut BatchWriter),
    ) -> Result<Vec<Reply>> {
        let format = *self.format.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = BatchWriter::new(format);
        write(&mut writer);
        let calls = writer.calls();
        let mut post = Post::new(writer.finish(), format);
        if continue_on_error {
            post = post.continue_on_error();
        }
        let deadline = Instant::now() + self.options.request_timeout;
        let answer = self.link.exchange(post, Repeat::Never, deadline).await?;
        let content_type = answer.content_type.as_deref();
        if let Some(format) = Format::of_answer(content_type) {
            *self.format.lock().unwrap_or_else(PoisonError::into_inner) = format;
        }
        let limits = Limits {
            body_bytes: self.options.answer_limit,
            ..Limits::ANSWER
        };
        let mut read = Answer::new(content_type, &answer.body, &limits).map_err(broken)?;
        let mut elements = read.elements(calls).map_err(broken)?;
        if let Some(refusal) = elements.refusal() {
            return Err(Error::new(ErrorKind::Rejected, refusal));
        }
        let mut replies = Vec::with_capacity(calls.min(1024));
        while let Some(element) = elements.next().map_err(broken)? {
            let mut warnings = Vec::new();
            element
                .warnings
                .for_each(|warning| warnings.push(warning.into_owned()));
            let result = match element.outcome {
                Ok(mut cursor) => Ok(cursor.value().map_err(broken)?),
                Err(message) => Err(message.into_owned()),
            };
            replies.push(Reply { result, warnings });
        }
        Ok(replies)
    }

    /// Makes one call.
    ///
    /// # Errors
    /// As [`TuberClient::batch`], and [`ErrorKind::Rejected`] with the server's message where the
    /// call failed.
    pub async fn call(&self, write: impl FnOnce(&mut BatchWriter)) -> Result<Value> {
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
}

fn broken(error: DecodeError) -> Error {
    Error::new(ErrorKind::Protocol, "the answer cannot be read")
        .certainty_is(Certainty::Unknown)
        .caused_by(error)
}
