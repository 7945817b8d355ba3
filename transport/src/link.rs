//! A link: a queue of exchanges with one board. An exchange is a request ([`Post`]) with its
//! answer. After each request, the link awaits the answer, until the deadline of the request at the
//! latest. A [`Keeper`] verifies each new connection before its first request: it checks that the
//! board has kept its settings. An epoch is a period in which the board keeps them.
//!
//! After a request was sent, the link awaits its answer even if the caller has dropped the future,
//! and later requests wait for that answer. The reason: a real server was seen to finish a request
//! after its client had disconnected. A setting of that request took effect after a later request
//! that should have undone it.

mod keeper;
mod line;
mod sent;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tworoutine::Allowance;
use twotone_hal::{Certainty, Error, ErrorKind, Result, Safety};

use crate::ConnectOptions;
use crate::deadline;
use crate::http::{Answer, Failure, Post};
use crate::stream::Connector;
pub(crate) use keeper::{Before, Keeper, Unwatched};
pub(crate) use line::Line;
pub(crate) use sent::{Outcome, OutcomeWriter, Sent};

/// Sending end of the queue. After the last clone is dropped, the link ends once the queue is
/// empty.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    jobs: mpsc::UnboundedSender<Job>,
    runtime: Handle,
}

#[derive(Debug)]
struct Job {
    post: Post,
    safety: Safety,
    deadline: Instant,
    patience: Duration,
    sent: Arc<AtomicBool>,
    answer: oneshot::Sender<Result<Answer>>,
}

impl Job {
    /// Sets a new deadline if the old one passed while the process was stopped. [`Queued::answer`]
    /// does the same.
    fn renew(&mut self) {
        if deadline::passed_unseen(self.deadline) {
            self.deadline = deadline::within(self.patience);
        }
    }
}

impl Link {
    /// Link that opens its connection with its first exchange. `runtime` drives it.
    pub(crate) fn new(
        connector: Connector,
        options: ConnectOptions,
        keeper: impl Keeper,
        runtime: Handle,
    ) -> Self {
        let (jobs, queue) = mpsc::unbounded_channel();
        let driver = Driver {
            idle_timeout: options.idle_timeout,
            connect_timeout: options.connect_timeout,
            line: Line::new(connector, options, runtime.clone()),
            keeper,
            before: Before::Lost,
            verified: false,
            verified_at: None,
            has_warned: false,
            repeats: 0,
        };
        runtime.spawn(driver.run(queue));
        Self { jobs, runtime }
    }

    /// Queues `post` and awaits its answer, until `deadline` at the latest.
    ///
    /// If this future is dropped before the post was sent, the post is not sent. If it is dropped
    /// later, the link still awaits the answer, and later exchanges wait for it.
    pub(crate) async fn exchange(
        &self,
        post: Post,
        safety: Safety,
        deadline: Instant,
    ) -> Result<Answer> {
        self.queue(post, safety, deadline)?.answer().await
    }

    /// Queues `post` immediately, so that posts are sent in the order in which callers queue them.
    pub(crate) fn queue(&self, post: Post, safety: Safety, deadline: Instant) -> Result<Queued> {
        let (answer, awaited) = oneshot::channel();
        let sent = Arc::new(AtomicBool::new(false));
        let patience = deadline::left(deadline).max(SHORTEST_PATIENCE);
        let job = Job {
            post,
            safety,
            deadline,
            patience,
            sent: Arc::clone(&sent),
            answer,
        };
        self.jobs
            .send(job)
            .map_err(|_| runtime_ended().certainty_is(Certainty::NotExecuted))?;
        Ok(Queued {
            awaited,
            sent,
            deadline,
            patience,
            runtime: self.runtime.clone(),
        })
    }
}

/// An exchange that waits in the queue or is under way. If this value is dropped before the post
/// was sent, the post is not sent.
pub(crate) struct Queued {
    awaited: oneshot::Receiver<Result<Answer>>,
    sent: Arc<AtomicBool>,
    deadline: Instant,
    patience: Duration,
    runtime: Handle,
}

