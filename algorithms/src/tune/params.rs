//! Parameters of the tune of a module.

use serde::{Deserialize, Serialize};

use crate::band::Band;
use crate::cable_delay::CableDelayParams;
use crate::finding::FindParams;
use crate::fine_sweep::FineSweepParams;
use crate::fit::FitParams;
use crate::geometry::Geometry;
use crate::network_analysis::NetworkAnalysisParams;
use crate::placement::PlacementParams;

/// Parameters of the tune of a module. All have defaults for detectors with a linewidth of some 50
/// to 100 kHz between 1 and 1.5 GHz.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TuneParams {
    /// Range of frequencies of the module's detectors. If it is not given, the module's range in
    /// the hardware map is used, or [`Band::default`] if the map has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub band: Option<Band>,
    /// Connection of the detectors to the line. In a campaign, the map's module has it unless the
    /// parameters do.
    pub geometry: Geometry,
    /// Amplitude of the tones on the detectors, from the fine sweep on, as a fraction of full
    /// scale.
    pub tone_amplitude: f64,
    /// Number of reference tones, which are not on resonances and measure the common drift of
    /// gain, phase and delay. With [`Geometry::Peak`] they measure what leaks past the resonators,
    /// and are left out where this is hardly more than noise.
    pub reference_tones: usize,
    /// Number of fine sweeps over each resonance, 1 to 4. The first is centred on the frequency of
    /// the search, each later one on the fit of the sweep before.
    pub sweep_passes: usize,
    /// Number of samples averaged at the placed tones.
    pub calibration_samples: u32,
    /// Largest absolute value of [`ChannelOutcome::offset_lw`](crate::ChannelOutcome::offset_lw),
    /// in linewidths. If it is larger, the channel has the reason `off_centre`.
    pub max_offset_lw: f64,
    /// Parameters of the measurement of the delay.
    pub cable_delay: CableDelayParams,
    /// Parameters of the sweep of the whole band.
    pub network_analysis: NetworkAnalysisParams,
    /// Parameters of the search.
    pub find: FindParams,
    /// Parameters of the sweeps over each resonance.
    pub fine_sweep: FineSweepParams,
    /// Parameters of the fits.
    pub fit: FitParams,
    /// Parameters of the placement of tones.
    pub placement: PlacementParams,
}

impl Default for TuneParams {
    fn default() -> Self {
        Self {
            band: None,
            geometry: Geometry::Notch,
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
    /// Returns the reason that these parameters cannot be used, or `None` if they can. Conditions
    /// that depend on the board are checked later, when the description of the board is known.
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
            .or_else(|| part("find", self.find.problem_for(self.geometry)))
            .or_else(|| part("fine_sweep", self.fine_sweep.problem()))
            .or_else(|| part("fit", self.fit.problem()))
            .or_else(|| part("placement", self.placement.problem()))
            .or_else(|| part("placement", self.placement.problem_for(self.geometry)))
    }
}
