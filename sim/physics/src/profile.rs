//! Parameters of the simulation, for arrays of three qualities.

use serde::{Deserialize, Serialize};

use crate::circuit::Geometry;

/// Quality of the simulated array and its readout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// An ideal array: all detectors work and are well separated, the line is flat, and there is
    /// little noise. Asymmetry, a cable and the nonlinearity ([`crate::kerr`]) are included.
    #[default]
    Clean,
    /// A good array in a good cryostat.
    Lab,
    /// A bad array: most effects that disturb a measurement are stronger than in [`Profile::Lab`].
    Harsh,
}

impl Profile {
    /// Parameters of this profile.
    pub fn params(self) -> ProfileParams {
        match self {
            Self::Clean => ProfileParams::clean(),
            Self::Lab => ProfileParams::lab(),
            Self::Harsh => ProfileParams::harsh(),
        }
    }
}

impl std::str::FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "clean" => Ok(Self::Clean),
            "lab" => Ok(Self::Lab),
            "harsh" => Ok(Self::Harsh),
            other => Err(format!("unknown profile `{other}`: clean, lab or harsh")),
        }
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Clean => "clean",
            Self::Lab => "lab",
            Self::Harsh => "harsh",
        })
    }
}

/// Parameters from which a module is drawn. Missing keys have the values of `clean`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileParams {
    /// Connection of the detectors to the line.
    pub geometry: Geometry,
    /// Level of the wave that passes by detectors between two lines, relative to the transmission
    /// of a detector without internal loss, dB. Its phase is random.
    pub leak_db: f64,
    /// Scatter of the frequencies around the design frequencies, sigma(f)/f.
    pub scatter: f64,
    /// Limit of the scatter, as a fraction of the spacing. Above 0.5 detectors can collide.
    pub scatter_cut: f64,
    /// Median of the coupling quality factor (diameter-corrected).
    pub qc_median: f64,
    /// Spread of the coupling quality factor, sigma of the natural logarithm.
    pub qc_spread: f64,
    /// Median of the internal quality factor under nominal load at low power.
    pub qi_median: f64,
    /// Spread of the internal quality factor, sigma of the natural logarithm.
    pub qi_spread: f64,
    /// Largest asymmetry angle, rad. Angles have a uniform distribution between minus and plus
    /// this angle.
    pub phi_max_rad: f64,
    /// Fraction of detectors that do not resonate.
    pub dead_fraction: f64,
    /// Fraction of detectors that are coupled to a neighbour close to them.
    pub coupled_fraction: f64,

    /// Median nonlinearity `a` ([`crate::kerr`]) for a tone of
    /// [`kerr_reference_dbm`](Self::kerr_reference_dbm).
    pub kerr_a: f64,
    /// Power on the feedline at the detectors for which `kerr_a` holds, dBm.
    pub kerr_reference_dbm: f64,
    /// Scatter of the nonlinearity, dB.
    pub kerr_spread_db: f64,
    /// Part of 1/Qi that saturates with power, 0 to 1.
    pub qi_power_fraction: f64,
    /// Pull ([`crate::kerr`]) in linewidths at which the saturating part of 1/Qi has fallen by a
    /// factor of 1/sqrt 2.
    pub qi_power_knee: f64,
    /// Increase of 1/Qi by heating, per linewidth of pull, as a fraction of 1/Qr.
    pub heating: f64,

    /// Relative decrease of fr per unit of optical load (nominal load is 0).
    pub load_response: f64,
    /// Relative decrease of fr per kelvin of bath temperature.
    pub bath_response_per_k: f64,
    /// Ratio of 2 dfr/fr to d(1/Qi) for broken Cooper pairs.
    pub pair_beta: f64,

    /// Smallest power spectral density of the two-level-system noise of a detector at 1 Hz, in
    /// 1/Hz, while stored energy pulls the resonance down by 0.1 linewidth ([`crate::kerr`]).
    pub tls_min: f64,
    /// Largest power spectral density of this noise; 0 for none. The distribution is log-uniform.
    pub tls_max: f64,
    /// Exponent `n` of the two-level-system noise, which falls as `f^-n`.
    pub tls_exponent: f64,
    /// Drift of the bath temperature, K/sqrt(Hz) at 1 Hz. Its power falls as 1/f.
    pub bath_noise_k: f64,
    /// Amplitude of a modulation by the pulse tube, as a fraction of fr. It is scattered by a
    /// factor of up to 2 and in sign.
    pub line_amplitude: f64,
    /// Frequency of the modulation by the pulse tube, Hz.
    pub line_hz: f64,
    /// Number of glitches (particle hits) per detector and second.
    pub glitch_rate_hz: f64,
    /// Mean height of the glitches, linewidths.
    pub glitch_height_lw: f64,
    /// Decay time of the glitches, s.
    pub glitch_decay_s: f64,

    /// Attenuation from the board to the detectors, dB.
    pub cold_attenuation_db: f64,
    /// Gain from the detectors to the board, dB.
    pub amplifier_gain_db: f64,
    /// Spread of the amplifier gain over modules, sigma in dB.
    pub gain_spread_db: f64,
    /// Noise temperature at the input of the amplifier, K.
    pub noise_temperature_k: f64,
    /// Total tone power at the input of the amplifier that lowers its gain by 3 dB, dBm.
    pub saturation_dbm: f64,
    /// Total tone power at the input of the amplifier that doubles the noise temperature, dBm.
    pub noise_rise_dbm: f64,
    /// Shortest total delay, s.
    pub delay_min_s: f64,
    /// Longest total delay, s.
    pub delay_max_s: f64,
    /// Slope of the gain, dB per 100 MHz. Its sign is random.
    pub slope_db: f64,
    /// Number of standing waves.
    pub standing_waves: u32,
    /// Smallest height of a standing wave, dB from trough to crest.
    pub standing_min_db: f64,
    /// Largest height of a standing wave, dB from trough to crest.
    pub standing_max_db: f64,
    /// Shortest period of a standing wave in frequency, Hz.
    pub standing_min_hz: f64,
    /// Longest period of a standing wave in frequency, Hz.
    pub standing_max_hz: f64,
    /// Number of box modes in a band of 500 MHz.
    pub box_modes: u32,
    /// Largest depth of a box mode, as the diameter of its resonance circle.
    pub box_depth: f64,
    /// Common gain noise, as a fraction per sqrt(Hz) at 1 Hz. Its power falls as 1/f.
    pub gain_noise: f64,
    /// Common phase noise, rad/sqrt(Hz) at 1 Hz. Its power falls as 1/f.
    pub phase_noise_rad: f64,
    /// Level of the mirror image of each tone about the NCO, dB.
    pub image_db: f64,
    /// Number of bits of the ADC.
    pub adc_bits: u32,
    /// Full scale of the ADC in readout counts.
    pub adc_full_scale: f64,
}

