//! Physics of simulated detectors and their readout electronics, as pure functions.
