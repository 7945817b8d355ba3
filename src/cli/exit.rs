//! Exit statuses of the program.

use std::process::ExitCode;

use twotone::campaign::{CampaignError, Completion, RecordReport};
use twotone::hal::legible;

use super::output::complain;

/// Outcome of the program. Each outcome has an exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything that the command requests was done.
    Well,
    /// The command line or a file is wrong, or a limit of the system is too low. No setting of a
    /// board was changed.
    Usage,
    /// Boards, modules or channels failed, or a result could not be recorded or printed completely.
    /// The rest is done.
    SomeFailed,
    /// No board or no daemon could be reached, or no sample came.
    NothingReachable,
    /// The command was interrupted. Each module was left unchanged, or was brought to the state
    /// that the map declares for it.
    Interrupted,
    /// The exit status of a job of a daemon.
    Status(u8),
}

impl Exit {
    /// Prints what is wrong with the command line, a file or a limit of the system. No setting of a
    /// board was changed.
    pub(crate) fn usage(why: &str) -> Self {
        complain(why);
        Self::Usage
    }

    /// The exit status.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Usage => 2,
            Self::SomeFailed => 3,
            Self::NothingReachable => 4,
            Self::Interrupted => 130,
            Self::Status(status) => status,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

impl From<Completion> for Exit {
    fn from(completion: Completion) -> Self {
        match completion {
            Completion::Complete => Self::Well,
            Completion::Incomplete => Self::SomeFailed,
            Completion::Unreachable => Self::NothingReachable,
            Completion::Interrupted => Self::Interrupted,
        }
    }
}

/// Prints the reason why a campaign (a tune, sweep, capture or switch-off) was refused or ended
/// without a report. Returns the outcome of the program.
pub(crate) fn complain_of_refusal(error: &CampaignError) -> Exit {
    complain(&error.to_string());
    match error {
        CampaignError::Cancelled => Exit::Interrupted,
        // The campaign may have changed settings before it ended.
        CampaignError::Ended(_) => Exit::SomeFailed,
        _ => Exit::Usage,
    }
}

/// If the results of a run are not completely recorded at the requested path, prints the reason,
/// and the path of the part that is recorded.
pub(crate) fn complain_of_record(record: &RecordReport) {
    if record.is_whole() {
        return;
    }
    if let Some(error) = &record.record_error {
        complain(&format!("the run could not be recorded as asked: {error}"));
    }
    if record.run_directory.is_none() {
        complain("nothing of the run could be recorded anywhere");
    } else if let Some(first) = record.missing_files.first() {
        let files = match record.missing_files.len() {
            1 => "1 file of the run is missing".to_owned(),
            count => format!("{count} files of the run are missing, the first of them"),
        };
        complain(&format!("{files}: {}: {}", first.file, first.reason));
    }
    if let Some(path) = &record.run_directory {
        complain(&format!("the run was recorded in {}", legible(path)));
    }
}
