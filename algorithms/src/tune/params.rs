//! Parameters of tuning a module.

use serde::{Deserialize, Serialize};

use crate::band::Band;
use crate::cable_delay::CableDelayParams;
use crate::finding::FindParams;
use crate::fine_sweep::FineSweepParams;
use crate::fit::FitParams;
use crate::network_analysis::NetworkAnalysisParams;
use crate::placement::PlacementParams;

/// Parameters of tuning a module. Every part has defaults that suit detectors of some 50 to 100 kHz
/// linewidth between 1 and 1.5 GHz.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TuneParams {
    /// The part of the spectrum that the module's detectors lie in. If it is not given: the range
    /// that the hardware map holds the module to, or [`Band::default`] for a module that is held
    /// to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub band: Option<Band>,
    /// Amplitude of the tones on the detectors, in the fine sweep and after, as a fraction of
    /// full scale.
    pub tone_amplitude: f64,
    /// Tones off resonance that carry the common drift of gain, phase and delay; 0 for none.
    pub reference_tones: usize,
    /// Fine sweeps, each centred on the fits of the one before; 1 to 4.
    pub sweep_passes: usize,
    /// Samples averaged at the placed tones.
    pub calibration_samples: u32,
    /// A tone that is found further than this from where it was put, in linewidths, is
    /// `off_centre`.
    pub max_offset_lw: f64,
    /// The delay's measurement.
    pub cable_delay: CableDelayParams,
    /// The sweep of the whole band.
    pub network_analysis: NetworkAnalysisParams,
    /// The search.
    pub find: FindParams,
    /// The sweeps over each resonance.
    pub fine_sweep: FineSweepParams,
    /// The fits.
    pub fit: FitParams,
    /// The tones' places.
    pub placement: PlacementParams,
}

impl Default for TuneParams {
    fn default() -> Self {
        Self {
            band: None,
            tone_amplitude: 0.002,
            reference_tones: 8,
            sweep_passes: 1,
            calibration_samples: 20,
            max_offset_lw: 0.1,
            cable_delay: CableDelayParams::default(),
            network_analysis: NetworkAnalysisParams::default(),
            find: FindParams::default(),
            fine_sweep: FineSweepParams::default(),
            fit: FitParams::default(),
            placement: PlacementParams::default(),
        }
    }
}

impl TuneParams {
    /// Reason that these parameters cannot be used, or `None` if they can. Conditions that depend
    /// on the board are checked when it is known.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let own = crate::params::out_of_range(&[
            ("tone_amplitude", self.tone_amplitude, 1e-9, 1.0),
            ("reference_tones", self.reference_tones as f64, 0.0, 1024.0),
            ("sweep_passes", self.sweep_passes as f64, 1.0, 4.0),
            (
                "calibration_samples",
                f64::from(self.calibration_samples),
                1.0,
                1e6,
            ),
            ("max_offset_lw", self.max_offset_lw, 1e-3, 1.0),
        ]);
        let part = |name: &str, problem: Option<String>| problem.map(|p| format!("{name}: {p}"));
        own.or_else(|| self.band.as_ref().and_then(Band::problem))
            .or_else(|| part("cable_delay", self.cable_delay.problem()))
            .or_else(|| part("network_analysis", self.network_analysis.problem()))
            .or_else(|| part("find", self.find.problem()))
            .or_else(|| part("fine_sweep", self.fine_sweep.problem()))
            .or_else(|| part("fit", self.fit.problem()))
            .or_else(|| part("placement", self.placement.problem()))
    }
}
