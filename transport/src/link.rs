//! A queue of exchanges with one board, each driven to its answer.
//!
//! A sent request belongs to its connection, not to whoever asked: it is driven to its answer even
//! when the asker has gone, and what comes after it waits. A real server was seen to finish a batch
//! whose client had left, so that a setting landed after the clean-up that should have undone it.

mod keeper;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use twotone_hal::{Certainty, Error, ErrorKind, Result};

use crate::ConnectOptions;
use crate::deadline;
use crate::http::{Answer, Connection, Failure, Post};
use crate::stream::Connector;
pub(crate) use keeper::{Before, Keeper, Repeat, Unwatched};

/// The sending end of the queue. Dropping the last clone ends the link once the queue is empty.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    jobs: mpsc::UnboundedSender<Job>,
    runtime: Handle,
}

#[derive(Debug)]
struct Job {
    post: Post,
    repeat: Repeat,
    deadline: Instant,
    sent: Arc<AtomicBool>,
    answer: oneshot::Sender<Result<Answer>>,
}

impl Link {
    /// A link that opens its connection with its first exchange, driven by `runtime`.
    pub(crate) fn new(
        connector: Connector,
        options: ConnectOptions,
        keeper: impl Keeper,
        runtime: Handle,
    ) -> Self {
        let (jobs, queue) = mpsc::unbounded_channel();
        let driver = Driver {
            connector,
            options,
            keeper,
            connection: None,
            before: Before::Lost,
            verified: false,
            runtime: runtime.clone(),
        };
        runtime.spawn(driver.run(queue));
        Self { jobs, runtime }
    }

    /// Queues `post` and awaits its answer, until `deadline` at the latest.
    ///
    /// Dropped before it was sent, it is not sent. Dropped later, it is driven to its answer, and
    /// the exchanges behind it wait for that.
    pub(crate) async fn exchange(
        &self,
        post: Post,
        repeat: Repeat,
        deadline: Instant,
    ) -> Result<Answer> {
        self.queue(post, repeat, deadline)?.answer().await
    }

    /// Queues `post` at once, for those whose order must be that in which they call.
    pub(crate) fn queue(&self, post: Post, repeat: Repeat, deadline: Instant) -> Result<Queued> {
        let (answer, awaited) = oneshot::channel();
        let sent = Arc::new(AtomicBool::new(false));
        let job = Job {
            post,
            repeat,
            deadline,
            sent: Arc::clone(&sent),
            answer,
        };
        self.jobs
            .send(job)
            .map_err(|_| gone().certainty_is(Certainty::NotExecuted))?;
        Ok(Queued {
            awaited,
            sent,
            deadline,
            runtime: self.runtime.clone(),
        })
    }
}

/// An exchange in the queue, or under way. Dropped before it was sent, it is not sent.
pub(crate) struct Queued {
    awaited: oneshot::Receiver<Result<Answer>>,
    sent: Arc<AtomicBool>,
    deadline: Instant,
    runtime: Handle,
}

impl Queued {
    /// Awaits the answer, until the deadline at the latest.
    pub(crate) async fn answer(self) -> Result<Answer> {
        // The driver keeps the deadline of what it has sent; this one is for what still waits.
        let expired = {
            let _runtime = self.runtime.enter();
            sleep_until(self.deadline + QUEUE_GRACE)
        };
        tokio::select! {
            biased;
            answer = self.awaited => answer.unwrap_or_else(|_| Err(gone())),
            () = expired => Err(late(self.sent.load(Ordering::Acquire))),
        }
    }
}

fn gone() -> Error {
    Error::new(
        ErrorKind::ConnectionLost,
        "the runtime of the link has ended",
    )
}

/// By how much a waiting exchange outlives its deadline, so that the driver's own word comes first.
const QUEUE_GRACE: Duration = Duration::from_millis(20);

fn is_unsure(error: &Error) -> bool {
    error.certainty() == Certainty::Unknown
}

/// The operating system's number for it, `EMFILE`, the same on all that have it.
const TOO_MANY_OPEN_FILES: i32 = 24;

/// Between two tries to reach a board that has just gone.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

fn late(sent: bool) -> Error {
    if sent {
        Error::new(ErrorKind::Timeout, "no answer came before the deadline")
    } else {
        Error::new(
            ErrorKind::Timeout,
            "the deadline passed while it waited its turn",
        )
        .certainty_is(Certainty::NotExecuted)
    }
}

struct Driver<K> {
    connector: Connector,
    options: ConnectOptions,
    keeper: K,
    connection: Option<Connection>,
    /// How the connection before the one at hand ended, until the one at hand is verified.
    before: Before,
    verified: bool,
    runtime: Handle,
}

