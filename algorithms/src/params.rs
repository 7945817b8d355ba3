//! Checks of parameters before anything is sent, and restriction of numbers to ranges.

/// Returns a sentence about the first of `(name, value, least, most)` that is not finite or is
/// outside its range.
pub(crate) fn out_of_range(ranges: &[(&str, f64, f64, f64)]) -> Option<String> {
    ranges.iter().find_map(|(name, value, least, most)| {
        let inside = value.is_finite() && value >= least && value <= most;
        (!inside).then(|| format!("{name} is {value}; it must lie from {least} to {most}"))
    })
}

/// Returns `value`, or the bound that it exceeds. Unlike [`f64::clamp`], this function does not
/// panic for any bounds: if `least` is above `most`, values below `least` become `least`.
pub(crate) fn restricted(value: f64, least: f64, most: f64) -> f64 {
    if value < least {
        least
    } else if value > most {
        most
    } else {
        value
    }
}
