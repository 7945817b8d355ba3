//! The feedline without its detectors: gain, delay, standing waves, box modes.

use std::f64::consts::{PI, TAU};

use num_complex::Complex64;

use crate::hash::Key;
use crate::population::Band;
use crate::profile::ProfileParams;

/// A standing wave: an echo of relative strength `rho` and delay `delay_s`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StandingWave {
    /// Strength of the echo.
    pub rho: f64,
    /// Delay of the echo, s: the inverse of the period that the wave has in frequency.
    pub delay_s: f64,
    /// Phase of the echo at frequency 0, rad.
    pub phase_rad: f64,
}

/// A broad resonance of the box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxMode {
    /// Centre, Hz.
    pub f_hz: f64,
    /// Total quality factor, 50 to 1000.
    pub q: f64,
    /// Complex diameter of its resonance circle.
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
    /// Frequency at which the slope does not change the gain, Hz.
    pub centre_hz: f64,
    /// Slope of the gain, dB/Hz.
    pub slope_db_per_hz: f64,
    /// Standing waves.
    pub standing_waves: Vec<StandingWave>,
    /// Box modes.
    pub box_modes: Vec<BoxMode>,
}

impl Line {
    /// Feedline without delay, loss or features.
    pub fn flat() -> Self {
        Self {
            gain_db: 0.0,
            phase_rad: 0.0,
            delay_s: 0.0,
            centre_hz: 0.0,
            slope_db_per_hz: 0.0,
            standing_waves: Vec::new(),
            box_modes: Vec::new(),
        }
    }

    /// Draws a feedline. The result depends only on the arguments.
    pub fn draw(seed: u64, board: u32, module: u32, band: Band, params: &ProfileParams) -> Self {
        let key = Key::new(seed)
            .child(u64::from(board))
            .child(u64::from(module))
            .child(LINE);
        let between = |key: Key, n, low: f64, high: f64| low + (high - low) * key.uniform(n);
        let standing_waves = (0..params.standing_waves)
            .map(|k| {
                let key = key.child(1).child(u64::from(k));
                let ratio = amplitude_ratio(between(
                    key,
                    0,
                    params.standing_min_db,
                    params.standing_max_db,
                ));
                // The logarithm of the period has a uniform distribution.
                let low = params.standing_min_hz.max(1.0).ln();
                let period = between(key, 1, low, params.standing_max_hz.max(1.0).ln()).exp();
                StandingWave {
                    rho: (ratio - 1.0) / (ratio + 1.0),
                    delay_s: 1.0 / period,
                    phase_rad: TAU * key.uniform(2),
                }
            })
            .collect();
        let modes = f64::from(params.box_modes) * band.span_hz() / 500e6;
        let modes = if modes.is_finite() {
            modes.round().min(1000.0) as u64
        } else {
            0
        };
        let box_modes = (0..modes)
            .map(|k| {
                let key = key.child(2).child(k);
                BoxMode {
                    f_hz: between(key, 0, band.f_min_hz, band.f_max_hz),
                    q: between(key, 1, 50f64.ln(), 1000f64.ln()).exp(),
                    depth: Complex64::from_polar(
                        params.box_depth * between(key, 2, 0.3, 1.0),
                        PI * (key.uniform(3) - 0.5),
                    ),
                }
            })
            .collect();
        let side = if key.uniform(3) < 0.5 { -1.0 } else { 1.0 };
        Self {
            gain_db: params.amplifier_gain_db - params.cold_attenuation_db
                + params.gain_spread_db * key.normal(0),
            phase_rad: TAU * key.uniform(1),
            delay_s: between(key, 2, params.delay_min_s, params.delay_max_s),
            centre_hz: band.centre_hz(),
            slope_db_per_hz: side * params.slope_db / 100e6,
            standing_waves,
            box_modes,
        }
    }

    /// Complex transmission (ratio of amplitudes) at a frequency.
    pub fn transmission(&self, frequency_hz: f64) -> Complex64 {
        let db = self.gain_db + self.slope_db_per_hz * (frequency_hz - self.centre_hz);
        let phase = self.phase_rad - TAU * (frequency_hz * self.delay_s).fract();
        let mut t = Complex64::from_polar((db * (std::f64::consts::LN_10 / 20.0)).exp(), phase);
        for wave in &self.standing_waves {
            let angle = wave.phase_rad - TAU * (frequency_hz * wave.delay_s).fract();
            t *= 1.0 + Complex64::from_polar(wave.rho, angle);
        }
        for mode in &self.box_modes {
            let x = (frequency_hz - mode.f_hz) / mode.f_hz;
            t *= 1.0 - mode.depth / Complex64::new(1.0, 2.0 * mode.q * x);
        }
        t
    }
}

/// Number of the child key ([`Key::child`]) of the seed for feedlines.
const LINE: u64 = 2;

/// Ratio of amplitudes from a value in dB.
fn amplitude_ratio(db: f64) -> f64 {
    10f64.powf(db / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAND: Band = Band {
        f_min_hz: 750e6,
        f_max_hz: 1250e6,
    };

    #[test]
    fn delay_is_the_slope_of_the_phase() {
        let line = Line {
            delay_s: 7e-6,
            ..Line::flat()
        };
        let turn = line.transmission(1e9 + 10e3) / line.transmission(1e9);
        assert!((turn.arg() + TAU * 10e3 * 7e-6).abs() < 1e-6);
        assert!((turn.norm() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn standing_wave_has_its_height_and_period() {
        let ratio = amplitude_ratio(0.8);
        let rho = (ratio - 1.0) / (ratio + 1.0);
        let wave = StandingWave {
            rho,
            delay_s: 1.0 / 20e6,
            phase_rad: 0.4,
        };
        let line = Line {
            standing_waves: vec![wave],
            ..Line::flat()
        };
        let db = |f: f64| 20.0 * line.transmission(f).norm().log10();
        let all: Vec<f64> = (0..2000).map(|k| db(1e9 + f64::from(k) * 10e3)).collect();
        let high = all.iter().copied().fold(f64::MIN, f64::max);
        let low = all.iter().copied().fold(f64::MAX, f64::min);
        assert!((high - low - 0.8).abs() < 1e-3, "{}", high - low);
        assert!((db(1.003e9) - db(1.023e9)).abs() < 1e-9);
    }

    #[test]
    fn drawn_lines_keep_to_the_profile() {
        for profile in [
            ProfileParams::clean(),
            ProfileParams::lab(),
            ProfileParams::harsh(),
        ] {
            for module in 1..=4 {
                let line = Line::draw(5, 9, module, BAND, &profile);
                assert_eq!(line, Line::draw(5, 9, module, BAND, &profile));
                assert!((profile.delay_min_s..=profile.delay_max_s).contains(&line.delay_s));
                assert_eq!(line.standing_waves.len(), profile.standing_waves as usize);
                for wave in &line.standing_waves {
                    let db = 20.0 * ((1.0 + wave.rho) / (1.0 - wave.rho)).log10();
                    assert!(
                        (profile.standing_min_db..=profile.standing_max_db + 1e-9).contains(&db)
                    );
                    let period = 1.0 / wave.delay_s;
                    assert!(period > 0.99 * profile.standing_min_hz);
                    assert!(period < 1.01 * profile.standing_max_hz);
                }
                assert!(
                    line.box_modes
                        .iter()
                        .all(|m| (50.0..=1000.0).contains(&m.q))
                );
            }
        }
        let one = Line::draw(5, 9, 1, BAND, &ProfileParams::lab());
        assert_ne!(one, Line::draw(5, 9, 2, BAND, &ProfileParams::lab()));
    }
}
