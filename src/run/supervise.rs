//! Supervision of one target (a module of a board) from its start to its end. The algorithm runs
//! first. Then the clean-up brings the module to the *safe state* of its target, unless the
//! settings of the algorithm are kept. The *journal* of a module is the record of the settings that
//! its channels have, or may have.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};
use tworoutine::{Allowance, JoinError, JoinHandle};
use twotone_hal::{BoardHandle, Certainty, Error, ErrorKind, ModuleId, Result, ToneFields};

use super::cleanup::{self, Cleanup};
use super::lease::{End, Lease};
use super::tally::{Count, Counted, Tally, locked};
use super::{
    CatchPanic, Deadline, HardwareState, Journal, Leased, Limits, Outcome, Runner, SafeState,
    Target, Trace,
};
use crate::record::Failure;

/// A target with the settings of its run.
pub(super) struct Supervised {
    pub(super) target: Target,
    pub(super) settings: Runner,
    turns: Arc<Semaphore>,
    /// True if an earlier target of the run is the same module.
    pub(super) twice: bool,
    /// True if a module that keeps its tones is read back once more after all targets have ended.
    pub(super) is_looked_at_last: bool,
    /// Journal of the module. The runner needs it after this context has ended: for the last
    /// read-back, and if the context ends without an outcome.
    pub(super) journal: Arc<OnceLock<Arc<Journal>>>,
    /// Repetitions of operations on the board, and its warnings.
    count: Counted,
}

/// The right to run: a place among the targets that run at once, and the lease of the module, which
/// keeps other runs from using it.
pub(super) struct Turn<'a> {
    pub(super) began: Instant,
    _place: SemaphorePermit<'a>,
    _lease: Lease,
}

/// Runs `algorithm` on a target, and then cleans up the target's module.
pub(super) async fn run<T, E, F>(
    supervised: Supervised,
    algorithm: impl FnOnce(BoardHandle, ModuleId) -> F + Send + 'static,
) -> Outcome<T>
where
    T: Send + 'static,
    E: Into<Error> + Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let turn = match supervised.turn().await {
        Ok(turn) => turn,
        Err(error) => return supervised.outcome(None, Err(error), HardwareState::Untouched),
    };
    let (share, reserved) = supervised.times();
    // An allowance is used up only while the process runs. With deadlines instead, a process that
    // was stopped until after both of them would have no time left for the clean-up.
    let share = Allowance::new(share);
    let reserve = Allowance::new(reserved);
    let board = supervised.board();
    let (result, hardware) = match supervised.begin(&board, &share).await {
        Ok(journal) => {
            let result = supervised
                .run_algorithm(&journal, &share, &reserve, algorithm)
                .await;
            let hardware = supervised
                .finish(&journal, result.as_ref().err(), &reserve)
                .await;
            (result, hardware)
        }
        Err(error) => {
            let hardware = supervised.give_up(&board, &error, &reserve).await;
            (Err(error), hardware)
        }
    };
    supervised.outcome(Some(&turn), result, hardware)
}

/// Longest time for the last read-back of a module that keeps its tones, after all targets have
/// ended.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// Time within which the runtime polls a waiting context again.
const TURN: Duration = Duration::from_millis(100);

/// Time that is reserved for a clean-up in addition to the life of a lost request, which is the
/// longest time for which the board may still execute it.
const OUTLIVES: Duration = Duration::from_secs(5);

/// Returns the longest time of the last read-back in a run with this deadline.
fn last_look(deadline: Duration) -> Duration {
    LAST_LOOK.min(deadline / 10)
}

