//! Result of tuning a module.

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
use crate::geometry::Geometry;
use crate::network_analysis::NetworkAnalysisOutcome;
use crate::session::Session;

/// Status of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelStatus {
    /// The tone is at the intended point of its detector, and its samples are calibrated.
    Tuned,
    /// The tone is not at the intended point of its detector, or its samples are not calibrated.
    /// [`ChannelOutcome::reason`] has the cause.
    Failed,
}

/// Reason of a channel's status. In files it is written as [`Reason::as_str`] returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The channel is tuned.
    Ok,
    /// The resonance is too far from its fitted frequency, or its distance cannot be calculated:
    /// see [`ChannelOutcome::offset_lw`].
    OffCentre,
    /// Detectors that are closer than [`FindParams::collided_lw`] linewidths share one tone.
    ///
    /// [`FindParams::collided_lw`]: crate::finding::FindParams::collided_lw
    Collided,
    /// The tone cannot be placed, or the derivative of its samples with respect to the resonance
    /// frequency cannot be calculated.
    NotPlaced,
    /// A converter was over its range while the tones of the module were calibrated.
    Overrange,
    /// So many other resonances of the module are of another geometry than the one of the tune that
    /// this one, whose fit succeeded, is in doubt too.
    GeometryInDoubt,
    /// The resonance is so near an end of the module's range, or of the reach of the NCO, that a
    /// sweep over it or its tone would be outside. The channel is off.
    Edge,
    /// The fit failed, or the samples at the tone are not finite numbers, or the resonator is
    /// bifurcated. The amplitude of the tone of a bifurcated resonator was lowered.
    #[serde(untagged)]
    Fit(FitStatus),
}

impl Reason {
    /// All reasons, `Ok` first.
    pub fn all() -> impl Iterator<Item = Self> {
        let own = [
            Self::Ok,
            Self::OffCentre,
            Self::Collided,
            Self::NotPlaced,
            Self::Overrange,
            Self::GeometryInDoubt,
            Self::Edge,
        ];
        let failed = FitStatus::ALL.into_iter().filter(|fit| !fit.is_success());
        own.into_iter().chain(failed.map(Self::Fit))
    }

    /// Name in files and tables, which stays the same in all versions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::OffCentre => "off_centre",
            Self::Collided => "collided",
            Self::NotPlaced => "not_placed",
            Self::Overrange => "overrange",
            Self::GeometryInDoubt => "geometry_in_doubt",
            Self::Edge => "edge",
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
    /// Name in files and tables, which stays the same in all versions.
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

/// Tone of a channel, and the detector that it measures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelOutcome {
    /// The module.
    pub module: ModuleId,
    /// The channel.
    pub channel: ChannelId,
    /// Status of the channel.
    pub status: ChannelStatus,
    /// Reason of the status.
    pub reason: Reason,
    /// Flags about the surroundings of the resonance.
    pub flags: Vec<Flag>,
    /// Absolute frequency of the tone as set, in hertz. If the channel is off, the frequency of
    /// the resonance that the search found.
    pub tone_hz: f64,
    /// Frequency of the NCO, in hertz.
    pub nco_hz: f64,
    /// Amplitude of the tone, as a fraction of full scale; 0 if the channel is off.
    pub amplitude: f64,
    /// Phase of the tone's carrier as set, in radians. `None` if the resonance was not swept, or
    /// in tunes of versions that did not record it.
    #[serde(default)]
    pub phase_rad: Option<f64>,
    /// Resonance frequency at vanishing power, in hertz. This field and the fields up to `a` are
    /// `None` if the fit failed.
    pub fr_hz: Option<f64>,
    /// Total quality factor.
    pub qr: Option<f64>,
    /// Coupling quality factor. This field and the next two are also `None` for a peak, whose
    /// samples do not determine them.
    pub qc: Option<f64>,
    /// Internal quality factor.
    pub qi: Option<f64>,
    /// Asymmetry angle, in radians.
    pub phi_rad: Option<f64>,
    /// Nonlinearity at the tone's amplitude.
    pub a: Option<f64>,
    /// Detuning at which the tone was placed, in linewidths. It includes the shift of the
    /// resonance by the power in the resonator. `None` if the tone was not placed on a fitted
    /// resonator.
    pub y: Option<f64>,
    /// Shift of the tone by rounding to the grid of
    /// [`PlacementParams::grid_hz`](crate::placement::PlacementParams::grid_hz), in hertz.
    pub rounding_hz: f64,
    /// Shift of the resonance from its fitted frequency, in linewidths, as the samples at the tone
    /// show it. `None` if it cannot be calculated.
    pub offset_lw: Option<f64>,
    /// Calibration of the samples, which are in readout counts. `None` if there is no calibration.
    pub calibration: Option<Calibration>,
    /// The fit, successful or not. If the resonance was not swept, it has the status
    /// [`FitStatus::TooFewPoints`].
    pub fit: Fit,
}

