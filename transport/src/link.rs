//! A queue of exchanges with one board, each driven to its answer.
//!
//! A request that was sent is driven to its answer even if its caller has gone, and later requests
//! wait for it. A real server was seen to finish a batch whose client had left, so that a setting
//! took effect after the clean-up that should have undone it.

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

/// The sending end of the queue. Dropping the last clone ends the link once the queue is empty.
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
    /// Sets a deadline anew that passed while the process was stopped. The caller who waits for the
    /// answer does the same.
    fn renew(&mut self) {
        if deadline::passed_unseen(self.deadline) {
            self.deadline = deadline::within(self.patience);
        }
    }
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
            idle_timeout: options.idle_timeout,
            connect_timeout: options.connect_timeout,
            line: Line::new(connector, options, runtime.clone()),
            keeper,
            before: Before::Lost,
            verified: false,
            vouched: None,
            is_told: false,
            repeats: 0,
        };
        runtime.spawn(driver.run(queue));
        Self { jobs, runtime }
    }

    /// Queues `post` and awaits its answer, until `deadline` at the latest.
    ///
    /// If this is dropped before the post was sent, it is not sent. If it is dropped later, the
    /// post is driven to its answer, and the exchanges behind it wait for that.
    pub(crate) async fn exchange(
        &self,
        post: Post,
        safety: Safety,
        deadline: Instant,
    ) -> Result<Answer> {
        self.queue(post, safety, deadline)?.answer().await
    }

    /// Queues `post` at once, for callers whose posts must go out in the order of their calls.
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
            .map_err(|_| gone().certainty_is(Certainty::NotExecuted))?;
        Ok(Queued {
            awaited,
            sent,
            deadline,
            patience,
            runtime: self.runtime.clone(),
        })
    }
}

/// An exchange in the queue, or under way. If this is dropped before it was sent, it is not sent.
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
            // The driver keeps the deadline of a post that it has sent; this one is for posts that
            // still wait.
            let expires = self.deadline + QUEUE_GRACE;
            let expired = {
                let _runtime = self.runtime.enter();
                sleep_until(expires)
            };
            tokio::select! {
                biased;
                answer = &mut self.awaited => return answer.unwrap_or_else(|_| Err(gone())),
                () = expired => {}
            }
            if !deadline::passed_unseen(expires) {
                return Err(late(self.sent.load(Ordering::Acquire)));
            }
            self.deadline = deadline::within(self.patience);
        }
    }
}

fn gone() -> Error {
    Error::new(
        ErrorKind::ConnectionLost,
        "the runtime of the link has ended",
    )
}

/// Least time that an exchange is given again if the process was stopped past its deadline.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(1);

/// Time by which a waiting exchange outlives its deadline, so that the driver's error comes first.
const QUEUE_GRACE: Duration = Duration::from_millis(20);

fn is_unsure(error: &Error) -> bool {
    error.certainty() == Certainty::Unknown
}

/// True if a reading that failed with this error may succeed when it is asked again.
fn is_passing(error: &Error) -> bool {
    use ErrorKind as K;
    matches!(error.kind(), K::Rejected | K::Protocol | K::ConnectionLost)
}

/// Pause between two tries to reach a board that has just gone.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Time for which a verification of one connection holds for the next, if the server closes each
/// behind its first answer. No board restarts in so short a time, and the next verification would
/// find one that did.
const VOUCHED_FOR: Duration = Duration::from_secs(1);

/// Longest time for a verification before a post that only switches tones off, which does not need
/// it.
const SWITCHING_OFF_WAITS: Duration = Duration::from_secs(2);

