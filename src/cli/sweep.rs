//! `twotone sweep`: a network analysis (the transmission over a band of frequencies) of every
//! module, written to files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use twotone::campaign::{
    BoardSetup, CampaignParams, DryRunOf, SweepFormat, SweepReport, board_warnings_in_words,
    repeats_in_words, taken_over_in_words,
};
use twotone::hal::legible;
use twotone::identity::Identity;
use twotone::map::HardwareMap;

use super::Exit;
use super::access::{Access, warn_of_tones_of_others};
use super::campaign::{DEADLINE_S, INTERRUPTED, campaign, load_params};
use super::dry_run::dry_run;
use super::exit::{complain_of_record, complain_of_refusal};
use super::interrupt::{self, Interrupt};
use super::job;
use super::output::{complain, say, say_json};
use super::selection::Selection;
use super::table::Table;
use super::tune::parse_seconds;
use crate::serve::Claim;

/// The arguments of `twotone sweep`.
#[derive(Debug, Args)]
pub(crate) struct Sweep {
    /// The hardware map. It is not needed with --host and --site: a daemon has a map of its own.
    map: Option<PathBuf>,
    /// Path of the new run directory. Refused if something is there already.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// Set nothing: say how many requests and samples there would be for each module, and how long
    /// they would take.
    #[arg(long)]
    dry_run: bool,
    /// Format of the files.
    #[arg(long, value_enum, default_value_t = Form::Arrow)]
    format: Form,
    #[command(flatten)]
    part: Selection,
    /// Lowest frequency in hertz. Refused if it is outside of the range of a module in the map. If
    /// it is absent: the one of the parameter file, or else the one of each module in the map.
    #[arg(long, value_name = "HZ", allow_negative_numbers = true)]
    f_min: Option<f64>,
    /// Highest frequency in hertz. If it is absent: as with `--f-min`.
    #[arg(long, value_name = "HZ", allow_negative_numbers = true)]
    f_max: Option<f64>,
    /// Number of points over the band.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    points: Option<usize>,
    /// A file of tuning parameters, in TOML. Only the band and the parameters of the network
    /// analysis and of the cable delay are used.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    #[command(flatten)]
    access: Access,
    /// A note that is kept with the run.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Longest time of each module in seconds, clean-up included.
    #[arg(long, value_name = "S", default_value_t = DEADLINE_S, value_parser = parse_seconds, allow_negative_numbers = true)]
    deadline: f64,
}

/// Format of the files of sweeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Arrow IPC, which pandas and polars open: `sweeps/BOARD.arrow`.
    Arrow,
    /// Text with a line for each point: `sweeps/BOARD.csv`.
    Csv,
}

impl From<Form> for SweepFormat {
    fn from(form: Form) -> Self {
        match form {
            Form::Arrow => Self::Arrow,
            Form::Csv => Self::Csv,
        }
    }
}

impl Sweep {
    pub(crate) fn run(self, json: bool) -> Exit {
        match self.read() {
            Ok((map, params)) => self.sweep(map, params, json),
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

    /// Boards and modules that the command line selects.
    pub(crate) fn part(&self) -> &Selection {
        &self.part
    }

    /// Returns the part of `map` that is swept, and how its modules are used.
    pub(crate) fn claim(&self, map: &HardwareMap) -> Result<Claim, String> {
        Ok(Claim::of_run(&self.part.part_of(map)?, self.dry_run))
    }

    /// Reads the files that the command line names. Options replace values of the parameter file.
    fn read(&self) -> Result<(HardwareMap, CampaignParams), String> {
        let map = self.part.of(self.map.as_deref())?;
        let mut params = load_params(self.params.as_deref())?;
        if let Some(points) = self.points {
            params.set_points(points);
        }
        params.set_band(self.f_min, self.f_max);
        Ok((map, params))
    }

    fn sweep(self, map: HardwareMap, params: CampaignParams, json: bool) -> Exit {
        let interrupt = Interrupt::watch(INTERRUPTED);
        let mut campaign = campaign(map, &interrupt, json)
            .params(params)
            .access(self.access.checks())
            .deadline(Duration::from_secs_f64(self.deadline));
        if let Some(note) = self.note {
            campaign = campaign.note(note);
        }
        let Some(out) = self.out.filter(|_| !self.dry_run) else {
            return dry_run(&campaign, DryRunOf::Sweep, json);
        };
        let swept = match campaign
            .sweep(job::run_directory(out), self.format.into())
            .wait()
        {
            Ok(swept) => swept,
            Err(error) => return complain_of_refusal(&error),
        };
        let report = &swept.report;
        complain_of_record(&report.record);
        if json {
            say_json(report);
        } else if !report.boards.is_empty() {
            say(table(report).trim_end());
        }
        let modules = report.boards.iter().flat_map(|board| {
            let (name, taken_over) = (board.name.as_str(), board.taken_over.as_ref());
            let modules = board.modules.iter();
            modules.map(move |one| (name, taken_over, one.module, &one.hardware))
        });
        warn_of_tones_of_others(campaign.map(), modules);
        if report.interrupted && !report.boards.is_empty() {
            let outcomes = &swept.outcomes;
            if outcomes.iter().all(|outcome| outcome.result.is_err()) {
                complain("no module was swept to its end, and nothing is recorded");
            }
            interrupt::complain_of_hardware(outcomes);
        }
        report.completion().into()
    }
}

/// Returns the table of a report: a line for each module, with remarks below it.
fn table(report: &SweepReport) -> String {
    let mut table = Table::new(["board", "module", "points", "from/MHz", "to/MHz"]);
    let mhz = |hz: Option<f64>| hz.map_or_else(String::new, |hz| format!("{:.3}", hz / 1e6));
    for board in &report.boards {
        if board.modules.is_empty() {
            table.row([&board.name]);
        }
        board
            .error
            .iter()
            .for_each(|error| table.note(error.to_string()));
        let setup = board.setup.iter().flat_map(BoardSetup::in_words);
        setup.for_each(|text| table.note(text));
        let taken = board.taken_over.as_ref().map(taken_over_in_words);
        taken.into_iter().for_each(|text| table.note(text));
        for module in &board.modules {
            table.row([
                board.name.clone(),
                module.module.to_string(),
                module.points.to_string(),
                mhz(module.f_min_hz),
                mhz(module.f_max_hz),
            ]);
            module
                .error
                .iter()
                .for_each(|error| table.note(error.to_string()));
            repeats_in_words(module.repeats)
                .into_iter()
                .for_each(|text| table.note(text));
            module.warnings.iter().for_each(|text| table.note(text));
            board_warnings_in_words(&module.board_warnings).for_each(|text| table.note(text));
            if !module.hardware.is_settled() {
                table.note(module.hardware.to_string());
            }
        }
        board.doubts.iter().for_each(|doubt| table.note(doubt));
        let unknown = board.identity.as_ref().and_then(Identity::doubt);
        unknown.into_iter().for_each(|doubt| table.note(doubt));
    }
    let mut text = table.to_string();
    if let Some(directory) = &report.record.run_directory {
        text.push_str(&format!("run directory: {}\n", legible(directory)));
    }
    text
}

#[cfg(test)]
mod tests;
