//! Hardware map of a farm: the list of its boards and of the limits of their modules.

use std::fmt::Write;

use twotone_physics::{Band, ProfileParams};

use super::SimBoard;

/// Highest power of a tone, in dB above the power at which the profile defines the nonlinearity of
/// detectors.
const TONE_HEADROOM_DB: f64 = 20.0;

/// Highest total power on a feedline, dBm at the board.
const MAX_TOTAL_DBM: f64 = -5.0;

/// Returns a hardware map of these boards. Powers are at the output of the board.
pub(crate) fn write(boards: &[SimBoard], range: Band, params: &ProfileParams) -> String {
    let start_dbm = params.kerr_reference_dbm + params.cold_attenuation_db;
    let mut text = String::from("# Simulated boards\n");
    for board in boards {
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "\n[[board]]\nname = \"{}\"\nkind = \"{}\"\naddress = \"{}\"\nserial = \"{}\"\n",
            board.name(),
            board.kind(),
            board.address(),
            board.serial(),
        );
        if let Some((crate_serial, slot)) = board.slot() {
            let _ = write!(text, "crate = \"{crate_serial}\"\nslot = {slot}\n");
        }
        for number in board.module_numbers() {
            let _ = write!(
                text,
                "\n[[board.module]]\n\
                 number = {number}\n\
                 feedline = \"{name}-{number}\"\n\
                 geometry = \"{geometry}\"\n\
                 f_min = {f_min:.1}\n\
                 f_max = {f_max:.1}\n\
                 cold_attenuation_db = {attenuation:.1}\n\
                 max_tone_dbm = {max_tone:.1}\n\
                 max_total_dbm = {MAX_TOTAL_DBM:.1}\n\
                 start_power_dbm = {start_dbm:.1}\n\
                 safe_state = \"off\"\n",
                name = board.name(),
                geometry = params.geometry.as_str(),
                f_min = range.f_min_hz,
                f_max = range.f_max_hz,
                attenuation = params.cold_attenuation_db,
                max_tone = start_dbm + TONE_HEADROOM_DB,
            );
        }
    }
    text
}
