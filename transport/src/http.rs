//! One HTTP/1.1 connection over a byte stream. A request carries remote procedure calls to a board.

mod failure;

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName,
    HeaderValue, LOCATION,
};
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use twotone_wire::tuber::Format;

use crate::deadline;
use crate::link::Sent;
use crate::stream::ByteStream;
pub(crate) use failure::{Failure, StatusAnswer};

/// A request body with its headers.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) body: Bytes,
    pub(crate) format: Format,
    pub(crate) continue_on_error: bool,
    /// Changes that the request makes to the settings of one module. They are told to the
    /// [`Keeper`](crate::link::Keeper), which remembers the settings of this module. The list may
    /// be empty, as in a request that only needs the settings to be unchanged. `None` if the
    /// settings of modules make no difference to the request.
    pub(crate) sent: Option<Arc<Sent>>,
    /// Time that the acquisitions of the request take on the board.
    pub(crate) acquiring: Duration,
}

impl Post {
    pub(crate) fn new(body: Bytes, format: Format) -> Self {
        Self {
            body,
            format,
            continue_on_error: false,
            sent: None,
            acquiring: Duration::ZERO,
        }
    }

    /// True if the request switches tones off and changes nothing else.
    pub(crate) fn only_switches_off(&self) -> bool {
        let sent = self.sent.as_ref();
        sent.is_some_and(|sent| sent.only_switches_off())
    }

    /// Asks the server to execute the calls after a failed one, too.
    pub(crate) fn continue_on_error(self) -> Self {
        Self {
            continue_on_error: true,
            ..self
        }
    }
}

/// Answer of a server.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) content_type: Option<String>,
    pub(crate) body: Bytes,
    /// Number of repetitions of the request before this answer came.
    pub(crate) repeats: u32,
    /// True if the request had been sent before, and its first answer was lost.
    pub(crate) was_lost: bool,
}

impl Answer {
    /// The answer to a request without calls. Such a request is not sent.
    pub(crate) fn empty() -> Self {
        let content_type = Some(Format::Json.content_type().to_owned());
        Self {
            content_type,
            body: Bytes::from_static(b"[]"),
            repeats: 0,
            was_lost: false,
        }
    }
}

/// An open connection. It is closed when dropped.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: AbortHandle,
    host: HeaderValue,
    accept: &'static str,
    answer_limit: usize,
    /// Number of answers on this connection, and the time at which the last one was complete.
    answers: u32,
    answered: Instant,
    /// True if the headers of the last answer announce that the server closes the connection.
    closes: bool,
}

impl Connection {
    /// Begins HTTP over `stream`. `runtime` drives the connection.
    pub(crate) async fn over(
        stream: Box<dyn ByteStream>,
        runtime: &Handle,
        authority: &str,
        accept: &'static str,
        answer_limit: usize,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        let host = HeaderValue::from_str(authority)?;
        let (sender, connection) = http1::Builder::new()
            // The names of headers have no case in HTTP, but some servers know only names whose
            // words begin with capital letters.
            .title_case_headers(true)
            .handshake(TokioIo::new(stream))
            .await?;
        // The result is dropped: whoever awaits an answer on the connection receives its error.
        let driver = runtime
            .spawn(async move { drop(connection.await) })
            .abort_handle();
        Ok(Self {
            sender,
            driver,
            host,
            accept,
            answer_limit,
            answers: 0,
            answered: Instant::now(),
            closes: false,
        })
    }

    /// True if the server has closed the connection or has announced it, or if an exchange (a
    /// request and its answer) was cut off.
    pub(crate) fn is_closed(&self) -> bool {
        self.closes || self.sender.is_closed()
    }

    /// True if the server has announced with its last answer that it closes the connection.
    pub(crate) fn closes(&self) -> bool {
        self.closes
    }

    /// Number of answers on this connection.
    pub(crate) fn answers(&self) -> u32 {
        self.answers
    }

    /// Time since the last answer on this connection, or since it was opened if there was no
    /// answer.
    pub(crate) fn rested(&self) -> Duration {
        self.answered.elapsed()
    }

    /// Sends a request and awaits the complete answer.
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
                    lost(error, true)
                }
            })?;
            let closes = closes(&response);
            let header = |name: HeaderName| {
                let value = response.headers().get(name);
                value
                    .and_then(|value| value.to_str().ok())
                    .map(str::to_owned)
            };
            if response.status() != StatusCode::OK {
                return Err(Failure::Status(response.status(), header(LOCATION)));
            }
            if let Some(how) = header(CONTENT_ENCODING).filter(|how| how != "identity") {
                return Err(Failure::Compressed(how));
            }
            let content_type = header(CONTENT_TYPE);
            if content_type
                .as_ref()
                .is_some_and(|it| it.starts_with("text/html"))
            {
                return Err(Failure::Page);
            }
            let body = Limited::new(response.into_body(), limit);
            let body = body.collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    Failure::TooLarge(limit)
                } else {
                    lost(error, false)
                }
            })?;
            let body = body.to_bytes();
            if body.starts_with(GZIP) {
                return Err(Failure::Compressed("gzip".to_owned()));
            }
            let answer = Answer {
                content_type,
                body,
                repeats: 0,
                was_lost: false,
            };
            Ok((answer, closes))
        };
        let exchanged = deadline::until(deadline, exchange);
        let (answer, closes) = exchanged.await.unwrap_or(Err(Failure::Late))?;
        self.answers += 1;
        self.answered = Instant::now();
        self.closes = closes;
        Ok(answer)
    }

    fn request(&self, post: &Post) -> Request<Full<Bytes>> {
        let mut request = Request::post("/tuber")
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, post.format.content_type())
            .header(ACCEPT, self.accept)
            // A proxy in front of the board must not compress the answer. Boards ignore this
            // header.
            .header(ACCEPT_ENCODING, "identity");
        if post.continue_on_error {
            request = request.header("X-Tuber-Options", "continue-on-error");
        }
        request
            .body(Full::new(post.body.clone()))
            .expect("all headers are constant or were checked")
    }
}

/// First bytes of a gzip body. Neither JSON nor CBOR begins with them.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// True if the headers announce that the server closes the connection after this answer.
fn closes(response: &Response<Incoming>) -> bool {
    let connection_header_has = |word: &str| {
        let mut values = response.headers().get_all(CONNECTION).iter();
        values.any(|value| {
            let value = value.to_str().unwrap_or_default();
            value
                .split(',')
                .any(|one| one.trim().eq_ignore_ascii_case(word))
        })
    };
    connection_header_has("close")
        || (response.version() == Version::HTTP_10 && !connection_header_has("keep-alive"))
}

fn lost(source: impl Into<Box<dyn StdError + Send + Sync>>, unanswered: bool) -> Failure {
    Failure::Lost {
        source: source.into(),
        unanswered,
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
