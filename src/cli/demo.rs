//! `twotone demo`: a simulated farm, tuned and scored.

use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use clap::Args;
use tworoutine::Wait;
use twotone::map::HardwareMap;
use twotone::record::UtcTime;

use super::access::Access;
use super::campaign::Campaign;
use super::output::complain;
use super::sim::FarmArgs;
use super::tuning::Tuning;
use super::{Exit, limits};

/// The arguments of `twotone demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    #[command(flatten)]
    farm: FarmArgs,
    /// Where the run directory is to be. A new one under `runs` unless given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Demo {
    pub(crate) fn run(self, json: bool) -> Exit {
        let farm = match tworoutine::wait(self.farm.builder().start()) {
            Ok(farm) => farm,
            Err(error) => {
                complain(&format!("the farm cannot be started: {error}"));
                return Exit::Usage;
            }
        };
        let map = match HardwareMap::try_from(&farm) {
            Ok(map) => map,
            Err(error) => {
                complain(&error.to_string());
                return Exit::Usage;
            }
        };
        if let Err(why) = limits::enough_for(&map) {
            complain(&why);
            return Exit::Usage;
        }
        let out = match self.out.map_or_else(new_directory, Ok) {
            Ok(out) => out,
            Err(error) => {
                complain(&format!("no place for the run directory: {error}"));
                return Exit::Usage;
            }
        };
        let campaign = Campaign {
            map,
            tuning: Tuning::default(),
            out,
            note: Some("simulated".to_owned()),
            seed: Some(farm.seed()),
            truth: Some(farm.truth()),
            deadline: Duration::from_secs(600),
            at_once: usize::MAX,
            json,
            access: Access::to_own_farm(),
        };
        let exit = campaign.run(std::env::args().collect());
        farm.shut_down().wait();
        exit
    }
}

/// A directory that is not there yet, named after the time.
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
