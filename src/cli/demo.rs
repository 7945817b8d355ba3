//! `twotone demo`: tunes a farm of simulated boards and scores the result.

use std::path::PathBuf;
use std::{fs, io};

use clap::Args;
use tworoutine::Wait;
use twotone::campaign::Access;
use twotone::map::HardwareMap;
use twotone::record::UtcTime;

use super::campaign::{INTERRUPTED, campaign};
use super::exit::complain_of_refusal;
use super::interrupt::Interrupt;
use super::sim::{FarmArgs, start};
use super::{Exit, limits, tune};

/// The arguments of `twotone demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    #[command(flatten)]
    farm: FarmArgs,
    /// Path of the new run directory. If it is absent: a new one in the folder `runs`.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Demo {
    pub(crate) fn run(self, json: bool) -> Exit {
        let farm = match start(self.farm.builder()) {
            Ok(farm) => farm,
            Err(exit) => return exit,
        };
        let map = match HardwareMap::try_from(&farm) {
            Ok(map) => map,
            Err(error) => return Exit::usage(&error.to_string()),
        };
        if let Err(why) = limits::enough_for(&map) {
            return Exit::usage(&why);
        }
        let out = match self.out.map_or_else(new_directory, Ok) {
            Ok(out) => out,
            Err(error) => return Exit::usage(&format!("no place for the run directory: {error}")),
        };
        let interrupt = Interrupt::watch(INTERRUPTED);
        let campaign = campaign(map, &interrupt, json)
            .access(Access::unchecked())
            .note("simulated")
            .seed(farm.seed());
        let exit = match campaign.tune(out).wait() {
            Ok(tuned) => {
                let exit = tune::print(&tuned, Some(&farm.truth()), None, json);
                tune::complain_of_interrupt(&campaign, &tuned, &interrupt);
                exit
            }
            Err(error) => complain_of_refusal(&error),
        };
        farm.shut_down().wait();
        exit
    }
}

/// Returns the path of a directory that does not exist yet, named after the time.
fn new_directory() -> io::Result<PathBuf> {
    let runs = PathBuf::from("runs");
    fs::create_dir_all(&runs)?;
    let stamp: String = UtcTime::now()
        .to_string()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(15)
        .collect();
    let name = runs.join(format!("demo-{stamp}"));
    let later = (2..).map(|number| runs.join(format!("demo-{stamp}-{number}")));
    Ok(std::iter::once(name.clone())
        .chain(later)
        .find(|path| !path.exists())
        .unwrap_or(name))
}
