//! Detectors on a feedline: their present frequencies, widths and pulls, and their effect on tones.
//!
//! The pull of a detector is the shift of its resonance to lower frequencies by its stored energy
//! (see [`crate::kerr`]). A quantity "as drawn" has the value that the random draw gave it
//! ([`crate::population`]): it holds under nominal conditions and at low power.

use num_complex::Complex64;

use crate::circuit::{Circuit, Geometry};
use crate::detector::Detector;
use crate::kerr::{Drive, Drives, Width};

/// A detector that was not drawn dead. Shifts, widths and pulls are in units of its linewidth as
/// drawn.
#[derive(Debug, Clone)]
pub(crate) struct Resonator {
    /// Index in the population.
    pub(crate) detector: u32,
    /// Resonance frequency as drawn, Hz.
    pub(crate) f0_hz: f64,
    /// Total quality factor as drawn.
    pub(crate) q: f64,
    /// `Qr/Qc (1 + i tan phi)` as drawn, or the residue of the circuit of a detector that is not
    /// beside the line; 0 if a fault has made the detector dead.
    pub(crate) notch: Complex64,
    /// Width of the resonance and its dependence on the pull.
    pub(crate) width: Width,
    /// Shift that the present conditions cause, without the parts that vary with time.
    pub(crate) steady_shift: f64,
    /// Index of the partner among the resonators, and the ratio of the linewidth of the partner to
    /// that of this resonator.
    pub(crate) partner: Option<(u32, f64)>,
    /// True if the resonance varies with time under constant settings.
    pub(crate) is_moving: bool,
    /// Pull, linewidths. It determines the branch of the resonator.
    pub(crate) pull: f64,
    /// Pull when the settings last changed. This pull determines the two-level-system noise.
    pub(crate) energy: f64,
    /// Width at the last sample that was computed.
    pub(crate) seen_width: f64,
    /// Pull minus shift at the last sample that was computed.
    pub(crate) seen_offset: f64,
    /// Width and offset when the settings last changed, without the parts that vary with time.
    /// Tones for which the resonator is not computed sample by sample use these values.
    pub(crate) fixed_width: f64,
    pub(crate) fixed_offset: f64,
}

impl Resonator {
    /// Linewidth as drawn, Hz.
    pub(crate) fn linewidth_hz(&self) -> f64 {
        self.f0_hz / self.q
    }

    /// Detuning from the resonance as drawn.
    #[inline]
    pub(crate) fn detuning(&self, frequency_hz: f64) -> f64 {
        (frequency_hz - self.f0_hz) / self.f0_hz * self.q
    }

    /// Transmission factor of the resonator.
    #[inline]
    pub(crate) fn factor(&self, detuning: f64, width: f64, offset: f64) -> Complex64 {
        let (re, im) = (width, 2.0 * (detuning + offset));
        let inverse = 1.0 / (re * re + im * im);
        Complex64::new(
            1.0 - (self.notch.re * re + self.notch.im * im) * inverse,
            -(self.notch.im * re - self.notch.re * im) * inverse,
        )
    }

    /// Transmission factor of the resonator for tones for which it is not computed sample by
    /// sample.
    #[inline]
    pub(crate) fn fixed_factor(&self, frequency_hz: f64) -> Complex64 {
        self.factor(
            self.detuning(frequency_hz),
            self.fixed_width,
            self.fixed_offset,
        )
    }

    /// Transmission factor of the resonator at the last sample that was computed.
    #[inline]
    pub(crate) fn seen_factor(&self, frequency_hz: f64) -> Complex64 {
        self.factor(
            self.detuning(frequency_hz),
            self.seen_width,
            self.seen_offset,
        )
    }
}

/// Residue of a detector beside the line, or of its circuit.
pub(crate) fn notch(detector: &Detector, geometry: Geometry) -> Complex64 {
    Circuit::of(detector, geometry).map_or(detector.coupling() * detector.qr(), |circuit| {
        circuit.residue()
    })
}

/// All detectors of a module that were not drawn dead, sorted by frequency, and the product of the
/// transmissions of those that are distant from a tone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Array {
    pub(crate) resonators: Vec<Resonator>,
    widest_hz: f64,
    far: FarField,
}

