//! `twotone check`: verifies a hardware map and a parameter file without contacting a board.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use twotone::campaign::CampaignParams;
use twotone::input::shown;
use twotone::map::{HardwareMap, MapError};

use super::Exit;
use super::output::{complain, say, say_json};

/// The arguments of `twotone check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The hardware map.
    map: PathBuf,
    /// A file of tuning parameters, in TOML.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize)]
struct Checked {
    ok: bool,
    boards: usize,
    modules: usize,
    detectors: usize,
    problems: Vec<Found>,
}

#[derive(Debug, Serialize)]
struct Found {
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
}

impl Check {
    pub(crate) fn run(self, json: bool) -> Exit {
        let mut checked = Checked::default();
        let mut texts = Vec::new();
        let mut map = None;
        match HardwareMap::load(&self.map) {
            Ok(read) => {
                checked.boards = read.boards().len();
                checked.modules = read.boards().iter().map(|board| board.modules.len()).sum();
                checked.detectors = read.detectors().len();
                map = Some(read);
            }
            Err(error) => note(&error, &mut checked, &mut texts),
        }
        if let Some(path) = &self.params {
            match CampaignParams::read(path) {
                Ok(params) => {
                    let problem = match &map {
                        Some(map) => params.problem(map),
                        None => params.problem_alone(),
                    };
                    if let Some(message) = problem {
                        let file = path.display().to_string();
                        texts.push(format!("{file}: {message}"));
                        checked.problems.push(Found {
                            file,
                            line: None,
                            column: None,
                            message,
                        });
                    }
                }
                Err(error) => note(&error, &mut checked, &mut texts),
            }
        }
        checked.ok = checked.problems.is_empty();
        if json {
            say_json(&checked);
        } else if checked.ok {
            say(&format!(
                "{}: {} boards, {} modules listed, {} detectors; nothing is wrong",
                shown(&self.map),
                checked.boards,
                checked.modules,
                checked.detectors
            ));
        } else {
            texts.iter().for_each(|text| complain(text));
        }
        if checked.ok { Exit::Well } else { Exit::Usage }
    }
}

fn note(error: &MapError, checked: &mut Checked, texts: &mut Vec<String>) {
    texts.push(error.to_string());
    checked
        .problems
        .extend(error.problems().iter().map(|problem| Found {
            file: error.file().to_owned(),
            line: problem.place.map(|place| place.line),
            column: problem.place.map(|place| place.column),
            message: problem.to_string(),
        }));
}
