//! `twotone tune`: every module of a hardware map.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use twotone::input::{self, shown};
use twotone::sim::Truth;

use super::Exit;
use super::access::Access;
use super::campaign::Campaign;
use super::output::complain;
use super::selection::Selection;
use super::tuning::load_tuning;

/// The arguments of `twotone tune`.
#[derive(Debug, Args)]
pub(crate) struct Tune {
    /// The hardware map.
    map: PathBuf,
    /// Where the run directory is to be; refused where something is there already.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    part: Selection,
    /// A file of tuning parameters, in TOML. Band and amplitude are the map's unless given here.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// A note that is kept with the run.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Score the result against the truth of a simulated farm.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// How long each module may take, clean-up included, in seconds.
    #[arg(long, value_name = "S", default_value_t = 600.0, value_parser = parse_seconds)]
    deadline: f64,
    #[command(flatten)]
    access: Access,
    /// How many modules are tuned at the same time.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = parse_at_once)]
    at_once: usize,
}

pub(crate) fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 1e6 => Ok(seconds),
        _ => Err("a time in seconds, above 0 and up to 1000000".to_owned()),
    }
}

fn parse_at_once(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| "a number from 1 on".to_owned())
}

impl Tune {
    pub(crate) fn run(self, json: bool) -> Exit {
        let campaign = self.campaign(json);
        match campaign {
            Ok(campaign) => campaign.run(std::env::args().collect()),
            Err(message) => {
                complain(&message);
                Exit::Usage
            }
        }
    }

    fn campaign(self, json: bool) -> Result<Campaign, String> {
        let map = self.part.of(&self.map)?;
        let tuning = self.params.as_deref().map(load_tuning).transpose()?;
        let tuning = tuning.unwrap_or_default();
        tuning.fit_for(&map)?;
        Ok(Campaign {
            map,
            tuning,
            truth: self.truth.as_deref().map(load_truth).transpose()?,
            out: self.out,
            note: self.note,
            seed: None,
            deadline: Duration::from_secs_f64(self.deadline),
            at_once: self.at_once,
            json,
            access: self.access,
        })
    }
}

fn load_truth(path: &Path) -> Result<Truth, String> {
    let text =
        input::read(path, input::TRUTH_BYTES).map_err(|e| format!("truth {}: {e}", shown(path)))?;
    serde_json::from_slice(&text).map_err(|e| format!("truth {}: {e}", shown(path)))
}
