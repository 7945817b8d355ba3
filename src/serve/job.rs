//! One job of the daemon: its state and its events. A *job* is a command that the daemon carries
//! out. A *follower* is a client that receives the events of a job until the job has ended. A
//! *step* is an event that reports the progress of an algorithm on a module.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use twotone_algorithms::Step;
use twotone_hal::ModuleId;

use super::api::{BoardStep, Event, JobReport, State, Submission};
use super::claim::Claim;
use crate::campaign::Observer;
use crate::record::UtcTime;

/// A command that the daemon executes.
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) submission: Submission,
    pub(crate) claim: Claim,
    /// Token that, when it is cancelled, ends the job early.
    pub(crate) cancel: CancellationToken,
    /// Token that, when it is cancelled, skips the clean-up of the job.
    pub(crate) abandon: CancellationToken,
    history: Mutex<History>,
    changed: watch::Sender<()>,
    /// Permit for the memory that the files of the command take, held as long as the job exists.
    _room: Option<OwnedSemaphorePermit>,
}

/// Facts about the request that submitted a command.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// Name of the user who gave the command, if it is known.
    pub(crate) user: Option<String>,
    /// Permit for the memory that the files of the command take. `None` if they are small.
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

/// Everything that has happened in a job until now.
struct History {
    report: JobReport,
    /// All events except steps, one line of JSON each.
    events: Vec<Bytes>,
    /// Number of bytes that the command has written to standard output and standard error.
    bytes: usize,
    /// Last step of each module, with its number. All steps of the job are numbered in their
    /// order, from 1.
    steps: BTreeMap<(String, ModuleId), (u64, Step)>,
    last_step: u64,
    /// Message that the followers get when the job is cancelled.
    on_cancel: &'static str,
}

/// Position of a follower in the events of a job.
#[derive(Debug, Default)]
pub(crate) struct Position {
    /// Number of events in [`History::events`] that the follower has received.
    events: usize,
    /// Number of the last step that the follower has received.
    step: u64,
}

impl From<usize> for Position {
    /// Position of a follower that has received this number of events, not counting steps.
    fn from(events: usize) -> Self {
        Self { events, step: 0 }
    }
}

/// Largest number of bytes of the output of one job that followers receive.
const MOST_OUTPUT: usize = 256 << 20;

