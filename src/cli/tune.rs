//! `twotone tune`: finds the resonances of every module of a hardware map, and sets a tone on each.

mod table;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use twotone::campaign::{Campaign, CampaignParams, DryRunOf, TuneReport, TuneRun};
use twotone::input::{self, shown};
use twotone::map::HardwareMap;
use twotone::score::{Score, score};
use twotone::sim::Truth;

use super::Exit;
use super::access::{Access, warn_of_tones_of_others};
use super::campaign::{DEADLINE_S, INTERRUPTED, campaign, load_params};
use super::dry_run::dry_run;
use super::exit::{complain_of_record, complain_of_refusal};
use super::interrupt::{self, Interrupt};
use super::job;
use super::output::{complain, say, say_json};
use super::selection::Selection;
use crate::serve::Claim;

/// The arguments of `twotone tune`.
#[derive(Debug, Args)]
pub(crate) struct Tune {
    /// The hardware map. It is not needed with --host and --site: a daemon has a map of its own.
    map: Option<PathBuf>,
    /// Path of the new run directory. Refused if something is there already.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// Set nothing: say how many requests and samples there would be for each module, and how long
    /// they would take.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    part: Selection,
    /// A file of tuning parameters, in TOML. Band and amplitude follow from the map unless they
    /// are in it.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// A note that is kept with the run.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Score the result against the true detectors of a simulated farm, which are in this file.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Longest time of each module in seconds, clean-up included.
    #[arg(long, value_name = "S", default_value_t = DEADLINE_S, value_parser = parse_seconds)]
    deadline: f64,
    #[command(flatten)]
    access: Access,
    /// Largest number of modules that are tuned at the same time.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = parse_at_once)]
    at_once: usize,
}

pub(crate) fn parse_seconds(text: &str) -> Result<f64, String> {
    parse_seconds_up_to(1e6, text)
}

pub(crate) fn parse_seconds_up_to(longest: f64, text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= longest => Ok(seconds),
        _ => Err(format!("a time in seconds, above 0 and up to {longest}")),
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
        match self.read() {
            Ok((map, params, truth)) => self.tune(map, params, truth.as_ref(), json),
            Err(message) => Exit::usage(&message),
        }
    }

    /// Path of the hardware map on the command line.
    pub(crate) fn out(&self) -> Option<&Path> {
        self.out.as_deref()
    }

    pub(crate) fn map(&self) -> Option<&Path> {
        self.map.as_deref()
    }

    /// Path of the parameter file on the command line.
    pub(crate) fn params(&self) -> Option<&Path> {
        self.params.as_deref()
    }

    /// Path of the file with the true detectors on the command line.
    pub(crate) fn truth(&self) -> Option<&Path> {
        self.truth.as_deref()
    }

    /// Boards and modules that the command line selects.
    pub(crate) fn part(&self) -> &Selection {
        &self.part
    }

    /// Returns the part of `map` that is tuned, and how its modules are used.
    pub(crate) fn claim(&self, map: &HardwareMap) -> Result<Claim, String> {
        Ok(Claim::of_run(&self.part.part_of(map)?, self.dry_run))
    }

    /// Reads all files that the command line names.
    fn read(&self) -> Result<(HardwareMap, CampaignParams, Option<Truth>), String> {
        let map = self.part.of(self.map.as_deref())?;
        let params = load_params(self.params.as_deref())?;
        let truth = self.truth.as_deref().map(load_truth).transpose()?;
        Ok((map, params, truth))
    }

    fn tune(
        self,
        map: HardwareMap,
        params: CampaignParams,
        truth: Option<&Truth>,
        json: bool,
    ) -> Exit {
        let interrupt = Interrupt::watch(INTERRUPTED);
        let mut campaign = campaign(map, &interrupt, json)
            .params(params)
            .access(self.access.checks())
            .deadline(Duration::from_secs_f64(self.deadline))
            .concurrency(self.at_once);
        if let Some(note) = self.note {
            campaign = campaign.note(note);
        }
        let Some(out) = self.out.filter(|_| !self.dry_run) else {
            return dry_run(&campaign, DryRunOf::Tune, json);
        };
        match campaign.tune(job::run_directory(out)).wait() {
            Ok(tuned) => {
                let file = campaign.map().file();
                let exit = print(&tuned, truth, Some(file), json);
                complain_of_interrupt(&campaign, &tuned, &interrupt);
                exit
            }
            Err(error) => complain_of_refusal(&error),
        }
    }
}

/// Result of a tune, as `twotone tune --json` prints it.
#[derive(Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    report: &'a TuneReport,
    /// Score, if the true detectors are known.
    score: Option<Score>,
}

/// Prints the result of a tune, and the reason if it could not be recorded as requested. `map` is
/// the file of the map. It is `None` if this program simulates the boards: these end with the
/// program. Returns the outcome of the program.
pub(crate) fn print(tuned: &TuneRun, truth: Option<&Truth>, map: Option<&str>, json: bool) -> Exit {
    let report = &tuned.report;
    let tunes = tuned.outcomes.iter();
    let tunes =
        tunes.filter_map(|outcome| Some((outcome.board.as_str(), outcome.result.as_ref().ok()?)));
    // If no board was connected, there is nothing to score.
    let truth = truth.filter(|_| !report.boards.is_empty());
    let score = truth.map(|truth| score(truth, tunes));
    complain_of_record(&report.record);
    if json {
        say_json(&Printed { report, score });
    } else if !report.boards.is_empty() {
        say(&table::table(report, score.as_ref(), map));
    }
    report.completion().into()
}

/// Prints which tones and settings an interrupted tune has left on.
pub(crate) fn complain_of_interrupt(campaign: &Campaign, tuned: &TuneRun, interrupt: &Interrupt) {
    let boards = tuned.report.boards.iter();
    let modules = boards.flat_map(|board| {
        let modules = board.modules.iter();
        let (name, taken_over) = (board.name.as_str(), board.taken_over.as_ref());
        modules.map(move |one| (name, taken_over, one.module, &one.hardware))
    });
    warn_of_tones_of_others(campaign.map(), modules);
    if tuned.report.boards.is_empty() {
        return;
    }
    if tuned.report.interrupted {
        interrupt::complain_of_hardware(&tuned.outcomes);
    } else if interrupt.happened() {
        complain("the run had ended before the interrupt: its tones are on");
    }
}

fn load_truth(path: &Path) -> Result<Truth, String> {
    let text = job::read_text(path, input::TRUTH_BYTES)
        .map_err(|e| format!("truth {}: {e}", shown(path)))?;
    serde_json::from_str(&text).map_err(|e| format!("truth {}: {e}", shown(path)))
}