impl Queued {
    /// Awaits the answer, until the deadline at the latest.
    pub(crate) async fn answer(mut self) -> Result<Answer> {
        loop {
            // The task that serves the queue enforces the deadline of a post that it has sent. This
            // timer is for a post that still waits in the queue.
            let expires = self.deadline + QUEUE_GRACE;
            let expired = {
                let _runtime = self.runtime.enter();
                sleep_until(expires)
            };
            tokio::select! {
                biased;
                answer = &mut self.awaited => return answer.unwrap_or_else(|_| Err(runtime_ended())),
                () = expired => {}
            }
            if !deadline::passed_unseen(expires) {
                return Err(timed_out(self.sent.load(Ordering::Acquire)));
            }
            self.deadline = deadline::within(self.patience);
        }
    }
}

fn runtime_ended() -> Error {
    Error::new(
        ErrorKind::ConnectionLost,
        "the runtime of the link has ended",
    )
}

/// Shortest new time for an exchange whose deadline passed while the process was stopped.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(1);

/// Time that a waiting caller adds to its deadline, so that the error of the task that serves the
/// queue comes first.
const QUEUE_GRACE: Duration = Duration::from_millis(20);

fn is_unsure(error: &Error) -> bool {
    error.certainty() == Certainty::Unknown
}

/// True if a reading that failed with this error may succeed when it is repeated.
fn is_passing(error: &Error) -> bool {
    use ErrorKind as K;
    matches!(error.kind(), K::Rejected | K::Protocol | K::ConnectionLost)
}

/// Pause between two attempts to reach a board whose connection was just lost.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Time for which the verification of one connection is valid for the next, if the server closes
/// each connection after its first answer. A board takes longer than this to restart. If a board
/// restarts faster, the next verification finds the restart.
const VERIFICATION_HOLDS_FOR: Duration = Duration::from_secs(1);

/// Longest time for a verification before a post that only switches tones off. Such a post is sent
/// even without a verification.
const SWITCHING_OFF_WAITS: Duration = Duration::from_secs(2);

/// Largest number of verifications for one exchange. After that the exchange fails.
const MOST_VERIFICATIONS: u32 = 3;

fn timed_out(sent: bool) -> Error {
    if sent {
        Error::new(ErrorKind::Timeout, Failure::Late.to_string())
    } else {
        Error::new(
            ErrorKind::Timeout,
            "the deadline passed while it waited its turn",
        )
        .certainty_is(Certainty::NotExecuted)
    }
}

struct Driver<K> {
    line: Line,
    keeper: K,
    idle_timeout: Duration,
    connect_timeout: Duration,
    /// The way in which the previous connection ended. It decides which settings are read back on
    /// the present connection.
    before: Before,
    verified: bool,
    /// Time of the last verification, if it used up its connection because the server closes each
    /// connection after one answer. The verification is then valid for the next connection.
    verified_at: Option<Instant>,
    /// True if the log has a warning that tones are switched off without a verification.
    has_warned: bool,
    /// Number of verifications that were repeated for the present exchange.
    repeats: u32,
}