/// Number of verifications for one exchange after which the exchange is given up.
const MOST_VERIFICATIONS: u32 = 3;

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
    line: Line,
    keeper: K,
    idle_timeout: Duration,
    connect_timeout: Duration,
    /// End of the connection before the one at hand, until the one at hand is verified.
    before: Before,
    verified: bool,
    /// Time at which the keeper last found everything as it was, on a connection of its own.
    vouched: Option<Instant>,
    /// True if the log says that tones are switched off though nothing can be read back.
    is_told: bool,
    /// Number of repetitions for the exchange at hand.
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
                Err(late(false))
            } else {
                self.serve(&mut job).await
            };
            // A caller who has gone is no failure: the exchange is complete.
            drop(job.answer.send(outcome));
        }
    }

    /// The next job. A connection that stays idle is closed before the server does it, so that no
    /// request is ever written into a connection that is being closed at the other end.
    async fn next(&mut self, queue: &mut mpsc::UnboundedReceiver<Job>) -> Option<Job> {
        if self.line.has_connection() {
            let idle_until = deadline::within(self.idle_timeout);
            match timeout_at(idle_until, queue.recv()).await {
                Ok(job) => return job,
                Err(_) => self.part_idle(),
            }
        }
        queue.recv().await
    }

    /// Closes an idle connection, unless the other end has.
    fn part_idle(&mut self) {
        let was_used_up = self.line.is_one_exchange();
        if (self.line.close() || was_used_up) && self.verified {
            self.before = Before::Idle;
        }
        self.verified = false;
    }

    async fn serve(&mut self, job: &mut Job) -> Result<Answer> {
        let mut first = None;
        let mut back_by = None;
        self.repeats = 0;
        loop {
            job.renew();
            match self.ready(job).await {
                Ok(()) => {}
                // A board that was there a moment ago may be starting anew.
                Err(error)
                    if first.is_some()
                        && matches!(
                            error.kind(),
                            ErrorKind::Unreachable
                                | ErrorKind::ConnectionLost
                                | ErrorKind::Protocol
                        )
                        // Counted from the first failure on, without the rest before it, and
                        // early enough to report the first failure before the deadline.
                        && Instant::now()
                            < *back_by.get_or_insert_with(|| {
                                let latest = job.deadline - 2 * RECONNECT_PAUSE;
                                latest.min(deadline::within(self.connect_timeout))
                            }) =>
                {
                    sleep(RECONNECT_PAUSE).await;
                    continue;
                }
                // The loss of the board's state is reported, rather than the loss of the answer.
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
            // The caller may have gone while the connection was made, or the deadline have passed.
            if first.is_none() && (job.answer.is_closed() || job.deadline <= Instant::now()) {
                return Err(late(false));
            }
            job.sent.store(true, Ordering::Release);
            self.vouched = None;
            let exchanged = Allowance::timed(self.line.exchange(&job.post, job.deadline)).await;
            let failure = match exchanged {
                (Ok(answer), took) => {
                    self.keeper.answered(&job.post, took);
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
                self.keeper.lost(&job.post, job.safety);
            }
            let again = match failure {
                Failure::NotSent(_) => true,
                Failure::Lost { .. } => job.safety != Safety::Once,
                _ => false,
            };
            let unsure = failure.may_have_run() || first.as_ref().is_some_and(is_unsure);
            let mut error = failure.told(self.line.authority());
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

    /// Makes sure that the post of `job` may go out: the connection at hand is open and verified. A
    /// post that only switches tones off goes out even if the connection cannot be verified.
    async fn ready(&mut self, job: &mut Job) -> Result<()> {
        let mut verifications = 0;
        let switches_off = job.post.only_switches_off();
        let mut verified_by = None;
        loop {
            // Before each verification, since the marker that one sets may be lost, too.
            self.rest(job).await?;
            // The time may have passed while the process was stopped.
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
                if let Some(ended) = self.line.leave() {
                    self.before = if self.verified { ended } else { Before::Lost };
                }
                self.verified = false;
                self.line.open(deadline).await?;
                let vouched = self.vouched.take();
                self.verified = vouched.is_some_and(|since| since.elapsed() <= VOUCHED_FOR);
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
                // A verification only reads, so it is repeated: a board may refuse once, or answer
                // nonsense.
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
                    // One warning: tones are switched off again and again until they are off.
                    if std::mem::replace(&mut self.is_told, true) {
                        tracing::debug!(host, error = %error.chain(), "switching off what cannot be read back");
                    } else {
                        tracing::warn!(host, error = %error.chain(), "switching off what cannot be read back");
                    }
                    self.keeper.goes_out_unverified();
                    return self.line.open(deadline).await;
                }
                verified => verified?,
            }
        }
    }

    /// Waits until no request that was lost can reach the board any more. A post that only switches
    /// tones off is sent at once, and again afterwards: in between, a lost request may switch them
    /// on.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if the deadline of the job comes first, or its caller goes meanwhile.
    async fn rest(&mut self, job: &mut Job) -> Result<()> {
        let Some(at_rest) = self.keeper.at_rest() else {
            return Ok(());
        };
        let mut certainty = Certainty::NotExecuted;
        if job.post.only_switches_off() && at_rest > Instant::now() {
            certainty = Certainty::Unknown;
            // An answer that is on its way is not given up because the rest is over.
            let by = at_rest.max(deadline::within(SWITCHING_OFF_WAITS));
            self.switch_off(job, by.min(job.deadline)).await;
        }
        let at_rest = self.keeper.at_rest().unwrap_or(at_rest);
        if at_rest >= job.deadline {
            let why = "settings were lost on their way to the board, and may still reach it";
            return Err(Error::new(ErrorKind::Timeout, why).certainty_is(certainty));
        }
        tokio::select! {
            biased;
            () = sleep_until(at_rest) => Ok(()),
            () = job.answer.closed() => Err(late(false)),
        }
    }

    /// Sends a post that switches tones off, on a connection that is not verified.
    async fn switch_off(&mut self, job: &Job, deadline: Instant) {
        self.verified = false;
        if !self.line.is_open() {
            self.line.leave();
            if let Err(error) = self.line.open(deadline).await {
                return tracing::warn!(host = self.line.authority(), error = %error.chain(), "not switched off yet");
            }
        }
        job.sent.store(true, Ordering::Release);
        self.keeper.goes_out_unverified();
        match Allowance::timed(self.line.exchange(&job.post, deadline)).await {
            (Ok(_), took) => self.keeper.answered(&job.post, took),
            (Err(failure), _) => {
                self.before = Before::Lost;
                if failure.may_have_run() {
                    self.keeper.lost(&job.post, job.safety);
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
        self.is_told = false;
        self.before = Before::Lost;
        self.vouched = self.line.is_one_exchange().then(Instant::now);
        Ok(())
    }
}
