//! The feedline without its detectors: gain, delay, standing waves, box modes.

use num_complex::Complex64;

use crate::population::Band;
use crate::profile::ProfileParams;

/// A standing wave: an echo of relative strength `rho` and delay `delay_s`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StandingWave {
    /// Strength of the echo.
    pub rho: f64,
    /// Its delay: the inverse of the period in frequency, s.
    pub delay_s: f64,
    /// Its phase at frequency 0, rad.
    pub phase_rad: f64,
}

/// A broad resonance of the box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxMode {
    /// Centre, Hz.
    pub f_hz: f64,
    /// Total quality factor, 50 to 1000.
    pub q: f64,
    /// Diameter of its circle, complex.
    pub depth: Complex64,
}

/// Transmission from the board through the cryostat and back, without detectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Gain in the middle of the band, dB.
    pub gain_db: f64,
    /// Phase at frequency 0, rad.
    pub phase_rad: f64,
    /// Total delay, s: cable and board together.
    pub delay_s: f64,
    /// Frequency at which the slope is zero, Hz.
    pub centre_hz: f64,
    /// Slope of the gain, dB/Hz.
    pub slope_db_per_hz: f64,
    /// Standing waves.
    pub standing_waves: Vec<StandingWave>,
    /// Box modes.
    pub box_modes: Vec<BoxMode>,
}

impl Line {
    /// A line without delay, loss or features.
    pub fn flat() -> Self {
        Line {
            gain_db: 0.0,
            phase_rad: 0.0,
            delay_s: 0.0,
            centre_hz: 0.0,
            slope_db_per_hz: 0.0,
            standing_waves: Vec::new(),
            box_modes: Vec::new(),
        }
    }

    /// Draws a line: a pure function of its arguments.
    pub fn draw(seed: u64, board: u32, module: u32, band: Band, params: &ProfileParams) -> Self {
        let _ = (seed, board, module, band, params);
        Line::flat()
    }

    /// Complex transmission (ratio of amplitudes) at a frequency.
    pub fn transmission(&self, frequency_hz: f64) -> Complex64 {
        let _ = frequency_hz;
        Complex64::new(1.0, 0.0)
    }
}
