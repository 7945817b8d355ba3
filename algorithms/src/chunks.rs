//! Join of pieces (chunks) of a sweep that were measured at different settings of the NCO. The
//! *NCO* is the oscillator to which all tones of a module are relative.
//!
//! Each NCO setting has its own phase reference and a slightly different gain. Neighbouring chunks
//! overlap by several points. One of the two chunks is multiplied by the ratio of the samples of
//! both over the overlap, which is a complex number. This brings both to one scale. The ratio is a
//! median of many points, after the delay is removed. A single shared point would not be enough,
//! because it could lie on a resonance.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use crate::robust::complex_median;

/// Piece of a sweep, with one sample for each frequency.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Chunk {
    /// Frequency of the NCO, in hertz.
    pub nco_hz: f64,
    /// Frequencies in hertz, ascending.
    pub frequency_hz: Vec<f64>,
    /// Samples.
    pub z: Vec<Complex64>,
}

/// Result of a join: success, or the reason that chunks could not be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum JoinStatus {
    /// The chunks are on one scale.
    Success,
    /// Two neighbouring chunks share fewer than four usable points.
    TooLittleOverlap,
    /// Two neighbouring chunks do not agree over their overlap.
    Inconsistent,
}

crate::status::names_of_status! {
    JoinStatus {
        Success => "success",
        TooLittleOverlap => "too_little_overlap",
        Inconsistent => "inconsistent",
    }
}

/// Chunks that were brought to the scale of the first chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// Success if all chunks were joined, else the first failure. A failure does not remove data.
    pub status: JoinStatus,
    /// Frequencies in hertz, ascending. Of two points at one frequency, the point of the earlier
    /// chunk is kept.
    pub frequency_hz: Vec<f64>,
    /// Samples on the scale of the first chunk.
    pub z: Vec<Complex64>,
    /// Factor by which each chunk was multiplied.
    pub factors: Vec<Complex64>,
    /// Frequencies at which chunks were joined, in hertz.
    pub seams_hz: Vec<f64>,
    /// Outcome of the join at each frequency of `seams_hz`.
    pub seam_status: Vec<JoinStatus>,
}

/// Joins chunks, which must be in order of frequency, with the delay `tau_s` of the line, in
/// seconds. Points that are not finite are left out.
pub fn join_chunks(chunks: &[Chunk], tau_s: f64) -> Joined {
    let mut joined = Joined {
        status: JoinStatus::Success,
        frequency_hz: Vec::new(),
        z: Vec::new(),
        factors: Vec::new(),
        seams_hz: Vec::new(),
        seam_status: Vec::new(),
    };
    for chunk in chunks {
        let points: Vec<(f64, Complex64)> = chunk
            .frequency_hz
            .iter()
            .zip(&chunk.z)
            .filter(|(f, z)| f.is_finite() && z.is_finite())
            .map(|(f, z)| (*f, *z))
            .collect();
        let Some(&(first, _)) = points.first() else {
            joined.factors.push(Complex64::new(1.0, 0.0));
            continue;
        };
        let factor = match joined.frequency_hz.last() {
            None => Complex64::new(1.0, 0.0),
            Some(&last) => {
                let (factor, status) = ratio(&joined, &points, tau_s);
                if joined.status == JoinStatus::Success {
                    joined.status = status;
                }
                joined.seams_hz.push(0.5 * (first + last));
                joined.seam_status.push(status);
                factor
            }
        };
        joined.factors.push(factor);
        // Each chunk is used up to the middle of the overlap, because its ends, which are furthest
        // from the NCO, are its least accurate part.
        let seam = joined
            .seams_hz
            .last()
            .copied()
            .filter(|_| joined.factors.len() > 1);
        if let Some(seam) = seam {
            let keep = joined.frequency_hz.partition_point(|f| *f <= seam);
            joined.frequency_hz.truncate(keep);
            joined.z.truncate(keep);
        }
        for (f, z) in points {
            if seam.is_none_or(|seam| f > seam)
                && joined.frequency_hz.last().is_none_or(|last| f > *last)
            {
                joined.frequency_hz.push(f);
                joined.z.push(z * factor);
            }
        }
    }
    joined
}