impl Default for ProfileParams {
    fn default() -> Self {
        Self::clean()
    }
}

impl ProfileParams {
    /// Sets the connection of the detectors to the line, and limits the asymmetry to what detectors
    /// of this kind have. The asymmetry of peaks comes from the leak alone.
    #[must_use]
    pub fn geometry(self, geometry: Geometry) -> Self {
        let most: f64 = match geometry {
            Geometry::Notch => self.phi_max_rad,
            Geometry::Reflection => 0.1,
            Geometry::Peak => 0.0,
        };
        Self {
            geometry,
            phi_max_rad: self.phi_max_rad.min(most),
            ..self
        }
    }

    /// Parameters of [`Profile::Clean`].
    pub fn clean() -> Self {
        Self {
            geometry: Geometry::Notch,
            leak_db: -40.0,
            scatter: 2e-4,
            scatter_cut: 0.15,
            qc_median: 2e4,
            qc_spread: 0.1,
            qi_median: 1e5,
            qi_spread: 0.1,
            phi_max_rad: 0.5,
            dead_fraction: 0.0,
            coupled_fraction: 0.0,
            kerr_a: 0.12,
            kerr_reference_dbm: -94.5,
            kerr_spread_db: 2.0,
            qi_power_fraction: 0.0,
            qi_power_knee: 0.05,
            heating: 0.0,
            load_response: 2e-5,
            bath_response_per_k: 1e-3,
            pair_beta: 8.0,
            tls_min: 0.0,
            tls_max: 0.0,
            tls_exponent: 1.0,
            bath_noise_k: 0.0,
            line_amplitude: 0.0,
            line_hz: 1.4,
            glitch_rate_hz: 0.0,
            glitch_height_lw: 0.3,
            glitch_decay_s: 1.5e-3,
            cold_attenuation_db: 40.0,
            amplifier_gain_db: 40.0,
            gain_spread_db: 0.0,
            noise_temperature_k: 4.0,
            saturation_dbm: 0.0,
            noise_rise_dbm: 0.0,
            delay_min_s: 40e-9,
            delay_max_s: 80e-9,
            slope_db: 0.0,
            standing_waves: 0,
            standing_min_db: 0.3,
            standing_max_db: 0.6,
            standing_min_hz: 20e6,
            standing_max_hz: 60e6,
            box_modes: 0,
            box_depth: 0.0,
            gain_noise: 0.0,
            phase_noise_rad: 0.0,
            image_db: -200.0,
            adc_bits: 14,
            adc_full_scale: 7.9e6,
        }
    }

