//! Methods of the analog path: banks, gains, Nyquist zones, cables, converters.

use twotone_physics::converter::zone_of;
use twotone_wire::crs::MODULES_IN_BANK;
use twotone_wire::tuber::{Slot, Value};

use super::call::{Call, Outcome, value_error};
use super::names;

/// Range of the full-scale power of the DAC, dBm.
const DAC_SCALE_DBM: std::ops::RangeInclusive<f64> = -20.0..=10.0;

/// Range of the attenuator before the ADC, dB.
const ATTENUATION_DB: std::ops::RangeInclusive<i64> = 0..=27;

/// Length of the longest cable that the firmware corrects for, m.
const MAX_CABLE_M: f64 = 2000.0;

pub(crate) fn set_analog_bank(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let high = call.bool("high")?;
    let mut settings = call.crs.settings();
    if settings.high_bank != high {
        settings.high_bank = high;
        // Only modules of the bank in use can stream.
        for module in &mut settings.streamed {
            *module = if high {
                *module + MODULES_IN_BANK
            } else {
                *module - MODULES_IN_BANK
            };
        }
    }
    out.null();
    Ok(())
}

pub(crate) fn get_analog_bank(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    out.bool(call.crs.settings().high_bank);
    Ok(())
}

pub(crate) fn set_dac_scale(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    call.units(&[names::DBM])?;
    let dbm = call.float("amplitude")?;
    if !DAC_SCALE_DBM.contains(&dbm) {
        return Err(value_error(
            "The DAC scale must be between -20 dBm and +10 dBm.",
        ));
    }
    let number = call.module_number()?;
    call.module(number)?.set_dac_scale(dbm);
    out.null();
    Ok(())
}

pub(crate) fn get_dac_scale(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    call.units(&[names::DBM])?;
    let number = call.module_number()?;
    out.f64(call.module(number)?.analog().dac_scale_dbm);
    Ok(())
}

/// Limits the amplitudes that the feedback sets. A simulated board has no feedback, so the limit is
/// only kept. It does not apply to [`set_amplitude`](super::tones::set_amplitude).
pub(crate) fn set_amplitude_limit(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    call.units(&[names::NORMALIZED])?;
    let limit = call.float("amplitude")?;
    if !(0.0..=1.0).contains(&limit) {
        return Err(value_error("The amplitude limit must be between 0 and 1."));
    }
    let number = call.module_number()?;
    call.crs.settings().amplitude_limits[number - 1] = limit;
    out.null();
    Ok(())
}

pub(crate) fn get_amplitude_limit(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    call.units(&[names::NORMALIZED])?;
    let number = call.module_number()?;
    out.f64(call.crs.settings().amplitude_limits[number - 1]);
    Ok(())
}

/// Returns the filter that makes the response of the DAC flat around the NCO. The firmware chooses
/// it with the NCO. Zones 1 and 4 have one filter, zones 2 and 3 the other.
pub(crate) fn get_dac_compensation_filter(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let number = call.module_number()?;
    let zone = zone_of(call.module(number)?.nco_hz());
    out.str(if matches!(zone, 2 | 3) {
        names::MODE2
    } else {
        names::MODE1
    });
    Ok(())
}

pub(crate) fn set_adc_attenuator(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    call.units(&[names::DB])?;
    let attenuation = call.int("attenuation")?;
    if !ATTENUATION_DB.contains(&attenuation) {
        return Err(value_error(
            "The attenuation must be between 0 dB and 27 dB.",
        ));
    }
    let number = call.module_number()?;
    call.module(number)?.set_adc_attenuator(attenuation as f64);
    out.null();
    Ok(())
}

pub(crate) fn get_adc_attenuator(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    call.units(&[names::DB])?;
    let number = call.module_number()?;
    out.f64(call.module(number)?.analog().adc_attenuation_db);
    Ok(())
}

pub(crate) fn set_nyquist_zone(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let zone = call.int("zone")?;
    if !(1..=3).contains(&zone) {
        return Err(value_error("The Nyquist zone must be 1, 2 or 3."));
    }
    let target = call.member_or_none("target", "target", names::TARGET)?;
    let number = call.module_number()?;
    let mut module = call.module(number)?;
    // Without a target, the zones of both converters are set.
    if target != Some(names::ADC) {
        module.set_dac_zone(zone as u8);
    }
    if target != Some(names::DAC) {
        module.analog_mut().adc_nyquist_zone = zone as u8;
    }
    out.null();
    Ok(())
}