/// Returns the factor that brings `points` to the scale of the chunks joined so far.
fn ratio(joined: &Joined, points: &[(f64, Complex64)], tau_s: f64) -> (Complex64, JoinStatus) {
    let one = Complex64::new(1.0, 0.0);
    let mut ratios = Vec::new();
    for (f, z) in points {
        let Some(before) = interpolate(joined, *f, tau_s) else {
            continue;
        };
        let ratio = before / z;
        if ratio.is_finite() && ratio.norm() > 0.0 {
            ratios.push(ratio);
        }
    }
    if ratios.len() < 4 {
        return (one, JoinStatus::TooLittleOverlap);
    }
    // The medians of real and imaginary parts depend on the choice of axes in the complex plane. So
    // the axes are turned to the direction of the sum of the ratios. The result then does not
    // depend on the phase of the data.
    let sum: Complex64 = ratios.iter().map(|r| r / r.norm()).sum();
    let direction = if sum.norm() > 0.0 {
        sum / sum.norm()
    } else {
        one
    };
    let turned: Vec<Complex64> = ratios.iter().map(|r| r * direction.conj()).collect();
    let Some(middle) = complex_median(&turned) else {
        return (one, JoinStatus::TooLittleOverlap);
    };
    let near = turned
        .iter()
        .filter(|r| (*r - middle).norm() < 0.2 * middle.norm())
        .count();
    if 2 * near >= turned.len() {
        return (middle * direction, JoinStatus::Success);
    }
    // The median of ratios that do not agree is smaller than they are, and would attenuate this
    // chunk and all that follow.
    let turn = middle * direction / middle.norm();
    let turn = if turn.is_finite() { turn } else { one };
    (turn, JoinStatus::Inconsistent)
}

/// Returns the joined data at `f_hz`, interpolated with the delay removed. `None` outside the range
/// of the data.
fn interpolate(joined: &Joined, f_hz: f64, tau_s: f64) -> Option<Complex64> {
    let f = &joined.frequency_hz;
    let above = f.partition_point(|g| *g < f_hz);
    let slack = match f.len() {
        0 | 1 => 0.0,
        n => 0.5 * (f[n - 1] - f[n - 2]),
    };
    let turn = |from: f64| Complex64::cis(-std::f64::consts::TAU * (f_hz - from) * tau_s);
    if above == f.len() {
        let last = *f.last()?;
        return (f_hz - last <= slack).then(|| joined.z[above - 1] * turn(last));
    }
    if above == 0 {
        return (f[0] - f_hz <= slack).then(|| joined.z[0] * turn(f[0]));
    }
    let (low, high) = (f[above - 1], f[above]);
    let weight = (f_hz - low) / (high - low);
    Some(joined.z[above - 1] * turn(low) * (1.0 - weight) + joined.z[above] * turn(high) * weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a line with a delay of 3 us and a resonator in the middle of the overlap.
    fn line(f: f64) -> Complex64 {
        let y = (f - 1.000_040e9) / 50e3;
        let notch = 1.0 - Complex64::new(0.8, 0.1) / Complex64::new(1.0, 2.0 * y);
        Complex64::from_polar(2.0, -std::f64::consts::TAU * (f - 1e9) * 3e-6) * notch
    }

    fn chunk(low: i32, high: i32, factor: Complex64) -> Chunk {
        let frequency_hz: Vec<f64> = (low..=high).map(|i| 1e9 + f64::from(i) * 10e3).collect();
        let z = frequency_hz.iter().map(|f| line(*f) * factor).collect();
        Chunk {
            nco_hz: 1e9,
            frequency_hz,
            z,
        }
    }

    #[test]
    fn chunks_join_even_on_a_resonance() {
        let factors = [
            Complex64::new(1.0, 0.0),
            Complex64::from_polar(1.1, 2.0),
            Complex64::new(-0.9, 0.2),
        ];
        let chunks = [
            chunk(-100, 8, factors[0]),
            chunk(0, 108, factors[1]),
            chunk(100, 200, factors[2]),
        ];
        let joined = join_chunks(&chunks, 3e-6);
        assert_eq!(joined.status, JoinStatus::Success);
        assert_eq!(joined.frequency_hz.len(), 301);
        for (f, z) in joined.frequency_hz.iter().zip(&joined.z) {
            assert!((z - line(*f)).norm() < 1e-9, "{f}");
        }
    }

    #[test]
    fn chunks_that_do_not_agree_keep_their_magnitude() {
        let mut chunks = [chunk(-100, 16, 1.0.into()), chunk(0, 116, 1.0.into())];
        for (k, z) in chunks[1].z[..17].iter_mut().enumerate() {
            *z *= Complex64::from_polar(1.0, 2.4 * k as f64);
        }
        let joined = join_chunks(&chunks, 3e-6);
        assert_eq!(joined.status, JoinStatus::Inconsistent);
        assert!((joined.factors[1].norm() - 1.0).abs() < 1e-12, "{joined:?}");
    }

    #[test]
    fn one_bad_point_is_ignored_and_a_missing_overlap_is_a_failure() {
        let mut second = chunk(0, 100, Complex64::from_polar(1.0, 1.0));
        second.z[3] *= 50.0;
        let joined = join_chunks(&[chunk(-100, 8, 1.0.into()), second], 3e-6);
        assert_eq!(joined.status, JoinStatus::Success);
        assert!((joined.factors[1] - Complex64::from_polar(1.0, -1.0)).norm() < 1e-9);
        let apart = [chunk(-100, 0, 1.0.into()), chunk(5, 100, 1.0.into())];
        assert_eq!(
            join_chunks(&apart, 3e-6).status,
            JoinStatus::TooLittleOverlap
        );
        assert!(join_chunks(&[], 0.0).z.is_empty());
    }
}