/// Reads back a module that keeps its tones on, within `time`, after all targets have ended.
/// Returns its state and the number of repeated operations. If the run is cancelled, the read-back
/// takes at most 5 s from then on.
pub(super) async fn still_kept(
    target: Target,
    settings: Runner,
    journal: Arc<Journal>,
    time: Duration,
) -> (HardwareState, Count) {
    let shortest = last_look(settings.deadline);
    let time = Allowance::new(time.max(shortest));
    let cancelled = settings.cancel.clone();
    let supervised = Supervised::new(target, settings, &Arc::new(Semaphore::new(1)));
    journal.read_anew();
    let cleanup = supervised.cleanup(&journal, SafeState::Hold, &time);
    let ended = async {
        cancelled.cancelled().await;
        sleep(shortest).await;
    };
    let read = tokio::select! {
        biased;
        read = cleanup.keep() => read,
        () = ended => journal.left(SafeState::Hold, Failure::from(&supervised.cancelled())),
    };
    let read = match read {
        HardwareState::Left {
            left_on,
            unknown,
            not_restored,
            nco,
            reason,
        } if !unknown.is_empty() => HardwareState::Left {
            left_on,
            unknown,
            not_restored,
            nco,
            reason: reason.prefixed("not read back when the run ended"),
        },
        read => read,
    };
    let count = locked(&supervised.count).clone();
    (read, count)
}

/// Returns the error of a context that ended without a result.
pub(super) fn failed(ended: &JoinError) -> Error {
    if ended.is_cancelled() {
        return Error::new(ErrorKind::Cancelled, "its context was shut down");
    }
    let message = ended.message().unwrap_or("no message");
    Error::new(ErrorKind::Panicked, message)
}

impl Supervised {
    pub(super) fn new(target: Target, settings: Runner, turns: &Arc<Semaphore>) -> Self {
        Self {
            target,
            settings,
            turns: Arc::clone(turns),
            twice: false,
            is_looked_at_last: false,
            journal: Arc::default(),
            count: Arc::default(),
        }
    }

    /// Returns the time of the algorithm and the time that is reserved for its clean-up. The
    /// reserved time is longer than the life of a lost request, because a clean-up can confirm its
    /// success only after this life. But it is at most half of the deadline, unless
    /// [`Runner::cleanup_share`] is larger.
    fn times(&self) -> (Duration, Duration) {
        let settings = &self.settings;
        let mut deadline = settings.deadline;
        if self.is_looked_at_last && settings.ending.keeps() {
            deadline -= last_look(deadline);
        }
        let outlives = self.request_life() + OUTLIVES;
        let reserved = settings.deadline.mul_f64(settings.cleanup_share);
        let reserved = reserved.max(outlives.min(deadline / 2)).min(deadline);
        (deadline - reserved, reserved)
    }

    /// Returns the longest time for which the board may still execute a lost request.
    fn request_life(&self) -> Duration {
        let own = self.target.request_life;
        own.unwrap_or(self.settings.request_life)
    }

    /// Waits until this target may run, and takes the lease of its module.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the module is listed twice, [`ErrorKind::Cancelled`] if
    /// the run is cancelled before the target may run, [`ErrorKind::Busy`] if another run uses the
    /// module.
    pub(super) async fn turn(&self) -> Result<Turn<'_>> {
        if self.twice {
            let message = format!("module {} is listed twice", self.target.module);
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let turn = tokio::select! {
            biased;
            () = self.settings.cancel.cancelled() => None,
            turn = self.turns.acquire() => turn.ok(),
        };
        let Some(place) = turn else {
            return Err(self.cancelled().certainty_is(Certainty::NotExecuted));
        };
        Ok(Turn {
            began: Instant::now(),
            _place: place,
            _lease: Lease::take(&self.target.board, self.target.module)?,
        })
    }

    /// Returns the target's board with the wrappers for the runner's own requests.
    pub(super) fn board(&self) -> BoardHandle {
        let board = BoardHandle::new(Tally::new(self.target.board.clone(), &self.count));
        let board = BoardHandle::new(CatchPanic::new(board));
        let board = BoardHandle::new(Trace::new(board));
        BoardHandle::new(Deadline::new(board, self.settings.batch_deadline))
    }

    pub(super) fn outcome<T>(
        &self,
        turn: Option<&Turn<'_>>,
        result: Result<T>,
        hardware: HardwareState,
    ) -> Outcome<T> {
        let Count { repeats, warnings } = locked(&self.count).clone();
        Outcome {
            board: self.target.board.name().to_owned(),
            module: self.target.module,
            result: result.map_err(|error| error.on(self.target.board.name())),
            hardware,
            repeats,
            board_warnings: warnings,
            elapsed: turn.map_or(Duration::ZERO, |turn| turn.began.elapsed()),
        }
    }

