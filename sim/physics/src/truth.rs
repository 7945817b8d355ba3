//! True parameters of detectors, for truth files, and the true state of tones.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use crate::circuit::{Circuit, Geometry};
use crate::detector::Detector;
use crate::profile::ProfileParams;
use crate::units;

/// Distance in linewidths. A detector is collided if a neighbour is nearer.
pub const COLLIDED_LW: f64 = 1.0;
/// Distance in linewidths. A detector is crowded if a neighbour is nearer.
pub const CROWDED_LW: f64 = 5.0;
/// Distance in linewidths. A detector is isolated if no neighbour is nearer.
pub const ISOLATED_LW: f64 = 20.0;

/// True parameters of a detector under nominal conditions at low power. Distances to neighbours are
/// in linewidths of the wider of the two detectors. Dead detectors do not count as neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruthDetector {
    /// Number in the order of the design frequencies.
    pub id: u32,
    /// Resonance frequency, Hz.
    pub fr_hz: f64,
    /// Total quality factor.
    pub qr: f64,
    /// Coupling quality factor (diameter-corrected).
    pub qc: f64,
    /// Internal quality factor.
    pub qi: f64,
    /// Asymmetry, rad.
    pub phi_rad: f64,
    /// Linewidth fr/Qr, Hz.
    pub linewidth_hz: f64,
    /// Connection of the detector to the line.
    #[serde(default)]
    pub geometry: Geometry,
    /// Depth of the dip below the feedline, or height of the peak above the leak, dB; 0 for a dead
    /// detector.
    pub depth_db: f64,
    /// Nonlinearity `a` ([`crate::kerr`]) per mW on the feedline.
    pub a_per_mw: f64,
    /// Nonlinearity `a` of a tone of amplitude 1 at the default DAC scale, without the response of
    /// the DAC ([`crate::converter`]). `a` is proportional to the square of the amplitude.
    pub a_per_amplitude2: f64,
    /// True if the detector does not resonate.
    pub dead: bool,
    /// True if the detector is not dead and has no neighbour within 20 linewidths.
    pub isolated: bool,
    /// True if there is a neighbour within 5 linewidths; false for a dead detector.
    pub crowded: bool,
    /// True if there is a neighbour within 1 linewidth; false for a dead detector.
    pub collided: bool,
    /// Distance to the nearest neighbour, linewidths; `None` if there is none, and for a dead
    /// detector.
    pub neighbour_lw: Option<f64>,
    /// Id of the detector to which this one is coupled.
    pub partner: Option<u32>,
    /// Share of the frequency shifts of the partner in the shifts of this detector.
    pub mixing: f64,
    /// Power spectral density of the two-level-system noise at 1 Hz, in 1/Hz, while stored energy
    /// pulls the resonance down by 0.1 linewidth ([`crate::kerr`]).
    pub tls: f64,
    /// Time constant of the ring-down, s.
    pub ringdown_s: f64,
    /// Total delay of the line, s.
    pub tau_s: f64,
}

/// True state of a tone at its present frequency and power.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// Id of the detector that is nearest to the tone in linewidths. Dead detectors are left out.
    pub detector: u32,
    /// Present resonance frequency of that detector at low power, Hz.
    pub fr_hz: f64,
    /// Present total quality factor at the power of the tone.
    pub qr: f64,
    /// Present internal quality factor at the power of the tone.
    pub qi: f64,
    /// Nonlinearity `a` at the power of the tone, for the present Qr.
    pub a: f64,
    /// Detuning from the low-power resonance, linewidths.
    pub y0: f64,
    /// Detuning from the resonance, which stored energy has pulled down ([`crate::kerr`]), on the
    /// present branch, linewidths.
    pub y: f64,
    /// Settled mean of the samples of the channel, counts, with all phases.
    pub sample: Complex64,
    /// Change of the sample per hertz of fr, counts/Hz, on the present branch and with the Kerr
    /// feedback.
    pub d_per_hz: Complex64,
    /// Change of the sample per unit of 1/Qi, counts.
    pub d_per_inv_qi: Complex64,
}

