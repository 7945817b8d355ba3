//! Methods of the board itself: sensors, supplies, firmware.

use twotone_wire::tuber::Slot;

use super::call::{Call, Outcome, value_error};
use super::names::{self, Sensor};

/// Properties of the firmware in addition to its release.
const FIRMWARE: [(&str, &str); 2] = [("build_date", "2026-01-01"), ("commit_hash", "simulated")];

fn sensor(
    call: &Call<'_, '_>,
    parameter: &str,
    lists: &[&'static [Sensor]],
) -> Outcome<(usize, Sensor)> {
    let name = call.text(parameter)?;
    let found = lists
        .iter()
        .enumerate()
        .find_map(|(list, sensors)| names::find(sensors, &name).map(|sensor| (list, *sensor)));
    found.ok_or_else(|| {
        let known: Vec<&str> = lists
            .iter()
            .copied()
            .flatten()
            .map(|sensor| sensor.value)
            .collect();
        value_error(format!(
            "Invalid {parameter} '{name}'. Must be one of {known:?}"
        ))
    })
}

pub(crate) fn get_motherboard_temperature(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    out.f64(
        sensor(call, "sensor", &[names::TEMPERATURE_SENSOR])?
            .1
            .reading,
    );
    Ok(())
}

pub(crate) fn get_motherboard_voltage(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    out.f64(
        sensor(call, "rail", &[names::RAIL, names::VOLTAGE_SENSOR])?
            .1
            .reading,
    );
    Ok(())
}

pub(crate) fn get_motherboard_current(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let (list, sensor) = sensor(call, "rail", &[names::RAIL, names::CURRENT_SENSOR])?;
    let current = if list == 0 {
        rail_current(sensor)
    } else {
        sensor.reading
    };
    out.f64(current);
    Ok(())
}

fn rail_current(rail: Sensor) -> f64 {
    names::RAIL
        .iter()
        .zip(names::RAIL_CURRENT)
        .find(|(other, _)| other.value == rail.value)
        .map_or(0.0, |(_, current)| *current)
}

pub(crate) fn dump_housekeeping(_call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let mut map = out.map();
    let lists: [(&str, &[Sensor]); 3] = [
        ("temperatures", names::TEMPERATURE_SENSOR),
        ("voltages", names::VOLTAGE_SENSOR),
        ("currents", names::CURRENT_SENSOR),
    ];
    for (kind, sensors) in lists {
        let mut readings = map.key(kind).map();
        for sensor in sensors {
            readings.key(sensor.value).f64(sensor.reading);
        }
    }
    Ok(())
}

pub(crate) fn get_firmware_release(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let mut map = out.map();
    map.key("version").str(&call.crs.release());
    for (key, value) in FIRMWARE {
        map.key(key).str(value);
    }
    Ok(())
}

/// Writes the message to the log, in place of the display on the front panel.
pub(crate) fn display(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let message = call.value("message")?;
    tracing::info!(
        board = call.crs.board.name(),
        message = message.as_str(),
        "display"
    );
    out.null();
    Ok(())
}
