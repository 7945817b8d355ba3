//! The nonlinear resonator and the memory of its branch.