/// Returns the true parameters of detectors, which must be sorted by frequency, of a module with
/// these parameters, on a line with a given total delay.
pub fn of(detectors: &[Detector], params: &ProfileParams, tau_s: f64) -> Vec<TruthDetector> {
    let alive: Vec<&Detector> = detectors.iter().filter(|d| !d.dead).collect();
    let full_scale_dbm = units::tone_dbm(units::DEFAULT_DAC_SCALE_DBM, 1.0);
    let full_scale_mw = units::dbm_to_mw(full_scale_dbm - params.cold_attenuation_db);
    detectors
        .iter()
        .map(|d| {
            let neighbour = if d.dead { None } else { nearest(&alive, d) };
            let apart = |limit: f64| neighbour.is_none_or(|lw| lw >= limit);
            TruthDetector {
                id: d.id,
                fr_hz: d.fr_hz,
                qr: d.qr(),
                qc: d.qc,
                qi: d.qi,
                phi_rad: d.phi_rad,
                linewidth_hz: d.linewidth_hz(),
                geometry: params.geometry,
                depth_db: if d.dead {
                    0.0
                } else {
                    depth_db(d, params.geometry, params.leak_db)
                },
                a_per_mw: d.a_per_mw,
                a_per_amplitude2: d.a_per_mw * full_scale_mw,
                dead: d.dead,
                isolated: !d.dead && apart(ISOLATED_LW),
                crowded: !apart(CROWDED_LW),
                collided: !apart(COLLIDED_LW),
                neighbour_lw: neighbour,
                partner: d.partner,
                mixing: d.mixing,
                tls: d.tls,
                ringdown_s: d.ringdown_s(),
                tau_s,
            }
        })
        .collect()
}

/// Depth of the dip of a detector, or height of its peak above the leak, dB.
fn depth_db(d: &Detector, geometry: Geometry, leak_db: f64) -> f64 {
    let on_resonance = Circuit::of(d, geometry).map(|circuit| circuit.factor(d.qr() / d.qi, 0.0));
    let db = |ratio: f64| 20.0 * ratio.max(1e-12).log10();
    match (geometry, on_resonance) {
        (Geometry::Peak, Some(factor)) => db((1.0 - factor).norm()) - leak_db,
        (_, Some(factor)) => -db(factor.norm()),
        (_, None) => d.depth_db(),
    }
}

/// Distance to the nearest detector that is not dead, in linewidths of the wider of the two.
fn nearest(alive: &[&Detector], of: &Detector) -> Option<f64> {
    // A wide neighbour can be nearer in linewidths than a narrow neighbour at a smaller distance in
    // hertz, so several neighbours on each side are compared.
    const REACH: usize = 4;
    let here = alive.partition_point(|d| d.fr_hz < of.fr_hz);
    let around = here.saturating_sub(REACH)..(here + REACH + 1).min(alive.len());
    alive[around]
        .iter()
        .filter(|d| !std::ptr::eq(**d, of))
        .map(|d| (d.fr_hz - of.fr_hz).abs() / d.linewidth_hz().max(of.linewidth_hz()))
        .min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_make_the_flags() {
        let lw = Detector::new(0, 1e9, 2e4, 1e5).linewidth_hz();
        let at = |id, offset_lw: f64| Detector::new(id, 1e9 + offset_lw * lw, 2e4, 1e5);
        let mut detectors = vec![
            at(0, 0.0),
            at(1, 0.5),
            at(2, 3.7),
            at(3, 15.0),
            at(4, 60.0),
            at(5, 61.0),
        ];
        detectors[5].dead = true;
        let flags: Vec<_> = of(&detectors, &ProfileParams::clean(), 0.0)
            .iter()
            .map(|t| (t.collided, t.crowded, t.isolated))
            .collect();
        assert_eq!(
            flags,
            [
                (true, true, false),
                (true, true, false),
                (false, true, false),
                (false, false, false),
                (false, false, true),
                (false, false, false),
            ]
        );
    }

    #[test]
    fn nonlinearity_goes_with_the_power_of_the_tone() {
        let d = Detector {
            a_per_mw: 2e8,
            ..Detector::new(0, 1e9, 2e4, 1e5)
        };
        let truth = of(&[d], &ProfileParams::clean(), 0.0);
        // Amplitude 0.002 at 1 dBm is -54.48 dBm, and 40 dB less at the detector.
        let expected = 2e8 * 10f64.powf((1.0 - 1.5 - 40.0) / 10.0) * 0.002 * 0.002;
        assert!((truth[0].a_per_amplitude2 * 4e-6 / expected - 1.0).abs() < 1e-12);
    }
}