impl<K: Keeper> Driver<K> {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Job>) {
        while let Some(mut job) = self.next(&mut queue).await {
            if job.answer.is_closed() {
                continue;
            }
            job.renew();
            let outcome = if job.deadline <= Instant::now() {
                Err(timed_out(false))
            } else {
                self.serve(&mut job).await
            };
            // The caller may have dropped the future. The exchange is complete even then.
            drop(job.answer.send(outcome));
        }
    }

    /// Waits for the next job. Meanwhile it closes an idle connection before the server does, so
    /// that no request is written into a connection that the other end is closing.
    async fn next(&mut self, queue: &mut mpsc::UnboundedReceiver<Job>) -> Option<Job> {
        if self.line.has_connection() {
            let idle_until = deadline::within(self.idle_timeout);
            match timeout_at(idle_until, queue.recv()).await {
                Ok(job) => return job,
                Err(_) => self.close_idle(),
            }
        }
        queue.recv().await
    }

    /// Closes an idle connection. If the connection was verified, the next verification is short
    /// ([`Before::Idle`]). It is not short if the other end has closed the connection, unless this
    /// server closes each connection after its first answer.
    fn close_idle(&mut self) {
        let was_used_up = self.line.is_one_exchange();
        if (self.line.close() || was_used_up) && self.verified {
            self.before = Before::Idle;
        }
        self.verified = false;
    }

    async fn serve(&mut self, job: &mut Job) -> Result<Answer> {
        let mut first = None;
        let mut reconnect_by = None;
        self.repeats = 0;
        loop {
            job.renew();
            match self.ready(job).await {
                Ok(()) => {}
                // The board answered a moment ago, so it may be restarting: connect again for some
                // time.
                Err(error)
                    if first.is_some()
                        && matches!(
                            error.kind(),
                            ErrorKind::Unreachable
                                | ErrorKind::ConnectionLost
                                | ErrorKind::Protocol
                        )
                        // The time for further attempts counts from the first failure to connect.
                        // It ends before the deadline of the job, so that the first failure can
                        // still be reported.
                        && Instant::now()
                            < *reconnect_by.get_or_insert_with(|| {
                                let latest = job.deadline - 2 * RECONNECT_PAUSE;
                                latest.min(deadline::within(self.connect_timeout))
                            }) =>
                {
                    sleep(RECONNECT_PAUSE).await;
                    continue;
                }
                // The caller learns that the epoch has ended, rather than that the answer was lost.
                Err(error) if error.kind() == ErrorKind::EpochChanged => {
                    let unsure = first.as_ref().is_some_and(is_unsure);
                    return Err(if unsure {
                        error.certainty_is(Certainty::Unknown)
                    } else {
                        error
                    });
                }
                Err(error) => return Err(first.unwrap_or(error)),
            }
            job.renew();
            // While the connection was opened, the caller may have dropped the future, or the
            // deadline may have passed.
            if first.is_none() && (job.answer.is_closed() || job.deadline <= Instant::now()) {
                return Err(timed_out(false));
            }
            job.sent.store(true, Ordering::Release);
            self.verified_at = None;
            let exchanged = Allowance::timed(self.line.exchange(&job.post, job.deadline)).await;
            let failure = match exchanged {
                (Ok(answer), took) => {
                    self.keeper.note_answered(&job.post, took);
                    let was_lost = first.as_ref().is_some_and(is_unsure);
                    return Ok(Answer {
                        repeats: self.repeats + u32::from(was_lost),
                        was_lost,
                        ..answer
                    });
                }
                (Err(failure), _) => failure,
            };
            self.before = Before::Lost;
            if failure.may_have_run() {
                self.keeper.note_lost(&job.post, job.safety);
            }
            let again = match failure {
                Failure::NotSent(_) => true,
                Failure::Lost { .. } => job.safety != Safety::Once,
                _ => false,
            };
            let unsure = failure.may_have_run() || first.as_ref().is_some_and(is_unsure);
            let mut error = failure.into_error(self.line.authority());
            if unsure {
                error = error.certainty_is(Certainty::Unknown);
            }
            if first.is_some() || !again {
                return Err(error);
            }
            tracing::debug!(host = self.line.authority(), error = %error.chain(), "sending it once more");
            first = Some(error);
        }
    }

    /// Opens and verifies a connection for the post of `job`. If the connection cannot be verified,
    /// a post that only switches tones off may be sent without a verification.
    async fn ready(&mut self, job: &mut Job) -> Result<()> {
        let mut verifications = 0;
        let switches_off = job.post.only_switches_off();
        let mut verified_by = None;
        loop {
            // The wait comes before each verification, since a verification sets the marker (a
            // setting that shows restarts), and that request may be lost, too.
            self.wait_until_at_rest(job).await?;
            // The deadline may have passed while the process was stopped.
            job.renew();
            let deadline = job.deadline;
            let verified_by = *verified_by.get_or_insert_with(|| {
                if switches_off {
                    deadline::within(SWITCHING_OFF_WAITS.min(deadline::left(deadline) / 2))
                } else {
                    deadline
                }
            });
            self.keeper.admit(&job.post)?;
            if !self.line.is_open() {
                if let Some(ended) = self.line.abandon() {
                    self.before = if self.verified { ended } else { Before::Lost };
                }
                self.verified = false;
                self.line.open(deadline).await?;
                let verified_at = self.verified_at.take();
                self.verified =
                    verified_at.is_some_and(|since| since.elapsed() <= VERIFICATION_HOLDS_FOR);
            }
            if self.verified && !self.keeper.is_in_doubt() {
                return Ok(());
            }
            if verifications == MOST_VERIFICATIONS {
                let why = "each connection ended before anything could be sent on it";
                return Err(
                    Error::new(ErrorKind::ConnectionLost, why).certainty_is(Certainty::NotExecuted)
                );
            }
            verifications += 1;
            match self.verify(verified_by).await {
                // A verification only reads, so it can be repeated if the board refuses or its
                // answer cannot be used.
                Err(error) if is_passing(&error) && verifications < MOST_VERIFICATIONS => {
                    let pause = RECONNECT_PAUSE * verifications;
                    if Instant::now() + pause >= deadline {
                        return Err(error);
                    }
                    tracing::debug!(host = self.line.authority(), error = %error.chain(), "reading back once more");
                    self.repeats += 1;
                    sleep(pause).await;
                }
                Err(error) if switches_off && error.kind() != ErrorKind::EpochChanged => {
                    let host = self.line.authority();
                    // Only the first message is a warning: tones are switched off repeatedly until
                    // they are off.
                    if std::mem::replace(&mut self.has_warned, true) {
                        tracing::debug!(host, error = %error.chain(), "switching off what cannot be read back");
                    } else {
                        tracing::warn!(host, error = %error.chain(), "switching off what cannot be read back");
                    }
                    self.keeper.note_unverified();
                    return self.line.open(deadline).await;
                }
                verified => verified?,
            }
        }
    }

    /// Waits until no lost request can reach the board any more. A post that only switches tones
    /// off is also sent before the wait. The caller of this function sends it again afterwards,
    /// since a lost request may switch tones on during the wait.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if the deadline of the job comes first, or if its caller drops the
    /// future.
    async fn wait_until_at_rest(&mut self, job: &mut Job) -> Result<()> {
        let Some(at_rest) = self.keeper.at_rest_from() else {
            return Ok(());
        };
        let mut certainty = Certainty::NotExecuted;
        if job.post.only_switches_off() && at_rest > Instant::now() {
            certainty = Certainty::Unknown;
            // The end of the wait must not cut off an answer that is on its way.
            let by = at_rest.max(deadline::within(SWITCHING_OFF_WAITS));
            self.switch_off(job, by.min(job.deadline)).await;
        }
        let at_rest = self.keeper.at_rest_from().unwrap_or(at_rest);
        if at_rest >= job.deadline {
            let why = "settings were lost on their way to the board, and may still reach it";
            return Err(Error::new(ErrorKind::Timeout, why).certainty_is(certainty));
        }
        tokio::select! {
            biased;
            () = sleep_until(at_rest) => Ok(()),
            () = job.answer.closed() => Err(timed_out(false)),
        }
    }

    /// Sends, on a connection that is not verified, a post that switches tones off.
    async fn switch_off(&mut self, job: &Job, deadline: Instant) {
        self.verified = false;
        if !self.line.is_open() {
            self.line.abandon();
            if let Err(error) = self.line.open(deadline).await {
                return tracing::warn!(host = self.line.authority(), error = %error.chain(), "not switched off yet");
            }
        }
        job.sent.store(true, Ordering::Release);
        self.keeper.note_unverified();
        match Allowance::timed(self.line.exchange(&job.post, deadline)).await {
            (Ok(_), took) => self.keeper.note_answered(&job.post, took),
            (Err(failure), _) => {
                self.before = Before::Lost;
                if failure.may_have_run() {
                    self.keeper.note_lost(&job.post, job.safety);
                }
            }
        }
    }

    async fn verify(&mut self, deadline: Instant) -> Result<()> {
        self.verified = false;
        let verified = self
            .keeper
            .verify(&mut self.line, self.before, deadline)
            .await;
        if let Err(error) = verified {
            if error.kind() != ErrorKind::EpochChanged {
                self.before = Before::Lost;
                self.line.close();
            }
            return Err(error);
        }
        self.verified = true;
        self.has_warned = false;
        self.before = Before::Lost;
        self.verified_at = self.line.is_one_exchange().then(Instant::now);
        Ok(())
    }
}
