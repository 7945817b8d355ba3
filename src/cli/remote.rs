//! Commands that a daemon (`twotone serve`) executes for this program (`--host`). A command at a
//! daemon is a job, which has a number.

use std::collections::BTreeMap;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tworoutine::runtime;
use twotone::campaign::Observer;
use twotone::input::{self, shown};

use super::output::{complain, say, say_json};
use super::progress::Bars;
use super::{Command, Exit};
use crate::serve::{Cancel, Event, Failure, Host, JobReport, Submission};

/// Submits a command to a daemon, and follows the job to its end. With `detach`, only prints the
/// number of the job.
pub(crate) fn run(host: &Host, command: &Command, json: bool, detach: bool) -> Exit {
    let submission = match submission(command) {
        Ok(submission) => submission,
        Err(why) => return Exit::usage(&why),
    };
    let asked = host.clone();
    let submitted = wait(async move { asked.post::<JobReport>("/jobs", &submission).await });
    let job = match submitted {
        Ok(job) => job,
        Err(failure) => return complain_of(&failure),
    };
    if detach {
        match json {
            true => say_json(&job),
            false => say(&format!("job {}", job.id)),
        }
        return Exit::Well;
    }
    complain(&format!("job {} at {host}", job.id));
    follow(host, job.id, json, true)
}

/// Returns the command of this process as a submission for a daemon. The submission contains the
/// arguments, and the contents of the files that they name.
///
/// # Errors
/// If a daemon does not execute this command, if a file cannot be read, or if an argument is not
/// UTF-8. The error is the reason.
pub(crate) fn submission(command: &Command) -> Result<Submission, String> {
    Ok(Submission {
        files: files(command)?,
        command: arguments()?,
    })
}

/// Options that select a daemon and have a value.
const ABOUT_DAEMONS: [&str; 3] = ["--host", "--site", "--only"];

/// Returns the arguments of the program without the options that select a daemon.
fn arguments() -> Result<Vec<String>, String> {
    let mut given = std::env::args_os().skip(1);
    let mut arguments = Vec::new();
    while let Some(word) = given.next() {
        let word = word.into_string().map_err(|word| {
            let word = word.to_string_lossy();
            format!("`{word}` is no text in UTF-8, which a daemon could not be told")
        })?;
        let option = word.split('=').next().unwrap_or_default();
        if ABOUT_DAEMONS.contains(&word.as_str()) {
            drop(given.next());
        } else if word != "--detach" && !ABOUT_DAEMONS.contains(&option) {
            arguments.push(word);
        }
    }
    Ok(arguments)
}

/// Returns the contents of the files that a command names.
fn files(command: &Command) -> Result<BTreeMap<String, String>, String> {
    let (map, params, truth) = match command {
        Command::Tune(tune) => (tune.map(), tune.params(), tune.truth()),
        Command::Sweep(sweep) => (sweep.map(), sweep.params(), None),
        Command::Capture(capture) => (capture.map(), None, None),
        Command::Setup(setup) => (setup.map(), None, None),
        Command::Off(off) => (off.map(), None, None),
        Command::Info(info) => (info.map(), None, None),
        _ => {
            return Err(
                "this command needs no daemon: give it without --host and --site".to_owned(),
            );
        }
    };
    let named = [
        (map, input::MAP_BYTES),
        (params, input::PARAMS_BYTES),
        (truth, input::TRUTH_BYTES),
    ];
    let mut files = BTreeMap::new();
    for (path, limit) in named {
        let Some(path) = path else {
            continue;
        };
        let text = input::read_text(path, limit);
        let text = text.map_err(|error| format!("{}: {error}", shown(path)))?;
        let name = path.to_str().ok_or_else(|| {
            let path = shown(path);
            format!("{path}: its name is no text in UTF-8, which a daemon could not be told")
        })?;
        files.insert(name.to_owned(), text);
    }
    Ok(files)
}