/// Largest distance, in linewidths, at which a tone drives a detector.
const DRIVE_LW: f64 = 30.0;

/// Largest distance, in linewidths, at which the pull by a tone is computed for the present
/// frequency of the detector. For tones that are further away, the pull is computed for the
/// frequency without its variation in time.
const NEAR_LW: f64 = 8.0;

/// Largest number of tones whose pull is computed for the present frequency of the detector. For
/// additional tones, the pull is computed for the frequency without its variation in time.
pub(crate) const MAX_DRIVES: usize = 16;

/// Parameters of the dependence of the width on power. All detectors share them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PowerDependence {
    pub(crate) saturating: f64,
    pub(crate) knee: f64,
    pub(crate) heating: f64,
}

impl Array {
    pub(crate) fn new(detectors: &[Detector], geometry: Geometry, power: PowerDependence) -> Self {
        let mut resonators: Vec<Resonator> = detectors
            .iter()
            .enumerate()
            .filter(|(_, d)| !d.dead)
            .map(|(index, d)| {
                let q = d.qr();
                Resonator {
                    detector: index as u32,
                    f0_hz: d.fr_hz,
                    q,
                    notch: notch(d, geometry),
                    width: Width {
                        coupling: q / d.qc,
                        internal: q / d.qi,
                        saturating: power.saturating.clamp(0.0, 0.95),
                        knee: power.knee.max(1e-6),
                        heating: power.heating.max(0.0),
                    },
                    steady_shift: 0.0,
                    partner: None,
                    is_moving: false,
                    pull: 0.0,
                    energy: 0.0,
                    seen_width: 1.0,
                    seen_offset: 0.0,
                    fixed_width: 1.0,
                    fixed_offset: 0.0,
                }
            })
            .collect();
        for k in 0..resonators.len() {
            let partner = detectors[resonators[k].detector as usize].partner;
            let found = partner.and_then(|id| {
                resonators
                    .iter()
                    .position(|r| detectors[r.detector as usize].id == id)
            });
            resonators[k].partner = found.map(|p| {
                (
                    p as u32,
                    resonators[p].linewidth_hz() / resonators[k].linewidth_hz(),
                )
            });
        }
        let widest_hz = resonators
            .iter()
            .map(Resonator::linewidth_hz)
            .fold(0.0, f64::max);
        let far = FarField::layout(&resonators, widest_hz);
        Self {
            resonators,
            widest_hz,
            far,
        }
    }

    /// Recomputes the transmission of distant detectors. It must be called after shifts, widths or
    /// notches have changed.
    pub(crate) fn sum_tails(&mut self) {
        self.far.sum(&self.resonators);
    }

    /// Range of the resonators near a frequency, which are computed one by one, and the product of
    /// the transmission factors of all other resonators at this frequency.
    pub(crate) fn near(&self, frequency_hz: f64) -> (std::ops::Range<usize>, Complex64) {
        self.far.at(frequency_hz, self.resonators.len())
    }

