//! Control software for large arrays of FPGA readout boards on microwave telescopes.
