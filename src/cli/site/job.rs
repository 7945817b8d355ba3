//! A job at one control host of a site, from its submission to its end. A job is a command that the
//! daemon of the host carries out. If the connection is cut, a new connection is made, and the same
//! job is followed further.

use std::collections::BTreeMap;
use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tworoutine::runtime;
use twotone::hal::{Certainty, ErrorKind};
use twotone::record;

use super::give::with_boards;
use super::outcome::HostOutcome;
use super::{error, failure};
use crate::cli::output::complain;
use crate::cli::remote::pass_interrupts_on;
use crate::serve::{BoardReport, Event, Failure, Host, JobReport, Link, State, Submission};

/// First pause before the program connects again after a cut. Each further pause is twice as long
/// as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Longest pause before the program connects again after a cut.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Number of interrupts (Ctrl-C) after which the program no longer waits for the hosts that have
/// received a command.
const LEAVE_AT: u32 = 3;

/// Task that is carried out at every host.
#[derive(Clone)]
pub(super) struct Task {
    pub(super) work: Work,
    /// Names of the boards that the operator has selected. Each host gets the names of those that
    /// it has.
    pub(super) boards: Vec<String>,
    /// True if the program does not wait for the end of the job.
    pub(super) detach: bool,
    /// Path of the site file, for messages.
    pub(super) file: String,
    /// Number of interrupts until now. If a command was submitted, they are passed on to its job.
    /// If a job is only followed, they end this program.
    pub(super) interrupts: watch::Receiver<u32>,
}

/// Kind of a task.
#[derive(Clone)]
pub(super) enum Work {
    /// Submit a command, which becomes a job.
    Give(Arc<Submission>),
    /// Follow a job of each host. The map contains the number of the job by the name of the host.
    Follow(Arc<BTreeMap<String, u64>>),
}

/// Events of a job that have been received until now.
#[derive(Default)]
struct Heard {
    seen: usize,
    printed: String,
    said: Vec<String>,
    end: Option<End>,
}

/// End of a job.
enum End {
    Status(u8),
    Interrupted,
}

/// Carries out a task at a host.
pub(super) async fn carry_out(mut link: Link, task: Task) -> HostOutcome {
    let mut outcome = HostOutcome::of(&link.host);
    let mut interrupts = task.interrupts.clone();
    let leave_at = match task.work {
        Work::Give(_) => LEAVE_AT,
        Work::Follow(_) => 1,
    };
    let done = tokio::select! {
        done = work(&mut link, &task, &mut outcome) => done,
        () = interrupted(&mut interrupts, leave_at) => Err(error(
            "wait for the end",
            ErrorKind::Cancelled,
            Certainty::Unknown,
            "interrupted",
        )),
    };
    if let Err(mut failed) = done {
        if failed.advice.is_none() {
            failed.advice = advice(&outcome, &task, failed.certainty);
        }
        say(&outcome.host, &super::in_words(&failed));
        outcome.error = Some(failed);
        // The table names the error of each host that was not reached.
        outcome.told = outcome.state() == "refused";
    }
    outcome
}

/// Returns advice for the operator, if the state of a job is not known.
fn advice(outcome: &HostOutcome, task: &Task, certainty: Option<Certainty>) -> Option<String> {
    let (file, host) = (&task.file, &outcome.host);
    match outcome.job {
        Some(id) => Some(format!(
            "if the job goes on, `twotone --site {file} follow {host}:{id}` follows it"
        )),
        None if certainty == Some(Certainty::Unknown) => Some(format!(
            "`twotone --site {file} --only {host} jobs` tells if it was taken"
        )),
        None => None,
    }
}

