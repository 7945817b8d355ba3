//! Settings that all campaigns (tunes, sweeps, captures and switch-offs of the boards of a map)
//! have in common.
//!
//! At the end of a tune or a sweep, a *clean-up* brings each module to its *declared state*, which
//! is the `safe_state` that the map gives for it. But modules that were tuned keep their tones, and
//! a sweep sets a module with the state `hold` as it was before. The *manifest* is the file that
//! notes the origin and the results of a run.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tworoutine::Tworoutine;
use twotone_hal::ModuleId;

use super::{
    Access, CampaignError, CampaignParams, DryRunOf, DryRunReport, Observer, OffReport,
    SetupReport, SweepFormat, SweepRun, TuneRun, dry_run, off, setup, sweep, tune,
};
#[cfg(feature = "arrow")]
use super::{CaptureReport, CaptureSettings, capture};
use crate::Connections;
use crate::map::HardwareMap;
use crate::record::{Manifest, RecordError, UtcTime};
use crate::run::{Runner, Target};

/// Longest time, in seconds, of the clean-up that brings a module to its declared state. The time
/// is short, because operators must learn soon which tones of a lost board may be on.
const LONGEST_CLEANUP_S: f64 = 30.0;

/// Campaigns over the boards of a hardware map: the map, the settings, and a method for each kind
/// of campaign.
///
/// A clone shares the cancellation tokens, the observer and the connections with the original.
#[derive(Clone)]
pub struct Campaign {
    pub(super) map: HardwareMap,
    pub(super) params: CampaignParams,
    pub(super) access: Access,
    pub(super) deadline: Option<Duration>,
    pub(super) concurrency: usize,
    pub(super) command: Vec<String>,
    pub(super) note: Option<String>,
    pub(super) seed: Option<u64>,
    pub(super) cancel: CancellationToken,
    pub(super) abandon: CancellationToken,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) connections: Connections,
}

impl Campaign {
    /// Makes a campaign over all boards of `map`, with the parameters that follow from the map, all
    /// checks of [`Access`], and the command line of this process as its command.
    pub fn new(map: HardwareMap) -> Self {
        let command = std::env::args_os();
        Self {
            map,
            params: CampaignParams::default(),
            access: Access::default(),
            deadline: None,
            concurrency: Semaphore::MAX_PERMITS,
            command: command
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
            note: None,
            seed: None,
            cancel: CancellationToken::new(),
            abandon: CancellationToken::new(),
            observer: Arc::new(()),
            connections: Connections::none(),
        }
    }

    /// Sets the parameters of the tune or the sweep.
    #[must_use]
    pub fn params(self, params: CampaignParams) -> Self {
        Self { params, ..self }
    }

    /// Sets the checks of the boards before anything is set on them.
    #[must_use]
    pub fn access(self, access: Access) -> Self {
        Self { access, ..self }
    }

    /// Sets the longest time for each module, including its clean-up. For a switch-off, it is the
    /// longest time for each board. The default is 10 minutes, or 30 s for a switch-off. A capture
    /// ignores this time.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets the largest number of modules that the campaign works on at a time. A switch-off works
    /// on at most this number of boards at a time. 0 counts as 1. By default there is no limit. A
    /// capture ignores this number.
    #[must_use]
    pub fn concurrency(self, modules: usize) -> Self {
        Self {
            concurrency: modules.clamp(1, Semaphore::MAX_PERMITS),
            ..self
        }
    }

    /// Sets the command line for the manifest. Its first element is the program.
    #[must_use]
    pub fn command(self, command: Vec<String>) -> Self {
        Self { command, ..self }
    }

    /// Sets a note that the manifest keeps.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Sets the seed that the manifest records. For a campaign over simulated boards, it is the
    /// seed from which the caller made the boards.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets the token that ends the campaign early: unfinished modules are brought to their
    /// declared states, and the results so far are recorded.
    #[must_use]
    pub fn cancel(self, cancel: CancellationToken) -> Self {
        Self { cancel, ..self }
    }