/// Tone that is not on a resonance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReferenceTone {
    /// The channel.
    pub channel: ChannelId,
    /// Absolute frequency, in hertz.
    pub tone_hz: f64,
    /// Amplitude, as a fraction of full scale.
    pub amplitude: f64,
    /// Sample at the time of the calibration, in readout counts.
    pub z0: Complex64,
}

/// Resonance without a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotToned {
    /// Frequency of the resonance, in hertz.
    pub fr_hz: f64,
    /// Reason that it has no channel.
    pub reason: NotTonedReason,
}

/// Reason that a resonance has no channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotTonedReason {
    /// The resonance shares the tone of another resonance, with which it collides and whose channel
    /// has the reason [`Reason::Collided`].
    Collided,
    /// The module has no channel left.
    NoChannel,
    /// The resonance is beyond the reach of the NCO.
    OutsideNcoSpan,
}

impl NotTonedReason {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Collided, Self::NoChannel, Self::OutsideNcoSpan];

    /// Name in files and tables, which stays the same in all versions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Collided => "collided",
            Self::NoChannel => "no_channel",
            Self::OutsideNcoSpan => "outside_nco_span",
        }
    }
}

/// Result of the tune of a module. Its calibrations are valid only until the board loses its
/// settings, which ends `epoch`, or the module its phase reference, which ends `phase_epoch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneOutcome {
    /// The module.
    pub module: ModuleId,
    /// The band that was searched.
    pub band: Band,
    /// Connection of the detectors to the line, as the tune was given it.
    #[serde(default)]
    pub geometry: Geometry,
    /// Epoch of the board in which the result is valid.
    pub epoch: Epoch,
    /// Phase epoch in which the calibrations are valid.
    pub phase_epoch: PhaseEpoch,
    /// Frequency of the NCO, in hertz.
    pub nco_hz: f64,
    /// One entry for each resonance that has a channel, in order of channels. Channels with the
    /// reason [`Reason::Edge`] are off.
    pub channels: Vec<ChannelOutcome>,
    /// Reference tones, which are not on resonances.
    pub references: Vec<ReferenceTone>,
    /// Resonances without a channel.
    pub not_toned: Vec<NotToned>,
    /// Warnings of all stages, a sentence each: the warnings of the cable delay, the network
    /// analysis, the search, the fine sweep and the calibration, and the warnings of the tune as a
    /// whole.
    pub warnings: Vec<String>,
    /// The delay of the line.
    pub cable_delay: CableDelayOutcome,
    /// Result of the search.
    pub find: FindOutcome,
    /// The sweep of the whole band.
    pub network_analysis: NetworkAnalysisOutcome,
    /// Sweeps of the last pass over the resonances; `None` if no resonance was swept.
    pub fine_sweep: Option<FineSweepOutcome>,
}

