//! `twotone jobs` and `twotone cancel` for a site, which is a list of control hosts. Each host runs
//! a daemon, and a job is a command that a daemon carries out.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use twotone::hal::legible;
use twotone::record::Failure;

use super::{Hosts, at_each, failure, in_words, of_questions};
use crate::cli::Exit;
use crate::cli::ask::{Cancel, JobName};
use crate::cli::output::{say, say_json};
use crate::cli::table::Table;
use crate::serve::{Cancel as CancelJob, JobReport, Link, Site};

/// Answer of a host to the request for its jobs.
#[derive(Debug, Serialize)]
struct Answer {
    host: String,
    at: String,
    error: Option<Failure>,
    /// Jobs of the host. `None` if it did not answer.
    jobs: Option<Vec<JobReport>>,
}

/// Prints the jobs of all hosts.
pub(super) fn list(site: Site, json: bool) -> Exit {
    let answers = at_each(site, |mut link: Link| async move {
        let (error, jobs) = match jobs_at(&mut link).await {
            Ok(jobs) => (None, Some(jobs)),
            Err(error) => (Some(error), None),
        };
        Answer {
            host: link.host.name.clone(),
            at: link.host.way.to_string(),
            error,
            jobs,
        }
    });
    if json {
        say_json(&Hosts { hosts: &answers });
    } else {
        say(table(&answers).to_string().trim_end());
    }
    of_questions(answers.iter().map(|answer| answer.error.as_ref()))
}

async fn jobs_at(link: &mut Link) -> Result<Vec<JobReport>, Failure> {
    let failed = |failed| failure("ask for the jobs", true, &failed);
    let (host, _) = link.reach::<Value>().await.map_err(failed)?;
    let asked = host.get_within(link.ssh().silence(), "/jobs").await;
    asked.map_err(failed)
}

fn table(answers: &[Answer]) -> Table {
    let mut table = Table::new([
        "host",
        "job",
        "state",
        "status",
        "submitted",
        "by",
        "command",
    ]);
    for answer in answers {
        let jobs = answer.jobs.as_deref().unwrap_or_default();
        if jobs.is_empty() {
            table.row([answer.host.as_str()]);
            let none = || "no jobs".to_owned();
            table.note(answer.error.as_ref().map_or_else(none, in_words));
        }
        for job in jobs {
            table.row([
                answer.host.clone(),
                job.id.to_string(),
                job.state.as_str().to_owned(),
                job.status
                    .map_or_else(String::new, |status| status.to_string()),
                job.submitted.to_string(),
                job.by.clone().unwrap_or_default(),
                job.command.join(" "),
            ]);
        }
    }
    table
}

/// Result of cancelling a job of a host.
#[derive(Debug, Serialize)]
struct Cancelled {
    host: String,
    job: u64,
    error: Option<Failure>,
}

/// Ends jobs of several hosts early.
///
/// # Errors
/// See [`by_host`].
pub(super) fn cancel(mut site: Site, cancel: &Cancel, json: bool) -> Result<Exit, String> {
    let ids = by_host(&site, &cancel.job)?;
    site.hosts.retain(|host| ids.contains_key(&host.name));
    let abandon = cancel.abandon;
    let told = at_each(site, |mut link: Link| {
        let ids = ids.get(&link.host.name).cloned().unwrap_or_default();
        async move {
            let mut told = Vec::new();
            let reached = link.reach::<Value>().await;
            for job in ids {
                let error = match &reached {
                    Err(failed) => Some(failure("reach the daemon", true, failed)),
                    Ok((host, _)) => {
                        let path = format!("/jobs/{job}/cancel");
                        let told = host.post::<Value>(&path, &CancelJob { abandon }).await;
                        let failed = told.err();
                        failed.map(|failed| failure("end the job", false, &failed))
                    }
                };
                let host = link.host.name.clone();
                told.push(Cancelled { host, job, error });
            }
            told
        }
    });
    let told: Vec<_> = told.into_iter().flatten().collect();
    if json {
        say_json(&serde_json::json!({ "jobs": told }));
    } else {
        for Cancelled { host, job, error } in &told {
            let said = match error {
                None => "it was told to end".to_owned(),
                Some(error) => legible(&in_words(error)).into_owned(),
            };
            say(&format!("{host}:{job}: {said}"));
        }
    }
    Ok(of_questions(told.iter().map(|one| one.error.as_ref())))
}

/// Returns the numbers (ids) of jobs by the names of their hosts. The name of the host may be left
/// out if the site has only one host.
///
/// # Errors
/// The reason, if a job has no host name and the site has several hosts, or if the site has no host
/// with this name.
pub(super) fn by_host(site: &Site, jobs: &[JobName]) -> Result<BTreeMap<String, Vec<u64>>, String> {
    let known: Vec<_> = site.hosts.iter().map(|host| host.name.as_str()).collect();
    let mut ids = BTreeMap::<_, Vec<_>>::new();
    for JobName { host, id } in jobs {
        let host = match (host, &known[..]) {
            (Some(host), _) if known.contains(&host.as_str()) => host.clone(),
            (None, [alone]) => (*alone).to_owned(),
            (Some(host), _) => {
                let known = known.join(", ");
                return Err(format!("there is no host {host}; there are {known}"));
            }
            (None, _) => {
                return Err(format!(
                    "say of which host job {id} is, as in {}:{id}",
                    known[0]
                ));
            }
        };
        ids.entry(host).or_default().push(*id);
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hosts: &[&str], jobs: &[&str], expected: Result<&[(&str, &[u64])], &str>) {
        let mut site = Site::of("unix:/a".parse().unwrap());
        let one = site.hosts[0].clone();
        let named = hosts.iter().map(|name| crate::serve::SiteHost {
            name: (*name).to_owned(),
            ..one.clone()
        });
        site.hosts = named.collect();
        let jobs: Vec<JobName> = jobs.iter().map(|job| job.parse().unwrap()).collect();
        let found = by_host(&site, &jobs);
        match expected {
            Ok(expected) => {
                let expected = expected.iter();
                let expected = expected.map(|(host, ids)| ((*host).to_owned(), ids.to_vec()));
                assert_eq!(found.unwrap(), expected.collect());
            }
            Err(words) => {
                let why = found.unwrap_err();
                assert!(why.contains(words), "{why}");
            }
        }
    }

    #[test]
    fn jobs_are_named_with_their_hosts() {
        check(
            &["a", "b"],
            &["b:3", "a:4", "b:5"],
            Ok(&[("a", &[4]), ("b", &[3, 5])]),
        );
        check(&["a"], &["3"], Ok(&[("a", &[3])]));
        check(&["a", "b"], &["3"], Err("as in a:3"));
        check(&["a", "b"], &["c:3"], Err("there are a, b"));
        for text in ["a:", "a:b", "", "-1"] {
            assert!(text.parse::<JobName>().is_err(), "{text}");
        }
    }
}