impl Job {
    /// Creates a job that waits in the queue.
    pub(crate) fn new(id: u64, submission: Submission, from: Origin, claim: Claim) -> Self {
        let report = JobReport {
            id,
            command: submission.command.clone(),
            by: from.user,
            state: State::Queued,
            cancelled: false,
            boards: claim.boards().map(str::to_owned).collect(),
            waits_for: Vec::new(),
            submitted: UtcTime::now(),
            started: None,
            ended: None,
            status: None,
            steps: Vec::new(),
        };
        Self {
            id,
            submission,
            claim,
            cancel: CancellationToken::new(),
            abandon: CancellationToken::new(),
            history: Mutex::new(History {
                report,
                events: Vec::new(),
                bytes: 0,
                steps: BTreeMap::new(),
                last_step: 0,
                on_cancel: "",
            }),
            changed: watch::channel(()).0,
            _room: from.room,
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Facts about the job.
    pub(crate) fn report(&self) -> JobReport {
        let history = self.history();
        let steps = history
            .steps
            .iter()
            .map(|((board, _), (_, step))| BoardStep {
                board: board.clone(),
                step: *step,
            });
        JobReport {
            cancelled: self.cancel.is_cancelled(),
            steps: steps.collect(),
            ..history.report.clone()
        }
    }

    /// State of the job.
    pub(crate) fn state(&self) -> State {
        self.history().report.state
    }

    /// Events until now except steps, one line of JSON each.
    pub(crate) fn events(&self) -> Vec<Bytes> {
        self.history().events.clone()
    }

    /// Records the numbers of the jobs that this job waits for.
    pub(crate) fn waits_for(&self, jobs: Vec<u64>) {
        if self.history().report.waits_for != jobs {
            let event = Event::Queued {
                waits_for: jobs.clone(),
            };
            self.change(&event, |report| report.waits_for = jobs);
        }
    }

    /// Records the start of the job.
    pub(crate) fn starts(&self) {
        self.change(&Event::Started, |report| {
            report.state = State::Running;
            report.started = Some(UtcTime::now());
            report.waits_for = Vec::new();
        });
    }

    /// Records the end of the job.
    pub(crate) fn ends(&self, status: u8) {
        self.change(&Event::Ended { status }, |report| {
            report.state = State::Ended;
            report.ended = Some(UtcTime::now());
            report.status = Some(status);
        });
    }

    /// Ends the job early. The followers get the reason `why`, unless it is empty or the job was
    /// cancelled before.
    pub(crate) fn cancel(&self, why: &str) {
        let said = std::mem::take(&mut self.history().on_cancel);
        if !why.is_empty() && !self.cancel.is_cancelled() {
            self.err(why);
        }
        if !said.is_empty() {
            self.err(said);
        }
        self.cancel.cancel();
    }

    /// Sets a message that followers get when the job is cancelled. If the job is cancelled
    /// already, they get the message now.
    pub(crate) fn on_cancel(&self, message: &'static str) {
        let is_cancelled = {
            let mut history = self.history();
            history.on_cancel = message;
            self.cancel.is_cancelled()
        };
        if is_cancelled {
            self.cancel("");
        }
    }

    /// Adds lines to the text that the job has written to standard output.
    pub(crate) fn out(&self, text: &str) {
        self.add_output(text, |text| Event::Out { text });
    }

    /// Adds lines to the text that the job has written to standard error.
    pub(crate) fn err(&self, text: &str) {
        self.add_output(text, |text| Event::Err { text });
    }

    fn add_output(&self, text: &str, event: impl Fn(String) -> Event) {
        let bytes = {
            let mut history = self.history();
            history.bytes = history.bytes.saturating_add(text.len());
            history.bytes
        };
        if bytes <= MOST_OUTPUT {
            self.add(&event(text.to_owned()));
        } else if bytes - text.len() <= MOST_OUTPUT {
            let text = format!(
                "the output has more than {MOST_OUTPUT} bytes, so the rest of it is left out. The \
                 run directory has the whole result"
            );
            self.add(&Event::Err { text });
        }
    }

    fn add(&self, event: &Event) {
        self.change(event, |_| ());
    }

    /// Changes the facts about the job, and adds the event about the change, without releasing the
    /// lock of the history in between. Then wakes the followers.
    fn change(&self, event: &Event, change: impl FnOnce(&mut JobReport)) {
        let line = line(event);
        {
            let mut history = self.history();
            change(&mut history.report);
            history.events.push(line);
        }
        self.changed.send_replace(());
    }

    /// Waits until there are events after `position`, returns some of them, one line of JSON each,
    /// and moves `position` past them. Returns `None` if the job has ended and the follower has
    /// received all events.
    pub(crate) async fn next(&self, position: &mut Position) -> Option<Vec<Bytes>> {
        let mut changed = self.changed.subscribe();
        loop {
            // This call comes before the events are read, so that an event that is added later ends
            // the wait below.
            changed.borrow_and_update();
            let (lines, is_over) = self.lines_from(position);
            if !lines.is_empty() {
                return Some(lines);
            }
            if is_over || changed.changed().await.is_err() {
                return None;
            }
        }
    }

    fn lines_from(&self, position: &mut Position) -> (Vec<Bytes>, bool) {
        let history = self.history();
        let events = history.events.iter().skip(position.events);
        let mut lines: Vec<Bytes> = events.take(CHUNK_EVENTS).cloned().collect();
        position.events += lines.len();
        let has_all = position.events >= history.events.len();
        // A follower gets only the last step of each module, because earlier steps are out of date.
        if has_all && !history.report.state.is_over() && position.step < history.last_step {
            let steps = history.steps.iter();
            let new = steps.filter(|(_, (number, _))| *number > position.step);
            lines.extend(new.map(|((board, _), (_, step))| {
                line(&Event::Step(BoardStep {
                    board: board.clone(),
                    step: *step,
                }))
            }));
            position.step = history.last_step;
        }
        (lines, has_all && history.report.state.is_over())
    }
}

/// Largest number of events, except steps, that [`Job::next`] returns at once.
const CHUNK_EVENTS: usize = 256;

/// Returns an event as a line of JSON.
pub(crate) fn line(event: &Event) -> Bytes {
    // An event contains only texts and numbers, so it can always be serialized.
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

/// Turns the progress of a campaign (a tune, sweep, capture or switch-off) into events of its job.
impl Observer for Job {
    fn begin(&self, modules: &[(String, ModuleId)]) {
        self.add(&Event::Begin {
            modules: modules.to_vec(),
        });
    }

    fn step(&self, board: &str, step: &Step) {
        let before = {
            let mut history = self.history();
            history.last_step += 1;
            let number = history.last_step;
            let key = (board.to_owned(), step.module);
            history.steps.insert(key, (number, *step))
        };
        // Each stage of an algorithm is logged once, so that the log tells what was done to a
        // board.
        if before.is_none_or(|(_, before)| before.stage != step.stage) {
            let (module, stage) = (step.module.number(), step.stage.as_str());
            tracing::info!(board, module, job = self.id, "{stage}");
        }
        self.changed.send_replace(());
    }

    fn end(&self) {
        self.add(&Event::End);
    }

    fn notice(&self, text: &str) {
        self.err(text);
    }
}

#[cfg(test)]
mod tests {
    use twotone_algorithms::Stage;

    use super::*;
    use crate::map::HardwareMap;
    use crate::serve::Use;

    fn job() -> Job {
        let map = HardwareMap::parse(
            "[[board]]\nname = \"a\"\nkind = \"crs\"\nserial = \"1\"",
            "m",
        );
        let claim = Claim::of(&map.unwrap(), Use::Sets);
        Job::new(1, Submission::default(), Origin::default(), claim)
    }

    fn step(done: usize) -> Step {
        Step {
            module: ModuleId::FIRST,
            stage: Stage::Fitting,
            done,
            total: 9,
        }
    }

    /// Names of the events that a follower gets next. The name of a step is followed by its number
    /// of finished parts.
    async fn next(job: &Job, position: &mut Position) -> Option<Vec<String>> {
        let lines = job.next(position).await?;
        let name = |line: &Bytes| {
            let event: serde_json::Value = serde_json::from_slice(line).unwrap();
            let name = event["event"].as_str().unwrap().to_owned();
            match event["done"].as_u64() {
                Some(done) => format!("{name} {done}"),
                None => name,
            }
        };
        Some(lines.iter().map(name).collect())
    }

    #[tworoutine::test]
    async fn followers_get_all_events_and_the_last_step_of_each_module() {
        let job = job();
        let (mut early, mut late) = (Position::default(), Position::from(1));
        job.starts();
        assert_eq!(next(&job, &mut early).await.unwrap(), ["started"]);
        job.step("a", &step(1));
        job.step("a", &step(2));
        assert_eq!(next(&job, &mut early).await.unwrap(), ["step 2"]);
        job.out("text");
        job.step("a", &step(3));
        for position in [&mut early, &mut late] {
            assert_eq!(next(&job, position).await.unwrap(), ["out", "step 3"]);
        }
        // An event wakes a follower that waits.
        let waiting = async { next(&job, &mut early).await };
        let (told, ()) = tokio::join!(waiting, async { job.ends(3) });
        assert_eq!(told.unwrap(), ["ended"]);
        assert_eq!(next(&job, &mut early).await, None);
        assert_eq!(job.report().status, Some(3));
    }

    #[tworoutine::test]
    async fn a_sentence_about_a_cancel_is_said_once_before_or_after_it() {
        let (before, after) = (job(), job());
        before.on_cancel("restoring");
        before.cancel("why");
        before.cancel("again");
        after.cancel("why");
        after.on_cancel("restoring");
        for job in [before, after] {
            let said: Vec<_> = job.events().iter().map(|line| line.to_vec()).collect();
            let said = String::from_utf8(said.concat()).unwrap();
            assert_eq!(said.matches("why").count(), 1, "{said}");
            assert_eq!(said.matches("restoring").count(), 1, "{said}");
            assert!(
                !said.contains("again") && job.cancel.is_cancelled(),
                "{said}"
            );
        }
    }
}
