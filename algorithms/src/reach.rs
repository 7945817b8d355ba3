//! Range of frequencies that tones of a module can have at one setting of its NCO. The NCO is the
//! oscillator to which all tones are relative.
//!
//! Every algorithm uses this range to decide which frequencies it can sweep and where it can place
//! and move tones. An algorithm that only used the range of the board, or only checked the centre
//! of a sweep, would fail in the middle of a run.

use twotone_hal::{Hertz, ModuleDescription};

/// Range of absolute frequencies, in hertz, both ends included: the part of the module's permitted
/// range that the NCO reaches. Empty if `low_hz` is above `high_hz`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Reach {
    pub low_hz: f64,
    pub high_hz: f64,
}

impl Reach {
    /// Returns the reach of `module` with its NCO at `nco_hz`.
    pub(crate) fn of(module: &ModuleDescription, nco_hz: f64) -> Self {
        // The board rounds offsets to its step. The margin of one step keeps rounded tones inside
        // the range.
        let step = module.frequency_step.0.max(0.0);
        let limit_hz = |end: Option<Hertz>, unlimited: f64| end.map_or(unlimited, |end| end.0);
        let low_hz = limit_hz(module.limits.f_min, f64::NEG_INFINITY);
        let high_hz = limit_hz(module.limits.f_max, f64::INFINITY);
        Self {
            low_hz: low_hz.max(nco_hz - module.max_offset.0) + step,
            high_hz: high_hz.min(nco_hz + module.max_offset.0) - step,
        }
    }

    /// True if a tone can be at `f_hz`; false for NaN.
    pub(crate) fn contains(&self, f_hz: f64) -> bool {
        (self.low_hz..=self.high_hz).contains(&f_hz)
    }

    /// Returns the part from `low_hz` to `high_hz`.
    pub(crate) fn part(&self, low_hz: f64, high_hz: f64) -> Self {
        Self {
            low_hz: self.low_hz.max(low_hz),
            high_hz: self.high_hz.min(high_hz),
        }
    }

    /// Returns the width, in hertz; zero if the range is empty.
    pub(crate) fn span_hz(&self) -> f64 {
        (self.high_hz - self.low_hz).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use twotone_hal::{ModuleId, ModuleLimits};

    fn module(f_min: Option<f64>, f_max: Option<f64>) -> ModuleDescription {
        ModuleDescription {
            nco: Some(twotone_hal::NcoRange {
                min: Hertz(0.0),
                max: Hertz(5e9),
            }),
            max_offset: Hertz(100.0),
            frequency_step: Hertz(0.5),
            limits: ModuleLimits {
                f_min: f_min.map(Hertz),
                f_max: f_max.map(Hertz),
                ..ModuleLimits::default()
            },
            ..ModuleDescription::new(ModuleId::FIRST, 8)
        }
    }

    #[test]
    fn the_reach_ends_at_the_limit_of_the_range_or_of_the_nco() {
        for (range, low, high) in [
            ((None, None), 900.5, 1099.5),
            ((Some(950.0), None), 950.5, 1099.5),
            ((None, Some(1050.0)), 900.5, 1049.5),
            ((Some(1.0), Some(9e9)), 900.5, 1099.5),
        ] {
            let reach = Reach::of(&module(range.0, range.1), 1000.0);
            assert_eq!((reach.low_hz, reach.high_hz), (low, high), "{range:?}");
        }
        let elsewhere = Reach::of(&module(Some(2000.0), Some(3000.0)), 1000.0);
        assert!(!elsewhere.contains(1000.0) && !elsewhere.contains(2000.0));
        assert_eq!(elsewhere.span_hz(), 0.0);
    }
}
