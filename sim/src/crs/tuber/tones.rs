//! Methods of tones and of the NCO.

use twotone_physics::converter::{ZONE_HZ, ZONES, zone_of};
use twotone_physics::units::{FREQUENCY_QUANTUM_HZ, quantise_hz};
use twotone_wire::tuber::Slot;

use super::call::{Call, Outcome, value_error};
use super::names;
use crate::crs::MODULES;

/// Largest offset of a tone from the NCO, Hz.
const MAX_OFFSET_HZ: f64 = 313.5e6;

/// Largest offset while the bandwidth of the module is not extended, Hz: the part of the band in
/// which the filters are flat.
const FLAT_OFFSET_HZ: f64 = 250e6;

/// Highest frequency of the NCO, Hz: the end of the last Nyquist zone.
const MAX_NCO_HZ: f64 = ZONES as f64 * ZONE_HZ;

/// Last Nyquist zone that the driver of the converters accepts without a warning.
const LAST_QUIET_ZONE: u8 = 2;

pub(crate) fn set_frequency(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let frequency = call.float("frequency")?;
    let frequency = quantise_hz(frequency);
    let number = call.module_number()?;
    let extended = call.crs.settings().extended_bandwidth[number - 1];
    if frequency.abs() > MAX_OFFSET_HZ + FREQUENCY_QUANTUM_HZ {
        return Err(value_error(
            "The set frequency must be between -313.5 MHz and +313.5 MHz of the NCO frequency.",
        ));
    }
    if frequency.abs() > FLAT_OFFSET_HZ + FREQUENCY_QUANTUM_HZ && !extended {
        return Err(value_error(
            "The set frequency must be between -250 MHz and +250 MHz of the NCO frequency, \
             unless the module's bandwidth is extended (set_extended_module_bandwidth).",
        ));
    }
    let channel = call.channel()?;
    call.module(number)?.set_frequency(channel, frequency);
    out.null();
    Ok(())
}

pub(crate) fn get_frequency(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let number = call.module_number()?;
    let channel = call.channel()?;
    float_or_null(out, call.module(number)?.channel(channel).frequency_hz);
    Ok(())
}

pub(crate) fn set_amplitude(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    call.units(&[names::NORMALIZED])?;
    let amplitude = call.float("amplitude")?;
    if !(-1.0..=1.0).contains(&amplitude) {
        return Err(value_error("Amplitude must be between -1.0 and +1.0."));
    }
    let number = call.module_number()?;
    let channel = call.channel()?;
    call.module(number)?.set_amplitude(channel, amplitude);
    out.null();
    Ok(())
}

pub(crate) fn get_amplitude(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    call.units(&[names::NORMALIZED])?;
    let number = call.module_number()?;
    let channel = call.channel()?;
    float_or_null(out, call.module(number)?.channel(channel).amplitude);
    Ok(())
}

pub(crate) fn set_phase(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let phase = call.float("phase")?;
    let degrees = if is_radians(call)? {
        phase.to_degrees()
    } else {
        phase
    };
    let dac = call.member_or_none("target", "target", names::TARGET)? == Some(names::DAC);
    let number = call.module_number()?;
    let channel = call.channel()?;
    let mut module = call.module(number)?;
    if dac {
        module.set_dac_phase(channel, degrees);
    } else {
        module.set_adc_phase(channel, degrees);
    }
    out.null();
    Ok(())
}

pub(crate) fn get_phase(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let radians = is_radians(call)?;
    let dac = call.member_or_none("target", "target", names::TARGET)? == Some(names::DAC);
    let number = call.module_number()?;
    let channel = call.channel()?;
    let channel = call.module(number)?.channel(channel);
    let degrees = if dac {
        channel.dac_phase_deg
    } else {
        channel.adc_phase_deg
    };
    float_or_null(
        out,
        if radians {
            degrees.map(f64::to_radians)
        } else {
            degrees
        },
    );
    Ok(())
}

fn is_radians(call: &Call<'_, '_>) -> Outcome<bool> {
    Ok(call.units(&[names::DEGREES, names::RADIANS])? == Some(names::RADIANS))
}

/// Sets the NCO. The converters follow it into its Nyquist zone. As on a board with firmware 1.5 or
/// later, the zones 3 and 4 lead to a warning, and the NCO is set nevertheless.
pub(crate) fn set_nco_frequency(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let frequency = call.float("frequency")?;
    if !(0.0..=MAX_NCO_HZ).contains(&frequency) {
        return Err(value_error(
            "The NCO frequency must be between 0 and 10000 MHz.",
        ));
    }
    let number = call.module_number()?;
    call.module(number)?.set_nco(frequency);
    let zone = zone_of(frequency);
    if zone > LAST_QUIET_ZONE {
        call.warnings.push(format!(
            "Module {number}: the converter driver has no settings for Nyquist zone {zone}."
        ));
    }
    out.null();
    Ok(())
}

pub(crate) fn get_nco_frequency(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    call.member_or_none("target", "target", names::TARGET)?;
    let number = call.module_number()?;
    out.f64(call.module(number)?.nco_hz());
    Ok(())
}

pub(crate) fn clear_channels(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    match call.int_or_none("module")? {
        Some(_) => {
            let number = call.module_number()?;
            call.module(number)?.clear_channels();
        }
        None => {
            for index in 0..MODULES {
                if let Some(mut module) = call.crs.module(index) {
                    module.clear_channels();
                }
            }
        }
    }
    out.null();
    Ok(())
}

pub(crate) fn float_or_null(out: Slot<'_>, value: Option<f64>) {
    match value {
        Some(value) => out.f64(value),
        None => out.null(),
    }
}
