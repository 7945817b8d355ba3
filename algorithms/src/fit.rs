//! Fits of resonators to complex sweeps, and the Cramer-Rao bound of their errors.

mod assess;
mod bound;
mod circle;
mod joint;
mod levenberg;
mod linear;
mod model;
mod nonlinear;
mod outcome;
mod pair;
mod prepare;
mod start;

pub use bound::{BoundParameters, cramer_rao};
pub use circle::{Circle, fit_circle};
pub use joint::fit_joint;
pub(crate) use joint::with_neighbours;
pub use linear::fit_linear;
pub use nonlinear::fit_nonlinear;
pub use outcome::{Fit, FitErrors, FitParams, FitStatus};
pub use pair::fit_pair;
pub use prepare::SweepData;
