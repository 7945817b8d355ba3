//! Checking parameters before anything is sent.

/// The first of `(name, value, least, most)` that is not finite or lies outside its range, in
/// words.
pub(crate) fn out_of_range(ranges: &[(&str, f64, f64, f64)]) -> Option<String> {
    ranges.iter().find_map(|(name, value, least, most)| {
        let inside = value.is_finite() && value >= least && value <= most;
        (!inside).then(|| format!("{name} is {value}; it must lie from {least} to {most}"))
    })
}
