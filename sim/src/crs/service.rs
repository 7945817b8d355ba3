//! A board's HTTP service: sockets and connections, no protocol.
//!
//! It behaves as the server on a real board does: POST on `/tuber` alone,
//! connections kept alive and closed after 5 s without a request, and a batch
//! finished even if its client has gone.
//!
//! A connection that a fault leaves without an answer is closed when its client
//! has gone or when the fault is over. All that was sent over it is then lost.
//! A client that closes only its sending side cannot be told from one that has
//! gone, as long as nothing is written to it. A late answer is therefore sent only
//! within 10 s after the client has closed its sending side.

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

/// Longest time without a request before a connection is closed.
const IDLE: Duration = Duration::from_secs(5);

/// Largest request body, bytes. Larger ones are refused with status 413.
const MAX_REQUEST: usize = tuber::Limits::REQUEST.body_bytes;

/// Value of the `keep-alive` header: the time [`IDLE`], and no limit of requests.
const KEEP_ALIVE: &str = "timeout=5, max=18446744073709551615";

type Answer = Response<AnswerBody>;

/// Serves one connection until either side ends it or the board reboots.
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
        // A request that has arrived is run even if its client has gone.
        .half_close(true)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(client.clone()), service);
    tokio::select! {
        // The client is watched once the service has marked it as held.
        biased;
        ended = connection => {
            if let Err(error) = ended {
                tracing::trace!(board = crs.board.name(), %error, "connection ended");
            }
        }
        () = life.cancelled() => {}
        () = client.lost(&crs.board) => {
            tracing::trace!(board = crs.board.name(), "connection closed");
        }
    }
}

async fn respond(crs: &Arc<Crs>, client: &Client, request: Request<Incoming>) -> Answer {
    // An answer before this one may have been held.
    client.release();
    if request.uri().path() != tuber::PATH {
        return refusal(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::POST {
        return refusal(StatusCode::METHOD_NOT_ALLOWED);
    }
    let (head, body) = request.into_parts();
    // A body with a declared length that is too large is refused unread.
    if body.size_hint().lower() > MAX_REQUEST as u64 {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let body = match Limited::new(body, MAX_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return refusal(StatusCode::PAYLOAD_TOO_LARGE),
    };
    let headers = Headers::read(&head.headers);
    let (delay, detached) = match crs.board.on_request() {
        // Nothing in the request waits, so that it cannot be cancelled half done.
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
        // Owned by the board and not by this connection: the batch is run to
        // its end even if the client gives up, but not after a reboot.
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
        // A batch that a reboot or the end of the farm has ended ends its connection too.
        ran.ok().flatten().unwrap_or(Err(Held::Connection))
    } else {
        crs.run(headers.head(), &body).await
    };
    match ran {
        Ok(reply) => send(&crs.board, client, reply),
        Err(held) => hang(client, held).await,
    }
}

/// Never answers. The connection is closed when its client has gone, or when
/// the fault that holds it is over.
async fn hang(client: &Client, held: Held) -> Answer {
    client.hold(held, Watch::Discard);
    std::future::pending().await
}

fn send(board: &Board, client: &Client, reply: Encoded) -> Answer {
    let (call, fate) = board.on_answer(&reply.body);
    if let OnAnswer::PadWith(_) = fate {
        client.hold(Held::Answer(call), Watch::Not);
    }
    let mut answer = Response::new(AnswerBody::new(reply.body, fate));
    let length = answer_length(&answer);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    // Given here and not left to the encoder, so that it comes before the
    // next header as it does on the board.
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

/// The headers of a request that Tuber reads, if they are text.
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
