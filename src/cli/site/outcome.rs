//! Outcome of a command at each control host of a site, and the exit status of the whole command.
//! Each host runs a daemon, which carries out the command as a *job*.

use serde::Serialize;
use serde_json::Value;
use twotone::hal::{Certainty, ErrorKind};
use twotone::record::Failure;

use super::{error, in_words};
use crate::cli::Exit;
use crate::serve::SiteHost;

/// Outcome of a command at a host.
#[derive(Debug, Clone, Serialize)]
pub(super) struct HostOutcome {
    /// Name of the host.
    pub(super) host: String,
    /// Address of the daemon.
    pub(super) at: String,
    /// True if the operator has selected boards by name, and this host has none of them.
    pub(super) left_out: bool,
    /// Selected boards that this host has.
    #[serde(skip)]
    pub(super) boards: Vec<String>,
    /// Number of the job that the command has become at this host, if it was submitted.
    pub(super) job: Option<u64>,
    /// Exit status of the job, after the job has ended.
    pub(super) status: Option<u8>,
    /// Reason why there is no report.
    pub(super) error: Option<Failure>,
    /// JSON object that the job has printed.
    pub(super) report: Option<Value>,
    /// Text that the job has printed, if it is not a JSON object.
    pub(super) output: Option<String>,
    /// Lines that the job wrote to standard error.
    pub(super) said: Vec<String>,
    /// True if the error has been printed already.
    #[serde(skip)]
    pub(super) told: bool,
}

impl HostOutcome {
    /// Returns the outcome of a host at which nothing has been done yet.
    pub(super) fn of(host: &SiteHost) -> Self {
        Self {
            host: host.name.clone(),
            at: host.way.to_string(),
            left_out: false,
            boards: Vec::new(),
            job: None,
            status: None,
            error: None,
            report: None,
            output: None,
            said: Vec::new(),
            told: false,
        }
    }

    /// Records the end of the job, and its output.
    pub(super) fn ended(&mut self, status: u8, printed: &str) {
        self.status = Some(status);
        let report = serde_json::from_str(printed).ok().filter(Value::is_object);
        let is_text = report.is_none() && !printed.trim().is_empty();
        self.output = is_text.then(|| printed.trim_end().to_owned());
        self.report = report;
        if self.report.is_some() || self.output.is_some() || status == 0 {
            return;
        }
        self.told = !self.said.is_empty();
        let message = match self.said.is_empty() {
            true => format!("it ended with status {status} and said nothing"),
            false => self.said.join("; "),
        };
        let (kind, certainty) = match status {
            2 => (ErrorKind::InvalidArgument, Certainty::NotExecuted),
            130 => (ErrorKind::Cancelled, Certainty::NotExecuted),
            _ => {
                self.error = Some(Failure::of_words(message));
                return;
            }
        };
        self.error = Some(error("carry out the command", kind, certainty, message));
    }

    /// Returns the state of the host as one or a few words.
    pub(super) fn state(&self) -> &'static str {
        let kind = self.error.as_ref().and_then(|error| error.kind);
        match (self.status, self.exit()) {
            (Some(0), _) => "ok",
            (Some(2), _) | (None, Exit::Usage) => "refused",
            (Some(4), _) => "no board answers",
            (Some(130), _) | (None, Exit::Interrupted) => "interrupted",
            (Some(_), _) => "some failed",
            (None, _) if self.left_out => "left out",
            (None, Exit::Well) => "given",
            (None, Exit::NothingReachable) if kind == Some(ErrorKind::Unreachable) => "unreachable",
            (None, Exit::NothingReachable) => "no answer",
            (None, _) => "unknown",
        }
    }

    /// Returns the exit status of this host.
    fn exit(&self) -> Exit {
        if let Some(status) = self.status {
            return Exit::Status(status);
        }
        let Some(error) = &self.error else {
            return Exit::Well;
        };
        match (error.certainty, error.kind) {
            (Some(Certainty::NotExecuted), Some(ErrorKind::InvalidArgument)) => Exit::Usage,
            (Some(Certainty::NotExecuted), Some(ErrorKind::Cancelled)) => Exit::Interrupted,
            (Some(Certainty::NotExecuted), Some(_)) => Exit::NothingReachable,
            _ => Exit::SomeFailed,
        }
    }

    /// Returns sentences about the host that are not in its report.
    pub(super) fn sentences(&self) -> Vec<String> {
        let error = self.error.as_ref().filter(|_| !self.told).map(in_words);
        let output = self.output.iter().flat_map(|output| output.lines());
        error.into_iter().chain(output.map(str::to_owned)).collect()
    }
}

