//! The jobs of the daemon: their queue, their threads and their ends. A *job* is a command that the
//! daemon carries out. Its *claim* says which modules it uses, and how. An *urgent* job switches
//! tones off.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::watch;

use super::api::{JobReport, State, Submission};
use super::claim::Claim;
use super::job::{Job, Origin};
use super::records::JobRecords;

/// Work of a job. The function runs in a thread of its own, which it may block, and returns the
/// exit status.
pub(crate) type Work = Box<dyn FnOnce(&Arc<Job>) -> u8 + Send>;

/// Function that reads a command. It returns the modules that the command uses and the work of the
/// job, or the reason why the command is refused.
pub(crate) type Plan = dyn Fn(&Submission) -> Result<(Claim, Work), String> + Send + Sync;

/// All jobs of the daemon.
pub(crate) struct Jobs {
    plan: Box<Plan>,
    records: JobRecords,
    queue: Mutex<Queue>,
    /// Number of jobs that are not over.
    unfinished: watch::Sender<usize>,
    ended: Mutex<Ended>,
}

/// Counts of the jobs that have ended since the start of the daemon.
#[derive(Default)]
struct Ended {
    /// Counts of jobs by command and exit status.
    by_status: BTreeMap<(String, u8), u64>,
    /// Counts of jobs that used a board, by the name of the board.
    by_board: BTreeMap<String, u64>,
}

/// Jobs that are not over, in the order of their submission. A job waits only for earlier jobs in
/// this list, or for a place if [`MOST_RUNNING`] jobs run.
struct Queue {
    jobs: Vec<Arc<Job>>,
    /// Functions that carry out the waiting jobs, by the number of the job.
    work: BTreeMap<u64, Work>,
    next_id: u64,
    is_closed: bool,
}

/// Largest number of jobs that wait or run at the same time. Further jobs are refused, except
/// urgent ones.
const MOST_UNFINISHED: usize = 256;

/// Largest number of bytes of the arguments of a command.
const COMMAND_BYTES: usize = 64 << 10;

/// Largest number of jobs that run at the same time. Further jobs wait, except urgent ones.
const MOST_RUNNING: usize = 64;

/// Exit status of a job that was cancelled before it started.
const CANCELLED: u8 = 130;

/// Exit status of a job that ended without a result.
const FAILED: u8 = 3;

