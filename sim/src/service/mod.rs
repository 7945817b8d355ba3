//! A board's HTTP service: sockets and connections, no protocol.
//!
//! It behaves as the server on a real board does: POST on `/tuber` alone,
//! connections kept alive and closed after 5 s without a request, and a batch
//! finished even when its client has gone.

mod body;
mod listen;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

pub(crate) use body::AnswerBody;
pub(crate) use listen::{Port, first, listen};

use crate::board::{Board, Ran};
use crate::fault::OnRequest;

/// After this long without a request a connection is closed.
const IDLE: Duration = Duration::from_secs(5);

/// A request body larger than this is refused with status 413.
const MAX_REQUEST: usize = 64 << 20;

const PATH: &str = "/tuber";

type Answer = Response<AnswerBody>;

/// Serves one connection until either side ends it or the board reboots.
async fn serve(board: Arc<Board>, stream: TcpStream) {
    // Nagle's delay would hold back the last segment of every answer.
    let _ = stream.set_nodelay(true);
    let life = board.life();
    let service = service_fn(|request| {
        let board = Arc::clone(&board);
        async move { Ok::<_, Infallible>(respond(&board, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = connection => {
            if let Err(error) = ended {
                tracing::trace!(board = board.name(), %error, "connection ended");
            }
        }
        () = life.cancelled() => {}
    }
}

async fn respond(board: &Arc<Board>, request: Request<Incoming>) -> Answer {
    if request.uri().path() != PATH {
        return refusal(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::POST {
        return refusal(StatusCode::METHOD_NOT_ALLOWED);
    }
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return refusal(StatusCode::PAYLOAD_TOO_LARGE),
    };
    let headers = Headers::read(&head.headers);
    match board.on_request() {
        OnRequest::Run => finish(board, board.run(&headers, &body)).await,
        OnRequest::RunAfter(delay) => {
            let late = Arc::clone(board);
            // Owned by the board and not by this connection: the batch is
            // run even when the client gives up during the delay.
            let batch = board.tasks().spawn(async move {
                tokio::time::sleep(delay).await;
                late.run(&headers, &body)
            });
            match batch.await {
                Ok(ran) => finish(board, ran).await,
                Err(_) => refusal(StatusCode::SERVICE_UNAVAILABLE),
            }
        }
        OnRequest::Never => std::future::pending().await,
        OnRequest::Answer {
            status,
            content_type,
            body,
        } => {
            let mut answer = Response::new(AnswerBody::from(body));
            *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            answer
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            answer
        }
    }
}

/// Turns what a batch came to into an answer, after the time that it takes.
async fn finish(board: &Board, ran: Ran) -> Answer {
    if let Some(until) = ran.busy_until {
        tokio::time::sleep_until(until).await;
    }
    let Some(reply) = ran.reply else {
        return std::future::pending().await;
    };
    let fate = board.on_answer(&reply.body);
    let mut answer = Response::new(AnswerBody::new(reply.body, fate));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    // Given here and not left to the encoder, so that it comes before the
    // next header as it does on the board.
    let length = answer_length(&answer);
    answer.headers_mut().insert(CONTENT_LENGTH, length);
    answer.headers_mut().insert(
        "keep-alive",
        HeaderValue::from_static("timeout=5, max=18446744073709551615"),
    );
    answer
}

fn answer_length(answer: &Answer) -> HeaderValue {
    let length = hyper::body::Body::size_hint(answer.body())
        .exact()
        .unwrap_or(0);
    HeaderValue::from(length)
}

fn refusal(status: StatusCode) -> Answer {
    let mut answer = Response::new(AnswerBody::Whole(Some(Bytes::new())));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// The headers of a request that Tuber looks at, where they are text.
#[derive(Debug, Default, Clone)]
pub(crate) struct Headers {
    pub(crate) content_type: Option<String>,
    pub(crate) accept: Option<String>,
    pub(crate) options: Option<String>,
}

impl Headers {
    fn read(headers: &HeaderMap) -> Self {
        let text = |value: Option<&HeaderValue>| Some(value?.to_str().ok()?.to_owned());
        Self {
            content_type: text(headers.get(CONTENT_TYPE)),
            accept: text(headers.get(ACCEPT)),
            options: text(headers.get("x-tuber-options")),
        }
    }
}
