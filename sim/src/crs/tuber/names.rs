//! Enumerations that clients read as properties, and the sensors of the board.
//!
//! Each member of an enumeration has a name and a value. A client sends the value. The board also
//! accepts the name, which the board's acceptance tests send.

use twotone_wire::crs::StampSource;

/// Name and value of each member of an enumeration.
pub(crate) type Members = &'static [(&'static str, &'static str)];

// Values of members that other parts of the simulated board refer to.
pub(crate) const RAW: &str = "raw";
pub(crate) const NORMALIZED: &str = "normalized";
pub(crate) const DEGREES: &str = "degrees";
pub(crate) const RADIANS: &str = "radians";
pub(crate) const DB: &str = "db";
pub(crate) const DBM: &str = "dbm";
pub(crate) const ADC: &str = "adc";
pub(crate) const DAC: &str = "dac";
pub(crate) const BACKPLANE: &str = StampSource::Backplane.name();
pub(crate) const TEST: &str = StampSource::Test.name();
pub(crate) const SMA: &str = StampSource::Sma.name();
pub(crate) const AUX_SMA: &str = "AUX_SMA";
pub(crate) const VCXO: &str = "VCXO";
pub(crate) const MODE1: &str = "MODE1";
pub(crate) const MODE2: &str = "MODE2";
pub(crate) const HIGH: &str = "HIGH";
pub(crate) const AUTO: &str = "AUTO";

/// Units of quantities.
pub(crate) const UNITS: Members = &[
    ("HZ", "hz"),
    ("RAW", RAW),
    ("ADC_COUNTS", "adc_counts"),
    ("VOLTS", "volts"),
    ("AMPS", "amps"),
    ("WATTS", "watts"),
    ("DEGREES", DEGREES),
    ("RADIANS", RADIANS),
    ("OHMS", "ohms"),
    ("NORMALIZED", NORMALIZED),
    ("DB", DB),
    ("DBM", DBM),
];

/// Parts of the signal path that a method can be asked to act on, such as the one whose phase or
/// Nyquist zone is set.
pub(crate) const TARGET: Members = &[
    ("CARRIER", "carrier"),
    ("NULLER", "nuller"),
    ("DEMOD", "demod"),
    ("ADC", ADC),
    ("DAC", DAC),
];

/// Sources of the time code.
pub(crate) const TIMESTAMP_PORT: Members = &[
    ("BACKPLANE", BACKPLANE),
    ("TEST", TEST),
    ("SMA", SMA),
    ("AUX_SMA", AUX_SMA),
];

/// Uses of the auxiliary connector.
pub(crate) const SMA_AUX_MODE: Members = &[("TEST_IRIG", "TEST_IRIG")];

/// Settings of the inverse-sinc filter before the DAC, each for the Nyquist zones whose response it
/// makes flat.
pub(crate) const DAC_COMPENSATION_FILTER: Members = &[("MODE1", MODE1), ("MODE2", MODE2)];

/// Choices of the 16 bits of each sample of the channel stream.
pub(crate) const SAMPLE_TRUNC: Members = &[("LOW", "LOW"), ("MID", "MID"), ("HIGH", HIGH)];

/// Sources of the sampling clock.
pub(crate) const CLOCKSOURCE: Members = &[("VCXO", VCXO), ("SMA", SMA), ("BACKPLANE", "Backplane")];

/// Modes of the background calibration of the ADC.
pub(crate) const ADC_CALIBRATION_MODE: Members =
    &[("AUTO", AUTO), ("MODE1", MODE1), ("MODE2", MODE2)];

/// Blocks of the calibration of the ADC, each with coefficients of its own.
pub(crate) const ADC_CALIBRATION_BLOCK: Members = &[
    ("OCB1", "OCB1"),
    ("OCB2", "OCB2"),
    ("GCB", "GCB"),
    ("TSCB", "TSCB"),
];

/// A sensor on the board, which measures one temperature, voltage or current.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sensor {
    pub(crate) name: &'static str,
    pub(crate) value: &'static str,
    /// Typical reading of the sensor on a laboratory bench, in degrees C, V or A.
    pub(crate) reading: f64,
}

