//! Formats that a server can read.
//!
//! A request is in CBOR if the server has answered in CBOR before. Older servers answer in CBOR and
//! read only JSON. They refuse a request in CBOR as a whole, and execute nothing of it. Other
//! servers refuse a request as a whole if they cannot write its answer, after they have executed
//! it. So a refusal alone does not show which of the two happened. The request that follows it
//! asks for the names of the objects, which every server can write.

use tokio::time::Instant;
use twotone_hal::{Result, Safety};
use twotone_wire::tuber::{Answer, BatchWriter, Format, Limits};

use crate::http::{Answer as Received, Post};
use crate::link::Link;

/// True if the server does not read CBOR. `refused` is its answer to a request in CBOR of `calls`
/// calls. If the answer is a refusal of the whole request, the server is asked for the names of its
/// objects, in CBOR.
///
/// # Errors
/// If that question gets no answer.
pub(crate) async fn reads_no_cbor(
    link: &Link,
    refused: &Received,
    calls: usize,
    deadline: Instant,
) -> Result<bool> {
    if !is_refusal(refused, calls) {
        return Ok(false);
    }
    let mut writer = BatchWriter::new(Format::Cbor);
    writer.list_objects();
    let post = Post::new(writer.finish(), Format::Cbor);
    let answer = link.exchange(post, Safety::Read, deadline).await?;
    Ok(is_refusal(&answer, 1))
}

/// True if the answer is an error for the request as a whole.
fn is_refusal(answer: &Received, calls: usize) -> bool {
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
