//! Bias dictionaries: `twotone export --to bias`, and `twotone import` of one.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use twotone::campaign::{CampaignParams, RecordReport};
use twotone::exchange::bias::{BiasFile, Place};
use twotone::hal::{ModuleId, legible};
use twotone::input::shown;
use twotone::record::{RecordError, RunDirectory};

use super::exit::complain_of_record;
use super::output::{complain, say, say_json};
use super::selection::{Selection, parse_module};
use super::{Exit, load_map};

/// The arguments of an import of a bias dictionary.
#[derive(Debug, Args)]
pub(super) struct BiasArgs {
    /// For a bias dictionary, the hardware map with its boards.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Board of a bias dictionary that does not name it.
    #[arg(long, value_name = "NAME")]
    board: Option<String>,
    /// Module of a bias dictionary that does not name it.
    #[arg(long, value_name = "NUMBER", value_parser = parse_module)]
    module: Option<ModuleId>,
    /// Frequency of the NCO of a bias dictionary that does not have it, in hertz.
    #[arg(long, value_name = "HZ")]
    nco: Option<f64>,
    /// A file of tuning parameters, in TOML, for the fits to the sweeps of a bias dictionary.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
}

impl BiasArgs {
    /// Returns one of these options that is given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let all = [
            ("--map", self.map.is_some()),
            ("--board", self.board.is_some()),
            ("--module", self.module.is_some()),
            ("--nco", self.nco.is_some()),
            ("--params", self.params.is_some()),
        ];
        all.into_iter()
            .find_map(|(name, given)| given.then_some(name))
    }
}

#[derive(Serialize)]
struct Written<'a> {
    format: &'static str,
    out: String,
    detectors: usize,
    biased: usize,
    doubts: &'a [String],
}

#[derive(Serialize)]
struct Imported<'a> {
    format: &'static str,
    detectors: usize,
    tuned: usize,
    doubts: &'a [String],
    #[serde(flatten)]
    record: &'a RecordReport,
}

/// Writes the tune of a run directory as bias dictionaries to a new file.
pub(super) fn export(run: &Path, out: &Path, selection: &Selection, json: bool) -> Exit {
    let mut doubts = Vec::new();
    let mut biases = match BiasFile::of_run(run, &mut doubts) {
        Ok(biases) => biases,
        Err(error) => return Exit::usage(&legible(&error.to_string())),
    };
    if let Err(why) = biases.select(selection.boards(), selection.modules()) {
        return Exit::usage(&legible(&why));
    }
    if let Err(error) = biases.write_new(out) {
        return Exit::usage(&legible(&error.to_string()));
    }
    let (biased, detectors) = biases.counts();
    if json {
        say_json(&Written {
            format: "bias",
            out: out.display().to_string(),
            detectors,
            biased,
            doubts: &doubts,
        });
    } else {
        say(&format!(
            "{biased} of {detectors} detectors have a tone; written to {}",
            shown(out)
        ));
    }
    said(&doubts)
}

/// Converts a bias dictionary to a run directory with a tune.
pub(super) fn import(
    text: &str,
    source: &Path,
    out: Option<&Path>,
    args: BiasArgs,
    json: bool,
) -> Exit {
    let Some(out) = out else {
        return Exit::usage("a bias dictionary becomes a run directory: name it with --out");
    };
    let Some(map) = &args.map else {
        return Exit::usage("a bias dictionary needs the hardware map of its boards: --map");
    };
    let map = match load_map(Some(map)) {
        Ok(map) => map,
        Err(exit) => return exit,
    };
    let params = match args.params.map(CampaignParams::load).transpose() {
        Ok(params) => params.unwrap_or_default(),
        Err(error) => return Exit::usage(&error.to_string()),
    };
    let refuse = |why: String| Exit::usage(&legible(&format!("{}: {why}", shown(source))));
    let board = args.board.clone();
    let place = board.zip(args.module).map(|(board, module)| Place {
        board,
        module,
        nco_hz: args.nco,
    });
    let mut biases = match BiasFile::parse(text, place) {
        Ok(biases) => biases,
        Err(why) => return refuse(why),
    };
    let (boards, modules) = (args.board.as_slice(), args.module.as_slice());
    if let Err(why) = biases.select(boards, modules) {
        return refuse(why);
    }
    if let Some(nco_hz) = args.nco {
        biases.set_unknown_nco(nco_hz);
    }
    if let Some(why) = biases.problem(&map) {
        return refuse(why);
    }
    let mut doubts = Vec::new();
    let recorded = RunDirectory::prepare(out).and_then(|run| {
        let command = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
        biases.record(&map, run, command.collect(), &params, &mut doubts)
    });
    let recorded = match recorded {
        Ok(recorded) => recorded,
        Err(error @ RecordError::Exists { .. }) => return Exit::usage(&error.to_string()),
        Err(error) => return Exit::usage(&legible(&error.to_string())),
    };
    let tuned = recorded.tuned;
    let record = RecordReport::from(recorded.run);
    let (_, detectors) = biases.counts();
    if json {
        say_json(&Imported {
            format: "bias",
            detectors,
            tuned,
            doubts: &doubts,
            record: &record,
        });
    } else {
        let run = record.run_directory.clone().unwrap_or_default();
        say(&format!(
            "{tuned} of {detectors} detectors are calibrated; the run is {}",
            legible(&run)
        ));
    }
    complain_of_record(&record);
    match said(&doubts) {
        Exit::Well if tuned < detectors || !record.is_whole() => Exit::SomeFailed,
        exit => exit,
    }
}

/// Prints doubts, and returns the outcome that follows from them.
fn said(doubts: &[String]) -> Exit {
    for doubt in doubts {
        complain(&format!("WARNING: {}", legible(doubt)));
    }
    match doubts {
        [] => Exit::Well,
        _ => Exit::SomeFailed,
    }
}