impl TuneOutcome {
    pub(super) fn new(
        session: &Session<'_>,
        band: Band,
        geometry: Geometry,
        cable_delay: CableDelayOutcome,
        network_analysis: NetworkAnalysisOutcome,
        find: FindOutcome,
    ) -> Self {
        let warnings = [
            cable_delay.warnings(),
            network_analysis.warnings(),
            find.warnings(),
        ];
        Self {
            module: session.module,
            band,
            geometry,
            epoch: session.epoch,
            phase_epoch: session.nco.phase_epoch,
            nco_hz: session.nco.frequency.0,
            channels: Vec::new(),
            references: Vec::new(),
            not_toned: Vec::new(),
            warnings: warnings.concat(),
            cable_delay,
            find,
            network_analysis,
            fine_sweep: None,
        }
    }

    /// Returns the number of resonances with a tone.
    pub fn toned(&self) -> usize {
        let on = self.channels.iter().filter(|c| c.amplitude != 0.0);
        on.count()
    }

    /// Returns the number of channels that can be used.
    pub fn tuned(&self) -> usize {
        self.channels
            .iter()
            .filter(|c| c.status == ChannelStatus::Tuned)
            .count()
    }
}

/// Writes the number of channels that can be used, and the number of all channels.
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
        for reason in Reason::all() {
            let written = serde_json::to_value(reason).unwrap();
            assert_eq!(written, reason.as_str());
            assert_eq!(serde_json::from_value::<Reason>(written).unwrap(), reason);
        }
        assert_eq!(Reason::from(FitStatus::Success), Reason::Ok);
        assert_eq!(serde_json::to_value(ChannelStatus::Tuned).unwrap(), "tuned");
    }

    /// Checks the lists of all variants. It does not compile if a variant is missing here, as a
    /// reminder to add the variant to its list.
    #[test]
    fn lists_of_all_variants_are_complete() {
        use crate::chunks::JoinStatus as J;
        use crate::delay::DelayStatus as D;
        use crate::finding::FindStatus as F;
        use NotTonedReason as N;
        for (at, one) in D::ALL.into_iter().enumerate() {
            let place = match one {
                D::Success => 0,
                D::TooFewPoints => 1,
                D::NonFinite => 2,
                D::NoSignal => 3,
                D::TooManyRejected => 4,
                D::Uncertain => 5,
                D::Ambiguous => 6,
            };
            assert_eq!(
                (place, serde_json::to_value(one).unwrap()),
                (at, one.as_str().into())
            );
        }
        for (at, one) in J::ALL.into_iter().enumerate() {
            let place = match one {
                J::Success => 0,
                J::TooLittleOverlap => 1,
                J::Inconsistent => 2,
            };
            assert_eq!(
                (place, serde_json::to_value(one).unwrap()),
                (at, one.as_str().into())
            );
        }
        for (at, one) in F::ALL.into_iter().enumerate() {
            let place = match one {
                F::Success => 0,
                F::TooFewPoints => 1,
                F::NonFinite => 2,
                F::NotAscending => 3,
                F::NoSignal => 4,
                F::TooCoarse => 5,
                F::InvalidParameters => 6,
            };
            assert_eq!(
                (place, serde_json::to_value(one).unwrap()),
                (at, one.as_str().into())
            );
        }
        for (at, one) in N::ALL.into_iter().enumerate() {
            let place = match one {
                N::Collided => 0,
                N::NoChannel => 1,
                N::OutsideNcoSpan => 2,
            };
            assert_eq!(
                (place, serde_json::to_value(one).unwrap()),
                (at, one.as_str().into())
            );
        }
        let own = Reason::all().filter(|one| match one {
            Reason::Ok
            | Reason::OffCentre
            | Reason::Collided
            | Reason::NotPlaced
            | Reason::Overrange
            | Reason::GeometryInDoubt
            | Reason::Edge => true,
            Reason::Fit(_) => false,
        });
        assert_eq!(own.count(), 7);
    }
}