    /// Parameters of a loopback cable in the place of a cryostat: it leads the output of a module
    /// to its input, without detectors. Its loss includes that of the transformers of both
    /// converters: the acceptance tests of CRS boards expect a tone 2.56 dB below the scale of
    /// the DAC, of which [`crate::units::DAC_BACKOFF_DB`] is the output's.
    pub fn loopback() -> Self {
        Self {
            cold_attenuation_db: 0.0,
            amplifier_gain_db: -1.06,
            noise_temperature_k: 290.0,
            // The saturation is that of a cryogenic amplifier, and there is none.
            saturation_dbm: 100.0,
            noise_rise_dbm: 100.0,
            delay_min_s: 5e-9,
            delay_max_s: 5e-9,
            // So that maps of such boards have the powers of other maps.
            kerr_reference_dbm: -54.5,
            ..Self::clean()
        }
    }

    /// Parameters of [`Profile::Lab`].
    pub fn lab() -> Self {
        Self {
            scatter: 6e-4,
            scatter_cut: 100.0,
            qc_spread: 0.3,
            qi_spread: 0.3,
            dead_fraction: 0.03,
            coupled_fraction: 0.02,
            qi_power_fraction: 0.1,
            heating: 0.02,
            tls_min: 1e-18,
            tls_max: 1e-17,
            bath_noise_k: 2e-6,
            line_amplitude: 1e-8,
            glitch_rate_hz: 0.003,
            gain_spread_db: 0.7,
            noise_temperature_k: 5.0,
            saturation_dbm: -40.0,
            noise_rise_dbm: -45.0,
            delay_min_s: 0.3e-6,
            delay_max_s: 3e-6,
            slope_db: 0.5,
            standing_waves: 2,
            box_modes: 2,
            box_depth: 0.15,
            gain_noise: 2e-5,
            phase_noise_rad: 5e-5,
            image_db: -65.0,
            ..Self::clean()
        }
    }

    /// Parameters of [`Profile::Harsh`].
    pub fn harsh() -> Self {
        Self {
            scatter: 1.5e-3,
            qc_spread: 0.5,
            qi_spread: 0.5,
            dead_fraction: 0.08,
            coupled_fraction: 0.06,
            kerr_spread_db: 3.0,
            qi_power_fraction: 0.25,
            heating: 0.08,
            tls_min: 1e-17,
            tls_max: 1e-16,
            tls_exponent: 0.8,
            bath_noise_k: 1e-5,
            line_amplitude: 1e-7,
            glitch_rate_hz: 0.03,
            glitch_height_lw: 1.0,
            gain_spread_db: 1.5,
            noise_temperature_k: 10.0,
            saturation_dbm: -52.0,
            noise_rise_dbm: -55.0,
            delay_min_s: 2e-6,
            delay_max_s: 10e-6,
            slope_db: 1.0,
            standing_waves: 3,
            standing_max_db: 1.0,
            standing_min_hz: 10e6,
            box_modes: 5,
            box_depth: 0.35,
            gain_noise: 2e-4,
            phase_noise_rad: 5e-4,
            image_db: -50.0,
            ..Self::lab()
        }
    }
}
