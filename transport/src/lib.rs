//! Clients of FPGA readout boards: the board trait over each wire protocol.
