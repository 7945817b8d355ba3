//! What tuning a module answers.

use std::fmt;

use num_complex::Complex64;
use serde::{Deserialize, Serialize};
use twotone_hal::{ChannelId, Epoch, ModuleId, PhaseEpoch};

use crate::band::Band;
use crate::cable_delay::CableDelayOutcome;
use crate::calibration::Calibration;
use crate::finding::{FindOutcome, Flag};
use crate::fine_sweep::FineSweepOutcome;
use crate::fit::{Fit, FitStatus};
use crate::network_analysis::NetworkAnalysisOutcome;
use crate::session::Session;

/// Whether a channel can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelStatus {
    /// The tone sits on its detector, and its samples are calibrated.
    Tuned,
    /// It does not; the reason says why.
    Failed,
}

/// Why a channel has its status. The names are stable: one of these, or that of a fit's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Nothing is wrong.
    Ok,
    /// The tone was found away from where it was put.
    OffCentre,
    /// One tone has to do for two detectors less than a linewidth apart.
    Collided,
    /// The tone cannot be placed, or its derivative is not finite.
    NotPlaced,
    /// A converter was over its range while the channel was calibrated.
    Overrange,
    /// The fit failed. The amplitude of a tone whose resonator has two states was lowered.
    #[serde(untagged)]
    Fit(FitStatus),
}

impl Reason {
    /// The stable name, as it stands in files and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::OffCentre => "off_centre",
            Self::Collided => "collided",
            Self::NotPlaced => "not_placed",
            Self::Overrange => "overrange",
            Self::Fit(status) => status.as_str(),
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ChannelStatus {
    /// The stable name, as it stands in files and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tuned => "tuned",
            Self::Failed => "failed",
        }
    }
}

impl std::fmt::Display for ChannelStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<FitStatus> for Reason {
    fn from(status: FitStatus) -> Self {
        match status {
            FitStatus::Success => Self::Ok,
            failed => Self::Fit(failed),
        }
    }
}

/// One tone and its detector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelOutcome {
    /// The module.
    pub module: ModuleId,
    /// The channel.
    pub channel: ChannelId,
    /// Whether it can be used.
    pub status: ChannelStatus,
    /// Why.
    pub reason: Reason,
    /// What the surroundings of its resonance mean for it.
    pub flags: Vec<Flag>,
    /// Absolute frequency of the tone as set, in hertz.
    pub tone_hz: f64,
    /// NCO, in hertz.
    pub nco_hz: f64,
    /// Amplitude of the tone, as a fraction of full scale.
    pub amplitude: f64,
    /// Phase of the tone's carrier as set, in radians; `None` in the tunes of versions that did not
    /// record it.
    #[serde(default)]
    pub phase_rad: Option<f64>,
    /// Resonance frequency at vanishing power, in hertz; as all that follow, of a successful fit.
    pub fr_hz: Option<f64>,
    /// Total quality factor.
    pub qr: Option<f64>,
    /// Coupling quality factor.
    pub qc: Option<f64>,
    /// Internal quality factor.
    pub qi: Option<f64>,
    /// Asymmetry angle, in radians.
    pub phi_rad: Option<f64>,
    /// Nonlinearity at the tone's amplitude.
    pub a: Option<f64>,
    /// Detuning of the tone with the pull in it, in linewidths, that it was put at.
    pub y: Option<f64>,
    /// What rounding to a grid moved the tone by, in hertz.
    pub rounding_hz: f64,
    /// Distance at which the tone was found from there, in linewidths.
    pub offset_lw: Option<f64>,
    /// `D`, `z0` and rotation: what the samples mean, in readout counts.
    pub calibration: Option<Calibration>,
    /// The fit, whatever its status.
    pub fit: Fit,
}

/// A tone off resonance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReferenceTone {
    /// The channel.
    pub channel: ChannelId,
    /// Absolute frequency, in hertz.
    pub tone_hz: f64,
    /// Amplitude, as a fraction of full scale.
    pub amplitude: f64,
    /// Its sample when the channels were calibrated, in readout counts.
    pub z0: Complex64,
}