    /// Tones that drive a resonator. `tones` are frequencies in Hz and powers in mW, sorted by
    /// frequency. `room` is the buffer for the result.
    pub(crate) fn drives<'a>(
        &self,
        resonator: &Resonator,
        a_per_mw: f64,
        tones: &[(f64, f64)],
        room: &'a mut [Drive; MAX_DRIVES],
    ) -> Drives<'a> {
        if a_per_mw <= 0.0 {
            return Drives::default();
        }
        let lw = resonator.linewidth_hz();
        let centre = resonator.f0_hz + resonator.steady_shift * lw;
        let low = tones.partition_point(|t| t.0 < centre - DRIVE_LW * lw);
        let (mut near, mut ambient) = (0, 0.0);
        for tone in &tones[low..] {
            let detuning = (tone.0 - centre) / lw;
            if detuning > DRIVE_LW {
                break;
            }
            let a = a_per_mw * tone.1;
            if detuning.abs() < NEAR_LW && near < MAX_DRIVES {
                room[near] = Drive {
                    u: resonator.detuning(tone.0),
                    a,
                };
                near += 1;
            } else {
                let width = resonator.width.at(0.0);
                ambient += a / (width * width + 4.0 * detuning * detuning);
            }
        }
        Drives {
            near: &room[..near],
            ambient,
        }
    }

    /// Range of resonators that includes all resonators that a tone at this frequency may drive.
    pub(crate) fn driven_from(&self, frequency_hz: f64) -> std::ops::Range<usize> {
        let reach = 2.0 * DRIVE_LW * self.widest_hz;
        let low = self
            .resonators
            .partition_point(|r| r.f0_hz < frequency_hz - reach);
        let high = self
            .resonators
            .partition_point(|r| r.f0_hz <= frequency_hz + reach);
        low..high
    }

    /// Index of the resonator that is nearest to a frequency; `None` if there are no resonators.
    /// The distance is in linewidths from the resonance with its steady shift.
    pub(crate) fn nearest(&self, frequency_hz: f64) -> Option<usize> {
        let here = self.resonators.partition_point(|r| r.f0_hz < frequency_hz);
        // Shifts and unequal widths can make another neighbour the nearest.
        let around = here.saturating_sub(6)..(here + 6).min(self.resonators.len());
        around.min_by(|a, b| {
            let distance = |k: &usize| {
                let r = &self.resonators[*k];
                (r.detuning(frequency_hz) - r.steady_shift).abs()
            };
            distance(a).total_cmp(&distance(b))
        })
    }
}

/// Number of coefficients of the polynomial of a cell.
const ORDER: usize = 6;

/// Number of cells on either side of the cell of a tone in which detectors are computed one by one.
const NEAR_CELLS: usize = 2;

/// Sum of the logarithms of distant notches, as a polynomial in each of many cells of the band.
///
/// A notch is a pole in frequency: `ln(1 - r/(f - p)) = -r/(f - p) - r^2/(2 (f - p)^2) - ...`. Each
/// term of this series is smooth at a distance of some cells from the pole.
#[derive(Debug, Clone, Default)]
struct FarField {
    origin_hz: f64,
    cell_hz: f64,
    /// Index of the first resonator of each cell, and the number of resonators at the end.
    starts: Vec<u32>,
    polynomials: Vec<[Complex64; ORDER]>,
}

impl FarField {
    fn layout(resonators: &[Resonator], widest_hz: f64) -> Self {
        let (Some(first), Some(last)) = (resonators.first(), resonators.last()) else {
            return Self::default();
        };
        let inner = resonators.len().clamp(8, 512);
        // A cell is many linewidths wide even in a dense array, so that detectors of other cells
        // are distant.
        let cell_hz = ((last.f0_hz - first.f0_hz) / inner as f64).max(8.0 * widest_hz);
        let margin = 3.0;
        let origin_hz = first.f0_hz - margin * cell_hz;
        let cells = ((last.f0_hz - origin_hz) / cell_hz + margin).ceil() as usize + 1;
        let starts = (0..=cells)
            .map(|cell| {
                let edge = origin_hz + cell as f64 * cell_hz;
                resonators.partition_point(|r| r.f0_hz < edge) as u32
            })
            .collect();
        Self {
            origin_hz,
            cell_hz,
            starts,
            polynomials: Vec::new(),
        }
    }