/// Declares a list of sensors and the enumeration of their names.
macro_rules! sensors {
    ($(#[$doc:meta])* $list:ident, $members:ident, $($name:literal $value:literal $reading:literal;)*) => {
        $(#[$doc])*
        pub(crate) const $list: &[Sensor] = &[
            $(Sensor { name: $name, value: $value, reading: $reading }),*
        ];
        /// Enumeration of the same sensors.
        pub(crate) const $members: Members = &[$(($name, $value)),*];
    };
}

sensors! {
    /// Thermometers, with readings in degrees C.
    TEMPERATURE_SENSOR, TEMPERATURE_SENSOR_MEMBERS,
    "MOTHERBOARD_POWER" "MOTHERBOARD_TEMPERATURE_POWER" 38.0;
    "MOTHERBOARD_ARM" "MOTHERBOARD_TEMPERATURE_ARM" 44.5;
    "MOTHERBOARD_FPGA" "MOTHERBOARD_TEMPERATURE_FPGA" 47.0;
    "MOTHERBOARD_PHY" "MOTHERBOARD_TEMPERATURE_PHY" 41.0;
    "MB_R5V0" "MB_R5V0" 43.0;
    "MB_R5V0_DIE" "MB_R5V0_DIE" 49.0;
    "MB_R3V3A" "MB_R3V3A" 42.5;
    "MB_R3V3A_DIE" "MB_R3V3A_DIE" 48.0;
    "MB_R2V5" "MB_R2V5" 42.0;
    "MB_R2V5_DIE" "MB_R2V5_DIE" 47.5;
    "MB_R1V8" "MB_R1V8" 42.0;
    "MB_R1V8_DIE" "MB_R1V8_DIE" 48.5;
    "MB_R1V2A" "MB_R1V2A" 43.5;
    "MB_R1V2A_DIE" "MB_R1V2A_DIE" 49.5;
    "MB_R1V4" "MB_R1V4" 43.0;
    "MB_R1V4_DIE" "MB_R1V4_DIE" 49.0;
    "MB_R1V2B" "MB_R1V2B" 43.5;
    "MB_R1V2B_DIE" "MB_R1V2B_DIE" 49.0;
    "MB_R0V85" "MB_R0V85" 45.0;
    "MB_R0V85A_DIE" "MB_R0V85A_DIE" 52.0;
    "MB_R0V85B_DIE" "MB_R0V85B_DIE" 52.5;
    "RFSOC_PL" "RFSOC_PL" 55.0;
    "RFSOC_PS" "RFSOC_PS" 54.0;
}

sensors! {
    /// Supply rails. The reading of each is its nominal voltage, in V.
    RAIL, RAIL_MEMBERS,
    "MB_VCC3V3" "MOTHERBOARD_RAIL_VCC3V3" 3.3;
    "MB_VCC12V0" "MOTHERBOARD_RAIL_VCC12V0" 12.0;
    "MB_VCC5V5" "MOTHERBOARD_RAIL_VCC5V5" 5.5;
    "MB_VCC1V0_GTX" "MOTHERBOARD_RAIL_VCC1V0_GTX" 1.0;
    "MB_VCC1V0" "MOTHERBOARD_RAIL_VCC1V0" 1.0;
    "MB_VCC1V2" "MOTHERBOARD_RAIL_VCC1V2" 1.2;
    "MB_VCC1V5" "MOTHERBOARD_RAIL_VCC1V5" 1.5;
    "MB_VCC1V8" "MOTHERBOARD_RAIL_VCC1V8" 1.8;
    "MB_VADJ" "MOTHERBOARD_RAIL_VADJ" 2.5;
}

sensors! {
    /// Sensors of the voltages at the regulators and inside the RFSoC, with readings in V.
    VOLTAGE_SENSOR, VOLTAGE_SENSOR_MEMBERS,
    "MB_VBP" "MB_VBP" 12.1;
    "MB_R0V85A" "MB_R0V85A" 0.856;
    "MB_R0V85B" "MB_R0V85B" 0.855;
    "MB_R1V2A" "MB_R1V2A" 1.205;
    "MB_R1V2B" "MB_R1V2B" 1.204;
    "MB_R1V4" "MB_R1V4" 1.402;
    "MB_R1V8A" "MB_R1V8A" 1.806;
    "MB_R2V5" "MB_R2V5" 2.507;
    "MB_R3V3A" "MB_R3V3A" 3.31;
    "MB_R5V0" "MB_R5V0" 5.02;
    "RFSOC_PSMGTRAVCC" "RFSOC_PSMGTRAVCC" 0.85;
    "RFSOC_PSMGTRAVTT" "RFSOC_PSMGTRAVTT" 1.8;
    "RFSOC_VCCAMS" "RFSOC_VCCAMS" 1.8;
    "RFSOC_VCCAUX" "RFSOC_VCCAUX" 1.8;
    "RFSOC_VCCBRAM" "RFSOC_VCCBRAM" 0.85;
    "RFSOC_VCCINT" "RFSOC_VCCINT" 0.85;
    "RFSOC_VCCPLAUX" "RFSOC_VCCPLAUX" 1.8;
    "RFSOC_VCCPLINTFP" "RFSOC_VCCPLINTFP" 0.85;
    "RFSOC_VCCPLINTLP" "RFSOC_VCCPLINTLP" 0.85;
    "RFSOC_VCCPSAUX" "RFSOC_VCCPSAUX" 1.8;
    "RFSOC_VCCPSDDR" "RFSOC_VCCPSDDR" 1.2;
    "RFSOC_VCCPSINTFP" "RFSOC_VCCPSINTFP" 0.85;
    "RFSOC_VCCPSINTFPDDR" "RFSOC_VCCPSINTFPDDR" 0.85;
    "RFSOC_VCCPSINTLP" "RFSOC_VCCPSINTLP" 0.85;
    "RFSOC_VCCPSIO0" "RFSOC_VCCPSIO0" 1.8;
    "RFSOC_VCCPSIO1" "RFSOC_VCCPSIO1" 3.3;
    "RFSOC_VCCPSIO2" "RFSOC_VCCPSIO2" 3.3;
    "RFSOC_VCCPSIO3" "RFSOC_VCCPSIO3" 3.3;
    "RFSOC_VCCVREFN" "RFSOC_VCCVREFN" 0.001;
    "RFSOC_VCCVREFP" "RFSOC_VCCVREFP" 1.25;
    "RFSOC_VCC_PSBATT" "RFSOC_VCC_PSBATT" 0.002;
    "RFSOC_VCC_PSDDRPLL" "RFSOC_VCC_PSDDRPLL" 1.8;
    "RFSOC_VCC_PSPLL0" "RFSOC_VCC_PSPLL0" 1.2;
}

sensors! {
    /// Sensors of the currents of the regulators, with readings in A.
    CURRENT_SENSOR, CURRENT_SENSOR_MEMBERS,
    "MB_R0V85A" "MB_R0V85A" 5.1;
    "MB_R0V85B" "MB_R0V85B" 4.9;
    "MB_R1V2A" "MB_R1V2A" 1.1;
    "MB_R1V2B" "MB_R1V2B" 0.9;
    "MB_R1V4" "MB_R1V4" 0.8;
    "MB_R1V8A" "MB_R1V8A" 1.3;
    "MB_R2V5" "MB_R2V5" 0.7;
    "MB_R3V3A" "MB_R3V3A" 1.6;
    "MB_R5V0" "MB_R5V0" 0.6;
    "MB_VBP" "MB_VBP" 2.4;
}

/// Currents of the supply rails, in A, in the order of [`RAIL`].
pub(crate) const RAIL_CURRENT: &[f64] = &[1.0, 0.5, 0.8, 0.3, 0.4, 0.6, 0.7, 0.9, 0.2];

/// Returns the member whose value or name is `text`, ignoring case.
pub(crate) fn member(members: Members, text: &str) -> Option<&'static str> {
    members
        .iter()
        .find(|(name, value)| value.eq_ignore_ascii_case(text) || name.eq_ignore_ascii_case(text))
        .map(|(_, value)| *value)
}

/// Returns the sensor whose value or name is `text`.
pub(crate) fn find<'a>(sensors: &'a [Sensor], text: &str) -> Option<&'a Sensor> {
    sensors
        .iter()
        .find(|sensor| sensor.value == text || sensor.name == text)
}
