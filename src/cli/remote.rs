//! Commands that a daemon carries out (`--host`).

use std::collections::BTreeMap;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;
use tworoutine::runtime;
use twotone::campaign::Observer;
use twotone::input::{self, shown};

use super::output::{complain, say, say_json};
use super::progress::Bars;
use super::{Command, Exit};
use crate::serve::{Cancel, Event, Failure, Host, JobReport, Submission};

/// Gives a command to a daemon, and follows the job to its end. With `detach` it only says the
/// number of the job.
pub(crate) fn run(host: &Host, command: &Command, json: bool, detach: bool) -> Exit {
    let files = match files(command) {
        Ok(files) => files,
        Err(why) => return Exit::usage(&why),
    };
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(why) => return Exit::usage(&why),
    };
    let submission = Submission {
        command: arguments,
        files,
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

/// Arguments of the program, without those about the daemon.
fn arguments() -> Result<Vec<String>, String> {
    let mut given = std::env::args_os().skip(1);
    let mut arguments = Vec::new();
    while let Some(word) = given.next() {
        let word = word.into_string().map_err(|word| {
            let word = word.to_string_lossy();
            format!("`{word}` is no text in UTF-8, which a daemon could not be told")
        })?;
        match word.as_str() {
            "--host" => drop(given.next()),
            "--detach" => {}
            word if word.starts_with("--host=") => {}
            _ => arguments.push(word),
        }
    }
    Ok(arguments)
}

/// Contents of the files that a command names.
fn files(command: &Command) -> Result<BTreeMap<String, String>, String> {
    let (map, params, truth) = match command {
        Command::Tune(tune) => (tune.map(), tune.params(), tune.truth()),
        Command::Sweep(sweep) => (sweep.map(), sweep.params(), None),
        Command::Capture(capture) => (capture.map(), None, None),
        Command::Off(off) => (off.map(), None, None),
        Command::Info(info) => (info.map(), None, None),
        _ => return Err("this command needs no daemon: give it without --host".to_owned()),
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

/// Follows a job to its end, prints what it prints, and returns its end. An interrupt is passed on
/// to the job if `is_ours`; otherwise it ends the program alone.
pub(crate) fn follow(host: &Host, id: u64, json: bool, is_ours: bool) -> Exit {
    let bars = Bars::new(json);
    let (asked, mut end) = (host.clone(), None);
    let interrupts = is_ours.then(|| pass_interrupts_on(host.clone(), id));
    let followed = wait(async move {
        let followed = asked.follow(id, |event| take(event, &bars, &mut end)).await;
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

/// Takes an event of a job.
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

/// Passes interrupts on to a job until the result is dropped: the first ends it, the second gives
/// its clean-up up.
fn pass_interrupts_on(host: Host, id: u64) -> AbortOnDropHandle<()> {
    let _runtime = runtime().enter();
    let interrupts = signal(SignalKind::interrupt());
    AbortOnDropHandle::new(runtime().spawn(async move {
        let Ok(mut interrupts) = interrupts else {
            return;
        };
        let mut abandon = false;
        while interrupts.recv().await.is_some() {
            let path = format!("/jobs/{id}/cancel");
            let cancel = Cancel { abandon };
            let told = host.post::<serde_json::Value>(&path, &cancel).await;
            if let Err(failure) = told {
                complain(&format!(
                    "the daemon was not told of the interrupt: {failure}"
                ));
            }
            abandon = true;
        }
    }))
}

/// Complains of a daemon that did not do what it was asked for.
pub(crate) fn complain_of(failure: &Failure) -> Exit {
    complain(&failure.to_string());
    match failure {
        Failure::Unreachable(_) => Exit::NothingReachable,
        Failure::Refused(_) => Exit::Usage,
        Failure::Lost(_) => Exit::SomeFailed,
    }
}

/// Waits for requests to a daemon.
pub(crate) fn wait<T: Send + 'static>(asking: impl Future<Output = T> + Send + 'static) -> T {
    tworoutine::wait(async move {
        match runtime().spawn(asking).await {
            Ok(answer) => answer,
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        }
    })
}
