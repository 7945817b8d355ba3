//! Hardware abstraction for FPGA readout boards: one batch method, typed operations and replies.
