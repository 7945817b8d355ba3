//! What a truth file says of a detector, and what is true of a tone.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use crate::detector::Detector;

/// Neighbours nearer than this many linewidths make a detector collided.
pub const COLLIDED_LW: f64 = 1.0;
/// Neighbours nearer than this many linewidths make a detector crowded.
pub const CROWDED_LW: f64 = 5.0;
/// A detector with no neighbour nearer than this many linewidths is isolated.
pub const ISOLATED_LW: f64 = 20.0;

/// Everything that is true of a detector under nominal conditions at low power. Distances are in
/// linewidths, of the wider of the two; dead detectors are no neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TruthDetector {
    /// Number by design.
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
    /// Depth of the dip below the line, dB; 0 for a dead one.
    pub depth_db: f64,
    /// Nonlinearity `a` per mW on the feedline.
    pub a_per_mw: f64,
    /// Nonlinearity `a` of a tone of amplitude 1 at the default DAC scale; `a` goes as the square
    /// of the amplitude.
    pub a_per_amplitude2: f64,
    /// It does not resonate.
    pub dead: bool,
    /// No neighbour within 20 linewidths.
    pub isolated: bool,
    /// A neighbour within 5 linewidths.
    pub crowded: bool,
    /// A neighbour within 1 linewidth.
    pub collided: bool,
    /// Distance to the nearest live neighbour, linewidths; absent where there is none.
    pub neighbour_lw: Option<f64>,
    /// Id of the detector it is coupled to.
    pub partner: Option<u32>,
    /// Share of the partner's shifts that it takes over.
    pub mixing: f64,
    /// Two-level-system noise at 1 Hz at a pull of 0.1 linewidth, 1/Hz.
    pub tls: f64,
    /// Time constant of the ring-down, s.
    pub ringdown_s: f64,
    /// Total delay of the line, s.
    pub tau_s: f64,
}

/// What is true of a tone at its place and power, now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// The live detector nearest to the tone, in linewidths.
    pub detector: u32,
    /// Its resonance frequency at low power now, Hz.
    pub fr_hz: f64,
    /// Its total quality factor now, at this power.
    pub qr: f64,
    /// Its internal quality factor now, at this power.
    pub qi: f64,
    /// Its nonlinearity for this tone's power (with the Qr of now).
    pub a: f64,
    /// Detuning from the low-power resonance, linewidths.
    pub y0: f64,
    /// Detuning from the pulled resonance, linewidths, on the branch that it is on.
    pub y: f64,
    /// Settled mean of the samples, counts, with all phases as the channel reads them.
    pub sample: Complex64,
    /// Change of the sample per hertz of fr, counts/Hz, on this branch, the Kerr feedback included.
    pub d_per_hz: Complex64,
    /// Change of the sample per unit of 1/Qi, counts.
    pub d_per_inv_qi: Complex64,
}

/// The truth of each of some detectors, sorted by frequency.
pub(crate) fn of(detectors: &[Detector]) -> Vec<TruthDetector> {
    let _ = detectors;
    Vec::new()
}
