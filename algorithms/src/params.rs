//! Checking parameters before anything is sent, and holding numbers to ranges of them.

/// The first of `(name, value, least, most)` that is not finite or lies outside its range, in
/// words.
pub(crate) fn out_of_range(ranges: &[(&str, f64, f64, f64)]) -> Option<String> {
    ranges.iter().find_map(|(name, value, least, most)| {
        let inside = value.is_finite() && value >= least && value <= most;
        (!inside).then(|| format!("{name} is {value}; it must lie from {least} to {most}"))
    })
}

/// `value`, or the bound that it is beyond. Unlike [`f64::clamp`] it takes any bounds: if they
/// contradict each other, the lower one holds for values below it.
pub(crate) fn held(value: f64, least: f64, most: f64) -> f64 {
    if value < least {
        least
    } else if value > most {
        most
    } else {
        value
    }
}
