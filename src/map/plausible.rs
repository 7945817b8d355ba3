//! Check for numbers in a hardware map that are probably not in the expected unit.

use twotone_hal::Hertz;

use super::Problem;

/// Lowest plausible frequency of a tone. The boards read detectors that are resonators at some
/// hundred megahertz to some gigahertz. A smaller number is probably in kilohertz, megahertz or
/// gigahertz.
pub const LOWEST_TONE: Hertz = Hertz(10e6);

/// Highest plausible frequency of a tone. A board puts its tones into the first four Nyquist zones
/// of its converters, up to 10 GHz.
pub const HIGHEST_TONE: Hertz = Hertz(10e9);

/// Returns the reason that `hz` is implausible as a frequency of a tone in hertz, with the value
/// that was probably meant if there is one. Returns `None` if `hz` is plausible, and also if it is
/// zero, negative or not finite, which is not judged here. `what` names the number in the message.
///
/// ```
/// use twotone::map::implausible_hz;
/// let problem = implausible_hz("`f_min_hz`", 1000.0).unwrap();
/// assert!(problem.to_string().ends_with("; did you mean `1000e6`?"));
/// assert!(implausible_hz("`f_min_hz`", 1e9).is_none());
/// ```
pub fn implausible_hz(what: &str, hz: f64) -> Option<Problem> {
    let problem = |written: String, limit: String, suggestion| {
        Some(Problem {
            file: None,
            place: None,
            message: format!("{what} = {written} is in hertz, and no board here has tones {limit}"),
            suggestion,
        })
    };
    if hz > 0.0 && hz < LOWEST_TONE.0 {
        let limit = format!("below {} MHz", LOWEST_TONE.0 / 1e6);
        return problem(hz.to_string(), limit, meant(hz));
    }
    if hz.is_finite() && hz > HIGHEST_TONE.0 {
        let limit = format!("above {} GHz", HIGHEST_TONE.0 / 1e9);
        return problem(written(hz), limit, None);
    }
    None
}

/// Returns `hz` with an exponent, as the same number of kilohertz, megahertz or gigahertz: the
/// largest of these units in which it is a plausible frequency.
fn meant(hz: f64) -> Option<String> {
    let fits = |exponent: &i32| {
        let in_hertz = hz * 10f64.powi(*exponent);
        (LOWEST_TONE.0..=HIGHEST_TONE.0).contains(&in_hertz)
    };
    let exponent = [9, 6, 3].into_iter().find(fits)?;
    match exponent {
        3 => Some(times_thousand(hz, 1)),
        _ => Some(format!("{hz}e{exponent}")),
    }
}

/// Returns a number as people write it, with an exponent from a million on, such as `4.5e9`.
pub(super) fn written(number: f64) -> String {
    match number.is_finite() && number >= 1e6 {
        true => times_thousand(number, 0),
        false => number.to_string(),
    }
}

/// Returns `number` times 1000 to the power of `times`, with an exponent that is a multiple of 3.
/// `number` must be positive. The digits are those of `number`, without rounding.
fn times_thousand(number: f64, times: i32) -> String {
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    // Number of digits before the point, in addition to the first one.
    let more = exponent.rem_euclid(3);
    let mut digits = mantissa.replace('.', "");
    while digits.len() <= more as usize {
        digits.push('0');
    }
    let (whole, part) = digits.split_at(more as usize + 1);
    let point = if part.is_empty() { "" } else { "." };
    format!("{whole}{point}{part}e{}", exponent - more + 3 * times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_other_units_are_asked_about() {
        for (hz, meant) in [
            (0.5, Some("0.5e9")),
            (4.0, Some("4e9")),
            (4.25, Some("4.25e9")),
            (50.0, Some("50e6")),
            (1000.0, Some("1000e6")),
            (1.5e6, Some("1.5e9")),
            (9.9e6, Some("9.9e9")),
            (20_000.0, Some("20e6")),
            (4_123_456.7, Some("4.1234567e9")),
            (25e9, None),
            (10.1e9, None),
            (1e12, None),
            (1e-3, None),
        ] {
            let problem = implausible_hz("it", hz).unwrap();
            assert_eq!(problem.suggestion.as_deref(), meant, "{hz}");
            let value: Option<f64> = meant.map(|meant| meant.parse().unwrap());
            assert!(value.is_none_or(|value| implausible_hz("it", value).is_none()));
        }
        for hz in [10e6, 1e9, 10e9, 0.0, -4.0, f64::NAN, f64::INFINITY] {
            assert_eq!(implausible_hz("it", hz), None, "{hz}");
        }
    }
}
