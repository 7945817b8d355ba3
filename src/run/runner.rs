//! Runner of one algorithm over any number of targets. A *target* is a module of a board, with its
//! limits and the *safe state* in which it is to be left. A *batch* is a list of operations, sent
//! to a board as one request.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tworoutine::{Allowance, Tworoutine};
use twotone_hal::{BoardHandle, Error, ModuleId};

use super::supervise::{self, Supervised};
use super::tally::Count;
use super::{Ending, HardwareState, Journal, Outcome, Target};
use crate::record::Failure;

/// Outcome of a target that has ended, and the record of its settings.
pub(super) struct Ended<T> {
    pub(super) outcome: Outcome<T>,
    journal: Arc<OnceLock<Arc<Journal>>>,
}

/// Longest time that can be set. Longer times are shortened to it, so that sums of times do not
/// overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Runner of an algorithm over targets. Each target is run independently of the others, and each
/// failure is a value in its [`Outcome`].
///
/// A target that fails, hangs, panics or sends invalid answers does not affect the others. After
/// the algorithm, the runner cleans up: it brings the module to the target's safe state. A fraction
/// of the deadline is reserved for this clean-up. The outcome lists the channels that did not reach
/// the safe state. If the algorithm has changed no setting and the safe state is not `off`, the
/// clean-up sends nothing.
///
/// A runner cannot end an algorithm that computes without an `.await`: give such work to
/// `tworoutine::offload`. If an algorithm uses another handle of a board than the one from the
/// runner, the runner cannot protect other modules from the algorithm.
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
    /// Makes a runner that works on any number of targets at once. Each target has 10 minutes, of
    /// which a quarter is reserved for the clean-up. Each batch has 1 minute.
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

    /// Sets the largest number of targets that run at once. 0 counts as 1.
    #[must_use]
    pub fn concurrency(mut self, targets: usize) -> Self {
        self.concurrency = targets.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Sets the longest time of a target, including its clean-up. The time of each target counts
    /// from its own start. So a target that hangs does not use up the time of targets that wait for
    /// it, if only some run at once. Time in which the process does not run, because it was stopped
    /// or the machine slept, does not count. The time that is reserved for the clean-up counts from
    /// the beginning of the clean-up. If there are several targets and [`Runner::keep_on_success`]
    /// is set, a part of the deadline is reserved for a read-back after all targets have ended: 5
    /// s, or a tenth of the deadline if that is less.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline.min(LONGEST);
        self
    }

    /// Sets the longest time of each batch, including those of the clean-up.
    #[must_use]
    pub fn batch_deadline(mut self, deadline: Duration) -> Self {
        self.batch_deadline = deadline.min(LONGEST);
        self
    }

    /// Sets the fraction of the deadline, 0 to 1, that is reserved for the clean-up. A number
    /// outside this range counts as the nearest bound, and NaN as a quarter.
    #[must_use]
    pub fn cleanup_share(mut self, share: f64) -> Self {
        self.cleanup_share = if share.is_nan() {
            0.25
        } else {
            share.clamp(0.0, 1.0)
        };
        self
    }

    /// Sets the life of a request: the longest time for which a board may still execute a request
    /// after the connection was lost. The default is 5 s. If a request that sets channels is lost,
    /// the runner waits for this time, and then reads back the settings. If the deadline comes
    /// first, the outcome lists the channels as unknown. The time that is reserved for the clean-up
    /// is raised to 5 s more than this life, but at most to half of the deadline. A target may have
    /// a value of its own ([`Target::request_life`]).
    #[must_use]
    pub fn request_life(mut self, life: Duration) -> Self {
        self.request_life = life.min(LONGEST);
        self
    }

    /// Keeps the settings of an algorithm that succeeds. By default, the module is brought to its
    /// safe state even after success.
    #[must_use]
    pub fn keep_on_success(mut self) -> Self {
        self.ending = Ending::Kept;
        self
    }

    /// Brings each module to its safe state, but a module whose safe state is `hold` to its
    /// settings before the run. So no setting of the algorithm stays. Use this for algorithms that
    /// only measure. See [`Ending::AsFound`].
    #[must_use]
    pub fn leave_as_found(mut self) -> Self {
        self.ending = Ending::AsFound;
        self
    }

    /// Sets the token that ends the run. When the token is cancelled, the runner ends every
    /// algorithm, cleans up its module, and returns. Targets that have not begun are left
    /// untouched.
    #[must_use]
    pub fn cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = token;
        self
    }

    /// Sets the token that ends the clean-up. When the token is cancelled, the run returns at once,
    /// and its outcomes list the channels that are left on or unknown.
    #[must_use]
    pub fn abandon(mut self, token: CancellationToken) -> Self {
        self.abandon = token;
        self
    }

    /// Runs `algorithm` on each target and returns every outcome, in the order of the targets.
    ///
    /// The arguments of `algorithm` are a handle of the board and the module. The handle enforces
    /// the target's limits, and works until the algorithm ends. If there are several targets, those
    /// that keep their tones on are read back once more after all targets have ended, because a
    /// board may have lost its tones while other targets ran. A target fails with
    /// [`Busy`](twotone_hal::ErrorKind::Busy) if another run uses its module. If `targets` has a
    /// module of a board twice, its first target runs, and the second one fails with
    /// [`InvalidArgument`](twotone_hal::ErrorKind::InvalidArgument).
    ///
    /// **On cancel** (the future is dropped before it is ready) the algorithms are ended and the
    /// hardware is cleaned up in the background. The outcomes are lost.
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

    /// Runs `supervise` for each target in a context of its own ([`tworoutine::spawn`]), for at
    /// most `concurrency` targets at once.
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
            // The guard is dropped with this future, and cancels every target.
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
                    Err(ended) => {
                        let error = supervise::failed(&ended).on(target.board.name());
                        let reason = Failure::from(&error).prefixed("its clean-up failed");
                        Outcome {
                            board: target.board.name().to_owned(),
                            module: target.module,
                            result: Err(error),
                            hardware: match journal.get() {
                                Some(journal) => journal.left(target.safe_state, reason),
                                None => HardwareState::Untouched,
                            },
                            repeats: 0,
                            board_warnings: Vec::new(),
                            elapsed: Duration::ZERO,
                        }
                    }
                };
                outcomes.push(Ended { outcome, journal });
            }
            outcomes
        })
    }

    /// Reads back the modules that keep their tones on, if there are several targets. While one
    /// target ran, the board of another may have restarted, or have been replaced.
    ///
    /// `left` is the remaining time of the deadline.
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
                let (hardware, count) = match reading.await {
                    Ok(read) => read,
                    Err(why) => {
                        let failed = supervise::failed(&why);
                        (HardwareState::unreached(&failed), Count::default())
                    }
                };
                let outcome = &mut ended.outcome;
                outcome.hardware = hardware;
                let mut sum = Count {
                    repeats: outcome.repeats,
                    warnings: std::mem::take(&mut outcome.board_warnings),
                };
                sum.add(count.repeats, &count.warnings);
                (outcome.repeats, outcome.board_warnings) = (sum.repeats, sum.warnings);
            }
            outcomes.push(ended.outcome);
        }
        outcomes
    }
}