/// A resonance without a tone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotToned {
    /// Its frequency, in hertz.
    pub fr_hz: f64,
    /// Why.
    pub reason: NotTonedReason,
}

/// Why a resonance has no tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotTonedReason {
    /// It collides with a better one, which has the tone.
    Collided,
    /// The module has no channel left.
    NoChannel,
    /// It lies beyond the reach of the NCO.
    OutsideNcoSpan,
}

/// A tuned module. Its calibrations hold for `epoch` and `phase_epoch` only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneOutcome {
    /// The module.
    pub module: ModuleId,
    /// The band that was searched.
    pub band: Band,
    /// Life of the board's state that this belongs to.
    pub epoch: Epoch,
    /// Phase reference that the calibrations belong to.
    pub phase_epoch: PhaseEpoch,
    /// NCO that the tones are set with, in hertz.
    pub nco_hz: f64,
    /// One entry for each tone on a resonance, by channel.
    pub channels: Vec<ChannelOutcome>,
    /// Tones off resonance.
    pub references: Vec<ReferenceTone>,
    /// Resonances without a tone.
    pub not_toned: Vec<NotToned>,
    /// What went less well, in words.
    pub warnings: Vec<String>,
    /// The delay of the line.
    pub cable_delay: CableDelayOutcome,
    /// What the search found.
    pub find: FindOutcome,
    /// The sweep of the whole band.
    pub network_analysis: NetworkAnalysisOutcome,
    /// The last sweeps over each resonance; `None` where none was found.
    pub fine_sweep: Option<FineSweepOutcome>,
}

impl TuneOutcome {
    pub(super) fn new(
        session: &Session<'_>,
        band: Band,
        cable_delay: CableDelayOutcome,
        network_analysis: NetworkAnalysisOutcome,
        find: FindOutcome,
    ) -> Self {
        Self {
            module: session.module,
            band,
            epoch: session.epoch,
            phase_epoch: session.nco.phase_epoch,
            nco_hz: session.nco.frequency.0,
            channels: Vec::new(),
            references: Vec::new(),
            not_toned: Vec::new(),
            warnings: Vec::new(),
            cable_delay,
            find,
            network_analysis,
            fine_sweep: None,
        }
    }

    /// Number of channels that can be used.
    #[must_use]
    pub fn tuned(&self) -> usize {
        self.channels
            .iter()
            .filter(|c| c.status == ChannelStatus::Tuned)
            .count()
    }
}

/// How many of the channels that carry a tone can be used.
impl fmt::Display for TuneOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} channels tuned",
            self.tuned(),
            self.channels.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_files_and_in_tables_are_the_same() {
        let own = [
            Reason::Ok,
            Reason::OffCentre,
            Reason::Collided,
            Reason::NotPlaced,
            Reason::Overrange,
        ];
        let of_fits = [
            FitStatus::TooFewPoints,
            FitStatus::NonFinite,
            FitStatus::NoSignal,
            FitStatus::NoResonance,
            FitStatus::NoConvergence,
            FitStatus::ResidualTooLarge,
            FitStatus::OutsideSweep,
            FitStatus::NegativeQi,
            FitStatus::Undersampled,
            FitStatus::TooWide,
            FitStatus::FrUncertain,
            FitStatus::AUncertain,
            FitStatus::Bifurcated,
        ];
        for reason in own.into_iter().chain(of_fits.map(Reason::from)) {
            let written = serde_json::to_value(reason).unwrap();
            assert_eq!(written, reason.as_str());
            assert_eq!(serde_json::from_value::<Reason>(written).unwrap(), reason);
        }
        assert_eq!(Reason::from(FitStatus::Success), Reason::Ok);
        assert_eq!(serde_json::to_value(ChannelStatus::Tuned).unwrap(), "tuned");
    }
}
