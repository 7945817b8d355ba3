//! Values that a setting may have.

/// Smallest and largest value that a setting may have. If the value is known, both are equal to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// The smallest value.
    pub low: f64,
    /// The largest value.
    pub high: f64,
}

impl Span {
    /// Span of a setting that was neither set nor read.
    pub const ANYWHERE: Self = Self {
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };

    /// Span of a setting whose value is known.
    pub fn at(value: f64) -> Self {
        Self {
            low: value,
            high: value,
        }
    }

    /// Adds a value that the setting may have too.
    pub fn or(&mut self, value: f64) {
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }

    /// True if both ends are finite.
    pub fn is_bounded(self) -> bool {
        self.low.is_finite() && self.high.is_finite()
    }
}