pub(crate) fn get_nyquist_zone(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let target = call.member_or_none("target", "target", names::TARGET)?;
    let number = call.module_number()?;
    let module = call.module(number)?;
    let analog = module.analog();
    let zone = if target == Some(names::ADC) {
        analog.adc_nyquist_zone
    } else {
        analog.dac_nyquist_zone
    };
    out.u64(u64::from(zone));
    Ok(())
}

pub(crate) fn set_cable_length(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let length = call.float("length")?;
    if !(0.0..=MAX_CABLE_M).contains(&length) {
        return Err(value_error(
            "The cable length must be between 0 m and 2000 m.",
        ));
    }
    let number = call.module_number()?;
    call.module(number)?.set_cable_length(length);
    out.null();
    Ok(())
}

pub(crate) fn get_cable_length(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let number = call.module_number()?;
    out.f64(call.module(number)?.analog().cable_length_m);
    Ok(())
}

pub(crate) fn set_extended_module_bandwidth(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let extended = call.bool("extended")?;
    let number = call.module_number()?;
    call.crs.settings().extended_bandwidth[number - 1] = extended;
    out.null();
    Ok(())
}

pub(crate) fn get_extended_module_bandwidth(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let number = call.module_number()?;
    out.bool(call.crs.settings().extended_bandwidth[number - 1]);
    Ok(())
}

pub(crate) fn set_adc_autocal(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let on = call.bool("autocal")?;
    let number = call.module_number()?;
    call.module(number)?.analog_mut().adc_autocal = on;
    out.null();
    Ok(())
}

pub(crate) fn get_adc_autocal(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let number = call.module_number()?;
    out.bool(call.module(number)?.analog().adc_autocal);
    Ok(())
}

pub(crate) fn set_adc_calibration_mode(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let mode = call.member("mode", "ADC calibration mode", names::ADC_CALIBRATION_MODE)?;
    let number = call.module_number()?;
    call.module(number)?.analog_mut().adc_calibration_mode = mode;
    out.null();
    Ok(())
}

pub(crate) fn get_adc_calibration_mode(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let number = call.module_number()?;
    out.str(call.module(number)?.analog().adc_calibration_mode);
    Ok(())
}

/// Largest number of coefficients of a block: one for each interleaved slice of the ADC.
const MAX_COEFFICIENTS: usize = 8;

fn calibration_block(call: &Call<'_, '_>) -> Outcome<&'static str> {
    call.member(
        "block",
        "ADC calibration block",
        names::ADC_CALIBRATION_BLOCK,
    )
}

/// Stores the coefficients so that clients can read them back. They have no other effect, because
/// simulated converters need no calibration.
pub(crate) fn set_adc_calibration_coefficients(
    call: &mut Call<'_, '_>,
    out: Slot<'_>,
) -> Outcome<()> {
    let wrong = || {
        value_error(format!(
            "The coefficients must be a list of at most {MAX_COEFFICIENTS} numbers."
        ))
    };
    let Value::Array(items) = call.value("coefficients")? else {
        return Err(wrong());
    };
    let coefficients: Option<Vec<f64>> = items.iter().map(Value::as_f64).collect();
    let coefficients = coefficients
        .filter(|coefficients| coefficients.len() <= MAX_COEFFICIENTS)
        .ok_or_else(wrong)?;
    let block = calibration_block(call)?;
    let number = call.module_number()?;
    let mut module = call.module(number)?;
    let calibration = &mut module.analog_mut().adc_calibration;
    calibration.insert(block, coefficients);
    out.null();
    Ok(())
}

pub(crate) fn get_adc_calibration_coefficients(
    call: &mut Call<'_, '_>,
    out: Slot<'_>,
) -> Outcome<()> {
    let block = calibration_block(call)?;
    let number = call.module_number()?;
    let module = call.module(number)?;
    let mut seq = out.seq();
    for coefficient in module
        .analog()
        .adc_calibration
        .get(block)
        .into_iter()
        .flatten()
    {
        seq.item().f64(*coefficient);
    }
    Ok(())
}

pub(crate) fn clear_adc_calibration_coefficients(
    call: &mut Call<'_, '_>,
    out: Slot<'_>,
) -> Outcome<()> {
    let block = calibration_block(call)?;
    let number = call.module_number()?;
    call.module(number)?
        .analog_mut()
        .adc_calibration
        .remove(block);
    out.null();
    Ok(())
}
