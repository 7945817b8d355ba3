//! Rates, frequency steps and conversions of units of the CRS board.

/// Sample rate of the ADC after the down-conversion by the NCO, Hz.
pub const FAST_RATE_HZ: f64 = 625e6;

/// Output rate of the polyphase filter bank, which is the input rate of the first decimation
/// filter, Hz.
pub const PFB_RATE_HZ: f64 = FAST_RATE_HZ / 256.0;

/// Number of samples of the filter bank in a tick ([`TICK_RATE_HZ`]): the factor of the first
/// decimation filter.
pub const PFB_SAMPLES_PER_TICK: u64 = 64;

/// Number of samples of the ADC in a tick.
pub const FAST_SAMPLES_PER_TICK: u64 = 256 * PFB_SAMPLES_PER_TICK;

/// Rate after the first decimation filter, Hz. Its period is a *tick*, the unit of time of the
/// model: sample `m` at stage `s` is taken at tick `m << s`.
pub const TICK_RATE_HZ: f64 = PFB_RATE_HZ / PFB_SAMPLES_PER_TICK as f64;

/// Highest decimation stage.
pub const MAX_STAGE: u8 = 6;

/// Step of the frequency of a tone, Hz.
pub const FREQUENCY_QUANTUM_HZ: f64 = PFB_RATE_HZ / 4_294_967_296.0;

/// Peak voltage of one readout count, V.
pub const VOLTS_PER_COUNT: f64 = 1.3745425908e-7;

/// Power, in dB, by which a tone of full amplitude is below the DAC scale, which is a setting of
/// the board in dBm.
pub const DAC_BACKOFF_DB: f64 = 1.5;

/// DAC scale of a module that was not set, dBm.
pub const DEFAULT_DAC_SCALE_DBM: f64 = 1.0;

/// Impedance of all lines, ohm.
pub const IMPEDANCE_OHM: f64 = 50.0;

/// Sample rate at a decimation stage, Hz: 596.05 at stage 6. Stages above 6 count as 6.
pub fn sample_rate_hz(stage: u8) -> f64 {
    TICK_RATE_HZ / f64::from(1u32 << stage.min(MAX_STAGE))
}

/// Frequency to which the board rounds a request, Hz. Values that are not finite become 0.
pub fn quantise_hz(frequency_hz: f64) -> f64 {
    if frequency_hz.is_finite() {
        (frequency_hz / FREQUENCY_QUANTUM_HZ).round() * FREQUENCY_QUANTUM_HZ
    } else {
        0.0
    }
}

/// Power of a tone at the DAC, dBm, from its amplitude as a fraction of full scale.
pub fn tone_dbm(dac_scale_dbm: f64, amplitude: f64) -> f64 {
    dac_scale_dbm - DAC_BACKOFF_DB + 20.0 * amplitude.abs().log10()
}

/// Peak voltage over 50 ohm of a signal whose power is given in mW.
pub fn peak_volts(power_mw: f64) -> f64 {
    (2.0 * IMPEDANCE_OHM * 1e-3 * power_mw.max(0.0)).sqrt()
}

/// Readout counts of a tone whose power at the ADC is given in mW.
pub fn counts(power_mw: f64) -> f64 {
    peak_volts(power_mw) / VOLTS_PER_COUNT
}

/// Power at the ADC, dBm, of a tone with this number of readout counts.
pub fn counts_to_dbm(counts: f64) -> f64 {
    let volts = counts * VOLTS_PER_COUNT;
    mw_to_dbm(volts * volts / (2.0 * IMPEDANCE_OHM) * 1e3)
}

/// Converts mW to dBm.
pub fn mw_to_dbm(power_mw: f64) -> f64 {
    10.0 * power_mw.log10()
}

/// Converts dBm to mW.
pub fn dbm_to_mw(power_dbm: f64) -> f64 {
    10f64.powf(power_dbm / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_dbm_agree() {
        for dbm in [-90.0, -54.5, 0.0, 7.0] {
            let back = counts_to_dbm(counts(dbm_to_mw(dbm)));
            assert!((back - dbm).abs() < 1e-9, "{dbm} dBm came back as {back}");
        }
        // 0 dBm over 50 ohm is 0.31623 V peak.
        assert!((peak_volts(1.0) - 0.316_227_766).abs() < 1e-8);
        assert!((counts(1.0) * 1.3745425908e-7 - 0.316_227_766).abs() < 1e-8);
        assert!((tone_dbm(1.0, 0.01) - (-40.5)).abs() < 1e-12);
    }

    #[test]
    fn rates_and_quantum() {
        assert!((sample_rate_hz(6) - 596.046_447_753_906).abs() < 1e-9);
        assert!((FREQUENCY_QUANTUM_HZ - 0.568e-3).abs() < 1e-6);
        assert_eq!(quantise_hz(f64::NAN), 0.0);
        assert!((quantise_hz(1e8) - 1e8).abs() <= FREQUENCY_QUANTUM_HZ / 2.0);
    }
}
