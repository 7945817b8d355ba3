//! The methods of a board, with their parameters as firmware 1.6 has them.

use twotone_wire::tuber::Slot;

use super::args::Default::{Bool, Float, Int, None, Str};
use super::args::{Kind, Outcome, Param, optional, required};
use super::call::Call;
use super::{analog, housekeeping, samples, timing, tones};

/// One method.
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) params: &'static [Param],
    pub(crate) run: fn(&mut Call<'_, '_>, Slot<'_>) -> Outcome<()>,
}

const CHANNEL: Param = optional("channel", None);
const MODULE: Param = optional("module", None);
const FIRST_MODULE: Param = optional("module", Int(1));
const TARGET: Param = optional("target", None);
const DEGREES: Param = optional("units", Str("DEGREES"));
const NORMALIZED: Param = optional("units", Str("normalized"));
const DBM: Param = optional("units", Str("DBM"));
const DB: Param = optional("units", Str("DB"));

macro_rules! methods {
    ($($file:ident::$name:ident($($param:expr),*) $doc:literal;)*) => {
        /// Every method, in order of name.
        pub(crate) const METHODS: &[Method] = &[$(Method {
            name: stringify!($name),
            doc: $doc,
            params: &[$($param),*],
            run: $file::$name,
        }),*];
    };
}

methods! {
    tones::clear_channels(MODULE)
        "Turn the channels of a module, or of all, off and unset them.";
    housekeeping::display(optional("message", None))
        "Show a message on the front panel.";
    housekeeping::dump_housekeeping()
        "Every sensor's reading: C, V and A.";
    analog::get_adc_attenuator(DB, MODULE)
        "The attenuation before the ADC, dB.";
    analog::get_adc_autocal(MODULE)
        "Whether the ADC calibrates itself in the background.";
    analog::get_adc_calibration_mode(MODULE)
        "The mode of the ADC's background calibration.";
    tones::get_amplitude(NORMALIZED, CHANNEL, MODULE)
        "A channel's amplitude as a fraction of full scale, or null.";
    analog::get_analog_bank()
        "Whether the high analog bank (modules 5-8) is in use.";
    analog::get_cable_length(required("module"))
        "The length of cable that is corrected for, m.";
    timing::get_clock_priority()
        "The clock sources in the order in which they are tried.";
    timing::get_clock_source()
        "The clock source.";
    analog::get_dac_scale(DBM, MODULE)
        "The DAC's full-scale power, dBm.";
    timing::get_decimation()
        "The decimation stage, or null where no module streams.";
    analog::get_extended_module_bandwidth(MODULE)
        "Whether tones may lie beyond 250 MHz of the NCO.";
    samples::get_fast_samples(required("num_samples"), NORMALIZED, FIRST_MODULE)
        "Samples of the ADC before any filter.";
    housekeeping::get_firmware_release()
        "The firmware's version, build date and commit.";
    tones::get_frequency(CHANNEL, MODULE)
        "A channel's frequency relative to the NCO, Hz, or null.";
    housekeeping::get_motherboard_current(required("rail"))
        "The current of a supply, A.";
    housekeeping::get_motherboard_temperature(required("sensor"))
        "The temperature at a sensor, C.";
    housekeeping::get_motherboard_voltage(required("rail"))
        "The voltage of a supply, V.";
    tones::get_nco_frequency(MODULE, TARGET)
        "The NCO's frequency, Hz.";
    analog::get_nyquist_zone(TARGET, MODULE)
        "The converters' Nyquist zone.";
    samples::get_pfb_samples(
        required("num_samples"), optional("units", Str("raw")), CHANNEL, FIRST_MODULE
    )
        "Samples of one channel before the decimation, at 2.44 MS/s.";
    timing::get_pfb_streamer(FIRST_MODULE)
        "The channels of a module's fast stream, or null.";
    tones::get_phase(DEGREES, TARGET, CHANNEL, MODULE)
        "A channel's phase, or null.";
    samples::get_samples(
        required("num_samples"), CHANNEL, FIRST_MODULE, optional("average", Bool(false))
    )
        "Samples of one channel or of all, in readout counts.";
    timing::get_timestamp()
        "The time.";
    timing::get_timestamp_port()
        "Where the time code comes from.";
    analog::set_adc_attenuator(required("attenuation"), DB, MODULE)
        "Set the attenuation before the ADC, 0 to 27 dB.";
    analog::set_adc_autocal(required("autocal"), MODULE)
        "Let the ADC calibrate itself in the background.";
    analog::set_adc_calibration_mode(required("mode"), MODULE)
        "Set the mode of the ADC's background calibration.";
    tones::set_amplitude(required("amplitude"), NORMALIZED, CHANNEL, MODULE)
        "Set a channel's amplitude as a fraction of full scale, -1 to 1.";
    analog::set_analog_bank(required("high"))
        "Connect modules 5-8 and not 1-4.";
    analog::set_cable_length(required("length"), required("module"))
        "Set the length of cable that is corrected for, m.";
    timing::set_clock_priority(optional("clock_priority", None))
        "Set the order in which clock sources are tried.";
    timing::set_clock_source(optional("clock_source", None))
        "Set the clock source.";
    analog::set_dac_scale(required("amplitude"), DBM, MODULE)
        "Set the DAC's full-scale power, dBm.";
    timing::set_decimation(
        optional("stage", Int(6)), optional("short", Bool(false)), MODULE,
        Param { name: "_bandwidth_derating", kind: Kind::Keyword, default: Float(0.8) }
    )
        "Set the decimation stage, 0 to 6, the packet length and the modules that stream.";
    analog::set_extended_module_bandwidth(required("extended"), MODULE)
        "Allow tones beyond 250 MHz of the NCO, where the filters droop.";
    tones::set_frequency(required("frequency"), CHANNEL, MODULE)
        "Set a channel's frequency relative to the NCO, Hz.";
    tones::set_nco_frequency(required("frequency"), MODULE)
        "Set the NCO's frequency, Hz.";
    analog::set_nyquist_zone(required("zone"), TARGET, MODULE)
        "Set the converters' Nyquist zone, 1 to 3.";
    timing::set_pfb_streamer(CHANNEL, FIRST_MODULE)
        "Stream 1, 2 or 4 channels before the decimation, or none.";
    tones::set_phase(required("phase"), DEGREES, TARGET, CHANNEL, MODULE)
        "Set a channel's phase: the ADC's turns samples back, the DAC's forward.";
    timing::set_timestamp_port(required("port"))
        "Set where the time code comes from.";
}

/// The place of a method in the table.
pub(crate) fn find(name: &str) -> Option<usize> {
    METHODS
        .binary_search_by_key(&name, |method| method.name)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crs::args::MAX_PARAMS;

    #[test]
    fn the_table_is_in_order_and_fits() {
        assert!(METHODS.is_sorted_by_key(|method| method.name));
        for (index, method) in METHODS.iter().enumerate() {
            assert_eq!(find(method.name), Some(index));
            assert!(method.params.len() <= MAX_PARAMS, "{}", method.name);
        }
        assert_eq!(find("no_such_method"), Option::None);
    }
}
