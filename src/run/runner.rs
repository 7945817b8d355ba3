//! One algorithm over any number of boards.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tworoutine::{Allowance, Tworoutine};
use twotone_hal::{BoardHandle, Error, ModuleId};

use super::supervise::{self, Supervised};
use super::{Ending, HardwareState, Journal, Outcome, Target};

/// A target that has ended, and what was written to it.
pub(super) struct Ended<T> {
    pub(super) outcome: Outcome<T>,
    journal: Arc<OnceLock<Arc<Journal>>>,
}

/// Longer times count as this one, so that no sum of times overflows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Runs an algorithm over targets: each in its own context, each outcome a value.
///
/// A target that fails, hangs, panics or answers nonsense takes no other down, and its module is
/// brought to the target's safe state within a reserved share of the deadline. What could not be
/// reached is listed, channel by channel.
///
/// Two things no runner can do for an algorithm: end it while it computes without ever waiting
/// (give such work to `tworoutine::offload`), and keep its settings off other modules if it was
/// handed a board in another way than by the runner.
#[derive(Debug, Clone)]
pub struct Runner {
    concurrency: usize,
    pub(super) deadline: Duration,
    pub(super) batch_deadline: Duration,
    pub(super) cleanup_share: f64,
    pub(super) request_life: Duration,
    pub(super) ending: Ending,
    pub(super) cancel: CancellationToken,
    pub(super) abandon: CancellationToken,
}

impl Default for Runner {
    fn default() -> Self {
        Self::new()
    }
}

impl Runner {
    /// A runner over any number of targets at once, 10 minutes for each of them of which a
    /// quarter is reserved for the clean-up, 1 minute for a batch.
    pub fn new() -> Self {
        Self {
            concurrency: Semaphore::MAX_PERMITS,
            deadline: Duration::from_secs(600),
            batch_deadline: Duration::from_secs(60),
            cleanup_share: 0.25,
            request_life: Duration::from_secs(5),
            ending: Ending::default(),
            cancel: CancellationToken::new(),
            abandon: CancellationToken::new(),
        }
    }

    /// At most `targets` at once; 0 counts as 1.
    #[must_use]
    pub fn concurrency(mut self, targets: usize) -> Self {
        self.concurrency = targets.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// By when a target ends, clean-up included, counted from its own start: with bounded
    /// concurrency, a target that hangs does not use up the time of those that wait for it. Time
    /// in which the process does not run, because it was stopped or the machine slept, does not
    /// count, and the clean-up has its share from the moment at which it begins. If several targets
    /// may keep their tones, the last 5 s, or a tenth if that is less, are for reading them back
    /// when all have ended.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline.min(LONGEST);
        self
    }

    /// By when each batch of the algorithm ends.
    #[must_use]
    pub fn batch_deadline(mut self, deadline: Duration) -> Self {
        self.batch_deadline = deadline.min(LONGEST);
        self
    }

    /// The share of the deadline, 0 to 1, that is reserved for the clean-up. A number outside
    /// counts as the nearest, one that is none as a quarter.
    #[must_use]
    pub fn cleanup_share(mut self, share: f64) -> Self {
        self.cleanup_share = if share.is_nan() {
            0.25
        } else {
            share.clamp(0.0, 1.0)
        };
        self
    }

    /// Longest time for which a request can live whose connection was lost: by then it was
    /// executed, or never will be. 5 s. After a loss with settings under way, nothing is said of
    /// their channels until this time has passed, and the settings were read back at its end. If
    /// the deadline comes first, the channels are unknown. The clean-up has 5 s more than this
    /// reserved, up to half of the deadline. A target may have a time of its own
    /// ([`Target::request_life`]).
    #[must_use]
    pub fn request_life(mut self, life: Duration) -> Self {
        self.request_life = life.min(LONGEST);
        self
    }

    /// Keeps what the algorithm has set where it succeeds. Otherwise the safe state is reached
    /// after success too.
    #[must_use]
    pub fn keep_on_success(mut self) -> Self {
        self.ending = Ending::Kept;
        self
    }

    /// Leaves each module as it was found, for algorithms that only measure: `hold` counts as
    /// `previous`, so that nothing which the algorithm has set stays on. See [`Ending::AsFound`].
    #[must_use]
    pub fn leave_as_found(mut self) -> Self {
        self.ending = Ending::AsFound;
        self
    }

