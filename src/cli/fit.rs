//! `twotone fit`: fits resonances to sweeps that were measured earlier.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use twotone::algorithms::Geometry;
use twotone::campaign::CampaignParams;
use twotone::fits::{FitReport, FitSource, FittedModule, fit};
use twotone::hal::{ModuleId, legible};
use twotone::input::shown as path_shown;

use super::Exit;
use super::output::{complain, say, say_json};
use super::selection::parse_module;
use super::table::{Table, shown};

/// The arguments of `twotone fit`.
#[derive(Debug, Args)]
pub(crate) struct FitSweeps {
    /// A run directory with sweeps, a file of its folder `sweeps`, or a network analysis that
    /// Periscope has exported as CSV.
    data: PathBuf,
    /// A file of tuning parameters, in TOML. Those of the search and the fits are used.
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// Connection of the detectors to the line. By default the one that was recorded, or notch.
    #[arg(long)]
    geometry: Option<Geometry>,
    /// The module of a Periscope file whose name does not contain it.
    #[arg(long, value_name = "NUMBER", value_parser = parse_module)]
    module: Option<ModuleId>,
}

#[derive(Serialize)]
struct Printed<'a> {
    ok: bool,
    data: String,
    resonances: usize,
    fitted: usize,
    #[serde(flatten)]
    report: &'a FitReport,
}

impl FitSweeps {
    pub(crate) fn run(self, json: bool) -> Exit {
        let mut params = match self.params.map(CampaignParams::load).transpose() {
            Ok(params) => params.unwrap_or_default(),
            Err(error) => return Exit::usage(&error.to_string()),
        };
        if let Some(geometry) = self.geometry {
            params.set_geometry(geometry);
        }
        let source = match FitSource::read(&self.data, self.module) {
            Ok(source) => source,
            Err(error) => return Exit::usage(&error.to_string()),
        };
        let report = fit(source, &params);
        let (resonances, fitted) = report.counts();
        let is_sound = |module: &FittedModule| {
            let found = module.find_status.is_none_or(|status| status.is_success());
            module.problem.is_none() && found
        };
        let ok =
            report.doubts.is_empty() && fitted == resonances && report.modules.iter().all(is_sound);
        if json {
            say_json(&Printed {
                ok,
                data: path_shown(&self.data),
                resonances,
                fitted,
                report: &report,
            });
        } else {
            say(table(&report).trim_end());
        }
        for doubt in &report.doubts {
            complain(&format!("WARNING: {}", legible(doubt)));
        }
        if ok { Exit::Well } else { Exit::SomeFailed }
    }
}

/// Returns a table with a line for each resonance.
fn table(report: &FitReport) -> String {
    let mut table = Table::new([
        "board", "module", "channel", "detector", "fr/MHz", "Qr", "Qc", "Qi", "phi/rad", "a",
        "status",
    ]);
    for module in &report.modules {
        for one in &module.resonances {
            let place = one.fr_hz.or(one.found_hz);
            let mut status = vec![one.status.as_str()];
            status.extend(one.flags.iter().map(|flag| flag.as_str()));
            table.row([
                module.board.clone(),
                module.module.to_string(),
                one.channel
                    .map_or_else(String::new, |channel| channel.to_string()),
                one.detector.clone().unwrap_or_default(),
                shown(place.map(|hz| hz / 1e6), 6),
                shown(one.qr, 0),
                shown(one.qc, 0),
                shown(one.qi, 0),
                shown(one.phi_rad, 3),
                shown(one.a, 3),
                status.join(", "),
            ]);
        }
        let (all, good) = (module.resonances.len(), module.resonances.iter());
        let good = good.filter(|one| one.status.is_success()).count();
        let delay = format!("delay of the line {:.2} ns", module.tau_s * 1e9);
        table.note(format!(
            "{} module {}: {}, {delay}; {good} of {all} resonances fitted",
            module.board,
            module.module,
            module.geometry.as_str(),
        ));
        let remarks = module.problem.iter().chain(&module.warnings);
        remarks.for_each(|text| {
            table.note(format!("{} module {}: {text}", module.board, module.module))
        });
    }
    table.to_string()
}