/// Returns the exit status of a command at several hosts. `keeps_tones` is true if the command
/// leaves tones on when it is done. With such a command, an interrupt does not restore the hosts
/// that are already done.
pub(super) fn exit(outcomes: &[HostOutcome], keeps_tones: bool) -> Exit {
    let concerned = outcomes.iter().filter(|outcome| !outcome.left_out);
    let statuses: Vec<_> = concerned.map(|outcome| outcome.exit().status()).collect();
    let all = |these: &[u8]| statuses.iter().all(|status| these.contains(status));
    match statuses.first() {
        None => Exit::Well,
        Some(first) if all(&[*first]) => Exit::Status(*first),
        // Status 130 means interrupted and restored, and 4 means not reached. A host that was never
        // reached has nothing to restore.
        Some(_) if statuses.contains(&130) && all(&[130, 4]) => Exit::Interrupted,
        Some(_) if statuses.contains(&130) && all(&[130, 4, 0]) && !keeps_tones => {
            Exit::Interrupted
        }
        Some(_) => Exit::SomeFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Site;

    fn ended(status: u8) -> HostOutcome {
        let site = Site::of("unix:/a".parse().unwrap());
        let mut outcome = HostOutcome::of(&site.hosts[0]);
        outcome.said = vec!["why".to_owned()];
        outcome.ended(status, "");
        outcome
    }

    fn failed(kind: ErrorKind, certainty: Certainty) -> HostOutcome {
        HostOutcome {
            status: None,
            error: Some(error("reach the daemon", kind, certainty, "why")),
            ..ended(0)
        }
    }

    #[test]
    fn one_exit_status_stands_for_all_hosts() {
        let down = || failed(ErrorKind::Unreachable, Certainty::NotExecuted);
        let cut = || failed(ErrorKind::ConnectionLost, Certainty::Unknown);
        let late = || failed(ErrorKind::Cancelled, Certainty::NotExecuted);
        let left_out = || HostOutcome {
            left_out: true,
            ..ended(4)
        };
        for (outcomes, of_tune, of_others) in [
            (vec![ended(0), ended(0)], 0, 0),
            (vec![ended(0), left_out()], 0, 0),
            (vec![ended(0), down()], 3, 3),
            (vec![ended(0), ended(2)], 3, 3),
            (vec![ended(2), ended(2)], 2, 2),
            (vec![down(), down()], 4, 4),
            (vec![down(), ended(4)], 4, 4),
            (vec![cut()], 3, 3),
            (vec![cut(), down()], 3, 3),
            (vec![ended(130), ended(130)], 130, 130),
            (vec![ended(130), late()], 130, 130),
            (vec![ended(130), down()], 130, 130),
            (vec![ended(130), cut()], 3, 3),
            (vec![ended(130), ended(3)], 3, 3),
            // The tones are on at the host that has done its tune, so the tune is not restored as
            // a whole.
            (vec![ended(130), ended(0)], 3, 130),
        ] {
            let states: Vec<_> = outcomes.iter().map(HostOutcome::state).collect();
            assert_eq!(exit(&outcomes, true).status(), of_tune, "{states:?}");
            assert_eq!(exit(&outcomes, false).status(), of_others, "{states:?}");
        }
    }

    #[test]
    fn what_a_job_printed_is_its_report_or_text_and_else_the_reason_is_what_it_said() {
        let mut outcome = ended(3);
        outcome.ended(3, "{\"ok\":false}\n");
        assert_eq!(outcome.report, Some(serde_json::json!({"ok": false})));
        outcome.ended(3, "a table\n");
        assert_eq!(outcome.output.as_deref(), Some("a table"));
        for (status, kind) in [
            (2, Some(ErrorKind::InvalidArgument)),
            (130, Some(ErrorKind::Cancelled)),
            (4, None),
        ] {
            let error = ended(status).error.unwrap();
            assert_eq!((error.kind, error.message.as_str()), (kind, "why"));
        }
        assert_eq!(ended(0).error, None);
        outcome.said.clear();
        outcome.ended(3, "");
        assert!(outcome.error.unwrap().message.contains("status 3"));
    }
}
