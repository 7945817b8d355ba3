//! Writer that never blocks its caller. It writes to a terminal, a pipe or a file.
//!
//! A terminal that nobody reads (Ctrl-S, a stalled `ssh`) and a pipe whose reader sleeps block a
//! writer for an unlimited time. A program that drives hardware must not wait for such a reader. So
//! this writer puts the text into a queue, and a separate thread writes it. If the system grants no
//! such thread, each call writes as much as can be written without blocking.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Largest number of bytes in the queue. [`Outlet::offer`] drops further text.
const MOST_WAITING: usize = 256 << 10;

/// Number of bytes that a pipe, a terminal or a socket accepts without blocking when it reports
/// that it is ready.
const TAKEN_AT_ONCE: usize = 128;

/// Interval between two attempts to write, if no thread does the writing.
const LOOK: Duration = Duration::from_millis(5);

/// A queue of text, and the thread that writes it.
#[derive(Debug, Clone)]
pub(crate) struct Outlet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Mutex<Queue>,
    changed: Condvar,
    to: BorrowedFd<'static>,
    /// True if a thread writes. False if no thread could be started.
    threaded: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Number of bytes of the first text in the queue that have been written already. Used only if
    /// no thread writes.
    begun: usize,
    /// True if the thread has taken a text from the queue and has not yet written all of it.
    writing: bool,
    /// Number of texts that were dropped because the queue was full.
    left_out: u64,
    failed: Option<io::Error>,
}

impl Outlet {
    /// Creates an outlet to `to`, with a thread called `name` if the system grants one.
    pub(crate) fn new(to: BorrowedFd<'static>, name: &str) -> Self {
        let shared = Inner::new(to, true);
        let writes = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name(name.to_owned());
        match thread.spawn(move || writes.write_all()) {
            Ok(_) => Self(shared),
            Err(_) => Self::without_thread(to),
        }
    }

    fn without_thread(to: BorrowedFd<'static>) -> Self {
        Self(Inner::new(to, false))
    }

    /// Queues `text` to be written, even if the queue is full.
    pub(crate) fn put(&self, text: Vec<u8>) {
        self.0.add(&mut self.0.locked(), text);
    }

    /// Queues `text` to be written, or drops it if the queue is full. The number of dropped texts
    /// is written when the queue is empty again.
    pub(crate) fn offer(&self, text: Vec<u8>) {
        let mut queue = self.0.queue_after_writing();
        if queue.bytes + text.len() > MOST_WAITING {
            queue.left_out += 1;
        } else {
            self.0.add(&mut queue, text);
        }
    }

    /// Queues `text` to be written if the queue is empty, or else drops it.
    pub(crate) fn offer_alone(&self, text: Vec<u8>) {
        let mut queue = self.0.queue_after_writing();
        if !queue.is_busy() {
            self.0.add(&mut queue, text);
        }
    }

    /// Waits until everything is written, for at most `time`. Returns true if everything is
    /// written.
    pub(crate) fn drain(&self, time: Duration) -> bool {
        let mut queue = self.0.queue_after_writing();
        // If there is a writing thread, it wakes this thread after each text. Otherwise this thread
        // tries to write again after each [`LOOK`].
        let (turns, turn) = match self.0.threaded {
            true => (1, time),
            false => (time.as_millis() / LOOK.as_millis(), LOOK),
        };
        for _ in 0..turns {
            let waited = self
                .0
                .changed
                .wait_timeout_while(queue, turn, |queue| queue.is_busy());
            (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
            self.0.write_some(&mut queue);
            if !queue.is_busy() {
                break;
            }
        }
        !queue.is_busy()
    }

    /// Returns the error of the last text that could not be written, if there is one, and forgets
    /// it.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        self.0.locked().failed.take()
    }
}

impl Queue {
    fn is_busy(&self) -> bool {
        self.writing || !self.waiting.is_empty()
    }

    /// Records that a text of `bytes` bytes was written, or could not be written. After the last
    /// text, queues a message with the number of texts that were dropped.
    fn is_done(&mut self, bytes: usize, failed: Option<io::Error>) {
        self.bytes -= bytes;
        // A later success does not clear an earlier failure.
        if failed.is_some() {
            self.failed = failed;
        }
        if self.waiting.is_empty() && self.left_out > 0 {
            let left_out = std::mem::take(&mut self.left_out);
            let told = format!("({left_out} lines were left out: nobody read them)\n");
            self.bytes += told.len();
            self.waiting.push_back(told.into_bytes());
        }
    }
}

