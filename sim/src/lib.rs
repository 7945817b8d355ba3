//! Simulated readout boards and farms, served over the real wire.
