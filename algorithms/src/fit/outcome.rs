//! Parameters and results of fits.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use crate::geometry::Geometry;
use crate::resonator::{Direction, Resonator};

/// Parameters of a fit, and conditions of its success.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FitParams {
    /// True to fit the remaining delay of the line, after the known delay has been removed.
    pub fit_delay: bool,
    /// True to fit the slope of the line's gain.
    pub fit_slope: bool,
    /// Largest rms residual of a successful fit, noise included, as a fraction of the loop's
    /// diameter.
    pub max_residual: f64,
    /// Largest error of the resonance frequency of a successful fit, in linewidths.
    pub max_fr_error_lw: f64,
    /// Largest error of the nonlinearity of a successful nonlinear fit.
    pub max_a_error: f64,
    /// Lowest nonlinearity allowed. Slightly negative values represent heating.
    pub min_a: f64,
    /// Highest nonlinearity allowed.
    pub max_a: f64,
    /// Largest number of steps of the least-squares search.
    pub max_iterations: usize,
}

impl Default for FitParams {
    fn default() -> Self {
        Self {
            fit_delay: true,
            fit_slope: true,
            max_residual: 0.03,
            max_fr_error_lw: 0.02,
            max_a_error: 0.1,
            min_a: -0.2,
            max_a: 4.0,
            max_iterations: 60,
        }
    }
}

impl FitParams {
    /// Returns the reason that these parameters cannot be used, or `None` if they can.
    pub fn problem(&self) -> Option<String> {
        let positive = [
            ("max_residual", self.max_residual),
            ("max_fr_error_lw", self.max_fr_error_lw),
            ("max_a_error", self.max_a_error),
        ];
        for (name, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Some(format!("{name} is {value}; it must be above 0"));
            }
        }
        if !(-0.7..=0.0).contains(&self.min_a) {
            return Some(format!(
                "min_a is {}; it must lie from -0.7 to 0",
                self.min_a
            ));
        }
        if !(self.max_a > 0.0 && self.max_a <= 100.0) {
            return Some(format!("max_a is {}; it must lie in 0 to 100", self.max_a));
        }
        if self.max_iterations == 0 {
            return Some("max_iterations is 0; it must be at least 1".to_owned());
        }
        None
    }
}

/// Status of a fit: success, or the first condition of success that it does not meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FitStatus {
    /// The fit can be used.
    Success,
    /// The sweep has fewer points at different frequencies than the fit needs, not one sample for
    /// each frequency, or a frequency that is not positive.
    TooFewPoints,
    /// A frequency, a sample, the delay, the noise, a guess or a result is not a finite number.
    NonFinite,
    /// All samples are zero, or too small to divide by.
    NoSignal,
    /// No loop is significant above the noise, or its asymmetry angle is too large for a resonator.
    NoResonance,
    /// The least-squares search did not converge, or there are too many resonators for a joint fit.
    NoConvergence,
    /// The points are too far from the model.
    ResidualTooLarge,
    /// The resonance is outside the sweep.
    OutsideSweep,
    /// The loop is larger than the loop of any resonator of this geometry can be, by no more than
    /// an error of the fit can cause: the internal quality factor is negative.
    NegativeQi,
    /// The loop belongs to a resonator of another geometry than the given one: it is clearly larger
    /// than that of any notch or reflection, or there is a dip in place of a peak or a peak in
    /// place of a dip.
    OtherGeometry,
    /// Too few points are on the resonance to determine its shape.
    Undersampled,
    /// The resonance is wider than the sweep or, in a tune, wider than
    /// [`FindParams::max_linewidth_hz`](crate::finding::FindParams::max_linewidth_hz).
    TooWide,
    /// The error of the resonance frequency is too large.
    FrUncertain,
    /// The error of the nonlinearity is too large.
    AUncertain,
    /// The sweep jumps between branches, and the fit does not follow.
    Bifurcated,
}