    /// Reads the settings of the module before anything changes them.
    async fn begin(&self, board: &BoardHandle, share: &Allowance) -> Result<Arc<Journal>> {
        let fields = match self.ends_in(false) {
            Some(SafeState::Previous) => ToneFields::ALL,
            _ => ToneFields::AMPLITUDE,
        };
        let start = async {
            if self.target.was_taken_over() {
                // Requests of the program from which the board was taken over may still arrive.
                // Nothing is read or measured before they no longer can.
                sleep(self.request_life()).await;
            }
            Journal::start(board.clone(), self.target.module, fields).await
        };
        let journal = tokio::select! {
            biased;
            () = self.settings.cancel.cancelled() => return Err(self.cancelled()),
            journal = share.within(start) => journal.unwrap_or_else(|_| Err(self.out_of_time()))?,
        };
        Ok(Arc::clone(self.journal.get_or_init(|| journal)))
    }

    /// Runs the algorithm until it ends, its time is over or the run is cancelled.
    async fn run_algorithm<T, E, F>(
        &self,
        journal: &Arc<Journal>,
        share: &Allowance,
        reserve: &Allowance,
        algorithm: impl FnOnce(BoardHandle, ModuleId) -> F + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        E: Into<Error> + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let module = self.target.module;
        let limits = Limits::new(Arc::clone(journal), self.target.limits);
        let (leased, end) = Leased::new(BoardHandle::new(limits), module);
        let board = BoardHandle::new(leased);
        let mut context = tworoutine::spawn(async move { algorithm(board, module).await });
        let result = tokio::select! {
            biased;
            // This branch is polled first, so that the result of a finished algorithm is not
            // discarded.
            ended = share.within(&mut context) => match ended {
                Ok(Ok(result)) => result.map_err(Into::into),
                Ok(Err(ended)) => Err(failed(&ended)),
                Err(_) => Err(self.out_of_time()),
            },
            () = self.settings.cancel.cancelled() => Err(self.cancelled()),
        };
        // An algorithm that computes without an `.await` cannot be ended. But its requests are
        // refused from now on, so the clean-up begins after a limited time in any case.
        let quiet = end.clone();
        let patience = Allowance::new(reserve.left() / 4);
        let ended = patience.within(end_context(context, end));
        tokio::select! {
            biased;
            _ = reserve.within(ended) => {}
            () = self.settings.abandon.cancelled() => {
                // A running request of the algorithm is dropped when it is next polled. Only then
                // does the journal record that the board may have executed it. If this does not
                // happen in time, all settings count as lost.
                if Allowance::new(TURN).within(quiet.end()).await.is_err() {
                    journal.locked().now.lose();
                }
            }
        }
        result.map_err(|error| error.during(format!("run on module {module}")))
    }

    /// Returns the state to which the module is brought, or `None` if it keeps the settings of the
    /// algorithm.
    fn ends_in(&self, succeeded: bool) -> Option<SafeState> {
        self.settings
            .ending
            .state(self.target.safe_state, succeeded)
    }

    /// Brings the module to the state that follows from the result of the algorithm.
    async fn finish(
        &self,
        journal: &Journal,
        failed: Option<&Error>,
        time: &Allowance,
    ) -> HardwareState {
        let ends_in = self.ends_in(failed.is_none());
        // If the algorithm was refused before it set anything, for instance because of a wrong
        // parameter, tones that were on before the run must not be switched off.
        let refused = failed.is_some_and(|error| {
            use ErrorKind as K;
            matches!(
                error.kind(),
                K::InvalidArgument | K::Limit | K::Unsupported | K::Busy
            )
        });
        let leave = refused || ends_in != Some(SafeState::Off);
        if !journal.has_written() && leave {
            return HardwareState::Untouched;
        }
        let Some(safe_state) = ends_in else {
            return self.cleanup(journal, SafeState::Hold, time).keep().await;
        };
        match self.cleanup(journal, safe_state, time).reach().await {
            Ok(()) => HardwareState::AsDeclared,
            Err(error) => journal.left(safe_state, Failure::from(&error)),
        }
    }

