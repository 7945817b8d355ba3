//! A byte stream that fails if its peer stops reading. A write to the stream waits as long as the
//! buffers between the two are full.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Longest time for which a write may wait without any progress.
const LONGEST_STALL: Duration = Duration::from_secs(30);

/// A byte stream that fails if no bytes can be written for [`LONGEST_STALL`].
#[derive(Debug)]
pub(crate) struct StallTimeout<S> {
    stream: S,
    /// Timer of a write that waits. The write fails when the timer ends.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> StallTimeout<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            stalled: None,
        }
    }

    /// Passes on `written`, the result of a write. If the write has ended, stops the timer. If it
    /// waits, starts the timer, or fails if the timer has ended.
    fn watch<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(LONGEST_STALL)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tworoutine::test(start_paused = true)]
    async fn a_reader_that_is_slow_is_waited_for_and_one_that_stops_is_not() {
        let (ours, mut theirs) = duplex(1);
        let mut ours = StallTimeout::new(ours);
        let reading = async {
            let mut byte = [0];
            for _ in 0..3 {
                sleep(LONGEST_STALL - Duration::from_secs(1)).await;
                theirs.read_exact(&mut byte).await.unwrap();
            }
            Instant::now()
        };
        let (written, read) = tokio::join!(ours.write_all(b"abcdef"), reading);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(read.elapsed(), LONGEST_STALL);
    }
}