crate::status::names_of_status! {
    FitStatus {
        Success => "success",
        TooFewPoints => "too_few_points",
        NonFinite => "non_finite",
        NoSignal => "no_signal",
        NoResonance => "no_resonance",
        NoConvergence => "no_convergence",
        ResidualTooLarge => "residual_too_large",
        OutsideSweep => "outside_sweep",
        NegativeQi => "negative_qi",
        OtherGeometry => "other_geometry",
        Undersampled => "undersampled",
        TooWide => "too_wide",
        FrUncertain => "fr_uncertain",
        AUncertain => "a_uncertain",
        Bifurcated => "bifurcated",
    }
}

impl std::fmt::Display for FitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One-sigma errors from the covariance of the fit. They are zero for fixed parameters.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct FitErrors {
    /// Error of the resonance frequency, in hertz.
    pub fr_hz: f64,
    /// Error of the total quality factor.
    pub qr: f64,
    /// Error of the coupling quality factor. This field and the next two are `None` for a peak.
    pub qc: Option<f64>,
    /// Error of the internal quality factor.
    pub qi: Option<f64>,
    /// Error of the asymmetry angle, in radians.
    pub phi_rad: Option<f64>,
    /// Error of the nonlinearity.
    pub a: f64,
    /// Error of the delay, in seconds.
    pub tau_s: f64,
}

/// Result of the fit of one resonator. The numbers are valid only if `status` is a success. The
/// numbers of a failed fit may be its last guess, or zeros.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Success, or the first condition of success that the fit does not meet.
    pub status: FitStatus,
    /// Resonance frequency at vanishing power, in hertz.
    pub fr_hz: f64,
    /// Total quality factor.
    pub qr: f64,
    /// Coupling quality factor, diameter corrected. This field and the next two are `None` for a
    /// peak, whose samples do not determine them: see [`crate::resonator`].
    pub qc: Option<f64>,
    /// Internal quality factor.
    pub qi: Option<f64>,
    /// Asymmetry angle, in radians.
    pub phi_rad: Option<f64>,
    /// Nonlinearity; zero for a linear fit, slightly negative if heating outweighs the pull: see
    /// [`crate::resonator`].
    pub a: f64,
    /// The resonator and the line around it, as fitted.
    pub model: Resonator,
    /// Direction of the sweep, which decides the branch.
    pub direction: Direction,
    /// One-sigma errors.
    pub errors: FitErrors,
    /// Root mean square distance of the points from the model, in the samples' unit.
    pub residual_rms: f64,
    /// `residual_rms` over the loop's diameter.
    pub residual_over_diameter: f64,
    /// Chi-squared per degree of freedom, if the noise was given.
    pub reduced_chi2: Option<f64>,
    /// True if the resonator has more than one state within the sweep, by its nonlinearity, by a
    /// jump, or, in a tune, by a difference of sweeps in opposite directions.
    pub bifurcated: bool,
    /// Number of steps of the search.
    pub iterations: usize,
}

impl Fit {
    /// Returns the result of a fit that could not begin: all of its numbers are zero.
    pub fn failed(status: FitStatus, direction: Direction) -> Self {
        Self {
            status,
            fr_hz: 0.0,
            qr: 0.0,
            qc: None,
            qi: None,
            phi_rad: None,
            a: 0.0,
            model: Resonator {
                f_ref_hz: 0.0,
                gain: Complex64::new(0.0, 0.0),
                slope_per_hz: 0.0,
                tau_s: 0.0,
                fr_hz: 0.0,
                qr: 0.0,
                coupling: Complex64::new(0.0, 0.0),
                off: Complex64::ONE,
                geometry: Geometry::Notch,
                a: 0.0,
            },
            direction,
            errors: FitErrors::default(),
            residual_rms: 0.0,
            residual_over_diameter: 0.0,
            reduced_chi2: None,
            bifurcated: false,
            iterations: 0,
        }
    }

    /// Returns the full linewidth, in hertz; zero for a fit that could not begin.
    pub fn linewidth_hz(&self) -> f64 {
        if self.qr > 0.0 {
            self.fr_hz / self.qr
        } else {
            0.0
        }
    }
}
