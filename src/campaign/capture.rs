//! Capture of the sample streams of an array.
//!
//! A *tune* is the result of an earlier campaign that has set a tone on each resonance. It has a
//! calibration of each tuned channel.

use std::path::PathBuf;

use serde_json::{Value, json};
use tworoutine::offload;
use twotone_hal::StreamBlock;

use super::completion::board_record;
use super::need::Need;
use super::{Campaign, CampaignError, CaptureReport};
use crate::Array;
use crate::capture::{
    CaptureOutcome, CaptureParams, StreamerEnd, Switched, capture, plan, restore, switch_on,
};
use crate::record::{
    CAPTURE_FILE, Content, Failure, Manifest, RunDirectory, TuneRecord, UtcTime, Weight,
};

/// Settings of a capture.
#[derive(Debug, Clone, Default)]
pub struct CaptureSettings {
    /// Parameters of the receiver and the files. The campaign replaces the cancellation tokens in
    /// them with its own.
    pub params: CaptureParams,
    /// Run directory of a tune. If a module has tones in this tune, only the channels of these
    /// tones are captured, unless `params` has a number of channels. Samples of the tuned channels
    /// are calibrated in hertz if their tones are still set as in the tune.
    pub tune: Option<PathBuf>,
    /// Parameters to note in the manifest, which is the file with the origin of the run. If
    /// `None`, the manifest notes the length, the channels and the tune.
    pub noted: Option<Value>,
}

/// Runs the capture: checks, connects, captures, reports and records.
pub(super) async fn run(
    campaign: Campaign,
    out: PathBuf,
    settings: CaptureSettings,
) -> Result<CaptureReport, CampaignError> {
    let map = &campaign.map;
    if map.boards().iter().all(|board| board.serial.is_none()) {
        let file = map.file();
        return Err(CampaignError::Map(format!(
            "{file}: no board has a serial number, by which its packets are recognized"
        )));
    }
    let tune = settings.tune.as_ref();
    let tune = tune.map(|run| TuneRecord::read_for(map, run)).transpose()?;
    let params = CaptureParams {
        stop: campaign.cancel.clone(),
        abandon: campaign.abandon.clone(),
        ..settings.params.clone()
    };
    let need = need(&campaign, &params, tune.is_some());
    let run = need.prepare(&out, &*campaign.observer)?;
    let started = UtcTime::now();
    let is_set = params.fast.as_ref().is_some_and(|fast| fast.is_set);
    let connected = match is_set {
        true => campaign.connect().await,
        false => campaign.connect_to_listen().await,
    };
    let planned = async {
        let array = connected?;
        let planning = plan(map, &array, tune.as_ref(), &params);
        let boards = campaign.unless_cancelled(planning).await?;
        Some((boards, array))
    };
    let Some((mut boards, array)) = planned.await else {
        return Ok(CaptureReport::interrupted());
    };
    let mut manifest = match campaign.manifest(&noted(&settings), started) {
        Ok(manifest) => manifest,
        Err(error) => return Ok(CaptureReport::failed(Failure::from(&error))),
    };
    let entries = map.boards().iter();
    manifest.boards = entries
        .map(|entry| board_record(map, &array, &entry.name, "not_captured", None))
        .collect();
    let switched = match is_set {
        true => switch_on(&mut boards, params.ask_within).await,
        false => Switched::default(),
    };
    let captured = capture(boards, run, &params, &manifest.provenance("")).await;
    let ends = restore(switched).await;
    let streamers_in_doubt = !ends.iter().all(StreamerEnd::is_restored);
    let report = match captured {
        Ok((run, mut outcome)) => {
            ends.into_iter().for_each(|end| outcome.note_streamer(end));
            record(&campaign, run, manifest, outcome, &params).await
        }
        Err(error) => {
            let doubts = ends.iter().filter_map(StreamerEnd::doubt);
            CaptureReport::failed(doubts.fold(Failure::from(&error), Failure::and))
        }
    };
    Ok(CaptureReport {
        streamers_in_doubt,
        ..report
    })
}

