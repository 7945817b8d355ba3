//! Campaigns of the program: progress on the terminal, and an end at an interrupt.

use std::path::Path;
use std::sync::Arc;

use twotone::campaign::{Campaign, CampaignParams};
use twotone::map::HardwareMap;

use super::interrupt::Interrupt;
use super::progress::Bars;

/// Sentence at the first interrupt of a campaign that sets something.
pub(crate) const INTERRUPTED: &str =
    "interrupted: ending the run and restoring the hardware; interrupt again to leave at once";

/// Longest time of each module of a tune or a sweep in seconds, unless another is given.
pub(crate) const DEADLINE_S: f64 = 600.0;

/// Reads the parameter file, if one is given.
pub(crate) fn load_params(path: Option<&Path>) -> Result<CampaignParams, String> {
    let params = path.map(CampaignParams::load).transpose();
    let params = params.map_err(|error| error.to_string())?;
    Ok(params.unwrap_or_default())
}

/// Makes a campaign over the boards of `map`. An interrupt cancels it, and a second one gives up
/// its clean-up. Progress is drawn unless `json`.
pub(crate) fn campaign(map: HardwareMap, interrupt: &Interrupt, json: bool) -> Campaign {
    Campaign::new(map)
        .cancel(interrupt.first.clone())
        .abandon(interrupt.second.clone())
        .observer(Arc::new(Bars::new(json)))
}
