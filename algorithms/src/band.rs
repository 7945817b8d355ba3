//! Ranges of absolute frequencies.

use serde::{Deserialize, Serialize};

/// A range of absolute frequencies, in hertz.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// Lowest frequency, in hertz.
    pub f_min_hz: f64,
    /// Highest frequency, in hertz.
    pub f_max_hz: f64,
}

impl Default for Band {
    /// Returns the band from 1.0 to 1.5 GHz.
    fn default() -> Self {
        Self {
            f_min_hz: 1.0e9,
            f_max_hz: 1.5e9,
        }
    }
}

impl Band {
    /// Returns the band from `f_min_hz` to `f_max_hz`.
    pub fn new(f_min_hz: f64, f_max_hz: f64) -> Self {
        Self { f_min_hz, f_max_hz }
    }

    /// Returns the width of the band, in hertz.
    pub fn span_hz(&self) -> f64 {
        self.f_max_hz - self.f_min_hz
    }

    /// Returns the centre of the band, in hertz.
    pub fn centre_hz(&self) -> f64 {
        0.5 * (self.f_min_hz + self.f_max_hz)
    }

    /// Returns the reason that the band cannot be used, or `None` if it can.
    pub fn problem(&self) -> Option<String> {
        let Self { f_min_hz, f_max_hz } = *self;
        if !(f_min_hz.is_finite() && f_max_hz.is_finite() && f_min_hz > 0.0) {
            return Some(format!(
                "the band {f_min_hz} Hz to {f_max_hz} Hz is not a range"
            ));
        }
        (f_max_hz <= f_min_hz)
            .then(|| format!("the span from {f_min_hz} Hz to {f_max_hz} Hz is empty"))
    }
}
