//! `twotone completions`: prints the script with which a shell completes the arguments of the
//! program.

use clap::Args;
use clap_complete::Shell;

use super::output::say;
use super::{Cli, Exit};

/// The arguments of `twotone completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::program(), "twotone", &mut script);
        say(String::from_utf8_lossy(&script).trim_end());
        Exit::Well
    }
}
