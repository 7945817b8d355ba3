//! Test of modules with many detectors: the samples agree with the product of all transmissions.

use twotone_physics::{Band, Complex64, ModuleModel, ProfileParams, Tone, units};

const BAND: Band = Band {
    f_min_hz: 750e6,
    f_max_hz: 1250e6,
};

#[test]
fn at_low_power_samples_are_the_line_times_all_detectors() {
    let still = ProfileParams {
        tls_max: 0.0,
        bath_noise_k: 0.0,
        line_amplitude: 0.0,
        glitch_rate_hz: 0.0,
        gain_noise: 0.0,
        phase_noise_rad: 0.0,
        noise_temperature_k: 0.0,
        adc_bits: 31,
        ..ProfileParams::harsh()
    };
    // The model computes detectors sample by sample if they have any noise, however little.
    let moving = ProfileParams {
        tls_min: 1e-32,
        tls_max: 1e-31,
        ..still.clone()
    };
    for (detectors, params) in [
        (20, &still),
        (256, &still),
        (1024, &still),
        (256, &moving),
        (1024, &moving),
    ] {
        let mut model = ModuleModel::draw(5, 0, 1, detectors, BAND, 500, params);
        let amplitude = 2e-5;
        for channel in 0..500 {
            let frequency_hz = -249.9e6 + 0.9991e6 * channel as f64;
            let tone = Tone {
                frequency_hz,
                amplitude,
                ..Tone::default()
            };
            model.set_tone(channel, tone).expect("valid");
        }
        let mut out = Vec::new();
        model.acquire(0, 10, 0..500, &mut out);
        let full_scale = units::counts(units::dbm_to_mw(units::tone_dbm(1.0, 1.0)));
        let expected = |channel: usize| {
            let f = model.nco_hz() + units::quantise_hz(-249.9e6 + 0.9991e6 * channel as f64);
            let past: Complex64 = model
                .population()
                .detectors()
                .iter()
                .map(|d| d.transmission(f))
                .product();
            model.line().transmission(f) * past * full_scale * amplitude
        };
        // All channels have the same additional phase, which is found from the first channel.
        let turn = out[9] / expected(0);
        assert!((turn.norm() - 1.0).abs() < 1e-3, "{turn}");
        for channel in 0..500 {
            let error = (out[channel * 10 + 9] / turn - expected(channel)).norm();
            assert!(
                error < 1e-3 * full_scale * amplitude,
                "{detectors} {channel}: {error}"
            );
        }
    }
}
