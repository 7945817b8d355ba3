//! Fits of resonances to sweeps that were measured earlier, without a board: the sweeps of a run
//! directory of this program, or a network analysis of the Python program Periscope.
//!
//! ```no_run
//! use twotone::campaign::CampaignParams;
//! use twotone::fits::{FitSource, fit};
//!
//! let source = FitSource::read("2026-11-22-night", None).unwrap();
//! let report = fit(source, &CampaignParams::default());
//! for module in &report.modules {
//!     println!("{} module {}: {} resonances", module.board, module.module, module.resonances.len());
//! }
//! ```

mod periscope;
mod report;
mod source;
#[cfg(test)]
mod tests;

#[cfg(feature = "arrow")]
pub(crate) use report::fine_sweeps;
pub use report::{FitReport, FittedModule, FittedResonance, fit};
pub use source::{FitSource, SourceTable};
