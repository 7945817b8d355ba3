//! Messages between the daemon and its clients, as JSON. `docs/daemon.md` describes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use twotone_algorithms::Step;
use twotone_hal::ModuleId;

use crate::record::UtcTime;

/// A command for the daemon.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission {
    /// Arguments of the program, the command first.
    pub(crate) command: Vec<String>,
    /// Contents of the files that the arguments name, by their names there.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
}

/// Reason that a request was refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// The reason, and what to do.
    pub(crate) error: String,
}

/// End of a job that is asked for.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cancel {
    /// True to give up the clean-up too.
    pub(crate) abandon: bool,
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It waits for other jobs on its modules.
    Queued,
    /// It is under way.
    Running,
    /// It has ended, with an exit status.
    Ended,
    /// The daemon ended before it did.
    Interrupted,
}

impl State {
    /// The name in JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Interrupted => "interrupted",
        }
    }

    /// True if the job does nothing more.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::Interrupted)
    }
}

/// Facts about a job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JobReport {
    pub(crate) id: u64,
    pub(crate) command: Vec<String>,
    /// User who gave the command, as the system knows them.
    pub(crate) by: Option<String>,
    pub(crate) state: State,
    /// True if somebody has asked for its end.
    pub(crate) cancelled: bool,
    /// Boards that it is for.
    #[serde(default)]
    pub(crate) boards: Vec<String>,
    /// Jobs that it waits for.
    pub(crate) waits_for: Vec<u64>,
    pub(crate) submitted: UtcTime,
    pub(crate) started: Option<UtcTime>,
    pub(crate) ended: Option<UtcTime>,
    /// Exit status of the command.
    pub(crate) status: Option<u8>,
    /// Last step of each module that it works on.
    #[serde(default)]
    pub(crate) steps: Vec<BoardStep>,
}

impl JobReport {
    /// The facts without the steps, of which there may be thousands.
    pub(crate) fn without_steps(self) -> Self {
        Self {
            steps: Vec::new(),
            ..self
        }
    }
}

/// Room for run directories.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Disk {
    /// Folder of those that are named by a relative path.
    pub(crate) runs: String,
    /// Bytes that can still be written there. `None` if the file system does not say it.
    pub(crate) free_bytes: Option<u64>,
    /// Files that can still be made there. `None` if there is no limit, or it is not known.
    pub(crate) free_files: Option<u64>,
}

/// A step of an algorithm on a module of a board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BoardStep {
    pub(crate) board: String,
    #[serde(flatten)]
    pub(crate) step: Step,
}

/// An event of a job: one line of its stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// It waits for other jobs.
    Queued { waits_for: Vec<u64> },
    /// It begins.
    Started,
    /// Its boards are connected, and it is about to run on these modules.
    Begin { modules: Vec<(String, ModuleId)> },
    /// A step on a module.
    Step(BoardStep),
    /// All modules are done.
    End,
    /// Lines for standard output.
    Out { text: String },
    /// Lines for standard error.
    Err { text: String },
    /// It has ended with an exit status.
    Ended { status: u8 },
    /// The daemon ended before it did.
    Interrupted,
}
