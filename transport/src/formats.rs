//! Formats that a server can read.
//!
//! A request is in CBOR if the server has answered in CBOR before. Older servers answer in CBOR and
//! read only JSON. They refuse a request in CBOR as a whole, or fail with an HTTP status, and
//! execute nothing of it. But any server may fail, and some refuse a request as a whole after they
//! have executed it, because they cannot write its answer. So one failure does not show which of
//! these happened. The names of the objects, which every server can write, are then asked for in
//! JSON and in CBOR. A server that answers only the first question does not read CBOR.

use tokio::time::Instant;
use twotone_hal::{Result, Safety};
use twotone_wire::tuber::{Answer, BatchWriter, Format, Limits};

use crate::http::{Answer as Received, Post, StatusAnswer};
use crate::link::Link;
use crate::stream::Known;

/// Calls that are sent as one request, in a format that the server reads.
pub(crate) struct Calls<'a, W> {
    /// Adds the calls.
    pub(crate) write: W,
    /// True if the calls after a failed one are executed, too.
    pub(crate) continue_on_error: bool,
    pub(crate) safety: Safety,
    /// Format of the request, unless the server does not read CBOR.
    pub(crate) format: Format,
    /// True if the server is known not to read CBOR. Set if its answers show this.
    pub(crate) reads_no_cbor: &'a Known,
}

impl<W: Fn(&mut BatchWriter)> Calls<'_, W> {
    /// Sends the calls. If the server does not read CBOR, they are sent once more in JSON. Returns
    /// the number of calls and the answer.
    pub(crate) async fn exchange(
        self,
        link: &Link,
        deadline: Instant,
    ) -> (usize, Result<Received>) {
        let format = match self.reads_no_cbor.get() {
            true => Format::Json,
            false => self.format,
        };
        let (calls, post) = self.post_in(format);
        let answer = link.exchange(post, self.safety, deadline).await;
        if format == Format::Json || !reads_no_cbor(link, &answer, calls, deadline).await {
            return (calls, answer);
        }
        self.reads_no_cbor.set(true);
        let (_, post) = self.post_in(Format::Json);
        (calls, link.exchange(post, self.safety, deadline).await)
    }

    fn post_in(&self, format: Format) -> (usize, Post) {
        let mut writer = BatchWriter::new(format);
        (self.write)(&mut writer);
        let calls = writer.calls();
        let post = Post::new(writer.finish(), format);
        match self.continue_on_error {
            true => (calls, post.continue_on_error()),
            false => (calls, post),
        }
    }
}

/// True if the server does not read CBOR. `answer` is its answer to a request in CBOR of `calls`
/// calls. A server that has executed the request is asked nothing.
async fn reads_no_cbor(
    link: &Link,
    answer: &Result<Received>,
    calls: usize,
    deadline: Instant,
) -> bool {
    if !is_refused(answer, calls) {
        return false;
    }
    let names_in = async |format| {
        let mut writer = BatchWriter::new(format);
        writer.list_objects();
        let post = Post::new(writer.finish(), format);
        link.exchange(post, Safety::Read, deadline).await
    };
    let in_json = names_in(Format::Json).await;
    in_json.is_ok() && !is_refused(&in_json, 1) && is_refused(&names_in(Format::Cbor).await, 1)
}

/// True if the server refused the request as a whole, or answered with an HTTP status.
fn is_refused(answer: &Result<Received>, calls: usize) -> bool {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return error.source_as::<StatusAnswer>().is_some(),
    };
    let content_type = answer.content_type.as_deref();
    let limits = Limits {
        body_bytes: answer.body.len(),
        ..Limits::ANSWER
    };
    let Ok(mut read) = Answer::new(content_type, &answer.body, &limits) else {
        return false;
    };
    let elements = read.elements(calls);
    elements.is_ok_and(|elements| elements.refusal().is_some())
}
