//! Levenberg-Marquardt fit of complex data with an analytic Jacobian. The *cost* is the sum of the
//! squared residuals.

#![allow(
    clippy::needless_range_loop,
    reason = "index arithmetic over parts of fixed-size matrices reads like the formulae"
)]

use num_complex::Complex64;

/// Largest number of parameters of a model.
pub(super) const MAX_PARAMETERS: usize = 24;

pub(super) type Parameters = [f64; MAX_PARAMETERS];
pub(super) type Matrix = [[f64; MAX_PARAMETERS]; MAX_PARAMETERS];

/// Relative reduction of the cost below which the search has converged. For a fit with a hundred
/// residuals, the parameters are then within a hundredth of their errors.
const CONVERGED: f64 = 1e-7;

/// Complex model of `points` samples with `parameters` real parameters.
pub(super) trait Model {
    fn parameters(&self) -> usize;
    fn points(&self) -> usize;
    /// Writes `model - data` for every point into `r`, and the derivatives of the model into
    /// `jacobian` if there is one.
    fn residuals(&self, p: &Parameters, r: &mut [Complex64], jacobian: Option<&mut [Complex64]>);
    /// Moves parameters that are outside their ranges to the nearest bound.
    fn restrain(&self, p: &mut Parameters);
    /// True if a parameter is fitted, false if it is fixed.
    fn is_free(&self, index: usize) -> bool;
}

/// Result of the search.
pub(super) struct Solution {
    pub p: Parameters,
    /// Sum of the squared residuals.
    pub cost: f64,
    /// Normal matrix at the end of the search. The rows and columns of fixed parameters are rows
    /// and columns of the identity matrix.
    pub normal: Matrix,
    pub converged: bool,
    pub iterations: usize,
}

/// Buffers that many fits reuse.
#[derive(Default)]
pub(super) struct Workspace {
    r: Vec<Complex64>,
    jacobian: Vec<Complex64>,
}

/// Minimises the sum of the squared residuals of `model`, starting from `start`.
pub(super) fn minimise<M: Model>(
    model: &M,
    start: &Parameters,
    max_iterations: usize,
    work: &mut Workspace,
) -> Solution {
    let (n, m) = (model.points(), model.parameters());
    let zero = Complex64::new(0.0, 0.0);
    work.r.clear();
    work.r.resize(n, zero);
    work.jacobian.clear();
    work.jacobian.resize(n * m, zero);

    let mut p = *start;
    model.restrain(&mut p);
    model.residuals(&p, &mut work.r, Some(&mut work.jacobian));
    let mut cost = sum_of_squares(&work.r);
    let (mut normal, mut gradient) = normal_equations(model, &work.r, &work.jacobian);
    let mut damping = 1e-3;
    let mut converged = false;
    let mut iterations = 0;
    while iterations < max_iterations && cost.is_finite() {
        iterations += 1;
        let mut damped = normal;
        for (i, row) in damped.iter_mut().enumerate().take(m) {
            // Damping relative to the diagonal makes the search independent of the scale of each
            // parameter. The lower bound is for parameters without effect, which have a zero on the
            // diagonal.
            row[i] += damping * row[i].max(1e-12);
        }
        let Some(factor) = cholesky(&damped, m) else {
            damping *= 10.0;
            if damping > 1e12 {
                break;
            }
            continue;
        };
        let step = solve(&factor, &gradient, m);
        let mut trial = p;
        for i in 0..m {
            trial[i] -= step[i];
        }
        model.restrain(&mut trial);
        model.residuals(&trial, &mut work.r, None);
        let trial_cost = sum_of_squares(&work.r);
        // Twice the reduction of the cost that the linear model predicts. The test of convergence
        // uses this value too, because the actual reduction may also be small if the damping is
        // large.
        let promised: f64 = (0..m).map(|i| step[i] * gradient[i]).sum();
        if trial_cost <= cost {
            let gained = cost - trial_cost;
            p = trial;
            model.residuals(&p, &mut work.r, Some(&mut work.jacobian));
            cost = sum_of_squares(&work.r);
            (normal, gradient) = normal_equations(model, &work.r, &work.jacobian);
            // The constant term lets a fit of data without noise converge.
            let small = CONVERGED * cost + 1e-28;
            if gained <= small && promised <= 10.0 * small {
                converged = true;
                break;
            }
            // A step that gains much less than it promised goes beyond the minimum, and so would
            // the next one back.
            damping *= if gained < 0.25 * promised { 6.0 } else { 0.2 };
            damping = damping.max(1e-12);
        } else {
            // No step reduces the cost any more: the search has reached the minimum to within
            // rounding.
            if promised <= CONVERGED * cost + 1e-28 {
                converged = true;
                break;
            }
            damping *= 6.0;
            if damping > 1e12 {
                break;
            }
        }
    }
    Solution {
        p,
        cost,
        normal,
        converged,
        iterations,
    }
}