impl Jobs {
    /// Creates the jobs of the daemon. At first these are the jobs on record from earlier daemons,
    /// which are all over.
    pub(crate) fn new(plan: Box<Plan>, records: JobRecords) -> Arc<Self> {
        let queue = Queue {
            jobs: Vec::new(),
            work: BTreeMap::new(),
            next_id: records.next_id(),
            is_closed: false,
        };
        Arc::new(Self {
            plan,
            records,
            queue: Mutex::new(queue),
            unfinished: watch::channel(0).0,
            ended: Mutex::default(),
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records of the jobs on disk.
    pub(crate) fn records(&self) -> &JobRecords {
        &self.records
    }

    /// Submits a command as a job, which starts when its modules are free.
    ///
    /// # Errors
    /// The reason why the command is refused.
    pub(crate) fn submit(
        self: &Arc<Self>,
        submission: Submission,
        from: Origin,
    ) -> Result<Arc<Job>, String> {
        let bytes: usize = submission.command.iter().map(String::len).sum();
        if bytes > COMMAND_BYTES {
            return Err(format!(
                "the command has {bytes} bytes, and at most {COMMAND_BYTES} are taken"
            ));
        }
        let (claim, work) = (self.plan)(&submission)?;
        let job = {
            let mut queue = self.queue();
            if queue.is_closed {
                return Err("the daemon is ending; give the command again when it is back".into());
            }
            if queue.jobs.len() >= MOST_UNFINISHED && !claim.is_urgent() {
                return Err(format!(
                    "{MOST_UNFINISHED} jobs wait or run already; give the command again later"
                ));
            }
            let job = Arc::new(Job::new(queue.next_id, submission, from, claim));
            queue.next_id += 1;
            queue.add(Arc::clone(&job), work);
            self.unfinished.send_replace(queue.jobs.len());
            job
        };
        tracing::info!(
            job = job.id,
            command = job.submission.command.join(" "),
            "submitted"
        );
        if let Err(error) = self.records.save(&job.report()) {
            job.err(&format!(
                "the job is not on record, and is not told of if the daemon ends before it: {error}"
            ));
            tracing::error!(job = job.id, %error, "the record of a job cannot be written");
        }
        self.end_others(&job);
        self.begin_those_that_can();
        Ok(job)
    }

    /// Cancels the other jobs that `job` must end: see [`Claim::ends`].
    fn end_others(self: &Arc<Self>, job: &Job) {
        let others = self.queue().jobs.clone();
        let others = others.iter().filter(|other| other.id != job.id);
        for other in others.filter(|other| job.claim.ends(&other.claim)) {
            let command = job.submission.command.first().map_or("", String::as_str);
            let why = format!("interrupted by job {} (`{command}`)", job.id);
            self.cancel_job(other, false, &why);
        }
    }

    /// Starts every waiting job that can start now.
    fn begin_those_that_can(self: &Arc<Self>) {
        let ready = self.queue().ready();
        for (job, work) in ready {
            let jobs = Arc::clone(self);
            let running = Arc::clone(&job);
            let thread = thread::Builder::new().name(format!("job {}", job.id));
            let started = thread.spawn(move || {
                let status = catch_unwind(AssertUnwindSafe(|| work(&running)));
                jobs.end(&running, status.unwrap_or(FAILED));
            });
            if let Err(error) = started {
                job.err(&format!(
                    "the system grants no thread for the job ({error}): raise the limit (`ulimit \
                     -u`, or `TasksMax=` of systemd); no board was touched"
                ));
                self.end(&job, FAILED);
            }
        }
    }

    /// Records the end of a job, and starts the jobs that waited for it.
    fn end(self: &Arc<Self>, job: &Arc<Job>, status: u8) {
        let command = job.submission.command.first().cloned().unwrap_or_default();
        tracing::info!(job = job.id, command, status, "ended");
        self.count_end(job, command, status);
        job.ends(status);
        if let Err(error) = self
            .records
            .close(job.report().without_steps(), &job.events())
        {
            tracing::error!(job = job.id, %error, "the record of a job cannot be written");
        }
        {
            let mut queue = self.queue();
            queue.jobs.retain(|one| one.id != job.id);
            queue.work.remove(&job.id);
            self.unfinished.send_replace(queue.jobs.len());
        }
        self.begin_those_that_can();
    }

    fn count_end(&self, job: &Job, command: String, status: u8) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *ended.by_status.entry((command, status)).or_default() += 1;
        let boards = job.claim.boards().filter(|board| job.claim.occupies(board));
        for board in boards {
            *ended.by_board.entry(board.to_owned()).or_default() += 1;
        }
    }

    /// Requests the end of a job. Returns true if there is a job with this number that is not over.
    pub(crate) fn cancel(self: &Arc<Self>, id: u64, abandon: bool) -> bool {
        match self.unfinished_job(id) {
            // A job stays in the queue for a moment after its end, so its state is checked too.
            Some(job) if !job.state().is_over() => {
                self.cancel_job(&job, abandon, "");
                true
            }
            _ => false,
        }
    }

    fn cancel_job(self: &Arc<Self>, job: &Arc<Job>, abandon: bool, why: &str) {
        tracing::info!(job = job.id, abandon, why, "cancelled");
        job.cancel(why);
        if abandon {
            job.abandon.cancel();
        }
        // A waiting job has no thread that could notice the cancel, so it is ended here.
        if self.queue().work.remove(&job.id).is_some() {
            job.err("interrupted before it began: nothing was set on any board");
            self.end(job, CANCELLED);
        }
    }

    /// Returns the job with this number, if it is not over.
    pub(crate) fn unfinished_job(&self, id: u64) -> Option<Arc<Job>> {
        self.queue().jobs.iter().find(|job| job.id == id).cloned()
    }

    /// Returns facts about all known jobs, in the order of their numbers, without their steps.
    pub(crate) fn reports(&self) -> Vec<JobReport> {
        let unfinished = self.queue().jobs.clone();
        let mut reports = self.records.reports();
        for report in unfinished.iter().map(|job| job.report().without_steps()) {
            // A job that has just ended may already be among the records, so it is not added twice.
            if !reports.iter().any(|one| one.id == report.id) {
                reports.push(report);
            }
        }
        reports.sort_by_key(|report| report.id);
        reports
    }

    /// Returns facts about the job with this number, if it is known.
    pub(crate) fn report(&self, id: u64) -> Option<JobReport> {
        let unfinished = self.unfinished_job(id).map(|job| job.report());
        unfinished.or_else(|| self.records.report(id))
    }

    /// Returns the number of jobs in the state `state`. Jobs that are over are not counted.
    pub(crate) fn count(&self, state: State) -> usize {
        let queue = self.queue();
        queue.jobs.iter().filter(|job| job.state() == state).count()
    }

    /// Returns the counts of the jobs that have ended since the start, by command and exit status.
    pub(crate) fn ended(&self) -> BTreeMap<(String, u8), u64> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.by_status.clone()
    }

    /// Returns the number of jobs that have used the board with this name since the start. Returns
    /// `None` while a job uses the board.
    pub(crate) fn uses_of(&self, board: &str) -> Option<u64> {
        let queue = self.queue();
        let mut running = queue.jobs.iter().filter(|job| job.state() != State::Queued);
        if running.any(|job| job.claim.occupies(board)) {
            return None;
        }
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        Some(ended.by_board.get(board).copied().unwrap_or(0))
    }

    /// Refuses all further jobs, and requests the end of the jobs that are not over.
    pub(crate) fn close(self: &Arc<Self>, abandon: bool) {
        let jobs = {
            let mut queue = self.queue();
            queue.is_closed = true;
            queue.jobs.clone()
        };
        for job in &jobs {
            self.cancel_job(job, abandon, "the daemon is ending");
        }
    }

    /// Waits until all jobs are over.
    pub(crate) async fn all_over(&self) {
        let mut unfinished = self.unfinished.subscribe();
        // The wait fails only if the sender is dropped. It is a field of `self`, so this cannot
        // happen.
        let _ = unfinished.wait_for(|count| *count == 0).await;
    }
}

impl Queue {
    fn add(&mut self, job: Arc<Job>, work: Work) {
        self.work.insert(job.id, work);
        let is_waiting = |one: &Arc<Job>| one.state() == State::Queued && !one.claim.is_urgent();
        let place = match job.claim.is_urgent() {
            true => self.jobs.iter().position(is_waiting),
            false => None,
        };
        self.jobs.insert(place.unwrap_or(self.jobs.len()), job);
    }

    /// Marks the jobs that can start now as running, and returns them with their work.
    fn ready(&mut self) -> Vec<(Arc<Job>, Work)> {
        let mut ready = Vec::new();
        let running = |one: &&Arc<Job>| one.state() == State::Running;
        let mut room = MOST_RUNNING.saturating_sub(self.jobs.iter().filter(running).count());
        for (index, job) in self.jobs.iter().enumerate() {
            if !self.work.contains_key(&job.id) {
                continue;
            }
            let earlier = self.jobs[..index].iter();
            let blocking = earlier.filter(|earlier| job.claim.waits_for(&earlier.claim));
            let blocking: Vec<_> = blocking.map(|earlier| earlier.id).collect();
            if !blocking.is_empty() {
                job.waits_for(blocking);
            } else if room > 0 || job.claim.is_urgent() {
                room = room.saturating_sub(1);
                ready.push(Arc::clone(job));
            }
        }
        let begin = |job: Arc<Job>| {
            job.starts();
            let work = self.work.remove(&job.id)?;
            Some((job, work))
        };
        ready.into_iter().filter_map(begin).collect()
    }
}
