//! Campaigns: tunes, sweeps, switch-offs and captures of an array, which is the set of boards that
//! a hardware map lists. A *tune* finds the resonances of every module and sets a tone on each. A
//! *sweep* only measures every module over its band. A *capture* writes the sample streams to disk.
//!
//! To tune or to sweep, a [`Campaign`] connects the boards of a map, checks their identities, makes
//! sure that no other program changes their settings, runs an algorithm on every module within a
//! deadline, and records the results in a run directory. A module that was tuned keeps its tones.
//! Any other module is brought to its declared state, which is the `safe_state` that the map gives
//! for the module. But a sweep sets a module with the state `hold` as it was before. The commands
//! `tune`, `sweep`, `capture` and `off` of the program call the methods of this type, and an
//! application does the same in a few lines:
//!
//! ```
//! use twotone::campaign::{Access, Campaign};
//! use twotone::map::HardwareMap;
//! # #[cfg(feature = "sim")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let farm = twotone::sim::Farm::builder().detectors(4).start_blocking()?;
//! # let map = HardwareMap::try_from(&farm)?;
//! # let access = Access::unchecked();
//! // let (map, access) = (HardwareMap::load("map.toml")?, Access::default());
//! let campaign = Campaign::new(map).access(access).note("first light");
//! # let out = folder.path().join("tonight");
//! let tuned = campaign.tune(out).wait()?; // or `.await`
//! for board in &tuned.report.boards {
//!     println!("{}: {}", board.name, board.status.as_str());
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sim"))]
//! # fn main() {}
//! ```
//!
//! Each campaign returns a report, which serializes to the JSON that `docs/json.md` describes. The
//! report's method `completion` returns the degree to which the campaign was done.
//!
//! # Runtimes and cancelling
//! A campaign runs in a context of its own ([`tworoutine::spawn`]). Any executor can await it: a
//! multi-thread runtime, a single-threaded runtime or another one. A plain thread can wait for it.
//!
//! **On cancel**, by the token of [`Campaign::cancel`] or because the future is dropped, the
//! campaign ends the algorithms, brings the modules to their declared states, and records the
//! results so far. If the future is dropped, the campaign does this in the background, and its
//! report is lost.

mod access;
mod array_report;
#[cfg(feature = "arrow")]
mod capture;
#[cfg(feature = "arrow")]
mod capture_report;
mod completion;
pub(crate) mod detectors;
mod dry_run;
mod error;
mod measure;
mod need;
mod observer;
mod off;
mod params;
mod settings;
mod setup;
mod setup_report;
mod sweep;
mod sweep_report;
mod tune;
mod tune_report;
mod write;

pub use access::Access;
pub use array_report::ArrayReport;
#[cfg(feature = "arrow")]
pub use capture::CaptureSettings;
#[cfg(feature = "arrow")]
pub use capture_report::{CaptureReport, CapturedBoard};
pub use completion::{
    BoardStatus, Completion, RecordReport, board_warnings_in_words, repeats_in_words,
    taken_over_in_words,
};
pub use dry_run::{DryRunBoard, DryRunModule, DryRunOf, DryRunReport};
pub use error::CampaignError;
pub use observer::Observer;
pub use off::{OffBoard, OffModule, OffReport};
pub use params::{CampaignParams, ModuleParams};
pub use settings::Campaign;
pub use setup::BoardSetup;
pub use setup_report::{SetupBoard, SetupReport, SetupSetting, SetupStatus};
pub use sweep::{SweepRun, Swept};
pub use sweep_report::{SweepReport, SweptBoard, SweptModule};
pub use tune::TuneRun;
pub use tune_report::{TuneReport, TunedBoard, TunedChannel, TunedModule, detectors_in_words};
pub use write::SweepFormat;
#[cfg(feature = "arrow")]
pub(crate) use write::with_detectors;