    fn cells(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    fn near_of(&self, cell: usize) -> std::ops::Range<usize> {
        let low = cell.saturating_sub(NEAR_CELLS);
        let high = (cell + NEAR_CELLS + 1).min(self.cells());
        self.starts[low] as usize..self.starts[high] as usize
    }

    fn sum(&mut self, resonators: &[Resonator]) {
        let poles: Vec<(Complex64, Complex64)> = resonators
            .iter()
            .map(|r| {
                let lw = r.linewidth_hz();
                let pole =
                    Complex64::new(r.f0_hz + r.steady_shift * lw, 0.5 * r.width.at(0.0) * lw);
                (pole, r.notch * lw / Complex64::new(0.0, 2.0))
            })
            .collect();
        self.polynomials = (0..self.cells())
            .map(|cell| {
                let centre = self.origin_hz + (cell as f64 + 0.5) * self.cell_hz;
                let near = self.near_of(cell);
                let mut sum = [Complex64::default(); ORDER];
                for (pole, residue) in poles[..near.start].iter().chain(&poles[near.end..]) {
                    // With frequencies in units of the cell, 1/(d + t) = 1/d sum (-t/d)^j.
                    let inverse = self.cell_hz / (centre - pole);
                    let g = residue * inverse / self.cell_hz;
                    // Square of the distance in cells. The error of the series is proportional to
                    // the distance to the power -(terms + 1).
                    let distance = 1.0 / inverse.norm_sqr();
                    let terms = match distance {
                        d if d < 80.0 => ORDER,
                        d if d < 400.0 => 4,
                        d if d < 1600.0 => 3,
                        _ => 2,
                    };
                    let mut power = Complex64::new(1.0, 0.0);
                    if distance < 80.0 {
                        let (first, second, third) = (-g, -0.5 * g * g, -g * g * g / 6.0);
                        for (j, term) in sum[..terms].iter_mut().enumerate() {
                            let j = j as f64 + 1.0;
                            *term += (first + second * j + third * j * (j + 1.0)) * power;
                            power *= -inverse;
                        }
                    } else {
                        let second = -0.5 * g * g;
                        for (j, term) in sum[..terms].iter_mut().enumerate() {
                            *term += (second * (j + 1) as f64 - g) * power;
                            power *= -inverse;
                        }
                    }
                }
                sum
            })
            .collect();
    }

    /// Range of near resonators, and the product of the factors of distant resonators. Outside the
    /// cells all resonators are near.
    fn at(&self, frequency_hz: f64, resonators: usize) -> (std::ops::Range<usize>, Complex64) {
        let position = (frequency_hz - self.origin_hz) / self.cell_hz;
        let one = Complex64::new(1.0, 0.0);
        if !(position >= 0.0 && position < self.cells() as f64) || self.polynomials.is_empty() {
            return (0..resonators, one);
        }
        let cell = position as usize;
        let t = position - cell as f64 - 0.5;
        let log = self.polynomials[cell]
            .iter()
            .rev()
            .fold(Complex64::default(), |sum, c| sum * t + c);
        (self.near_of(cell), log.exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::{Band, Population};
    use crate::profile::ProfileParams;

    const POWER: PowerDependence = PowerDependence {
        saturating: 0.0,
        knee: 1.0,
        heating: 0.0,
    };

    #[test]
    fn product_is_that_of_all_detectors() {
        let band = Band::new(750e6, 1250e6);
        for (n, geometry, profile) in [
            (20, Geometry::Notch, ProfileParams::clean()),
            (256, Geometry::Notch, ProfileParams::lab()),
            (1024, Geometry::Notch, ProfileParams::harsh()),
            (256, Geometry::Reflection, ProfileParams::lab()),
            (1024, Geometry::Peak, ProfileParams::harsh()),
        ] {
            let profile = profile.geometry(geometry);
            let population = Population::draw(1, 0, 1, n, band, &profile);
            let mut array = Array::new(population.detectors(), geometry, POWER);
            array.sum_tails();
            let mut worst: f64 = 0.0;
            for k in 0..3000 {
                let f = 745e6 + 510e6 * f64::from(k) / 3000.0;
                let exact: Complex64 = population
                    .detectors()
                    .iter()
                    .filter(|d| !d.dead)
                    .map(|d| match Circuit::of(d, geometry) {
                        Some(circuit) => {
                            let detuning = (f - d.fr_hz) / d.linewidth_hz();
                            circuit.factor(d.qr() / d.qi, detuning)
                        }
                        None => d.transmission(f),
                    })
                    .product();
                let (near, far) = array.near(f);
                let quick = array.resonators[near]
                    .iter()
                    .map(|r| r.seen_factor(f))
                    .product::<Complex64>()
                    * far;
                worst = worst.max((quick - exact).norm());
            }
            assert!(worst < 1e-5, "{n} detectors, {geometry:?}: {worst}");
        }
    }

    #[test]
    fn nothing_at_all_is_one() {
        let mut array = Array::new(&[], Geometry::Notch, POWER);
        array.sum_tails();
        assert_eq!(array.near(1e9), (0..0, Complex64::new(1.0, 0.0)));
        assert_eq!(array.nearest(1e9), None);
    }
}
