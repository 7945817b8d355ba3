//! Connections that a simulated fault keeps open without an answer. They are closed when the client
//! disconnects, when the fault ends, or after half an hour.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Board, Connection};

/// Largest number of bytes that are kept while an answer is late. These bytes are further requests
/// of the same client.
const AHEAD: usize = 64 * 1024;

/// Longest time that a board holds a connection.
const LONGEST: Duration = Duration::from_secs(1800);

/// Time in which a late answer is still sent to a client that has closed its sending side. Until
/// something is written to the client, it cannot be distinguished from a client that has
/// disconnected.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// Reason why a connection has no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// Connections are ignored, or the board has rebooted.
    Connection,
    /// Requests are neither executed nor answered.
    Request,
    /// The request is delayed, and answered later.
    Late,
    /// A method does not return. The values are its name and the number of the call.
    Call(&'static str, u64),
    /// The answer to the call of this number is longer than any client reads.
    Answer(u64),
}

/// Keeps a connection open without answering, until its client disconnects, the fault ends, the
/// board reboots, or [`LONGEST`] has passed.
pub(crate) async fn ignore(board: &Board, connection: Connection) {
    let life = board.life();
    let client = Client::of(connection);
    client.hold(Held::Connection, Watch::Discard);
    life.run_until_cancelled(client.must_close(board)).await;
}

/// A connection of a client. The HTTP server uses it, and [`Client::must_close`] watches it at the
/// same time. Both happen in one task.
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

/// The way in which a client has stopped sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The client has closed its sending side, or its whole connection.
    Closed,
    /// The client has reset its connection.
    Reset,
}

/// Treatment of the bytes that a client sends while its connection is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watch {
    /// Bytes are discarded, because nothing will be answered.
    Discard,
    /// Up to [`AHEAD`] bytes are kept. They are served after the late answer.
    Keep,
    /// Bytes are not read, because an answer is being sent. If the client has disconnected, the
    /// write of the answer fails.
    Off,
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

    /// Marks the connection as not held.
    pub(crate) fn release(&self) {
        self.state().held = None;
    }
}

impl Client {
    /// Waits until a held connection must be closed: its client has disconnected, the fault has
    /// ended, or [`LONGEST`] has passed. This future must be polled after the server, which marks
    /// the connection as held.
    pub(crate) async fn must_close(&self, board: &Board) {
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
                () = self.disconnected(held.watch) => return,
                () = board.released(&held.by) => return,
                () = tokio::time::sleep(LONGEST) => return,
            }
        }
    }

    /// Waits until the client is assumed to have disconnected.
    async fn disconnected(&self, watch: Watch) {
        let ended = poll_fn(|cx| self.state().poll_ended(cx, watch)).await;
        if watch == Watch::Keep && ended == Ended::Closed {
            // The client may have closed only its sending side, and may still wait for the answer.
            tokio::time::sleep(HALF_CLOSED).await;
        }
    }
}

impl State {
    /// Completes when the client has stopped sending.
    fn poll_ended(&mut self, cx: &mut Context<'_>, watch: Watch) -> Poll<Ended> {
        let mut bytes = [0; 4096];
        loop {
            if let Some(ended) = self.ended {
                return Poll::Ready(ended);
            }
            if watch == Watch::Off || self.ahead.len() >= AHEAD {
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