    /// Ends every algorithm, cleans up, and returns, when `token` is cancelled. Targets that have
    /// not begun are left untouched.
    #[must_use]
    pub fn cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = token;
        self
    }

    /// Gives up the clean-up when `token` is cancelled, and returns at once with what is left on.
    #[must_use]
    pub fn abandon(mut self, token: CancellationToken) -> Self {
        self.abandon = token;
        self
    }

    /// Runs `algorithm` on each target and answers every outcome, in the order of the targets.
    ///
    /// `algorithm` gets a handle that is held to the target's limits and that works until the run
    /// ends, and the module. When all have ended, those of several that keep their tones on are read
    /// back once more: a board may have lost them since. A target whose module another run has
    /// fails with [`Busy`](twotone_hal::ErrorKind::Busy), one that is listed twice with
    /// [`InvalidArgument`](twotone_hal::ErrorKind::InvalidArgument); what it would have run on is
    /// left to the other.
    ///
    /// **On cancel** (the future is dropped before it is ready) the algorithms are ended and the
    /// hardware cleaned up all the same, with nobody to tell.
    pub fn run<T, E, A, F>(
        &self,
        targets: Vec<Target>,
        algorithm: A,
    ) -> Tworoutine<impl Future<Output = Vec<Outcome<T>>> + Send + use<T, E, A, F>>
    where
        T: Send + 'static,
        E: Into<Error> + Send + 'static,
        A: Fn(BoardHandle, ModuleId) -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let algorithm = Arc::new(algorithm);
        let outcomes = self.over(targets.clone(), move |supervised| {
            let algorithm = Arc::clone(&algorithm);
            supervise::run(supervised, move |board, module| algorithm(board, module))
        });
        let settings = self.clone();
        Tworoutine::new(async move {
            let (ended, took) = Allowance::timed(outcomes).await;
            let left = settings.deadline.saturating_sub(took);
            settings.still_kept(targets, ended, left).await
        })
    }

    /// Supervises each target in a context of its own, as many at once as allowed.
    pub(super) fn over<T, S, F>(
        &self,
        targets: Vec<Target>,
        supervise: S,
    ) -> Tworoutine<impl Future<Output = Vec<Ended<T>>> + Send + use<T, S, F>>
    where
        T: Send + 'static,
        S: Fn(Supervised) -> F + Send + 'static,
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        let settings = self.clone();
        Tworoutine::new(async move {
            // Dropped with this future: then every target is cancelled.
            let cancel = settings.cancel.child_token();
            let _cancel_on_drop = cancel.clone().drop_guard();
            let settings = Self { cancel, ..settings };
            let turns = Arc::new(Semaphore::new(settings.concurrency));
            let several = targets.len() > 1;
            let mut listed = BTreeSet::new();
            let under_way: Vec<_> = targets
                .into_iter()
                .map(|target| {
                    let key = (target.board.name().to_owned(), target.module);
                    let twice = !listed.insert(key);
                    let mut supervised = Supervised::new(target.clone(), settings.clone(), &turns);
                    supervised.twice = twice;
                    supervised.is_looked_at_last = several;
                    let journal = supervised.journal.clone();
                    (target, journal, tworoutine::spawn(supervise(supervised)))
                })
                .collect();
            let mut outcomes = Vec::with_capacity(under_way.len());
            for (target, journal, handle) in under_way {
                let outcome = match handle.await {
                    Ok(outcome) => outcome,
                    Err(ended) => Outcome {
                        board: target.board.name().to_owned(),
                        module: target.module,
                        result: Err(supervise::failed(&ended).on(target.board.name())),
                        hardware: match journal.get() {
                            Some(journal) => journal.left(target.safe_state, "its clean-up failed"),
                            None => HardwareState::Untouched,
                        },
                        repeats: 0,
                        elapsed: Duration::ZERO,
                    },
                };
                outcomes.push(Ended { outcome, journal });
            }
            outcomes
        })
    }

    /// Reads back the modules that keep their tones on, if there are several: while one was worked
    /// on, the board of another may have restarted, or have been replaced.
    ///
    /// `left` is the time that is left of the deadline.
    async fn still_kept<T>(
        &self,
        targets: Vec<Target>,
        ended: Vec<Ended<T>>,
        left: Duration,
    ) -> Vec<Outcome<T>> {
        let several = ended.len() > 1;
        let reading: Vec<_> = targets
            .into_iter()
            .zip(&ended)
            .map(|(target, ended)| {
                let kept = several && ended.outcome.hardware == HardwareState::Kept;
                let journal = ended.journal.get().filter(|_| kept).cloned()?;
                let reading = supervise::still_kept(target, self.clone(), journal, left);
                Some(tworoutine::spawn(reading))
            })
            .collect();
        let mut outcomes = Vec::with_capacity(reading.len());
        for (mut ended, reading) in ended.into_iter().zip(reading) {
            if let Some(reading) = reading {
                let (hardware, repeats) = match reading.await {
                    Ok(read) => read,
                    Err(why) => (HardwareState::unreached(&supervise::failed(&why)), 0),
                };
                ended.outcome.hardware = hardware;
                ended.outcome.repeats += repeats;
            }
            outcomes.push(ended.outcome);
        }
        outcomes
    }
}
