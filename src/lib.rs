//! Control software for large arrays of FPGA readout boards on microwave telescopes.

pub mod map;
pub mod record;
pub mod run;