impl Campaign {
    /// Connects to the boards, to set nothing on them. Returns `None` if the campaign is cancelled
    /// before they are connected.
    async fn connect_to_listen(&self) -> Option<Array> {
        let connecting = Array::connect_kept(&self.map, &self.connections);
        let array = self.unless_cancelled(connecting).await?;
        for error in array.failed() {
            tracing::warn!(error = %error.chain(), "not connected");
        }
        Some(array)
    }
}

/// Estimates the disk space for rows with the channels of `params`, or all channels, at the highest
/// of the usual sample rates of the boards, or of their fast ones. Channels of a tune are not
/// counted.
fn need(campaign: &Campaign, params: &CaptureParams, is_tuned: bool) -> Need {
    let families = campaign
        .map
        .boards()
        .iter()
        .map(|board| board.kind.family());
    let streams: Vec<_> = families
        .filter_map(|family| match params.fast {
            None => Some(family.usual_stream),
            Some(_) => family.fast_stream,
        })
        .collect();
    let rates = streams.iter().map(|stream| stream.rate_hz);
    let rate_hz = rates.fold(0.0, f64::max);
    let most_channels = streams.iter().map(|stream| stream.channels).max();
    let samples = params.fast.as_ref().and_then(|fast| fast.samples);
    let rows = samples.map_or(params.seconds * rate_hz, |samples| samples as f64);
    let channels = match (&params.fast, is_tuned) {
        (Some(fast), _) => {
            let named = fast.channels.values().map(|channels| channels.len() as u64);
            named.max().unwrap_or(u64::from(most_channels.unwrap_or(0)))
        }
        // The number of tones in the tune is not known here.
        (None, true) => 0,
        (None, false) => u64::from(params.channels.or(most_channels).unwrap_or(0)),
    };
    Need::of_capture(
        &campaign.map,
        rows,
        StreamBlock::ROW_BYTES as u64 + 8 * channels,
    )
}

/// Returns the parameters for the manifest.
fn noted(settings: &CaptureSettings) -> Value {
    let params = &settings.params;
    settings.noted.clone().unwrap_or_else(|| {
        json!({
            "seconds": params.seconds,
            "channels": params.channels,
            "fast": params.fast,
            // The manifest may be read from another folder.
            "tune": settings.tune.as_ref().map(|tune| std::path::absolute(tune).unwrap_or_else(|_| tune.clone())),
        })
    })
}

/// Checks once more that the tones are set as in the tune, writes the report and the manifest, and
/// moves the run directory to the requested path. Records nothing if no sample came.
async fn record(
    campaign: &Campaign,
    run: RunDirectory,
    mut manifest: Manifest,
    mut outcome: CaptureOutcome,
    params: &CaptureParams,
) -> CaptureReport {
    if outcome.received() == 0 {
        return CaptureReport::of(&outcome);
    }
    // If the capture ran for its whole time, a cancel ends the check of the tones. If a cancel has
    // already ended the capture, only the token of `Campaign::abandon` ends the check.
    let end = match outcome.stopped {
        true => &campaign.abandon,
        false => &campaign.cancel,
    };
    outcome.check_tune(params.ask_within, end).await;
    let mut report = CaptureReport::of(&outcome);
    report.note_in(&mut manifest);
    manifest.ended = UtcTime::now();
    let path = run.path().display().to_string();
    report.run_directory = outcome.not_written.is_none().then_some(path);
    let broken = outcome.not_written.take();
    let recording = offload(move || {
        let is_broken = broken.is_some();
        let recorded = {
            let contents = [Content::json(CAPTURE_FILE, Weight::Needed, &report)];
            run.record(manifest, &contents, broken)
        };
        report.note(recorded, is_broken);
        report
    });
    recording.await
}

impl CaptureReport {
    /// Report of a capture that could not begin, or ended without a result.
    fn failed(error: Failure) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }

    /// Report of a campaign that was cancelled before the capture began.
    fn interrupted() -> Self {
        Self {
            interrupted: true,
            ..Self::default()
        }
    }
}