async fn work(
    link: &mut Link,
    task: &Task,
    outcome: &mut HostOutcome,
) -> Result<(), record::Failure> {
    let host = reach(link, task).await?;
    let job = match &task.work {
        Work::Follow(ids) => {
            let path = format!("/jobs/{}", ids.get(&outcome.host).copied().unwrap_or(0));
            let found = host.get_within::<JobReport>(link.ssh().silence(), &path);
            let found = found.await;
            found.map_err(|failed| failure("ask for the job", true, &failed))?
        }
        Work::Give(submission) => {
            let Some(submission) = of_host(submission, &host, link, task, outcome).await? else {
                return Ok(());
            };
            if *task.interrupts.borrow() > 0 {
                return Err(interrupted_before());
            }
            let given = host.post::<JobReport>("/jobs", &submission).await;
            given.map_err(|failed| failure("give the command", false, &failed))?
        }
    };
    let id = job.id;
    outcome.job = Some(id);
    if task.detach {
        return Ok(());
    }
    say(&outcome.host, &format!("job {id}"));
    let mut heard = Heard::default();
    let followed = follow(link, host, &job, task, &mut heard).await;
    outcome.said = std::mem::take(&mut heard.said);
    followed?;
    match heard.end {
        Some(End::Status(status)) => {
            outcome.ended(status, &heard.printed);
            Ok(())
        }
        _ => {
            let mut ended = record::Failure::of_words("the daemon ended before the job did");
            ended.certainty = Some(Certainty::Unknown);
            ended.operation = Some(format!("job {id}"));
            ended.advice = Some("its lines say which tones were found on afterwards".to_owned());
            Err(ended)
        }
    }
}

/// Connects to the daemon, unless there is an interrupt first.
async fn reach(link: &mut Link, task: &Task) -> Result<Host, record::Failure> {
    let mut interrupts = task.interrupts.clone();
    let reached = tokio::select! {
        reached = link.reach::<Value>() => reached,
        () = interrupted(&mut interrupts, 1) => return Err(interrupted_before()),
    };
    let (host, _) = reached.map_err(|failed| failure("reach the daemon", true, &failed))?;
    Ok(host)
}

fn interrupted_before() -> record::Failure {
    error(
        "give the command",
        ErrorKind::Cancelled,
        Certainty::NotExecuted,
        "interrupted before the command was given",
    )
}

/// Waits until the number of interrupts is at least `number`.
async fn interrupted(interrupts: &mut watch::Receiver<u32>, number: u32) {
    if interrupts.wait_for(|count| *count >= number).await.is_err() {
        // The sender has been dropped, so no more interrupts can be counted.
        std::future::pending::<()>().await;
    }
}

/// Returns the command for a host, restricted to the selected boards that the host has. Returns
/// `None` if the host has none of them.
async fn of_host(
    submission: &Submission,
    host: &Host,
    link: &Link,
    task: &Task,
    outcome: &mut HostOutcome,
) -> Result<Option<Submission>, record::Failure> {
    if task.boards.is_empty() {
        return Ok(Some(submission.clone()));
    }
    let there = host.get_within::<Vec<BoardReport>>(link.ssh().silence(), "/boards");
    let there = there.await;
    let there = there.map_err(|failed| failure("ask for the boards", true, &failed))?;
    let is_there = |board: &&String| there.iter().any(|one| one.name == **board);
    outcome.boards = task.boards.iter().filter(is_there).cloned().collect();
    outcome.left_out = outcome.boards.is_empty();
    Ok((!outcome.left_out).then(|| with_boards(submission, &outcome.boards)))
}

