//! Response of the converters of the CRS board, by Nyquist zone.
//!
//! The DAC has 5 GS/s, so that a zone is 2.5 GHz wide. The board follows its NCO into the first
//! four zones, up to 10 GHz (Montgomery et al. 2024, arXiv:2406.16266). It chooses the shape of the
//! output of the DAC by the zone: samples that are held, or the mix mode, which inverts each sample
//! after half of its period. Held samples are stronger in the zones 1 and 4, and the mix mode in
//! the zones 2 and 3. In zone 1, a digital filter compensates the response, so that it is flat.
//!
//! With `x = f / 5 GHz`, the amplitude is `sin(pi x) / (pi x)` for held samples and
//! `sin(pi x / 2)^2 / (pi x / 2)` in the mix mode. The second has its maximum of -2.8 dB at
//! 0.74 of the sample rate (Texas Instruments, data sheet SBAS649B of the DAC12DL3200, modes NRZ
//! and RF, where the maximum is stated).
//!
//! The difference of the two shapes agrees with measurements on a board within 0.8 dB (see the
//! tests).
//!
//! The model has no roll-off of the ADC, of the transformers and of the cables.

use std::f64::consts::PI;

/// Sample rate of the converters, Hz.
pub const CONVERTER_RATE_HZ: f64 = 5e9;

/// Width of a Nyquist zone, Hz.
pub const ZONE_HZ: f64 = CONVERTER_RATE_HZ / 2.0;

/// Number of Nyquist zones that the NCO reaches.
pub const ZONES: u8 = 4;

/// Nyquist zone of a frequency, from 1. The upper end of a zone belongs to the zone. Frequencies
/// beyond the last zone count as in the last one.
pub fn zone_of(frequency_hz: f64) -> u8 {
    let zone = (frequency_hz / ZONE_HZ).ceil();
    zone.clamp(1.0, f64::from(ZONES)) as u8
}

/// Amplitude of a tone at the output of the DAC, as a fraction of its amplitude without the
/// response of the DAC, while the DAC is set to a zone. `zone` counts from 1.
pub fn dac_response(zone: u8, frequency_hz: f64) -> f64 {
    let x = frequency_hz / CONVERTER_RATE_HZ;
    match zone {
        0 | 1 => 1.0,
        2 | 3 => mixed(x),
        _ => held(x),
    }
}

/// Response of held samples at the frequency `x`, as a fraction of the sample rate.
fn held(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    ((PI * x).sin() / (PI * x)).abs()
}

/// Response in the mix mode at the frequency `x`, as a fraction of the sample rate.
fn mixed(x: f64) -> f64 {
    if x == 0.0 {
        return 0.0;
    }
    let half = PI * x / 2.0;
    (half.sin().powi(2) / half).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_of_frequencies() {
        for (ghz, zone) in [
            (0.0, 1),
            (0.1, 1),
            (2.5, 1),
            (2.500_001, 2),
            (4.9, 2),
            (5.1, 3),
            (7.4, 3),
            (7.6, 4),
            (10.0, 4),
            (11.0, 4),
        ] {
            assert_eq!(zone_of(ghz * 1e9), zone, "{ghz} GHz");
        }
    }

    /// Compares the responses with the Fourier integral of one sample of the output, and with the
    /// maxima of the data sheet.
    #[test]
    fn responses_are_transforms_of_one_sample() {
        let steps = 20_000;
        for x in [0.1, 0.5, 0.742, 0.9, 1.25, 1.55, 1.9] {
            let (mut held_re, mut held_im) = (0.0, 0.0);
            let (mut mixed_re, mut mixed_im) = (0.0, 0.0);
            for k in 0..steps {
                let t = (f64::from(k) + 0.5) / f64::from(steps);
                let sign = if t < 0.5 { 1.0 } else { -1.0 };
                let (sin, cos) = (2.0 * PI * x * t).sin_cos();
                held_re += cos;
                held_im += sin;
                mixed_re += sign * cos;
                mixed_im += sign * sin;
            }
            let n = f64::from(steps);
            let close = |one: f64, other: f64| (one - other).abs() < 1e-6;
            assert!(close(held(x), f64::hypot(held_re, held_im) / n), "{x}");
            assert!(close(mixed(x), f64::hypot(mixed_re, mixed_im) / n), "{x}");
        }
        let peak = (1..2000).map(|k| mixed(f64::from(k) / 1000.0));
        let peak_db = 20.0 * peak.fold(0.0, f64::max).log10();
        assert!((peak_db + 2.8).abs() < 0.05, "{peak_db} dB");
    }

    /// Compares the difference of the two shapes with that on a real board, in which the losses of
    /// the analog path cancel. The authors of the board have measured it with a tone of one power,
    /// in zones 1 to 3 (rfmux 1.7.0, `rfmux/tools/qc/test_crs.py`): frequency in MHz, and powers in
    /// dBm with held samples and in the mix mode. A measurement whose two frequencies differ is
    /// left out.
    #[test]
    fn shapes_differ_as_on_a_board() {
        let db = |response: f64| 20.0 * response.log10();
        for (mhz, held_dbm, mixed_dbm) in [
            (761.78, -3.42, -16.41),
            (1302.56, -4.82, -12.24),
            (1902.34, -6.7, -10.21),
            (3097.66, -13.82, -10.01),
            (3697.44, -19.0, -11.73),
            (5761.78, -31.89, -19.66),
            (6302.56, -27.84, -20.6),
            (6902.34, -27.87, -24.93),
        ] {
            let x = mhz * 1e6 / CONVERTER_RATE_HZ;
            let (computed, measured) = (db(mixed(x) / held(x)), mixed_dbm - held_dbm);
            let error: f64 = computed - measured;
            assert!(error.abs() < 0.8, "{mhz} MHz: {computed} and {measured} dB");
        }
    }

    #[test]
    fn each_zone_has_the_stronger_shape() {
        for ghz in [2.6, 4.0, 4.9, 5.1, 6.5, 7.4, 7.6, 9.0, 9.9] {
            let x = ghz * 1e9 / CONVERTER_RATE_HZ;
            let response = dac_response(zone_of(ghz * 1e9), ghz * 1e9);
            assert_eq!(response, held(x).max(mixed(x)), "{ghz} GHz");
        }
        assert_eq!(dac_response(1, 2.6e9), 1.0);
        // A DAC that stays at another zone has another amplitude.
        assert!(dac_response(2, 1e9) < 0.4);
    }
}
