//! The electronics on both sides of the cryostat: levels, clipping, compression, noise. All tones
//! of a module together are a comb.

use std::f64::consts::{PI, SQRT_2};

use num_complex::Complex64;

use crate::converter::CONVERTER_RATE_HZ;
use crate::profile::ProfileParams;
use crate::units;

const BOLTZMANN: f64 = 1.380_649e-23;

/// Bandwidth of a module, Hz.
const MODULE_HZ: f64 = 500e6;

/// Peak of a comb with random phases over its repetition period, in standard deviations of its
/// waveform.
const CREST: f64 = 5.5;

/// Settings of the electronics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ChainSettings {
    pub(crate) dac_scale_dbm: f64,
    /// Response of the DAC at the NCO ([`crate::converter::dac_response`]).
    pub(crate) dac_response: f64,
    pub(crate) attenuator_db: f64,
    pub(crate) line_gain_db: f64,
}

/// Levels and noise of the electronics for a comb.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Chain {
    /// Power of a full-scale tone at the detectors, mW, including the loss by clipping in the DAC,
    /// without the response of the DAC.
    pub(crate) full_scale_mw: f64,
    /// Readout counts of a full-scale tone through a feedline with a gain of 0 dB, without the
    /// response of the DAC.
    pub(crate) counts_per_amplitude: f64,
    /// Two-sided density of the complex noise, counts^2/Hz.
    pub(crate) noise_density: f64,
    /// True if the DAC or the ADC exceeds its full scale.
    pub(crate) overrange: bool,
}

/// Statistics of the waveform of a comb, in fractions of the full scale of the DAC.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Comb {
    sum: f64,
    squares: f64,
    coherent: Complex64,
}

impl Comb {
    /// Adds a tone.
    pub(crate) fn add(&mut self, amplitude: f64, phase_rad: f64) {
        self.sum += amplitude.abs();
        self.squares += amplitude * amplitude;
        self.coherent += Complex64::from_polar(1.0, phase_rad) * amplitude;
    }

    /// Standard deviation of the waveform.
    fn sigma(&self) -> f64 {
        (self.squares / 2.0).sqrt()
    }

    /// Peak of the waveform: the peak of a comb with random phases, or a higher one if the phases
    /// agree, and at most the sum of all amplitudes.
    pub(crate) fn peak(&self) -> f64 {
        (CREST * self.sigma())
            .max(self.coherent.norm())
            .min(self.sum)
    }
}

impl Chain {
    pub(crate) fn new(params: &ProfileParams, settings: ChainSettings, comb: &Comb) -> Self {
        let dac = Clip::of(comb.peak(), comb.sigma());
        let dac_mw = units::dbm_to_mw(settings.dac_scale_dbm - units::DAC_BACKOFF_DB);
        let cold = units::dbm_to_mw(-params.cold_attenuation_db);
        let response = settings.dac_response;
        let squares = comb.squares * response * response;
        let total_mw = dac_mw * squares * dac.gain * dac.gain * cold;

        let compression = 1.0 / (1.0 + total_mw / units::dbm_to_mw(params.saturation_dbm));
        let back = units::dbm_to_mw(-settings.attenuator_db) * compression;
        let full_counts = units::counts(dac_mw) * back.sqrt();
        let line = units::dbm_to_mw(settings.line_gain_db).sqrt();
        let at_adc = full_counts * response * line / params.adc_full_scale.max(1.0);
        let adc = Clip::of(
            comb.peak().min(1.0) * at_adc,
            comb.sigma() * dac.gain * at_adc,
        );

        // Complex amplitude noise: |n|^2 = 2 R P, with P the noise power in the bandwidth.
        let per_watt = 2.0 * units::IMPEDANCE_OHM / units::VOLTS_PER_COUNT.powi(2);
        let temperature =
            params.noise_temperature_k * (1.0 + total_mw / units::dbm_to_mw(params.noise_rise_dbm));
        let amplifier_gain = units::dbm_to_mw(settings.line_gain_db + params.cold_attenuation_db);
        let amplifier = per_watt * BOLTZMANN * temperature.max(0.0) * amplifier_gain * back;
        let lsb = params.adc_full_scale / f64::from(1u32 << (params.adc_bits.clamp(2, 31) - 1));
        let quantisation = 2.0 * lsb * lsb / 12.0 / (CONVERTER_RATE_HZ / 2.0);
        // The distortion by clipping, as white noise over the bandwidth of the module.
        let dac_noise = 2.0 * dac.distortion * (full_counts * response * line).powi(2) / MODULE_HZ;
        let adc_noise = 2.0 * adc.distortion * params.adc_full_scale.powi(2) / MODULE_HZ;
        Self {
            full_scale_mw: dac_mw * cold * dac.gain * dac.gain,
            counts_per_amplitude: full_counts * dac.gain * adc.gain,
            noise_density: amplifier + quantisation + dac_noise + adc_noise,
            overrange: dac.clips || adc.clips,
        }
    }
}

/// Effect that clipping at an amplitude of 1 has on a comb.
struct Clip {
    clips: bool,
    /// Factor of the amplitude of each tone.
    gain: f64,
    /// Power of the distortion by clipping.
    distortion: f64,
}