    /// Ends the run on a module whose settings could not be read before the algorithm. If its safe
    /// state is `off`, the module is switched off, unless the client of the board has refused to
    /// send the request. Otherwise nothing is sent.
    async fn give_up(&self, board: &BoardHandle, error: &Error, time: &Allowance) -> HardwareState {
        let refused = matches!(
            error.kind(),
            ErrorKind::InvalidArgument | ErrorKind::Unsupported | ErrorKind::Busy
        );
        if error.kind() == ErrorKind::EpochChanged && self.target.safe_state != SafeState::Off {
            // The settings before the run are lost, for instance by a restart, and were never read.
            return HardwareState::unreached(error);
        }
        if refused || self.target.safe_state != SafeState::Off {
            return HardwareState::Untouched;
        }
        self.switch_off(board, time).await.1
    }

    /// Switches off every tone of the module, without knowing which tones are on.
    pub(super) async fn switch_off(
        &self,
        board: &BoardHandle,
        time: &Allowance,
    ) -> (Result<()>, HardwareState) {
        let mut last = None;
        let journal = tokio::select! {
            biased;
            () = self.settings.abandon.cancelled() => Err(self.cancelled()),
            journal = time.within(self.blank(board, &mut last)) => {
                journal.unwrap_or_else(|_| Err(last.unwrap_or_else(|| self.out_of_time())))
            }
        };
        let journal = match journal {
            Ok(journal) => self.journal.get_or_init(|| journal),
            // Without a journal, not even the number of the module's channels is known.
            Err(error) => {
                let hardware = HardwareState::unreached(&error);
                return (Err(error), hardware);
            }
        };
        if self.target.was_taken_over() {
            // A request of the program from which the board was taken over may still arrive. This
            // makes the clean-up wait until it no longer can.
            journal.locked().suspect = Some(Instant::now());
        }
        let cleanup = self.cleanup(journal, SafeState::Off, time);
        match cleanup.reach().await {
            Ok(()) => (Ok(()), HardwareState::AsDeclared),
            Err(error) => {
                let hardware = journal.left(SafeState::Off, Failure::from(&error));
                (Err(error), hardware)
            }
        }
    }

    /// Makes a journal that knows no settings of the module. This needs the board's description, so
    /// the request for it is repeated until it succeeds. Gives up only if the client of the board
    /// refuses three times to send the request.
    async fn blank(&self, board: &BoardHandle, last: &mut Option<Error>) -> Result<Arc<Journal>> {
        let mut pause = cleanup::FIRST_PAUSE;
        let mut unsendable = 0;
        loop {
            let error = match Journal::blank(board.clone(), self.target.module).await {
                Ok(journal) => return Ok(journal),
                Err(error) => error,
            };
            unsendable += u32::from(cleanup::is_unsendable(&error));
            if unsendable == cleanup::REFUSALS {
                return Err(error);
            }
            *last = Some(error);
            sleep(pause).await;
            pause = (2 * pause).min(cleanup::LONGEST_PAUSE);
        }
    }

    fn cleanup<'a>(
        &'a self,
        journal: &'a Journal,
        safe_state: SafeState,
        time: &'a Allowance,
    ) -> Cleanup<'a> {
        Cleanup {
            journal,
            safe_state,
            time,
            request_life: self.request_life(),
            is_read_again: self.is_looked_at_last,
            abandon: &self.settings.abandon,
        }
    }

    fn cancelled(&self) -> Error {
        Error::new(ErrorKind::Cancelled, "the run was ended from outside")
    }

    fn out_of_time(&self) -> Error {
        let all = self.settings.deadline.as_secs_f64();
        let message = format!("not done in its share of the {all:.1} s that the run may take");
        Error::new(ErrorKind::Timeout, message)
    }
}

/// Ends an algorithm, and waits until its context has ended and none of its requests is running.
async fn end_context<T>(context: JoinHandle<T>, end: End) {
    context.abort();
    end.end().await;
    if !context.is_finished() {
        // The result of the run is already known, so that of the context is ignored.
        let _ = context.await;
    }
}
