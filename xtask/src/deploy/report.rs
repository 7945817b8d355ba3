//! Reports about the control hosts after a command of `cargo xtask deploy`, printed as a table or
//! as JSON.

use serde::Serialize;

use super::Failure;
use super::check::Facts;

/// Kind of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The host has answered a question.
    Told,
    /// The host already is in the requested state.
    Unchanged,
    /// Changes would be made (`--dry-run`).
    Planned,
    /// The host runs the requested version.
    Active,
    /// Versions were removed.
    Removed,
    /// The new version was not healthy, and the previous version runs again.
    RolledBack,
    /// No healthy version runs. After an activation this means that the new version was not
    /// healthy, and that the previous version is not healthy either or does not exist.
    Down,
    /// A problem that was found before the change prevents it. The version was not switched.
    Refused,
    /// No connection could be made.
    Unreachable,
    /// A step failed. The version was not switched.
    Failed,
    /// The connection was cut, and it is unknown how much was done on the host.
    Unknown,
}

/// Result of a verb (a subcommand such as `status`) at a host.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) result: Kind,
    /// Version of the host after the verb, if it is known.
    pub(super) version: Option<String>,
    /// Version of the host before the verb, if it is known.
    pub(super) before: Option<String>,
    pub(super) text: String,
    /// Further facts that some verbs report.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub(super) details: serde_json::Value,
}

/// Result at a host, together with the name of the host, the duration and the number of bytes that
/// were sent.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) host: String,
    /// User, name and port with which `ssh` reaches the host.
    pub(super) at: String,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
    pub(super) warnings: Vec<String>,
    /// Number of bytes of files that were sent.
    pub(super) sent_bytes: u64,
    pub(super) seconds: f64,
}

impl Outcome {
    pub(super) fn new(result: Kind, version: Option<&str>, text: impl Into<String>) -> Self {
        Self {
            result,
            version: version.map(str::to_owned),
            before: version.map(str::to_owned),
            text: text.into(),
            details: serde_json::Value::Null,
        }
    }

    pub(super) fn refused(current: Option<&str>, why: String) -> Self {
        Self::new(Kind::Refused, current, why)
    }

    pub(super) fn unchanged(version: &str) -> Self {
        Self::new(Kind::Unchanged, Some(version), "")
    }

    pub(super) fn planned(current: Option<&str>, text: String) -> Self {
        Self::new(Kind::Planned, current, text)
    }

    /// Returns the outcome of an activation from the answer of the host.
    pub(super) fn activated(result: &Facts, before: Option<&str>) -> Self {
        let version = result.get("version").filter(|version| *version != "none");
        let kind = match result.get("outcome") {
            Some("now") => Kind::Active,
            Some("back") => Kind::RolledBack,
            Some("refused") => Kind::Refused,
            _ => Kind::Down,
        };
        let mut outcome = Self::new(kind, version, result.get("text").unwrap_or_default());
        outcome.before = before.map(str::to_owned);
        outcome
    }

    pub(super) fn failed(failure: &Failure) -> Self {
        let kind = match failure {
            Failure::Unreachable(_) => Kind::Unreachable,
            Failure::Cut(_) => Kind::Unknown,
            Failure::Refused(_) => Kind::Failed,
        };
        Self::new(kind, None, failure.text())
    }

    /// True if the result is a success.
    pub(super) fn is_good(&self) -> bool {
        match self.result {
            Kind::Told | Kind::Unchanged | Kind::Planned | Kind::Active | Kind::Removed => true,
            Kind::RolledBack | Kind::Down | Kind::Refused => false,
            Kind::Unreachable | Kind::Failed | Kind::Unknown => false,
        }
    }
}

/// Prints the reports of all hosts.
pub(super) fn print(reports: &[Report], json: bool) {
    if json {
        let ok = reports.iter().all(|report| report.outcome.is_good());
        println!("{}", serde_json::json!({ "ok": ok, "hosts": reports }));
        return;
    }
    let name = |report: &Report| {
        let told = serde_json::to_value(report.outcome.result).unwrap_or_default();
        told.as_str().unwrap_or_default().replace('_', " ")
    };
    let width = |of: &dyn Fn(&Report) -> usize, least: usize| {
        reports.iter().map(of).max().unwrap_or(0).max(least)
    };
    let hosts = width(&|report| report.host.len(), 4);
    let versions = width(&|it| it.outcome.version.as_ref().map_or(1, String::len), 7);
    println!(
        "{:<hosts$}  {:<11}  {:<versions$}  details",
        "host", "result", "version"
    );
    for report in reports {
        let Outcome { version, text, .. } = &report.outcome;
        let version = version.as_deref().unwrap_or("-");
        let line = format!(
            "{:<hosts$}  {:<11}  {version:<versions$}  {}",
            report.host,
            name(report),
            text.replace('\n', "\n    ")
        );
        println!("{}", line.trim_end());
        for warning in &report.warnings {
            println!("    warning: {warning}");
        }
    }
}