fn sum_of_squares(r: &[Complex64]) -> f64 {
    r.iter().map(Complex64::norm_sqr).sum()
}

/// Returns `Re(J^H J)` and `Re(J^H r)`, with rows of fixed parameters replaced by the identity.
pub(super) fn normal_equations<M: Model>(
    model: &M,
    r: &[Complex64],
    jacobian: &[Complex64],
) -> (Matrix, Parameters) {
    let m = model.parameters();
    let mut normal = [[0.0; MAX_PARAMETERS]; MAX_PARAMETERS];
    let mut gradient = [0.0; MAX_PARAMETERS];
    for (row, residual) in jacobian.chunks_exact(m).zip(r) {
        for i in 0..m {
            let d = row[i];
            gradient[i] += d.re * residual.re + d.im * residual.im;
            for j in 0..=i {
                normal[i][j] += d.re * row[j].re + d.im * row[j].im;
            }
        }
    }
    for i in 0..m {
        if !model.is_free(i) {
            for j in 0..m {
                normal[i][j] = 0.0;
                normal[j][i] = 0.0;
            }
            normal[i][i] = 1.0;
            gradient[i] = 0.0;
        }
    }
    for i in 0..m {
        for j in 0..i {
            normal[j][i] = normal[i][j];
        }
    }
    (normal, gradient)
}

/// Returns the lower Cholesky factor of a positive definite matrix. `None` for other matrices.
pub(super) fn cholesky(matrix: &Matrix, m: usize) -> Option<Matrix> {
    let mut l = [[0.0; MAX_PARAMETERS]; MAX_PARAMETERS];
    for i in 0..m {
        for j in 0..=i {
            let mut sum = matrix[i][j];
            for k in 0..j {
                sum -= l[i][k] * l[j][k];
            }
            if i == j {
                // The limit is relative to the diagonal, because parameters differ in scale.
                if !(sum > 1e-14 * matrix[i][i] && sum.is_finite()) {
                    return None;
                }
                l[i][i] = sum.sqrt();
            } else {
                l[i][j] = sum / l[j][j];
            }
        }
    }
    Some(l)
}

/// Solves `L L^T x = b` for the lower Cholesky factor `l`.
pub(super) fn solve(l: &Matrix, b: &Parameters, m: usize) -> Parameters {
    let mut x = [0.0; MAX_PARAMETERS];
    for i in 0..m {
        let mut sum = b[i];
        for k in 0..i {
            sum -= l[i][k] * x[k];
        }
        x[i] = sum / l[i][i];
    }
    for i in (0..m).rev() {
        let mut sum = x[i];
        for k in i + 1..m {
            sum -= l[k][i] * x[k];
        }
        x[i] = sum / l[i][i];
    }
    x
}

/// Returns the inverse of the normal matrix. `None` if a parameter is not determined.
pub(super) fn inverse(matrix: &Matrix, m: usize) -> Option<Matrix> {
    let l = cholesky(matrix, m)?;
    let mut inverse = [[0.0; MAX_PARAMETERS]; MAX_PARAMETERS];
    for column in 0..m {
        let mut unit = [0.0; MAX_PARAMETERS];
        unit[column] = 1.0;
        let x = solve(&l, &unit, m);
        for row in 0..m {
            inverse[row][column] = x[row];
        }
    }
    Some(inverse)
}