impl Inner {
    fn new(to: BorrowedFd<'static>, threaded: bool) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::default(),
            changed: Condvar::new(),
            to,
            threaded,
        })
    }

    fn locked(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds `text` to the queue. If no thread writes, writes as much as possible without blocking.
    fn add(&self, queue: &mut Queue, text: Vec<u8>) {
        if text.is_empty() {
            return;
        }
        queue.bytes += text.len();
        queue.waiting.push_back(text);
        self.changed.notify_all();
        self.write_some(queue);
    }

    /// Returns the queue. If no thread writes, first writes as much as possible without blocking.
    fn queue_after_writing(&self) -> MutexGuard<'_, Queue> {
        let mut queue = self.locked();
        self.write_some(&mut queue);
        queue
    }

    /// Writes as much as possible without blocking, if no thread writes.
    fn write_some(&self, queue: &mut Queue) {
        while !self.threaded
            && let Some(text) = queue.waiting.front()
        {
            let rest = &text[queue.begun..];
            match write_at_once(self.to, &rest[..rest.len().min(TAKEN_AT_ONCE)]) {
                Ok(0) => break,
                Ok(written) if written < rest.len() => queue.begun += written,
                written => {
                    queue.begun = 0;
                    let text = queue.waiting.pop_front();
                    queue.is_done(text.map_or(0, |text| text.len()), written.err());
                }
            }
        }
    }

    /// Writes the texts of the queue in their order, and never returns.
    fn write_all(&self) {
        loop {
            let text = self.next();
            let written = write(self.to, &text);
            let mut queue = self.locked();
            queue.writing = false;
            queue.is_done(text.len(), written.err());
            self.changed.notify_all();
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut queue = self.locked();
        loop {
            if let Some(text) = queue.waiting.pop_front() {
                queue.writing = true;
                return text;
            }
            let woken = self.changed.wait(queue);
            queue = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Writes as much of the short text `text` as possible without blocking. Returns the number of
/// bytes written.
fn write_at_once(to: BorrowedFd<'_>, text: &[u8]) -> io::Result<usize> {
    let ready = &mut [PollFd::new(&to, PollFlags::OUT)];
    let is_ready = match poll(ready, Some(&Timespec::default())) {
        Ok(count) => count > 0,
        Err(Errno::INTR) => false,
        Err(error) => return Err(error.into()),
    };
    if !is_ready {
        return Ok(0);
    }
    match rustix::io::write(to, text) {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        Ok(written) => Ok(written),
        Err(Errno::INTR | Errno::AGAIN) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Writes all of `text`.
fn write(to: BorrowedFd<'_>, mut text: &[u8]) -> io::Result<()> {
    while !text.is_empty() {
        match rustix::io::write(to, text) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => text = &text[written..],
            Err(Errno::INTR) => {}
            // This error comes if another program that shares the terminal or the pipe has made it
            // non-blocking. Then this thread waits until it can write again.
            Err(Errno::AGAIN) => {
                let ready = &mut [PollFd::new(&to, PollFlags::OUT)];
                match poll(ready, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd, OwnedFd};

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// Returns the read ends of two new pipes, with their outlets: one with a thread, and one
    /// without.
    fn outlets() -> [(OwnedFd, Outlet); 2] {
        [true, false].map(|threaded| {
            let (read, write) = rustix::pipe::pipe().unwrap();
            let write: &'static OwnedFd = Box::leak(Box::new(write));
            let outlet = match threaded {
                true => Outlet::new(write.as_fd(), "test"),
                false => Outlet::without_thread(write.as_fd()),
            };
            (read, outlet)
        })
    }

    #[test]
    fn unread_output_does_not_block_and_is_counted() {
        for (read, outlet) in outlets() {
            for _ in 0..10_000 {
                outlet.offer(vec![b'x'; 1000]);
            }
            outlet.offer_alone(vec![b'z']);
            assert!(!outlet.drain(Duration::ZERO));
            assert!(!outlet.drain(LOOK));
            // A reader comes back.
            let mut read = std::fs::File::from(read);
            let mut told = String::new();
            while !told.ends_with("nobody read them)\n") {
                outlet.drain(Duration::ZERO);
                let mut buffer = [0; 65536];
                let got = io::Read::read(&mut read, &mut buffer).unwrap();
                told.push_str(std::str::from_utf8(&buffer[..got]).unwrap());
            }
            let written = told.matches('x').count() / 1000;
            let line = format!(
                "({} lines were left out: nobody read them)\n",
                10_000 - written
            );
            assert!(told.ends_with(&line), "{}", &told[told.len() - 80..]);
            assert!(!told.contains('z'));
            assert!(outlet.drain(SOON));
            outlet.offer_alone(vec![b'z']);
            assert!(outlet.drain(SOON));
        }
    }

    #[test]
    fn required_output_is_kept_and_a_closed_reader_is_an_error() {
        for (read, outlet) in outlets() {
            for _ in 0..100 {
                outlet.put(vec![b'x'; 10_000]);
            }
            outlet.offer_alone(vec![b'z']);
            drop(read);
            assert!(outlet.drain(SOON));
            let failure = outlet.failure().unwrap();
            assert_eq!(failure.kind(), io::ErrorKind::BrokenPipe);
            assert!(outlet.failure().is_none());
        }
    }

    #[test]
    fn required_output_arrives_complete_and_in_order() {
        for (read, outlet) in outlets() {
            let texts: Vec<_> = (0..3000_u32)
                .map(|n| format!("{n}: {}\n", "x".repeat(n as usize % 700)))
                .collect();
            for text in &texts {
                outlet.put(text.clone().into_bytes());
            }
            let (mut read, whole) = (std::fs::File::from(read), texts.concat());
            let mut got = Vec::new();
            while got.len() < whole.len() {
                outlet.drain(Duration::ZERO);
                let mut buffer = [0; 1009];
                let count = io::Read::read(&mut read, &mut buffer).unwrap();
                got.extend_from_slice(&buffer[..count]);
            }
            assert!(got == whole.as_bytes());
            assert!(outlet.drain(SOON) && outlet.failure().is_none());
        }
    }

    #[test]
    fn a_failure_is_told_though_something_was_written_later() {
        for (read, outlet) in outlets() {
            drop(read);
            outlet.put(b"lost".to_vec());
            assert!(outlet.drain(SOON));
            let end = format!("/proc/self/fd/{}", outlet.0.to.as_raw_fd());
            let read = std::fs::File::open(end).unwrap();
            outlet.put(b"read".to_vec());
            assert!(outlet.drain(SOON));
            let mut buffer = [0; 4];
            io::Read::read_exact(&mut &read, &mut buffer).unwrap();
            assert_eq!(&buffer, b"read");
            let failure = outlet.failure().unwrap();
            assert_eq!(failure.kind(), io::ErrorKind::BrokenPipe);
        }
    }
}
