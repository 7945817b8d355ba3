//! One HTTP/1.1 connection over a byte stream.

use std::error::Error as StdError;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use twotone_wire::tuber::Format;

use crate::crs::Leaves;
use crate::stream::ByteStream;

/// A request body with what its headers say.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) body: Bytes,
    pub(crate) format: Format,
    pub(crate) continue_on_error: bool,
    /// What it sets, for the keeper of its module.
    pub(crate) leaves: Option<Arc<Leaves>>,
}

impl Post {
    pub(crate) fn new(body: Bytes, format: Format) -> Self {
        Self {
            body,
            format,
            continue_on_error: false,
            leaves: None,
        }
    }

    /// Has the calls after a failed one run too.
    pub(crate) fn continue_on_error(self) -> Self {
        Self {
            continue_on_error: true,
            ..self
        }
    }
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) content_type: Option<String>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The answer to no calls at all, for batches that need not be sent.
    pub(crate) fn empty() -> Self {
        let content_type = Some(Format::Json.content_type().to_owned());
        Self {
            content_type,
            body: Bytes::from_static(b"[]"),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The request did not leave: it may be sent again whatever it is.
    #[error("the connection was closed before the request was sent")]
    NotSent(hyper::Error),
    /// The connection was lost while the answer was awaited.
    #[error("the connection was closed before the answer was whole")]
    Lost(Box<dyn StdError + Send + Sync>),
    /// The deadline passed while the answer was awaited.
    #[error("no answer came before the deadline")]
    Late,
    /// The server answered with another status than 200.
    #[error("HTTP {0}: is it a Tuber server?")]
    Status(StatusCode),
    /// The answer is larger than what is read.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// An open connection. Dropping it closes it.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: AbortHandle,
    host: HeaderValue,
    accept: &'static str,
    answer_limit: usize,
}

impl Connection {
    /// Speaks HTTP over `stream`; `runtime` drives it.
    pub(crate) async fn over(
        stream: Box<dyn ByteStream>,
        runtime: &Handle,
        authority: &str,
        accept: &'static str,
        answer_limit: usize,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        let host = HeaderValue::from_str(authority)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Errors of the connection reach whoever awaits an answer on it.
        let driver = runtime
            .spawn(async move { drop(connection.await) })
            .abort_handle();
        Ok(Self {
            sender,
            driver,
            host,
            accept,
            answer_limit,
        })
    }

    /// The server has closed it, or an exchange was cut off.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Posts and awaits the whole answer.
    pub(crate) async fn exchange(
        &mut self,
        post: &Post,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let request = self.request(post);
        let limit = self.answer_limit;
        let sender = &mut self.sender;
        let exchange = async move {
            sender.ready().await.map_err(Failure::NotSent)?;
            let response = sender.send_request(request).await.map_err(|error| {
                if error.is_canceled() {
                    Failure::NotSent(error)
                } else {
                    lost(error)
                }
            })?;
            if response.status() != StatusCode::OK {
                return Err(Failure::Status(response.status()));
            }
            let content_type = response
                .headers()
                .get(CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned);
            let body = Limited::new(response.into_body(), limit);
            let body = body.collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    Failure::TooLarge(limit)
                } else {
                    Failure::Lost(error)
                }
            })?;
            Ok(Answer {
                content_type,
                body: body.to_bytes(),
            })
        };
        timeout_at(deadline, exchange)
            .await
            .unwrap_or(Err(Failure::Late))
    }

    fn request(&self, post: &Post) -> Request<Full<Bytes>> {
        let mut request = Request::post("/tuber")
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, post.format.content_type())
            .header(ACCEPT, self.accept);
        if post.continue_on_error {
            request = request.header("X-Tuber-Options", "continue-on-error");
        }
        request
            .body(Full::new(post.body.clone()))
            .expect("every header is one")
    }
}

fn lost(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Failure {
    Failure::Lost(error.into())
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Failure {
    /// The server may have run the request, or parts of it.
    pub(crate) fn may_have_run(&self) -> bool {
        !matches!(self, Self::NotSent(_))
    }
}
