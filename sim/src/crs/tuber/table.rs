//! Interface of a board: its methods, with the parameters of firmware 1.6, and its properties.

use twotone_wire::tuber::Constant::{Bool, Float, Int, Str};
use twotone_wire::tuber::{Constant, Interface, Method, Param, Property, Slot};

use super::call::{Call, Outcome};
use super::{analog, housekeeping, names, samples, timing, tones};

const CHANNEL: Param = Param::null("channel");
const MODULE: Param = Param::null("module");
const FIRST_MODULE: Param = optional("module", Int(1));
const TARGET: Param = Param::null("target");
const DEGREES: Param = optional("units", Str("DEGREES"));
const NORMALIZED: Param = optional("units", Str(names::NORMALIZED));
const DBM: Param = optional("units", Str("DBM"));
const DB: Param = optional("units", Str("DB"));

const fn required(name: &'static str) -> Param {
    Param::required(name)
}

const fn optional(name: &'static str, default: Constant) -> Param {
    Param::optional(name, default)
}

/// Function that implements a method.
pub(crate) type Run = fn(&mut Call<'_, '_>, Slot<'_>) -> Outcome<()>;

macro_rules! methods {
    ($($file:ident::$name:ident($($param:expr),*) $doc:literal;)*) => {
        /// Names of the methods, in the order of their counters.
        pub(crate) const METHODS: &[&str] = &[$(stringify!($name)),*];

        const INTERFACE: &[Method] = &[$(Method {
            name: stringify!($name),
            doc: $doc,
            params: &[$($param),*],
        }),*];

        /// Functions that implement the methods of [`BOARD`], in the same order.
        pub(crate) const RUN: &[Run] = &[$($file::$name),*];
    };
}

/// The only object of a real board.
pub(crate) static BOARD: Interface = Interface {
    name: "Dfmux",
    doc: "A readout board.",
    methods: INTERFACE,
    properties: PROPERTIES,
};

const PROPERTIES: &[Property] = &[
    Property::members("ADC_CALIBRATION_BLOCK", names::ADC_CALIBRATION_BLOCK),
    Property::members("ADC_CALIBRATION_MODE", names::ADC_CALIBRATION_MODE),
    Property::members("CLOCKSOURCE", names::CLOCKSOURCE),
    Property::members("CURRENT_SENSOR", names::CURRENT_SENSOR_MEMBERS),
    Property::members("DAC_COMPENSATION_FILTER", names::DAC_COMPENSATION_FILTER),
    Property::members("RAIL", names::RAIL_MEMBERS),
    Property::members("SMA_AUX_MODE", names::SMA_AUX_MODE),
    Property::members("TARGET", names::TARGET),
    Property::members("TEMPERATURE_SENSOR", names::TEMPERATURE_SENSOR_MEMBERS),
    Property::members("TIMESTAMP_PORT", names::TIMESTAMP_PORT),
    Property::members("UNITS", names::UNITS),
    Property::members("VOLTAGE_SENSOR", names::VOLTAGE_SENSOR_MEMBERS),
];

methods! {
    analog::clear_adc_calibration_coefficients(required("block"), MODULE)
        "Let the converters find a calibration of their own again.";
    tones::clear_channels(MODULE)
        "Turn the channels of a module, or of all, off and unset them.";
    housekeeping::display(Param::null("message"))
        "Show a message on the front panel.";
    housekeeping::dump_housekeeping()
        "Every sensor's reading: C, V and A.";
    analog::get_adc_attenuator(DB, MODULE)
        "The attenuation before the ADC, dB.";
    analog::get_adc_autocal(MODULE)
        "Whether the ADC calibrates itself in the background.";
    analog::get_adc_calibration_coefficients(required("block"), MODULE)
        "The coefficients that a block of the calibration was given.";
    analog::get_adc_calibration_mode(MODULE)
        "The mode of the ADC's background calibration.";
    tones::get_amplitude(NORMALIZED, CHANNEL, MODULE)
        "A channel's amplitude as a fraction of full scale, or null.";
    analog::get_amplitude_limit(NORMALIZED, MODULE)
        "The largest amplitude that the feedback sets, as a fraction of full scale.";
    analog::get_analog_bank()
        "Whether the high analog bank (modules 5-8) is in use.";
    timing::get_aux_sma_mode()
        "The use of the auxiliary connector, or null.";
    analog::get_cable_length(required("module"))
        "The length of cable that is corrected for, m.";
    timing::get_channel_streamer(FIRST_MODULE)
        "The channels and the bits of a module's 100 Gbit/s stream, or null.";
    timing::get_clock_priority()
        "The clock sources in the order in which they are tried.";
    timing::get_clock_source()
        "The clock source.";
    analog::get_dac_compensation_filter(MODULE)
        "The inverse-sinc filter before the DAC, which follows the NCO's Nyquist zone.";
    analog::get_dac_scale(DBM, MODULE)
        "The DAC's full-scale power, dBm.";
    timing::get_decimation()
        "The decimation stage, or null where no module streams.";
    analog::get_extended_module_bandwidth(MODULE)
        "Whether tones may lie beyond 250 MHz of the NCO.";
    samples::get_fast_samples(required("num_samples"), NORMALIZED, FIRST_MODULE)
        "Samples of the ADC before any filter.";
    timing::get_fir_stage()
        "The decimation stage: the older name of get_decimation.";
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
        required("num_samples"), optional("units", Str(names::RAW)), CHANNEL, FIRST_MODULE
    )
        "Samples of one channel before the decimation, at 2.44 MS/s.";
    timing::get_pfb_streamer(FIRST_MODULE)
        "The channels of a module's fast stream, or null.";
    tones::get_phase(DEGREES, TARGET, CHANNEL, MODULE)
        "A channel's phase, or null.";
    samples::get_samples(
        required("num_samples"), CHANNEL, FIRST_MODULE, optional("average", Bool(false)),
        optional("_extra_metadata", Bool(false))
    )
        "Samples of one channel or of all, in readout counts.";
    timing::get_timestamp()
        "The time.";
    timing::get_timestamp_port()
        "Where the time code comes from.";
    timing::hmc7044_peek(required("address"))
        "A register of the clock distributor.";
    timing::hmc7044_poke(required("address"), required("value"))
        "Write a register of the clock distributor.";
    analog::set_adc_attenuator(required("attenuation"), DB, MODULE)
        "Set the attenuation before the ADC, 0 to 27 dB.";
    analog::set_adc_autocal(required("autocal"), MODULE)
        "Let the ADC calibrate itself in the background.";
    analog::set_adc_calibration_coefficients(
        required("coefficients"), required("block"), MODULE
    )
        "Fix the coefficients of a block of the calibration.";
    analog::set_adc_calibration_mode(required("mode"), MODULE)
        "Set the mode of the ADC's background calibration.";
    tones::set_amplitude(required("amplitude"), NORMALIZED, CHANNEL, MODULE)
        "Set a channel's amplitude as a fraction of full scale, -1 to 1.";
    analog::set_amplitude_limit(required("amplitude"), NORMALIZED, MODULE)
        "Limit the amplitudes that the feedback sets, 0 to 1 of full scale.";
    analog::set_analog_bank(required("high"))
        "Connect modules 5-8 and not 1-4.";
    timing::set_aux_sma_mode(Param::null("mode"))
        "Set the use of the auxiliary connector: TEST_IRIG sends the test time code.";
    analog::set_cable_length(required("length"), required("module"))
        "Set the length of cable that is corrected for, m.";
    timing::set_channel_streamer(
        Param::null("channels"), FIRST_MODULE, optional("sample_trunc", Str(names::HIGH))
    )
        "Stream the first channels, a multiple of 16, over the 100 Gbit/s port, or none.";
    timing::set_clock_priority(Param::null("clock_priority"))
        "Set the order in which clock sources are tried.";
    timing::set_clock_source(Param::null("clock_source"))
        "Set the clock source.";
    analog::set_dac_scale(required("amplitude"), DBM, MODULE)
        "Set the DAC's full-scale power, dBm.";
    timing::set_decimation(
        optional("stage", Int(6)), optional("short", Bool(false)), MODULE,
        optional("_bandwidth_derating", Float(timing::DERATING)).keyword(), Param::null("modules").keyword()
    )
        "Set the decimation stage, 0 to 6, the packet length and the modules that stream.";
    analog::set_extended_module_bandwidth(required("extended"), MODULE)
        "Allow tones beyond 250 MHz of the NCO, where the filters droop.";
    timing::set_fir_stage(
        optional("stage", Int(6)), optional("short", Bool(false)), MODULE,
        optional("_bandwidth_derating", Float(timing::DERATING)).keyword(), Param::null("modules").keyword()
    )
        "Set the decimation: the older name of set_decimation.";
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

/// Index of a method in the table.
pub(crate) fn find(name: &str) -> Option<usize> {
    METHODS.binary_search(&name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_fits() {
        assert!(METHODS.is_sorted());
        for (index, method) in INTERFACE.iter().enumerate() {
            assert_eq!(find(method.name), Some(index));
            assert!(method.params.len() <= Method::MAX_PARAMS, "{}", method.name);
        }
        assert_eq!(find("no_such_method"), None);
    }
}
