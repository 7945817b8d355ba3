//! HTTP service of a simulated board: connections and requests, without the contents of the
//! protocol. A *batch* is the list of calls that one request carries.
//!
//! The service behaves like the server on a real board. It only accepts POST on `/tuber`, keeps
//! connections open, closes them after 5 s without a request, and finishes a batch even if its
//! client has disconnected.
//!
//! A connection that a fault keeps open without an answer is closed when its client disconnects or
//! when the fault ends. Requests that were sent over it are then lost. A client that closes only
//! its sending side cannot be distinguished from a client that has disconnected, until something is
//! written to it. So a late answer is sent only within 10 s after the client has closed its sending
//! side.

mod body;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use twotone_wire::tuber;

use self::body::AnswerBody;
use super::Crs;
use super::tuber::Encoded;
use crate::board::{Board, Client, Connection, Held, Watch};
use crate::fault::{OnAnswer, OnRequest};

/// Time without a request after which a connection is closed.
const IDLE: Duration = Duration::from_secs(5);

/// Size of the largest request body, bytes. Larger bodies are refused with status 413.
const MAX_REQUEST: usize = tuber::Limits::REQUEST.body_bytes;

/// Value of the `keep-alive` header: the time [`IDLE`], and no limit on the number of requests.
const KEEP_ALIVE: &str = "timeout=5, max=18446744073709551615";

type Answer = Response<AnswerBody>;

/// Serves one connection until either side closes it or the board reboots.
pub(super) async fn serve(crs: Arc<Crs>, connection: Connection) {
    let life = crs.board.life();
    let client = Client::of(connection);
    let service = service_fn(|request| {
        let (crs, client) = (Arc::clone(&crs), client.clone());
        async move { Ok::<_, Infallible>(respond(&crs, &client, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        // A request that has arrived completely is executed even if its client has disconnected.
        .half_close(true)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(client.clone()), service);
    tokio::select! {
        // The connection is polled first. It marks the client as held, and `client.must_close`
        // depends on this mark.
        biased;
        ended = connection => {
            if let Err(error) = ended {
                tracing::trace!(board = crs.board.name(), %error, "connection ended");
            }
        }
        () = life.cancelled() => {}
        () = client.must_close(&crs.board) => {
            tracing::trace!(board = crs.board.name(), "connection closed");
        }
    }
}

async fn respond(crs: &Arc<Crs>, client: &Client, request: Request<Incoming>) -> Answer {
    // A fault may have held the connection during the previous answer.
    client.release();
    if request.uri().path() != tuber::PATH {
        return refusal(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::POST {
        return refusal(StatusCode::METHOD_NOT_ALLOWED);
    }
    let (head, body) = request.into_parts();
    // A body whose declared length is too large is refused without reading it.
    if body.size_hint().lower() > MAX_REQUEST as u64 {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let body = match Limited::new(body, MAX_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return refusal(StatusCode::PAYLOAD_TOO_LARGE),
    };
    let headers = Headers::read(&head.headers);
    let (delay, detached) = match crs.board.on_request() {
        // If the clock is stopped, nothing in a request waits. So the request cannot be cancelled
        // in the middle, and needs no task.
        OnRequest::Run if !crs.board.clock().is_running() => (Duration::ZERO, false),
        OnRequest::Run => (Duration::ZERO, true),
        OnRequest::RunAfter(delay) => (delay, true),
        OnRequest::Never => return hang(client, Held::Request).await,
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
            return answer;
        }
    };
    let ran = if detached {
        let (late, life) = (Arc::clone(crs), crs.board.life());
        // The task belongs to the board and not to this connection. So the batch is finished even
        // if the client disconnects. A reboot ends it.
        if delay > Duration::ZERO {
            client.hold(Held::Late, Watch::Keep);
        }
        let batch = crs.board.tasks().spawn(async move {
            let run = async {
                tokio::time::sleep(delay).await;
                late.run(headers.head(), &body).await
            };
            life.run_until_cancelled(run).await
        });
        let ran = batch.await;
        client.release();
        // If a reboot or the end of the simulation has ended the batch, its connection gets no
        // answer.
        ran.ok().flatten().unwrap_or(Err(Held::Connection))
    } else {
        crs.run(headers.head(), &body).await
    };
    match ran {
        Ok(reply) => send(&crs.board, client, reply),
        Err(held) => hang(client, held).await,
    }
}

/// Never returns. [`Client::must_close`] closes the connection when its client disconnects or the
/// fault ends.
async fn hang(client: &Client, held: Held) -> Answer {
    client.hold(held, Watch::Discard);
    std::future::pending().await
}

fn send(board: &Board, client: &Client, reply: Encoded) -> Answer {
    let (call, fate) = board.on_answer(&reply.body);
    if let OnAnswer::PadWith(_) = fate {
        client.hold(Held::Answer(call), Watch::Off);
    }
    let mut answer = Response::new(AnswerBody::new(reply.body, fate));
    let length = answer_length(&answer);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    // The header is set here and not by hyper, so that it precedes the `keep-alive` header, as on a
    // real board.
    headers.insert(CONTENT_LENGTH, length);
    headers.insert("keep-alive", HeaderValue::from_static(KEEP_ALIVE));
    answer
}

fn answer_length(answer: &Answer) -> HeaderValue {
    let length = answer.body().size_hint().exact().unwrap_or(0);
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

/// Those headers of a request that Tuber (the control protocol) uses, if they are valid text.
#[derive(Debug, Default, Clone)]
struct Headers {
    content_type: Option<String>,
    accept: Option<String>,
    options: Option<String>,
}

impl Headers {
    fn read(headers: &HeaderMap) -> Self {
        let text = |value: Option<&HeaderValue>| Some(value?.to_str().ok()?.to_owned());
        Self {
            content_type: text(headers.get(CONTENT_TYPE)),
            accept: text(headers.get(ACCEPT)),
            options: text(headers.get(tuber::OPTIONS_HEADER)),
        }
    }

    fn head(&self) -> tuber::Head<'_> {
        tuber::Head {
            content_type: self.content_type.as_deref(),
            accept: self.accept.as_deref(),
            options: self.options.as_deref(),
        }
    }
}