impl<K: Keeper> Driver<K> {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Job>) {
        while let Some(job) = self.next(&mut queue).await {
            if job.answer.is_closed() {
                continue;
            }
            let outcome = if job.deadline <= Instant::now() {
                Err(late(false))
            } else {
                self.serve(&job).await
            };
            // An asker who has gone is no failure: the exchange is complete.
            drop(job.answer.send(outcome));
        }
    }

    /// The next job. A connection that stays idle is closed before the server does it, so that no
    /// request is ever written into a connection that is being closed at the other end.
    async fn next(&mut self, queue: &mut mpsc::UnboundedReceiver<Job>) -> Option<Job> {
        if self.connection.is_some() {
            let idle_until = deadline::within(self.options.idle_timeout);
            match timeout_at(idle_until, queue.recv()).await {
                Ok(job) => return job,
                Err(_) => self.part_idle(),
            }
        }
        queue.recv().await
    }

    /// Closes an idle connection, unless the other end has.
    fn part_idle(&mut self) {
        let open = self.connection.take().is_some_and(|one| !one.is_closed());
        if open && self.verified {
            self.before = Before::Idle;
        }
    }

    async fn serve(&mut self, job: &Job) -> Result<Answer> {
        let mut first = None;
        let mut back_by = job.deadline;
        loop {
            let connection = match self.ready(&job.post, job.deadline).await {
                Ok(connection) => connection,
                // A board that was there a moment ago may be starting anew.
                Err(error)
                    if first.is_some()
                        && matches!(
                            error.kind(),
                            ErrorKind::Unreachable | ErrorKind::ConnectionLost
                        )
                        && Instant::now() < back_by =>
                {
                    sleep(RECONNECT_PAUSE).await;
                    continue;
                }
                // That the board has lost its state says more than how its answer was lost.
                Err(error) if error.kind() == ErrorKind::EpochChanged => {
                    let unsure = first.as_ref().is_some_and(is_unsure);
                    return Err(if unsure {
                        error.certainty_is(Certainty::Unknown)
                    } else {
                        error
                    });
                }
                Err(error) => return Err(first.unwrap_or(error)),
            };
            // The asker may have gone while the connection was made, or the time be over.
            if first.is_none() && (job.answer.is_closed() || job.deadline <= Instant::now()) {
                return Err(late(false));
            }
            job.sent.store(true, Ordering::Release);
            let began = Instant::now();
            let failure = match connection.exchange(&job.post, job.deadline).await {
                Ok(answer) => {
                    self.keeper.answered(&job.post, began.elapsed());
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            self.connection = None;
            if failure.may_have_run() {
                self.keeper.lost(&job.post, job.repeat);
            }
            let again = match failure {
                Failure::NotSent(_) => true,
                Failure::Lost(_) => job.repeat != Repeat::Never,
                Failure::Late | Failure::Status(_) | Failure::TooLarge(_) => false,
            };
            let unsure = failure.may_have_run() || first.as_ref().is_some_and(is_unsure);
            let mut error = self.tell(failure);
            if unsure {
                error = error.certainty_is(Certainty::Unknown);
            }
            if first.is_some() || !again {
                return Err(error);
            }
            tracing::debug!(host = self.connector.authority(), %error, "sending it once more");
            first = Some(error);
            // Early enough to tell, before the deadline, how the first try ended.
            back_by = (job.deadline - 2 * RECONNECT_PAUSE)
                .min(deadline::within(self.options.connect_timeout));
        }
    }

    /// The connection, opened and verified, where `post` may go out on it.
    async fn ready(&mut self, post: &Post, deadline: Instant) -> Result<&mut Connection> {
        self.keeper.admit(post)?;
        if self.connection.as_ref().is_none_or(Connection::is_closed) {
            if self.connection.take().is_some() {
                self.before = Before::Lost;
            }
            self.verified = false;
            let connection = self.open(deadline).await?;
            self.connection = Some(connection);
        }
        let lost = || Error::new(ErrorKind::ConnectionLost, "no connection");
        let connection = self.connection.as_mut().ok_or_else(lost)?;
        if !self.verified || self.keeper.is_in_doubt() {
            self.verified = false;
            let verified = self.keeper.verify(connection, self.before, deadline).await;
            if let Err(error) = verified {
                if error.kind() != ErrorKind::EpochChanged {
                    self.connection = None;
                }
                return Err(error);
            }
            self.verified = true;
            self.before = Before::Lost;
            // The rest of the board may have had its say meanwhile.
            self.keeper.admit(post)?;
        }
        self.connection.as_mut().ok_or_else(lost)
    }

    async fn open(&self, deadline: Instant) -> Result<Connection> {
        let authority = self.connector.authority();
        let unreachable = |why: String| Error::new(ErrorKind::Unreachable, why);
        let patience = deadline.min(deadline::within(self.options.connect_timeout));
        let began = Instant::now();
        let opening = async {
            let stream = self.connector.open().await.map_err(|error| {
                let why = match error.raw_os_error() {
                    Some(TOO_MANY_OPEN_FILES) => format!(
                        "no connection to {authority}: the process may open no more files \
                         (raise RLIMIT_NOFILE with `ulimit -n`)"
                    ),
                    _ => format!("no connection to {authority}"),
                };
                unreachable(why).caused_by(error)
            })?;
            let (accept, limit) = (self.options.accept(), self.options.answer_limit);
            let header = self.connector.header();
            Connection::over(stream, &self.runtime, header, accept, limit)
                .await
                .map_err(|error| unreachable(format!("no HTTP with {authority}")).caused_by(error))
        };
        timeout_at(patience, opening).await.unwrap_or_else(|_| {
            let waited = began.elapsed().as_secs_f64();
            Err(unreachable(format!(
                "no connection to {authority} within {waited:.1} s"
            )))
        })
    }

    fn tell(&self, failure: Failure) -> Error {
        let authority = self.connector.authority();
        match failure {
            Failure::NotSent(error) => Error::new(
                ErrorKind::ConnectionLost,
                format!("{authority} closed the connection"),
            )
            .certainty_is(Certainty::NotExecuted)
            .caused_by(error),
            Failure::Lost(error) => Error::new(
                ErrorKind::ConnectionLost,
                format!("{authority} closed the connection before its answer was whole"),
            )
            .caused_by(error),
            Failure::Late => late(true),
            Failure::Status(status) => Error::new(
                ErrorKind::Protocol,
                format!("{authority} answered HTTP {status}: is it a Tuber server?"),
            ),
            Failure::TooLarge(limit) => Error::new(
                ErrorKind::Protocol,
                format!("the answer of {authority} is larger than {limit} bytes"),
            ),
        }
    }
}
