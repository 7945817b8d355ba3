//! Messages between the daemon and its clients, as JSON. `docs/daemon.md` describes them. A *job*
//! is a command that the daemon carries out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use twotone_algorithms::Step;
use twotone_hal::ModuleId;

use crate::record::UtcTime;

/// A command for the daemon.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission {
    /// Arguments of the program `twotone`. The first is the name of the command, unless options
    /// precede it.
    pub(crate) command: Vec<String>,
    /// Contents of the files that the arguments name. The keys are the names as they are in the
    /// arguments.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
}

/// Reason that a request was refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// The reason, and the remedy.
    pub(crate) error: String,
}

/// Request to end a job early.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cancel {
    /// True to skip the clean-up of the job too, which would bring modules to the states that the
    /// map declares.
    pub(crate) abandon: bool,
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The job waits for other jobs on its modules, or for a place among the jobs that run.
    Queued,
    /// The job is running.
    Running,
    /// The job has ended, with an exit status.
    Ended,
    /// The daemon ended before the job did.
    Interrupted,
}

impl State {
    /// Name of the state in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Interrupted => "interrupted",
        }
    }

    /// True if the job is in its last state.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Interrupted)
    }
}

/// Facts about a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JobReport {
    pub(crate) id: u64,
    pub(crate) command: Vec<String>,
    /// Name of the user who gave the command, or the user's number if there is no name. `None` if
    /// the user is not known.
    pub(crate) by: Option<String>,
    pub(crate) state: State,
    /// True if somebody has requested the end of the job.
    pub(crate) cancelled: bool,
    /// Names of the boards that the job uses.
    #[serde(default)]
    pub(crate) boards: Vec<String>,
    /// Numbers of the jobs that the job waits for.
    pub(crate) waits_for: Vec<u64>,
    pub(crate) submitted: UtcTime,
    pub(crate) started: Option<UtcTime>,
    pub(crate) ended: Option<UtcTime>,
    /// Exit status of the command. `None` if the job has not ended, or was interrupted.
    pub(crate) status: Option<u8>,
    /// Last step that the job has reported of each module on which it works.
    #[serde(default)]
    pub(crate) steps: Vec<BoardStep>,
}

impl JobReport {
    /// Returns the facts without the steps, of which there may be thousands.
    pub(crate) fn without_steps(self) -> Self {
        Self {
            steps: Vec::new(),
            ..self
        }
    }
}

/// Free space for run directories.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Disk {
    /// Folder of the run directories that are given by a relative path.
    pub(crate) runs: String,
    /// Number of bytes that can still be written in the folder. `None` if the file system does not
    /// report it.
    pub(crate) free_bytes: Option<u64>,
    /// Number of files that can still be created in the folder. `None` if there is no limit, or if
    /// the file system does not report it.
    pub(crate) free_files: Option<u64>,
}

/// A step of an algorithm on a module of a board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BoardStep {
    pub(crate) board: String,
    #[serde(flatten)]
    pub(crate) step: Step,
}

/// An event of a job: one line of the job's event stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// The job waits for other jobs.
    Queued { waits_for: Vec<u64> },
    /// The job starts.
    Started,
    /// The boards of the job are connected, and the job is about to work on these modules.
    Begin { modules: Vec<(String, ModuleId)> },
    /// A step on a module.
    Step(BoardStep),
    /// All modules are done.
    End,
    /// Lines for standard output.
    Out { text: String },
    /// Lines for standard error.
    Err { text: String },
    /// The job has ended with an exit status.
    Ended { status: u8 },
    /// The daemon ended before the job did.
    Interrupted,
}
