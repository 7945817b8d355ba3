//! A way to a terminal, a pipe or a file that never holds up who writes.
//!
//! A terminal that nobody reads (Ctrl-S, a stalled `ssh`), and a pipe whose reader sleeps, block
//! whoever writes to them, for as long as they like. What drives hardware must not wait for them: it
//! leaves what it has to say in a queue, and a thread of its own writes it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Most bytes that wait in a queue of what may be left out.
const MOST_WAITING: usize = 256 << 10;

/// A queue, and the thread that writes what is in it.
#[derive(Debug, Clone)]
pub(crate) struct Outlet(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Mutex<Queue>,
    changed: Condvar,
    to: BorrowedFd<'static>,
    /// True if a thread writes; false if none could be started, so that who says something writes.
    threaded: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The thread has taken something, and has not written it to its end.
    writing: bool,
    /// Number of texts that found the queue full.
    left_out: u64,
    failed: Option<io::Error>,
}

impl Outlet {
    /// An outlet to `to`, with a thread called `name`.
    pub(crate) fn new(to: BorrowedFd<'static>, name: &str) -> Self {
        let inner = |threaded| {
            Arc::new(Inner {
                queue: Mutex::default(),
                changed: Condvar::new(),
                to,
                threaded,
            })
        };
        let shared = inner(true);
        let writes = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name(name.to_owned());
        match thread.spawn(move || writes.write_all()) {
            Ok(_) => Self(shared),
            Err(_) => Self(inner(false)),
        }
    }

    /// Leaves `text` to be written, however long the queue is.
    pub(crate) fn put(&self, text: Vec<u8>) {
        if !self.0.threaded {
            let written = write(self.0.to, &text);
            self.0.locked().failed = written.err();
            return;
        }
        let mut queue = self.0.locked();
        queue.bytes += text.len();
        queue.waiting.push_back(text);
        self.0.changed.notify_all();
    }

    /// Leaves `text` to be written, unless too much is waiting. Later, the number of texts that
    /// were left out is written.
    pub(crate) fn offer(&self, text: Vec<u8>) {
        let mut queue = self.0.locked();
        if queue.bytes + text.len() > MOST_WAITING {
            queue.left_out += 1;
            return;
        }
        drop(queue);
        self.put(text);
    }

    /// Leaves `text` to be written, if nothing else is waiting.
    pub(crate) fn offer_alone(&self, text: Vec<u8>) {
        let queue = self.0.locked();
        let is_free = queue.waiting.is_empty() && !queue.writing;
        drop(queue);
        if is_free {
            self.put(text);
        }
    }

    /// Waits until everything is written, for `time` at the most. True if it is.
    pub(crate) fn drain(&self, time: Duration) -> bool {
        let queue = self.0.locked();
        let busy = |queue: &mut Queue| queue.writing || !queue.waiting.is_empty();
        let waited = self.0.changed.wait_timeout_while(queue, time, busy);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !busy(&mut queue)
    }

    /// Reason that something could not be written, told once.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        self.0.locked().failed.take()
    }
}

impl Inner {
    fn locked(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is in the queue, for ever.
    fn write_all(&self) {
        loop {
            let text = self.next();
            let written = write(self.to, &text);
            let mut queue = self.locked();
            queue.writing = false;
            queue.bytes -= text.len();
            if let Err(error) = written {
                queue.failed = Some(error);
            }
            if queue.waiting.is_empty() && queue.left_out > 0 {
                let left_out = std::mem::take(&mut queue.left_out);
                let told = format!("({left_out} lines were left out: nobody read them)\n");
                queue.bytes += told.len();
                queue.waiting.push_back(told.into_bytes());
            }
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

/// Writes all of `text`.
fn write(to: BorrowedFd<'_>, mut text: &[u8]) -> io::Result<()> {
    while !text.is_empty() {
        match rustix::io::write(to, text) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => text = &text[written..],
            Err(Errno::INTR) => {}
            // Some other program has made it one that does not block.
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
    use std::os::fd::AsFd;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn pipe() -> (std::os::fd::OwnedFd, Outlet) {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let write: &'static std::os::fd::OwnedFd = Box::leak(Box::new(write));
        (read, Outlet::new(write.as_fd(), "test"))
    }

    #[test]
    fn what_nobody_reads_holds_up_nobody_and_is_told() {
        let (read, outlet) = pipe();
        for _ in 0..10_000 {
            outlet.offer(vec![b'x'; 1000]);
        }
        assert!(!outlet.drain(Duration::ZERO));
        // A reader comes back.
        let mut read = std::fs::File::from(read);
        let mut told = String::new();
        while !told.ends_with("nobody read them)\n") {
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
        assert!(outlet.drain(SOON));
    }

    #[test]
    fn what_must_be_said_is_kept_and_a_reader_that_is_gone_is_told() {
        let (read, outlet) = pipe();
        for _ in 0..100 {
            outlet.put(vec![b'x'; 10_000]);
        }
        outlet.offer_alone(vec![b'y']);
        drop(read);
        assert!(outlet.drain(SOON));
        let failure = outlet.failure().unwrap();
        assert_eq!(failure.kind(), io::ErrorKind::BrokenPipe);
        assert!(outlet.failure().is_none());
    }
}
