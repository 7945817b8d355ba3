//! A module with one detector, for tests. The NCO is the oscillator to which the tones of a module
//! are relative.

use twotone_physics::{Complex64, Detector, Line, ModuleModel, Population, ProfileParams, Tone};

/// Parameters with negligible noise.
pub(crate) fn silent() -> ProfileParams {
    ProfileParams {
        noise_temperature_k: 0.0,
        adc_bits: 31,
        ..ProfileParams::clean()
    }
}

/// A module with 16 channels and its NCO at 990 MHz. Its one detector is on a line with a gain of
/// -2 dB and a delay of 60 ns.
pub(crate) fn one_detector(detector: Detector, params: &ProfileParams) -> ModuleModel {
    let line = Line {
        gain_db: -2.0,
        delay_s: 60e-9,
        ..Line::flat()
    };
    let population = Population::from_detectors([detector]);
    let mut model = ModuleModel::new(1, 0, 1, population, line, 16, params);
    model.set_nco(1e9 - 10e6).expect("finite");
    model
}

/// A tone at an absolute frequency.
pub(crate) fn tone(model: &ModuleModel, absolute_hz: f64, amplitude: f64) -> Tone {
    Tone {
        frequency_hz: absolute_hz - model.nco_hz(),
        amplitude,
        ..Tone::default()
    }
}

/// Mean of the samples of a channel after the filters have settled.
pub(crate) fn settled(model: &mut ModuleModel, channel: usize, start: &mut u64) -> Complex64 {
    let mut out = Vec::new();
    model.acquire(*start, 12, channel..channel + 1, &mut out);
    *start += 12;
    out[8..].iter().sum::<Complex64>() / 4.0
}
