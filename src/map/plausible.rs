//! Numbers that are probably in another unit than the one that is written.

use twotone_hal::Hertz;

use super::Problem;

/// The lowest frequency that a tone is meant to have. The detectors that these boards read are
/// resonators of some hundred megahertz to some gigahertz; a number below is one in kilohertz,
/// megahertz or gigahertz, written as if it were in hertz.
pub const LOWEST_TONE: Hertz = Hertz(10e6);

/// The highest frequency that a number in another unit is taken for.
const HIGHEST_MEANT: Hertz = Hertz(10e9);

/// Reason that `hz`, called `what`, is hardly a frequency of tones in hertz, with the value that
/// was probably meant. `None` if nothing speaks against it.
///
/// ```
/// use twotone::map::implausible_hz;
/// let problem = implausible_hz("`f_min_hz`", 1000.0).unwrap();
/// assert!(problem.to_string().ends_with("; did you mean `1000e6`?"));
/// assert!(implausible_hz("`f_min_hz`", 1e9).is_none());
/// ```
pub fn implausible_hz(what: &str, hz: f64) -> Option<Problem> {
    (hz > 0.0 && hz < LOWEST_TONE.0).then(|| Problem {
        place: None,
        message: format!(
            "{what} = {hz} is in hertz, and no board here has tones below {} MHz",
            LOWEST_TONE.0 / 1e6
        ),
        suggestion: meant(hz),
    })
}

/// `hz` as a number of the largest unit in which it is a frequency of detectors.
fn meant(hz: f64) -> Option<String> {
    let fits = |exponent: &i32| {
        let in_hertz = hz * 10f64.powi(*exponent);
        (LOWEST_TONE.0..=HIGHEST_MEANT.0).contains(&in_hertz)
    };
    let exponent = [9, 6, 3].into_iter().find(fits)?;
    Some(format!("{hz}e{exponent}"))
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
            (1.5e6, Some("1500000e3")),
            (9.9e6, Some("9900000e3")),
            (1e-3, None),
        ] {
            let problem = implausible_hz("it", hz).unwrap();
            assert_eq!(problem.suggestion.as_deref(), meant, "{hz}");
            let value: Option<f64> = meant.map(|meant| meant.parse().unwrap());
            assert!(value.is_none_or(|value| implausible_hz("it", value).is_none()));
        }
        for hz in [10e6, 1e9, 1e12, 0.0, -4.0, f64::NAN, f64::INFINITY] {
            assert_eq!(implausible_hz("it", hz), None, "{hz}");
        }
    }
}