impl Clip {
    /// Computes the effect on a waveform with a normal distribution (Bussgang's theorem).
    fn of(peak: f64, sigma: f64) -> Self {
        if peak.is_nan() || peak <= 1.0 || sigma <= 0.0 {
            return Self {
                clips: false,
                gain: 1.0,
                distortion: 0.0,
            };
        }
        let c = 1.0 / sigma;
        let inside = erf(c / SQRT_2);
        let density = (-c * c / 2.0).exp() / (2.0 * PI).sqrt();
        let power = inside - 2.0 * c * density + c * c * (1.0 - inside);
        Self {
            clips: true,
            gain: inside,
            distortion: sigma * sigma * (power - inside * inside).max(0.0),
        }
    }
}

/// The error function for positive arguments, to 1.5e-7 (Abramowitz and Stegun 7.1.26).
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.3275911 * x);
    let series = t
        * (0.254829592
            + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    1.0 - series * (-x * x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Key;

    const SETTINGS: ChainSettings = ChainSettings {
        dac_scale_dbm: 1.0,
        dac_response: 1.0,
        attenuator_db: 0.0,
        line_gain_db: 0.0,
    };

    fn comb(n: usize, amplitude: f64, phase: impl Fn(u64) -> f64) -> Comb {
        let mut comb = Comb::default();
        for k in 0..n {
            comb.add(amplitude, phase(k as u64));
        }
        comb
    }

    #[test]
    fn headroom_of_combs() {
        let random = |k| std::f64::consts::TAU * Key::new(1).uniform(k);
        for (name, comb, clips) in [
            ("one at full scale", comb(1, 1.0, |_| 0.0), false),
            ("1024 within headroom", comb(1024, 0.0080, random), false),
            ("1024 beyond headroom", comb(1024, 0.0082, random), true),
            ("1000 in phase", comb(1000, 0.0011, |_| 0.3), true),
            ("1000 in phase, within", comb(1000, 0.00099, |_| 0.3), false),
        ] {
            let chain = Chain::new(&ProfileParams::clean(), SETTINGS, &comb);
            assert_eq!(chain.overrange, clips, "{name}: peak {}", comb.peak());
        }
    }

    #[test]
    fn clipping_is_that_of_a_normal_waveform() {
        for sigma in [0.3, 0.5, 1.0] {
            let clip = Clip::of(10.0, sigma);
            let key = Key::new(4);
            let n = 200_000;
            let (mut cross, mut power) = (0.0, 0.0);
            for k in 0..n {
                let x = sigma * key.normal(k);
                let y = x.clamp(-1.0, 1.0);
                cross += x * y;
                power += y * y;
            }
            let gain = cross / n as f64 / (sigma * sigma);
            let distortion = power / n as f64 - gain * gain * sigma * sigma;
            assert!(
                (clip.gain - gain).abs() < 0.01,
                "{sigma}: {} {gain}",
                clip.gain
            );
            assert!(
                (clip.distortion - distortion).abs() < 0.003 * sigma,
                "{sigma}"
            );
        }
    }

    #[test]
    fn noise_is_that_of_a_temperature() {
        let params = ProfileParams {
            noise_temperature_k: 5.0,
            ..ProfileParams::clean()
        };
        let chain = Chain::new(&params, SETTINGS, &comb(1, 0.002, |_| 0.0));
        // At the amplifier, the noise is k T = -191.6 dBm/Hz and the tone has -94.5 dBm: -97.1
        // dBc/Hz.
        let tone = chain.counts_per_amplitude * 0.002;
        let dbc = 10.0 * (chain.noise_density / (tone * tone)).log10();
        assert!((dbc + 97.1).abs() < 0.15, "{dbc}");
        let dbm = units::mw_to_dbm(chain.full_scale_mw) + 20.0 * 0.002f64.log10();
        assert!((dbm + 94.48).abs() < 0.01, "{dbm}");
    }

    #[test]
    fn amplifier_compresses_and_grows_noisy() {
        let params = ProfileParams::harsh();
        let quiet = Chain::new(&params, SETTINGS, &comb(1, 1e-4, |_| 0.0));
        let random = |k| std::f64::consts::TAU * Key::new(1).uniform(k);
        let loud = Chain::new(&params, SETTINGS, &comb(1024, 0.0055, random));
        // The comb has -40.5 + 10 log10(1024 * 0.0055^2) = -55.6 dBm at the amplifier, which
        // saturates at -52 dBm.
        let ratio = 20.0 * (loud.counts_per_amplitude / quiet.counts_per_amplitude).log10();
        assert!(
            (ratio + 10.0 * (1.0 + 10f64.powf(-0.36)).log10()).abs() < 0.1,
            "{ratio}"
        );
        assert!(loud.noise_density / quiet.noise_density > 1.2);
        let full = Chain::new(
            &ProfileParams {
                saturation_dbm: -40.5,
                ..params
            },
            SETTINGS,
            &comb(1, 1.0, |_| 0.0),
        );
        let linear = Chain::new(
            &ProfileParams {
                saturation_dbm: 99.0,
                ..ProfileParams::harsh()
            },
            SETTINGS,
            &comb(1, 1.0, |_| 0.0),
        );
        let db = 20.0 * (full.counts_per_amplitude / linear.counts_per_amplitude).log10();
        assert!((db + 3.01).abs() < 0.01, "{db}");
    }
}
