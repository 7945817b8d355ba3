//! The polyphase filter bank: the gain of its bins and the noise in them.
//!
//! The prototype filter is a Dolph-Chebyshev window (C. L. Dolph, Proc. IRE 34, 335, 1946) of 4096
//! taps at 1.25 GS/s with side lobes at -103 dB. The spacing of bins is half the output rate of a
//! bin, so that the noise of a bin falls off before it aliases.

use std::f64::consts::{PI, TAU};
use std::sync::OnceLock;

use num_complex::Complex64;

use crate::units::{FAST_RATE_HZ, PFB_RATE_HZ};

/// Spacing of the bins, Hz.
pub const BIN_SPACING_HZ: f64 = FAST_RATE_HZ / 512.0;

const PROTOTYPE_RATE_HZ: f64 = 2.0 * FAST_RATE_HZ;
const PROTOTYPE_TAPS: f64 = 4096.0;
const SIDE_LOBES_DB: f64 = 103.0;

/// Number of taps of the prototype at the output rate of a bin.
pub(crate) const TAPS: usize = 8;

/// Offset of a frequency from the middle of its bin, Hz. The frequency is relative to the NCO, the
/// oscillator of the first down-conversion.
pub fn offset_in_bin_hz(frequency_hz: f64) -> f64 {
    frequency_hz - (frequency_hz / BIN_SPACING_HZ).round() * BIN_SPACING_HZ
}

/// Gain of a bin at an offset from its middle, without the phase of the delay: 1 in the middle, and
/// 0.19 half way to the middle of the next bin.
pub fn gain(offset_hz: f64) -> f64 {
    let order = PROTOTYPE_TAPS - 1.0;
    let top = 10f64.powf(SIDE_LOBES_DB / 20.0);
    let edge = (top.acosh() / order).cosh();
    let x = edge * (PI * offset_hz / PROTOTYPE_RATE_HZ).cos();
    let chebyshev = if x.abs() <= 1.0 {
        (order * x.acos()).cos()
    } else {
        (order * x.abs().acosh()).cosh()
    };
    chebyshev / top
}

/// Taps of the prototype filter, sampled at the output rate of a bin. Their sum is 1.
fn prototype() -> &'static [f64; TAPS] {
    static CELL: OnceLock<[f64; TAPS]> = OnceLock::new();
    CELL.get_or_init(|| {
        // Inverse Fourier transform of the gain, over the part of the band that does not alias.
        const POINTS: i32 = 512;
        let mut taps = [0.0; TAPS];
        for (k, tap) in taps.iter_mut().enumerate() {
            let delay = k as f64 - (TAPS as f64 - 1.0) / 2.0;
            *tap = (-POINTS / 2..POINTS / 2)
                .map(|point| (f64::from(point) + 0.5) / f64::from(POINTS))
                .map(|cycles| gain(cycles * PFB_RATE_HZ) * (TAU * cycles * delay).cos())
                .sum::<f64>()
                / f64::from(POINTS);
        }
        let sum: f64 = taps.iter().sum();
        taps.map(|tap| tap / sum)
    })
}

/// Filter taps that give white noise the spectrum of a channel at an offset from the middle of its
/// bin. The density at the frequency of the channel is not changed.
pub(crate) fn colouring(offset_hz: f64) -> [Complex64; TAPS] {
    let level = 1.0 / gain(offset_hz);
    std::array::from_fn(|k| {
        let turns = -offset_hz * k as f64 / PFB_RATE_HZ;
        Complex64::from_polar(level * prototype()[k], TAU * turns)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gain_is_that_of_the_window() {
        // Reference values: the transform of such a window of 4096 taps, computed with another
        // program.
        for (offset_hz, expected) in [
            (0.0, 1.0),
            (0.2e6, 0.843_722),
            (-0.3e6, 0.679_985),
            (0.61e6, 0.185_832),
            (0.9e6, 0.016_884),
            (1.1e6, 0.000_799),
        ] {
            let got = gain(offset_hz);
            assert!(
                (got - expected).abs() < 1e-3 * expected + 1e-5,
                "{offset_hz}: {got}"
            );
        }
        assert!(gain(2e6).abs() < 1e-5);
    }

    #[test]
    fn taps_have_the_gain_of_the_bin() {
        for offset_hz in [0.0, 0.3e6, -0.55e6] {
            let taps = colouring(offset_hz);
            for from_channel in [-0.5e6, -0.1e6, 0.0, 0.2e6, 0.7e6] {
                let response: Complex64 = taps
                    .iter()
                    .enumerate()
                    .map(|(k, tap)| {
                        tap * Complex64::from_polar(
                            1.0,
                            -TAU * from_channel * k as f64 / PFB_RATE_HZ,
                        )
                    })
                    .sum();
                let expected = gain(from_channel + offset_hz) / gain(offset_hz);
                assert!(
                    (response.norm() - expected.abs()).abs() < 2e-3,
                    "{offset_hz} {from_channel}: {} {expected}",
                    response.norm()
                );
            }
        }
    }

    #[test]
    fn bins_are_the_nearest() {
        assert_eq!(offset_in_bin_hz(0.0), 0.0);
        assert!((offset_in_bin_hz(1e6) + 220_703.125).abs() < 1e-6);
        assert!((offset_in_bin_hz(-0.6e6) + 0.6e6).abs() < 1e-6);
        assert!((offset_in_bin_hz(-0.62e6) - 600_703.125).abs() < 1e-6);
    }
}