/// Follows a job to its end, with a new connection whenever the connection is cut.
async fn follow(
    link: &mut Link,
    mut host: Host,
    job: &JobReport,
    task: &Task,
    heard: &mut Heard,
) -> Result<(), record::Failure> {
    let (id, name) = (job.id, link.host.name.clone());
    let mut pauses = pauses(link.ssh().attempts);
    loop {
        let passing = matches!(task.work, Work::Give(_)).then(|| {
            let (host, count, prefix) =
                (host.clone(), task.interrupts.clone(), format!("{name}: "));
            let passing = pass_interrupts_on(host, id, count, prefix);
            AbortOnDropHandle::new(runtime().spawn(passing))
        });
        let before = heard.seen;
        let mut why = follow_once(&host, id, &name, link.ssh().silence(), heard).await;
        drop(passing);
        if heard.end.is_some() {
            return Ok(());
        }
        if heard.seen > before {
            pauses = self::pauses(link.ssh().attempts);
        }
        let mut is_by_ssh = link.is_by_ssh();
        host = loop {
            let is_cut = match why {
                Failure::Refused(_) => false,
                // The first silence over ssh may be the fault of the network, so it counts as a
                // cut. A second silence means that the daemon hangs, so a further attempt would not
                // help.
                Failure::Silent(_) => std::mem::take(&mut is_by_ssh),
                _ => true,
            };
            let Some(pause) = pauses.next().filter(|_| is_cut) else {
                let mut lost = failure(&format!("follow job {id}"), false, &why);
                lost.certainty = Some(Certainty::Unknown);
                return Err(lost);
            };
            say(&name, &format!("{why}; once more"));
            sleep(pause).await;
            match again(link, job, heard).await {
                Ok(reached) => break reached,
                Err(failed) => why = failed,
            }
        };
    }
}

/// Returns the pauses between `attempts` attempts.
fn pauses(attempts: u32) -> impl Iterator<Item = Duration> {
    let pauses = successors(Some(FIRST_PAUSE), |pause| {
        Some(LONGEST_PAUSE.min(*pause * 2))
    });
    pauses.take(attempts.saturating_sub(1) as usize)
}

/// Connects again, and checks that the number of the job still belongs to the same job.
async fn again(link: &mut Link, job: &JobReport, heard: &mut Heard) -> Result<Host, Failure> {
    let (host, _) = link.reach::<Value>().await?;
    let path = format!("/jobs/{}", job.id);
    let found: JobReport = host.get_within(link.ssh().silence(), &path).await?;
    if found.submitted != job.submitted {
        let why = "the daemon has lost its record of the job, and has another one of this number";
        return Err(Failure::Refused(why.to_owned()));
    }
    if found.state == State::Interrupted {
        // The daemon has restarted. It has only those events of an interrupted job that were added
        // since then, so they are counted anew.
        heard.seen = 0;
    }
    Ok(host)
}

/// Follows a job over one connection. Returns the reason why following has ended: the connection
/// was cut, the daemon hangs, or the job has ended, in which case the reason has no meaning.
async fn follow_once(
    host: &Host,
    id: u64,
    name: &str,
    silence: Duration,
    heard: &mut Heard,
) -> Failure {
    let Heard {
        seen,
        printed,
        said,
        end,
    } = heard;
    let take = |event| match event {
        Event::Queued { waits_for } => {
            let numbers: Vec<_> = waits_for.iter().map(u64::to_string).collect();
            say(name, &format!("waiting for job {}", numbers.join(", ")));
        }
        Event::Begin { modules } => say(name, &format!("begins, modules: {}", modules.len())),
        Event::Out { text } => {
            printed.push_str(&text);
            printed.push('\n');
        }
        Event::Err { text } => {
            text.lines().for_each(|line| say(name, line));
            said.push(text);
        }
        Event::Ended { status } => *end = Some(End::Status(status)),
        Event::Interrupted => *end = Some(End::Interrupted),
        Event::Started | Event::Step(_) | Event::End => {}
    };
    tokio::select! {
        followed = host.follow(id, seen, take) => match followed {
            Ok(()) => Failure::Lost("the daemon told no end of the job".to_owned()),
            Err(failed) => failed,
        },
        hangs = hang(host, silence) => hangs,
    }
}

/// Returns only when the daemon can be reached but does not answer any more.
async fn hang(host: &Host, silence: Duration) -> Failure {
    loop {
        sleep(silence / 3).await;
        let asked = host.health::<Value>(silence).await;
        // Other failures are ignored here: if the daemon has ended, the stream of events ends by
        // itself.
        if let Err(failed @ Failure::Silent(_)) = asked {
            return failed;
        }
    }
}

/// Prints a message about a host immediately.
fn say(host: &str, text: &str) {
    complain(&format!("{host}: {text}"));
}
