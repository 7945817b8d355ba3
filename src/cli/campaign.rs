//! Campaigns (tunes, sweeps, captures and switch-offs) that the program runs: they show progress on
//! the terminal, and an interrupt (Ctrl-C) ends them.

use std::path::Path;
use std::sync::Arc;

use twotone::campaign::{Campaign, CampaignParams};
use twotone::input::{self, shown};
use twotone::map::HardwareMap;

use super::interrupt::Interrupt;
use super::job;
use super::progress::Bars;

/// Message at the first interrupt of a campaign that changes settings.
pub(crate) const INTERRUPTED: &str =
    "interrupted: ending the run and restoring the hardware; interrupt again to leave at once";

/// Default of the longest time for each module of a tune or a sweep, in seconds.
pub(crate) const DEADLINE_S: f64 = 600.0;

/// Reads the parameter file, or returns the defaults if the command line names none.
pub(crate) fn load_params(path: Option<&Path>) -> Result<CampaignParams, String> {
    let Some(path) = path else {
        return Ok(CampaignParams::default());
    };
    let file = shown(path);
    let text = job::read_text(path, input::PARAMS_BYTES);
    let text = text.map_err(|error| format!("{file}: {error}"))?;
    let params = CampaignParams::parse(&text, &file).map_err(|error| error.to_string())?;
    match params.problem_alone() {
        Some(problem) => Err(format!("{file}: {problem}")),
        None => Ok(params),
    }
}

/// Creates a campaign over the boards of `map`. The first interrupt cancels it, and the second
/// skips its clean-up, which would bring each module to the state that the map declares for it.
/// Progress is drawn on the terminal unless `json` is true.
pub(crate) fn campaign(map: HardwareMap, interrupt: &Interrupt, json: bool) -> Campaign {
    let campaign = Campaign::new(map)
        .cancel(interrupt.first.clone())
        .abandon(interrupt.second.clone());
    let Some(here) = job::current() else {
        return campaign.observer(Arc::new(Bars::new(json)));
    };
    let command = here.job.submission.command.iter().cloned();
    campaign
        .command(
            std::iter::once("twotone".to_owned())
                .chain(command)
                .collect(),
        )
        .connections(here.connections.clone())
        .observer(here.job.clone())
}
