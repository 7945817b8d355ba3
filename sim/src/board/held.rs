//! Connections that a fault leaves without an answer. They are closed if their client goes.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Board, Connection};

/// Most bytes of further requests that are kept until a late answer is sent.
const AHEAD: usize = 64 * 1024;

/// Longest time that a board holds a connection.
const LONGEST: Duration = Duration::from_secs(1800);

/// Time for a late answer to a client that has closed its sending side. Until it is written to, it
/// cannot be told from one that has gone for good.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// Reason that a connection has no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// Connections are ignored, or were lost.
    Connection,
    /// Requests are neither run nor answered.
    Request,
    /// The request waits, and is answered in the end.
    Late,
    /// A method does not return: its name, and the number of the call.
    Call(&'static str, u64),
    /// The answer to the call of this number is longer than any client reads.
    Answer(u64),
}

/// Holds a connection without answering, until its client has gone or the
/// fault that causes this is over.
pub(crate) async fn ignore(board: &Board, connection: Connection) {
    let life = board.life();
    let client = Client::of(connection);
    client.hold(Held::Connection, Watch::Discard);
    life.run_until_cancelled(client.lost(board)).await;
}

/// A connection that a server reads and writes, and that is watched at the same time. Both
/// happen in one task.
#[derive(Clone)]
pub(crate) struct Client(Arc<Mutex<State>>);

struct State {
    stream: Connection,
    /// Bytes that were read while a fault held the connection.
    ahead: Vec<u8>,
    ended: Option<Ended>,
    held: Option<Holding>,
}

#[derive(Debug, Clone)]
struct Holding {
    by: Held,
    watch: Watch,
}

/// Way in which a client has stopped sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The client has closed its sending side, or its whole connection.
    Closed,
    /// The client has reset its connection.
    Reset,
}

/// Use of the bytes that a client sends while it is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Bytes are discarded: nothing will be answered any more.
    Discard,
    /// Bytes are kept, up to [`AHEAD`], and served after the late answer.
    Keep,
    /// Bytes are not read: the client is being answered, and writing shows if it has gone.
    Not,
}

impl Client {
    pub(crate) fn of(stream: Connection) -> Self {
        Self(Arc::new(Mutex::new(State {
            stream,
            ahead: Vec::new(),
            ended: None,
            held: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the connection as held by a fault.
    pub(crate) fn hold(&self, by: Held, watch: Watch) {
        self.state().held = Some(Holding { by, watch });
    }

    /// Marks the connection as held no more.
    pub(crate) fn release(&self) {
        self.state().held = None;
    }
}

impl Client {
    /// Completes when the connection is to be closed: a fault has held it, and its client has gone,
    /// the fault is over, or the longest time has passed. Poll it after the server, which marks the
    /// start and the end of a hold.
    pub(crate) async fn lost(&self, board: &Board) {
        loop {
            let held = poll_fn(|_| match &self.state().held {
                Some(held) => Poll::Ready(held.clone()),
                None => Poll::Pending,
            });
            let held = held.await;
            let released = poll_fn(|_| match self.state().held {
                Some(_) => Poll::Pending,
                None => Poll::Ready(()),
            });
            tokio::select! {
                biased;
                () = released => {}
                () = self.gone(held.watch) => return,
                () = board.released(&held.by) => return,
                () = tokio::time::sleep(LONGEST) => return,
            }
        }
    }

    /// Completes when the client is taken to have gone.
    async fn gone(&self, watch: Watch) {
        let ended = poll_fn(|cx| self.state().poll_ended(cx, watch)).await;
        if watch == Watch::Keep && ended == Ended::Closed {
            // The client may still read.
            tokio::time::sleep(HALF_CLOSED).await;
        }
    }
}

impl State {
    /// Completes when the client sends nothing more.
    fn poll_ended(&mut self, cx: &mut Context<'_>, watch: Watch) -> Poll<Ended> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(ended) = self.ended {
                return Poll::Ready(ended);
            }
            if watch == Watch::Not || self.ahead.len() >= AHEAD {
                return Poll::Pending;
            }
            let mut read = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    if watch == Watch::Keep {
                        self.ahead.extend_from_slice(read.filled());
                    }
                }
                Poll::Ready(Ok(())) => self.ended = Some(Ended::Closed),
                Poll::Ready(Err(_)) => self.ended = Some(Ended::Reset),
            }
        }
    }
}

impl AsyncRead for Client {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if !state.ahead.is_empty() {
            let count = state.ahead.len().min(buffer.remaining());
            buffer.put_slice(&state.ahead[..count]);
            state.ahead.drain(..count);
            return Poll::Ready(Ok(()));
        }
        if state.ended.is_some() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut state.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.state().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.state().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.state().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.state().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.state().stream).poll_shutdown(cx)
    }
}
