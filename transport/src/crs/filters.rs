//! Effects of the decimation filters of a CRS board on its samples.
//!
//! Readout samples pass a CIC filter of 3 stages that decimates 2.44 MS/s by 64, and a CIC filter
//! of 6 stages that decimates the result by `2^stage`, where `stage` is the decimation stage of the
//! board.

use twotone_wire::crs::{group_delay_s, sample_rate_hz};

const SECOND_ORDER: usize = 6;

/// Number of samples after a change that still depend on the signal before it. It is the length of
/// the filters, which is twice their group delay, and one sample for the period in which the change
/// falls.
pub(super) fn settle_samples(stage: u8) -> u32 {
    (2.0 * group_delay_s(stage) * sample_rate_hz(stage)).ceil() as u32 + 1
}

/// Correlation of the white noise of one readout sample with the samples after it, at lags 1, 2,
/// ... up to the length of the second filter. The first filter is too short to matter.
pub(super) fn noise_correlation(stage: u8) -> Vec<f64> {
    let ratio = 1usize << stage;
    let mut response = vec![1.0];
    for _ in 0..SECOND_ORDER {
        response = convolve_box(&response, ratio);
    }
    let at = |lag: usize| -> f64 {
        response
            .iter()
            .zip(response.iter().skip(lag * ratio))
            .map(|(a, b)| a * b)
            .sum()
    };
    let power = at(0);
    (1..)
        .map(|lag| at(lag) / power)
        .take_while(|rho| *rho > 1e-6)
        .collect()
}

fn convolve_box(signal: &[f64], width: usize) -> Vec<f64> {
    let mut out = vec![0.0; signal.len() + width - 1];
    for (start, value) in signal.iter().enumerate() {
        for place in &mut out[start..start + width] {
            *place += value;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_delays_are_those_of_the_board() {
        assert!((sample_rate_hz(6) - 596.046).abs() < 1e-3);
        assert!((group_delay_s(6) - 4.99e-3).abs() < 1e-5);
        assert_eq!(settle_samples(6), 7);
    }

    #[test]
    fn neighbouring_samples_share_their_noise() {
        let rho = noise_correlation(6);
        assert!((rho[0] - 0.62).abs() < 0.005, "{rho:?}");
        assert!((rho[1] - 0.14).abs() < 0.005, "{rho:?}");
        assert!(rho.len() < 6);
        // Stage 0 decimates by 1, so that the second filter has no effect.
        assert!(noise_correlation(0).is_empty());
    }
}
