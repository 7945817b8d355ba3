//! Requests to one daemon (`twotone serve`) about its health and its jobs. A job is a command that
//! the daemon carries out.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use twotone::hal::legible;

use super::Exit;
use super::output::{complain, say, say_json};
use super::remote::{self, complain_of, wait};
use super::table::Table;
use crate::serve::{self, Cancel as CancelJob, JobReport, SOCKET};

/// Returns the given daemon, or the daemon of this host if none is given.
pub(crate) fn or_of_this_host(host: Option<serve::Host>) -> serve::Host {
    host.unwrap_or_else(|| serve::Host::Unix(PathBuf::from(SOCKET)))
}

/// Prints the jobs of a daemon.
pub(crate) fn jobs(host: Option<serve::Host>, json: bool) -> Exit {
    let host = or_of_this_host(host);
    let jobs = match wait(async move { host.get::<Vec<JobReport>>("/jobs").await }) {
        Ok(jobs) => jobs,
        Err(failure) => return complain_of(&failure),
    };
    if json {
        say_json(&jobs);
        return Exit::Well;
    }
    let mut table = Table::new(["job", "state", "status", "submitted", "by", "command"]);
    for job in jobs {
        table.row([
            job.id.to_string(),
            job.state.as_str().to_owned(),
            job.status
                .map_or_else(String::new, |status| status.to_string()),
            job.submitted.to_string(),
            legible(&job.by.unwrap_or_default()).into_owned(),
            legible(&job.command.join(" ")).into_owned(),
        ]);
    }
    say(table.to_string().trim_end());
    Exit::Well
}

/// The arguments of `twotone follow`.
#[derive(Debug, Args)]
pub(crate) struct Follow {
    /// Number of the job. With --site: HOST:NUMBER, once or more.
    #[arg(required = true)]
    pub(crate) job: Vec<JobName>,
}

impl Follow {
    pub(crate) fn run(self, host: Option<serve::Host>, json: bool) -> Exit {
        match JobName::alone(&self.job) {
            Ok(job) => remote::follow(&or_of_this_host(host), job, json, false),
            Err(exit) => exit,
        }
    }
}

/// The arguments of `twotone cancel`.
#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// Number of the job. With --site: HOST:NUMBER, once or more.
    #[arg(required = true)]
    pub(crate) job: Vec<JobName>,
    /// Give up the clean-up too: tones may be left on.
    #[arg(long)]
    pub(crate) abandon: bool,
}

/// A job, given by its number, and by the name of its host if there are several hosts.
#[derive(Debug, Clone)]
pub(crate) struct JobName {
    pub(crate) host: Option<String>,
    pub(crate) id: u64,
}

impl FromStr for JobName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, number) = match text.rsplit_once(':') {
            Some((host, number)) => (Some(host.to_owned()), number),
            None => (None, text),
        };
        let id = number.parse();
        let id = id.map_err(|_| "the number of a job, or HOST:NUMBER with --site".to_owned())?;
        Ok(Self { host, id })
    }
}

impl JobName {
    /// Returns the number of the job, if there is exactly one and it has no host name.
    fn alone(jobs: &[Self]) -> Result<u64, Exit> {
        match jobs {
            [Self { host: None, id }] => Ok(*id),
            _ => {
                complain("one job, without a host, unless --site names a site");
                Err(Exit::Usage)
            }
        }
    }
}

impl Cancel {
    pub(crate) fn run(self, host: Option<serve::Host>) -> Exit {
        let host = or_of_this_host(host);
        let job = match JobName::alone(&self.job) {
            Ok(job) => job,
            Err(exit) => return exit,
        };
        let abandon = self.abandon;
        let path = format!("/jobs/{job}/cancel");
        let told = wait(async move { host.post::<Value>(&path, &CancelJob { abandon }).await });
        match told {
            Ok(_) => Exit::Well,
            Err(failure) => complain_of(&failure),
        }
    }
}

/// The arguments of `twotone health`.
#[derive(Debug, Args)]
pub(crate) struct Health {
    /// Smallest number of boards that must be connected. If it is absent, boards that are not
    /// connected are not a failure.
    #[arg(long, value_name = "N")]
    expect_boards: Option<usize>,
}

/// Health of a daemon, as the daemon reports it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) ok: bool,
    pub(crate) version: String,
    pub(crate) commit: Option<String>,
    pub(crate) boards: FoundBoards,
    jobs: FoundJobs,
}

/// Counts of the boards of a daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FoundBoards {
    pub(crate) connected: usize,
    pub(crate) of: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct FoundJobs {
    running: usize,
    queued: usize,
}

impl Health {
    pub(crate) fn run(self, host: Option<serve::Host>, json: bool) -> Exit {
        let host = or_of_this_host(host);
        let found = match wait(async move { host.get::<Found>("/healthz").await }) {
            Ok(found) => found,
            Err(failure) => {
                complain_of(&failure);
                return match failure {
                    serve::Failure::Refused(_) | serve::Failure::Lost(_) => Exit::SomeFailed,
                    _ => Exit::NothingReachable,
                };
            }
        };
        let FoundBoards { connected, of } = found.boards;
        if json {
            say_json(&found);
        } else {
            let FoundJobs { running, queued } = found.jobs;
            say(&format!(
                "twotone {}: connected {connected} of {of} boards, {running} jobs run, {queued} wait",
                legible(&found.version)
            ));
        }
        match self.expect_boards {
            Some(expected) if connected < expected => {
                complain(&format!("{expected} boards are expected"));
                Exit::SomeFailed
            }
            _ => Exit::Well,
        }
    }
}