    /// Sets the token that gives up the clean-up after a cancel: the campaign ends at once, and its
    /// report lists the channels that are left on or unknown.
    #[must_use]
    pub fn abandon(self, abandon: CancellationToken) -> Self {
        Self { abandon, ..self }
    }

    /// Sets the observer of the progress.
    #[must_use]
    pub fn observer(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer, ..self }
    }

    /// Sets the connections that the campaign uses, and leaves open for the next campaign.
    #[must_use]
    pub fn connections(self, connections: Connections) -> Self {
        Self {
            connections,
            ..self
        }
    }

    /// The map of the campaign.
    pub fn map(&self) -> &HardwareMap {
        &self.map
    }

    /// Tunes every module, leaves the tones of each tuned module on, and records the run in `out`,
    /// a directory that must not exist.
    ///
    /// If no setting of any board was changed, no run directory is left.
    ///
    /// **On cancel** see the [module](crate::campaign#runtimes-and-cancelling).
    ///
    /// # Errors
    /// If the parameters do not fit the map, if boards cannot be locked on this host, or if `out`
    /// cannot be made or has not enough space. In these cases nothing was sent to any board. A
    /// panic of the campaign is an error too. Failures of boards are in the report.
    pub fn tune<P: Into<PathBuf>>(
        &self,
        out: P,
    ) -> Tworoutine<impl Future<Output = Result<TuneRun, CampaignError>> + Send + use<P>> {
        let out = out.into();
        self.in_context(move |campaign| async move { tune::run(campaign, out).await })
    }

    /// Measures every module over its band, after the delay of its line, and records the run in
    /// `out`, a directory that must not exist. No tone of the sweep is left on.
    ///
    /// A campaign in which no module was swept to its end records nothing.
    ///
    /// **On cancel** see the [module](crate::campaign#runtimes-and-cancelling).
    ///
    /// # Errors
    /// As [`Campaign::tune`].
    pub fn sweep<P: Into<PathBuf>>(
        &self,
        out: P,
        format: SweepFormat,
    ) -> Tworoutine<impl Future<Output = Result<SweepRun, CampaignError>> + Send + use<P>> {
        let out = out.into();
        self.in_context(move |campaign| async move { sweep::run(campaign, out, format).await })
    }

    /// Estimates the requests and the time of a tune or a sweep. The dry run connects to the
    /// boards, reads their descriptions, and measures the round-trip times, but sets nothing on
    /// them.
    ///
    /// The algorithm runs on boards in memory. These boards keep their settings, respect the limits
    /// of the map, and answer with samples of a line that has a resonance at the expected frequency
    /// of each detector of the map.
    ///
    /// **On cancel** after the boards are connected, the unfinished modules have an error in the
    /// report.
    ///
    /// # Errors
    /// If the parameters do not fit the map, if the dry run is cancelled before the boards are
    /// connected, or if it panics. Failures of boards, and limits that the campaign would break,
    /// are in the report.
    pub fn dry_run(
        &self,
        of: DryRunOf,
    ) -> Tworoutine<impl Future<Output = Result<DryRunReport, CampaignError>> + Send + use<>> {
        self.in_context(move |campaign| async move { dry_run::run(campaign, of).await })
    }

    /// Sets the properties that the map has for its boards and modules, such as clocks, attenuators
    /// and scales, and reads them back. A property that has the value of the map already is not
    /// set. A property that moves the power or the phase of tones is set only while all tones
    /// that it concerns are off. With `dry_run`, everything is compared and nothing is set.
    ///
    /// A board that another program on this host has locked, or another host is setting, is not set
    /// up, as for [`Campaign::tune`].
    ///
    /// **On cancel** properties may have been set already; the report has those that are known.
    ///
    /// # Errors
    /// If boards cannot be locked on this host, in which case nothing was sent to any board, or if
    /// the set-up panics. Failures of boards are in the report.
    pub fn setup(
        &self,
        dry_run: bool,
    ) -> Tworoutine<impl Future<Output = Result<SetupReport, CampaignError>> + Send + use<>> {
        self.in_context(move |campaign| async move { setup::run(campaign, dry_run).await })
    }

    /// Switches off every tone of the map's modules, and reads back that it is off. Connections to
    /// boards that do not answer are tried again until the deadline. A board that another program
    /// on this host has locked is taken over: that program can then set nothing more on it.
    ///
    /// **On cancel** the report has the known facts about unfinished boards.
    pub fn off(&self) -> Tworoutine<impl Future<Output = OffReport> + Send + use<>> {
        let map = self.map.clone();
        let ended = self.in_context(|campaign| async move { Ok(off::run(campaign).await) });
        Tworoutine::new(async move {
            let report = ended.await;
            report.unwrap_or_else(|error| OffReport::unknown(&map, &error.to_string()))
        })
    }

    /// Captures the sample streams of the boards into `out`, a directory that must not exist.
    /// Nothing is set on any board, unless [`FastParams::is_set`](crate::capture::FastParams)
    /// switches fast streams on. These are restored afterwards, and [`Access`] applies.
    ///
    /// **On cancel** all samples received until then are written and recorded. If there are none,
    /// nothing is recorded. [`Campaign::abandon`] gives up the samples that are not yet written.
    ///
    /// # Errors
    /// If the map has no serial number of any board, if the tune cannot be read, or if `out` cannot
    /// be made or has not enough space. In these cases nothing was sent to any board. A panic of
    /// the capture is an error too. Other failures are in the report.
    #[cfg(feature = "arrow")]
    pub fn capture<P: Into<PathBuf>>(
        &self,
        out: P,
        settings: CaptureSettings,
    ) -> Tworoutine<impl Future<Output = Result<CaptureReport, CampaignError>> + Send + use<P>>
    {
        let out = out.into();
        self.in_context(move |campaign| async move { capture::run(campaign, out, settings).await })
    }

    /// Runs `work` in its own context ([`tworoutine::spawn`]). If the returned future is dropped,
    /// the campaign is cancelled, and its clean-up goes on in the background.
    pub(super) fn in_context<T, W, F>(
        &self,
        work: W,
    ) -> Tworoutine<impl Future<Output = Result<T, CampaignError>> + Send + use<T, W, F>>
    where
        T: Send + 'static,
        W: FnOnce(Self) -> F + Send + 'static,
        F: Future<Output = Result<T, CampaignError>> + Send + 'static,
    {
        let cancel = self.cancel.child_token();
        let campaign = Self {
            cancel: cancel.clone(),
            ..self.clone()
        };
        Tworoutine::new(async move {
            let _cancel_on_drop = cancel.drop_guard();
            let ended = tworoutine::spawn(work(campaign)).await;
            ended.unwrap_or_else(|ended| Err(CampaignError::Ended(ended.to_string())))
        })
    }

    /// Returns the longest time for each module.
    pub(super) fn module_deadline(&self) -> Duration {
        self.deadline.unwrap_or(Duration::from_secs(600))
    }

    /// Returns the runner that runs an algorithm on many modules.
    pub(super) fn runner(&self) -> Runner {
        let deadline = self.module_deadline();
        Runner::new()
            .deadline(deadline)
            .cleanup_share((LONGEST_CLEANUP_S / deadline.as_secs_f64()).min(0.25))
            .concurrency(self.concurrency)
            .cancel(self.cancel.clone())
            .abandon(self.abandon.clone())
    }

    /// Returns the manifest, without boards, of a run with these parameters that began at `started`
    /// and ends now.
    pub(super) fn manifest(
        &self,
        params: &impl Serialize,
        started: UtcTime,
    ) -> Result<Manifest, RecordError> {
        let mut manifest = Manifest::new(self.command.clone(), &self.map, params, started)?;
        manifest.note.clone_from(&self.note);
        manifest.seed = self.seed;
        Ok(manifest)
    }

    /// Reports to the observer the modules on which the campaign is about to run.
    pub(super) fn begin(&self, targets: &[Target]) {
        let modules: Vec<(String, ModuleId)> = targets
            .iter()
            .map(|target| (target.board.name().to_owned(), target.module))
            .collect();
        self.observer.begin(&modules);
    }
}

impl std::fmt::Debug for Campaign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Campaign")
            .field("map", &self.map.file())
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
