//! How the program ends.

use std::process::ExitCode;

/// How the program ends; each has its exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for was done.
    Well,
    /// The command line or a file is wrong, or a limit of the system too low; nothing was touched.
    Usage,
    /// Some boards or channels failed; the others are done.
    SomeFailed,
    /// No board could be reached.
    NothingReachable,
    /// Interrupted, and the hardware is in its declared state.
    Interrupted,
}

impl Exit {
    /// The exit status.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Usage => 2,
            Self::SomeFailed => 3,
            Self::NothingReachable => 4,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}
