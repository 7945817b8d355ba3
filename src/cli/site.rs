//! Commands for the daemons of all hosts of a site (`--site`). A *site* is a file that lists
//! control hosts. Each runs a daemon (`twotone serve`) that controls some of the boards. A command
//! runs at all hosts at the same time, and gives one table and one exit status. A host that is down
//! or hangs does not delay the others.

mod give;
mod job;
mod jobs;
mod notes;
mod outcome;
mod status;
mod table;

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use tokio_util::task::AbortOnDropHandle;
use tworoutine::runtime;
use twotone::hal::{Certainty, ErrorKind};
use twotone::input::shown;
use twotone::record;

use super::output::complain;
use super::remote::wait;
use super::{Command, Exit};
use crate::serve::{Failure, Link, Site};
pub(crate) use status::of_one;

/// Executes a command at the hosts of a site whose names are in `only`, or at all hosts if `only`
/// is empty.
pub(crate) fn run(
    file: &Path,
    only: &[String],
    command: Command,
    json: bool,
    detach: bool,
) -> Exit {
    let done = Site::read(file, only).and_then(|site| {
        let file = shown(file);
        match command {
            Command::Status => Ok(status::run(site, json)),
            Command::Jobs => Ok(jobs::list(site, json)),
            Command::Cancel(cancel) => jobs::cancel(site, &cancel, json),
            Command::Follow(follow) => give::follow(site, file, &follow, json),
            Command::Health(_) => Err("`twotone status` tells the health of a site".to_owned()),
            command => give::give(site, file, &command, json, detach),
        }
    });
    done.unwrap_or_else(|why| {
        complain(&why);
        Exit::Usage
    })
}

/// Answers of all hosts, as `--json` prints them.
#[derive(Serialize)]
struct Hosts<'a, T> {
    hosts: &'a [T],
}

/// Sends requests to all hosts of a site at the same time. Returns the answers in the order of the
/// hosts.
fn at_each<F>(site: Site, ask: impl Fn(Link) -> F) -> Vec<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let ssh = Arc::new(site.ssh);
    let links = site.hosts.into_iter();
    let links = links.map(|host| Link::new(host, Arc::clone(&ssh)));
    let asking = links.map(|link| AbortOnDropHandle::new(runtime().spawn(ask(link))));
    let asking: Vec<_> = asking.collect();
    wait(async move {
        let mut answers = Vec::new();
        for one in asking {
            match one.await {
                Ok(answer) => answers.push(answer),
                Err(ended) => std::panic::resume_unwind(ended.into_panic()),
            }
        }
        answers
    })
}

/// Returns the failure of an operation on a daemon, with its kind, and with the certainty that the
/// daemon has or has not executed it. `asks` is true if the operation changes nothing.
fn failure(operation: &str, asks: bool, failure: &Failure) -> record::Failure {
    let (kind, certainty) = match failure {
        Failure::Unreachable(_) => (ErrorKind::Unreachable, Certainty::NotExecuted),
        Failure::Refused(_) => (ErrorKind::InvalidArgument, Certainty::NotExecuted),
        Failure::Silent(_) => (ErrorKind::Timeout, Certainty::Unknown),
        Failure::Closed(_) | Failure::Lost(_) => (ErrorKind::ConnectionLost, Certainty::Unknown),
    };
    let certainty = match asks {
        true => Certainty::NotExecuted,
        false => certainty,
    };
    error(operation, kind, certainty, failure.to_string())
}

/// Returns the error of an operation on a daemon.
fn error(
    operation: &str,
    kind: ErrorKind,
    certainty: Certainty,
    message: impl Into<String>,
) -> record::Failure {
    let mut failure = record::Failure::of_kind(kind, message);
    failure.operation = Some(operation.to_owned());
    failure.certainty = Some(certainty);
    failure
}

/// Returns an error of an operation on a daemon as one line of text, without the name of the host.
fn in_words(error: &record::Failure) -> String {
    let operation = error.operation.as_ref();
    let operation = operation.map_or_else(String::new, |operation| format!("{operation}: "));
    let doubt = match error.certainty {
        Some(Certainty::Unknown) => " (it may or may not have been done)",
        _ => "",
    };
    format!("{operation}{}{doubt}", error.cause())
}

/// Returns the exit status of a request that failed with this error.
fn status_of(error: &record::Failure) -> Exit {
    match error.kind {
        Some(ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::ConnectionLost) => {
            Exit::NothingReachable
        }
        _ => Exit::SomeFailed,
    }
}

/// Returns the exit status of requests to hosts. `errors` has an entry for each request, which is
/// `None` if it succeeded. If the requests have different statuses, the result is
/// [`Exit::SomeFailed`].
fn of_questions<'a>(errors: impl Iterator<Item = Option<&'a record::Failure>>) -> Exit {
    let statuses = errors.map(|error| error.map_or(Exit::Well, status_of));
    let statuses: Vec<_> = statuses.collect();
    match statuses.first() {
        Some(first) if statuses.iter().all(|one| one == first) => *first,
        _ => Exit::SomeFailed,
    }
}
