//! The decimation filters: step response, droop, correlation of noise.

use crate::units::{MAX_STAGE, PFB_RATE_HZ, TICK_RATE_HZ};

/// Delay of the filters at a stage, s: 4.99 ms at stage 6.
pub fn group_delay_s(stage: u8) -> f64 {
    let length = f64::from((1u32 << stage.min(MAX_STAGE)) - 1);
    1.5 * 63.0 / PFB_RATE_HZ + 3.0 * length / TICK_RATE_HZ
}