/// Follows a job to its end, prints its output, and returns its outcome. If `is_ours` is true, this
/// program has submitted the job, and an interrupt is passed on to it. Otherwise an interrupt ends
/// only this program.
pub(crate) fn follow(host: &Host, id: u64, json: bool, is_ours: bool) -> Exit {
    let bars = Bars::new(json);
    let (asked, mut end) = (host.clone(), None);
    let interrupts = is_ours.then(|| {
        let (count, counting) = interrupts();
        let passing = pass_interrupts_on(host.clone(), id, count, String::new());
        (counting, AbortOnDropHandle::new(runtime().spawn(passing)))
    });
    let followed = wait(async move {
        let (mut seen, take) = (0, |event| take(event, &bars, &mut end));
        let followed = asked.follow(id, &mut seen, take).await;
        followed.map(|()| end)
    });
    drop(interrupts);
    match followed {
        Ok(Some(exit)) => exit,
        Ok(None) | Err(Failure::Lost(_)) => {
            complain(&format!(
                "the daemon told no end of job {id}, which may go on: `twotone --host {host} follow \
                 {id}` follows it"
            ));
            Exit::SomeFailed
        }
        Err(failure) => complain_of(&failure),
    }
}

/// Shows an event of a job: prints its text, moves the bars, or stores the end of the job in `end`.
fn take(event: Event, bars: &Bars, end: &mut Option<Exit>) {
    match event {
        Event::Queued { waits_for } => {
            let numbers: Vec<_> = waits_for.iter().map(u64::to_string).collect();
            complain(&format!("waiting for job {}", numbers.join(", ")));
        }
        Event::Started => {}
        Event::Begin { modules } => bars.begin(&modules),
        Event::Step(step) => bars.step(&step.board, &step.step),
        Event::End => bars.end(),
        Event::Out { text } => say(&text),
        Event::Err { text } => complain(&text),
        Event::Ended { status } => *end = Some(Exit::Status(status)),
        Event::Interrupted => {
            complain("the daemon ended before the job did");
            *end = Some(Exit::SomeFailed);
        }
    }
}

/// Counts interrupts until the second part of the return value is dropped.
pub(crate) fn interrupts() -> (watch::Receiver<u32>, AbortOnDropHandle<()>) {
    let _runtime = runtime().enter();
    let interrupts = signal(SignalKind::interrupt());
    let (count, counted) = watch::channel(0);
    let counting = runtime().spawn(async move {
        let Ok(mut interrupts) = interrupts else {
            return;
        };
        while interrupts.recv().await.is_some() {
            count.send_modify(|count| *count += 1);
        }
    });
    (counted, AbortOnDropHandle::new(counting))
}

/// Passes interrupts on to a job: the first ends the job, and the second skips its clean-up.
/// Messages about failures begin with `prefix`.
pub(crate) async fn pass_interrupts_on(
    host: Host,
    id: u64,
    mut count: watch::Receiver<u32>,
    prefix: String,
) {
    let path = format!("/jobs/{id}/cancel");
    let mut passed = 0;
    while count.wait_for(|count| *count > passed).await.is_ok() {
        let cancel = Cancel {
            abandon: passed > 0,
        };
        passed += 1;
        let told = host.post::<serde_json::Value>(&path, &cancel).await;
        if let Err(failure) = told {
            complain(&format!(
                "{prefix}the daemon was not told of the interrupt: {failure}"
            ));
        }
    }
}

/// Prints the reason why a daemon did not do what was requested. Returns the outcome of the
/// program.
pub(crate) fn complain_of(failure: &Failure) -> Exit {
    complain(&failure.to_string());
    match failure {
        Failure::Unreachable(_) | Failure::Closed(_) | Failure::Silent(_) => Exit::NothingReachable,
        Failure::Refused(_) => Exit::Usage,
        Failure::Lost(_) => Exit::SomeFailed,
    }
}

/// Runs requests to a daemon, and waits for their result.
pub(crate) fn wait<T: Send + 'static>(asking: impl Future<Output = T> + Send + 'static) -> T {
    tworoutine::wait(async move {
        match runtime().spawn(asking).await {
            Ok(answer) => answer,
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        }
    })
}
