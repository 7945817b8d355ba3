//! Limits of a module's output. The output is a *comb*: all tones of the module together.

use serde::{Deserialize, Serialize};

use crate::{Dbm, Hertz, ModuleDescription};

/// Largest excess of a power over its limit that is still allowed, in dB. It covers the rounding
/// errors of a power that was converted to an amplitude and back.
const ROUNDING_DB: f64 = 1e-6;

/// Limits of a module's output. A limit that is `None` does not apply. Powers are at the board's
/// output connector.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModuleLimits {
    /// The lowest absolute frequency of a tone.
    pub f_min: Option<Hertz>,
    /// The highest absolute frequency of a tone.
    pub f_max: Option<Hertz>,
    /// Largest power of one tone.
    pub max_tone: Option<Dbm>,
    /// Largest power of all tones together.
    pub max_total: Option<Dbm>,
    /// Assumed crest factor of a comb: the ratio of its peak to its RMS value. The peak must stay
    /// below full scale. A comb whose tones have random phases peaks near 5.5 times its RMS value
    /// within its repetition time. A comb whose amplitudes add up to no more than 1 cannot clip,
    /// so it is never refused because of its peak.
    pub crest: f64,
}

impl Default for ModuleLimits {
    /// No limits, and the crest factor of a comb whose tones have random phases.
    fn default() -> Self {
        Self {
            f_min: None,
            f_max: None,
            max_tone: None,
            max_total: None,
            crest: 5.5,
        }
    }
}

impl ModuleLimits {
    /// Returns the reason why a tone of `amplitude` may not be driven in a comb, or `None` if it
    /// may.
    ///
    /// Only powers and the peak are checked, not frequencies. Over all tones of the comb, this one
    /// included, `squares` is the sum of the squared amplitudes, and `sum` is the sum of their
    /// absolute values. A tone of full scale has the power `full_scale`. If this power is not
    /// known, a limit of power allows no tone at all.
    pub fn problem(
        &self,
        full_scale: Option<Dbm>,
        amplitude: f64,
        squares: f64,
        sum: f64,
    ) -> Option<String> {
        // A power that is NaN counts as above every limit, because it cannot be shown to be below.
        let exceeds = |asked: Dbm, allowed: Dbm| {
            let order = asked.0.partial_cmp(&(allowed.0 + ROUNDING_DB));
            order.is_none_or(|order| order.is_gt())
        };
        let powers = [
            (amplitude, self.max_tone, "one tone"),
            (squares.sqrt(), self.max_total, "all tones together"),
        ];
        for (amplitude, allowed, of) in powers {
            let full_scale = full_scale.unwrap_or(Dbm(f64::NAN));
            let asked = full_scale.at_amplitude(amplitude);
            if let Some(allowed) = allowed
                && exceeds(asked, allowed)
            {
                return Some(if asked.0.is_nan() {
                    format!(
                        "the scale of the DAC is not known, so the limit of {:.2} dBm for {of} cannot \
                         be checked; set the scale",
                        allowed.0
                    )
                } else {
                    format!(
                        "{:.2} dBm asked, {:.2} dBm allowed for {of}",
                        asked.0, allowed.0
                    )
                });
            }
        }
        // The RMS value of a sine of amplitude 1 is `sqrt(1/2)`. No comb peaks above the sum of its
        // amplitudes.
        let peak = (self.crest * (squares / 2.0).sqrt()).min(sum);
        // The tolerance covers the rounding errors of the sums.
        (peak > 1.0 + 1e-9).then(|| {
            format!(
                "the comb would peak at {peak:.3} of full scale; scale all amplitudes by {:.3} or \
                 less, or use fewer tones",
                1.0 / peak
            )
        })
    }
}

impl ModuleDescription {
    /// Returns the reason why a comb of `amplitudes` may not be driven, or `None` if it may.
    /// Frequencies are not checked.
    pub fn comb_problem(&self, amplitudes: impl IntoIterator<Item = f64>) -> Option<String> {
        let (mut highest, mut squares, mut sum) = (0.0f64, 0.0, 0.0);
        for amplitude in amplitudes {
            let amplitude = amplitude.abs();
            if amplitude.is_nan() || amplitude > 1.0 {
                return Some(format!("amplitude {amplitude} is beyond full scale"));
            }
            highest = highest.max(amplitude);
            squares += amplitude * amplitude;
            sum += amplitude;
        }
        if highest == 0.0 {
            return None;
        }
        self.limits.problem(self.full_scale, highest, squares, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ModuleLimits = ModuleLimits {
        f_min: None,
        f_max: None,
        max_tone: Some(Dbm(-40.0)),
        max_total: Some(Dbm(-35.0)),
        crest: 5.5,
    };

    /// Reason why a comb of `tones` equal tones may not be driven.
    fn of(limits: ModuleLimits, full_scale: f64, tones: u32, amplitude: f64) -> Option<String> {
        let n = f64::from(tones);
        limits.problem(
            Some(Dbm(full_scale)).filter(|scale| scale.is_finite()),
            amplitude,
            n * amplitude * amplitude,
            n * amplitude,
        )
    }

    #[test]
    fn each_limit_is_kept_and_named() {
        // With a full scale of 0 dBm, a tone of amplitude 0.01 has -40 dBm, and three have -35.2
        // dBm.
        assert_eq!(of(LIMITS, 0.0, 3, 0.01), None);
        let loud = of(LIMITS, 0.0, 1, 0.0101).unwrap();
        assert_eq!(loud, "-39.91 dBm asked, -40.00 dBm allowed for one tone");
        let many = of(LIMITS, 0.0, 4, 0.01).unwrap();
        assert_eq!(
            many,
            "-33.98 dBm asked, -35.00 dBm allowed for all tones together"
        );
        let unknown = of(LIMITS, f64::NAN, 1, 0.001).unwrap();
        assert!(
            unknown.contains("the scale of the DAC is not known"),
            "{unknown}"
        );
    }

    #[test]
    fn a_comb_keeps_its_headroom() {
        let free = ModuleLimits::default();
        // 1024 equal tones of amplitude `a` and random phases peak at 5.5 sqrt(1024 a^2 / 2).
        assert_eq!(of(free, 0.0, 1024, 0.0080), None);
        assert!(
            of(free, 0.0, 1024, 0.0081)
                .unwrap()
                .contains("peak at 1.008")
        );
        // A single tone never peaks above its own amplitude, so a tone of full scale is allowed.
        assert_eq!(of(free, f64::NAN, 1, 1.0), None);
    }
}
