//! A module of a capture: the columns of its file, the time that its samples cover, and its rows. A
//! row has one sample of each channel.

use std::time::Duration;

use twotone_hal::{ChannelId, Coverage, StreamBlock, StreamCounters, StreamSource};

use super::calibrated::Calibrator;
use super::due;
use super::plan::ModulePlan;
use super::receivers::Receivers;
use super::standing::Standing;
use super::write::Queue;
use crate::record::{SampleColumns, SampleRows};

/// A module of a capture.
#[derive(Debug)]
pub(super) struct ModuleIntake {
    /// Index of the module's board.
    pub(super) board: usize,
    pub(super) plan: ModulePlan,
    source: StreamSource,
    /// Time in seconds that the requested number of samples covers, if a number is requested.
    pub(super) requested_s: Option<f64>,
    /// Columns of the module's file, known from the first sample on.
    pub(super) columns: Option<SampleColumns>,
    /// Number of samples that were received but not written, because the queue to the writing
    /// thread was full.
    pub(super) unwritten: u64,
    /// Listening time (the time spent in reception so far) at the module's first sample and at its
    /// last one.
    pub(super) heard: Option<(Duration, Duration)>,
    /// Time that the module's samples cover, including the samples that are counted as lost.
    pub(super) covered: Coverage,
}

impl ModuleIntake {
    /// Intake of a module, of which this number of samples is requested, if there is one.
    pub(super) fn new(
        board: usize,
        plan: ModulePlan,
        source: StreamSource,
        samples: Option<u64>,
    ) -> Self {
        let requested = samples.zip(source.rate_hz);
        Self {
            board,
            plan,
            requested_s: requested.map(|(samples, rate_hz)| samples as f64 / rate_hz),
            source,
            columns: None,
            unwritten: 0,
            heard: None,
            covered: Coverage::new(),
        }
    }

    /// Records the samples that have come from this module, which has the index `at`, until the
    /// listening time `listened`. Begins the module's file at the first sample.
    pub(super) fn follow(
        &mut self,
        at: usize,
        receivers: &Receivers,
        listened: Duration,
        queue: &Queue,
    ) {
        let covered = receivers.coverage(at);
        if covered.samples() == self.covered.samples() {
            return;
        }
        self.covered = covered;
        self.heard.get_or_insert((listened, listened)).1 = listened;
        if self.columns.is_none()
            && let Some(channels) = receivers.channels(at)
        {
            let columns = self.columns(channels);
            queue.begin(at, columns.clone());
            self.columns = Some(columns);
        }
    }

    /// Returns the columns of the module's file.
    fn columns(&self, channels: &[ChannelId]) -> SampleColumns {
        let usable = self.plan.calibrated.iter();
        SampleColumns {
            calibrated: usable
                .filter(|one| Calibrator::can_use(channels, one))
                .copied()
                .collect(),
            channels: channels.to_vec(),
            detectors: self.plan.detectors.clone(),
            reference: self.plan.standing.as_ref().and_then(Standing::reference),
            steps_per_count: self.source.steps_per_count,
            rate_hz: self.source.rate_hz,
            ..SampleColumns::default()
        }
    }

    /// Returns [`ModuleIntake::requested_s`] if a capture of the length `asked` is as long.
    pub(super) fn requested_within(&self, asked: Duration) -> Option<f64> {
        let asked_s = asked.as_secs_f64();
        self.requested_s.filter(|seconds| *seconds <= asked_s)
    }

    /// Returns the time in seconds for which samples of this module are due (should have come).
    /// `asked` is the length of the capture since `began`, the listening time at the first sample
    /// of any module.
    pub(super) fn due_s(&self, asked: Duration, began: Option<Duration>) -> f64 {
        // A requested number of samples is due from every stream, even if the stream began late.
        if let Some(requested_s) = self.requested_within(asked) {
            return requested_s;
        }
        let late = self
            .heard
            .zip(began)
            .map(|((first, _), began)| first - began);
        due::due_s(asked, late.unwrap_or_default())
    }

    /// Returns the number of samples that were due, and the number of missing samples. Returns
    /// `None` if no sample came, because the rate is then not known.
    pub(super) fn shortfall(
        &self,
        asked: Duration,
        began: Option<Duration>,
        hold: Duration,
    ) -> Option<(u64, u64)> {
        self.heard?;
        let due_s = self.due_s(asked, began);
        Some(due::shortfall(&self.covered, due_s, hold))
    }

    /// Sends a block of samples to the writer, or counts them as unwritten.
    pub(super) fn send(&mut self, at: usize, block: StreamBlock, queue: &Queue) {
        let samples = block.samples() as u64;
        if !queue.offer(at, SampleRows::from(block)) {
            self.unwritten += samples;
        }
    }
}

/// Returns sentences about samples that were taken with a converter or an input over its range.
pub(super) fn overdriven(counters: &StreamCounters) -> impl Iterator<Item = String> {
    let counts = [
        (counters.overrange, "a converter over its range"),
        (counters.overvoltage, "an input over its voltage"),
    ];
    let some = counts.into_iter().filter(|(count, _)| *count > 0);
    some.map(|(count, what)| format!("{count} samples were taken with {what}"))
}
