//! Choice of the frequency of a tone on its resonance.

use serde::{Deserialize, Serialize};

use crate::geometry::Geometry;
use crate::resonator::{Direction, Resonator, pulled_detuning};

/// Rule for the point of the resonance at which a tone is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlacementRule {
    /// On the resonance at low power; a little above it, on the stable side, at higher power.
    #[default]
    Stable,
    /// The minimum of |S|. Peaks have none, so the rule is refused for them.
    LeastTransmission,
    /// The largest speed along the loop, the circle that the resonance describes in the IQ plane.
    /// At high power this point is on the unstable side, so above a nonlinearity of 0.1 the rule
    /// `Stable` is used instead.
    GreatestSpeed,
}

/// Parameters of the placement of tones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlacementParams {
    /// The rule.
    pub rule: PlacementRule,
    /// Nonlinearity ([`Resonator::a`]) from which on the rule [`PlacementRule::Stable`] places the
    /// tone above the resonance.
    pub high_power_a: f64,
    /// Detuning of tones that [`PlacementRule::Stable`] places on resonators with a nonlinearity
    /// of `high_power_a` or more, in linewidths. It includes the pull of [`crate::resonator`].
    pub high_power_y: f64,
    /// Distance above its final frequency from which a tone approaches a resonator with a
    /// nonlinearity of `high_power_a` or more, in linewidths.
    pub approach_lw: f64,
    /// Grid to which absolute frequencies of tones are rounded, in hertz; null for none.
    pub grid_hz: Option<f64>,
}

impl Default for PlacementParams {
    fn default() -> Self {
        Self {
            rule: PlacementRule::Stable,
            high_power_a: 0.3,
            high_power_y: 0.2,
            approach_lw: 2.0,
            grid_hz: None,
        }
    }
}

impl PlacementParams {
    /// Returns the reason that these parameters cannot be used, or `None` if they can.
    pub fn problem(&self) -> Option<String> {
        crate::params::out_of_range(&[
            ("high_power_a", self.high_power_a, 0.0, 10.0),
            ("high_power_y", self.high_power_y, 0.0, 2.0),
            ("approach_lw", self.approach_lw, 0.0, 20.0),
            ("grid_hz", self.grid_hz.unwrap_or(1.0), 1e-3, 1e5),
        ])
    }
}

impl PlacementParams {
    /// Returns the reason that these parameters cannot be used for resonators of this geometry, or
    /// `None` if they can.
    pub(crate) fn problem_for(&self, geometry: Geometry) -> Option<String> {
        let fails = self.rule == PlacementRule::LeastTransmission && geometry == Geometry::Peak;
        fails.then(|| {
            "the rule least_transmission places tones in dips, and the geometry peak has none: use \
             stable or greatest_speed"
                .to_owned()
        })
    }
}

/// Frequency of a tone on its resonance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// Frequency of the tone, in hertz.
    pub tone_hz: f64,
    /// Shift of the tone by rounding to [`PlacementParams::grid_hz`], in hertz.
    pub rounding_hz: f64,
    /// Frequency from which the tone approaches, in hertz, if it must come from above.
    pub approach_hz: Option<f64>,
}

/// Chooses the frequency of a tone on a fitted resonator. `None` if the resonator's numbers are not
/// finite.
pub fn place(resonator: &Resonator, params: &PlacementParams) -> Option<Placement> {
    if !resonator.is_finite() {
        return None;
    }
    let strong = resonator.a >= params.high_power_a;
    let stable = if strong { params.high_power_y } else { 0.0 };
    let y = match params.rule {
        PlacementRule::Stable => stable,
        PlacementRule::LeastTransmission => least_transmission(resonator),
        // Above a nonlinearity of 0.1 the point of the largest speed is too near the unstable side.
        PlacementRule::GreatestSpeed if resonator.a <= 0.1 => greatest_speed(resonator),
        PlacementRule::GreatestSpeed => stable,
    };
    let wanted = resonator.frequency_at(y);
    let tone_hz = match params.grid_hz {
        Some(grid) if grid > 0.0 => (wanted / grid).round() * grid,
        _ => wanted,
    };
    let approach_hz = strong.then(|| tone_hz + params.approach_lw * resonator.linewidth_hz());
    tone_hz.is_finite().then_some(Placement {
        tone_hz,
        rounding_hz: tone_hz - wanted,
        approach_hz,
    })
}

/// Returns detunings to scan, from -2 to 2 linewidths, including the pull of [`crate::resonator`].
fn detunings() -> impl Iterator<Item = f64> {
    // A scan cannot end in a local minimum. Steps of a thousandth of a linewidth are fine enough.
    (-2000..=2000).map(|i| f64::from(i) * 1e-3)
}

/// Returns the detuning of the smallest |S21| on the upper branch of [`crate::resonator`].
fn least_transmission(r: &Resonator) -> f64 {
    let depth = |y: f64| (r.line(r.frequency_at(y)) * r.factor(y)).norm();
    detunings()
        .filter(|&y| on_upper_branch(r, y))
        .min_by(|a, b| depth(*a).total_cmp(&depth(*b)))
        .unwrap_or(0.0)
}

/// Returns the detuning of the largest speed along the loop, `1 / ((1 + 4 y^2) dy0/dy)`, on the
/// upper branch of [`crate::resonator`].
fn greatest_speed(r: &Resonator) -> f64 {
    let speed = |y: f64| 1.0 / ((1.0 + 4.0 * y * y) * crate::resonator::detuning_slope(y, r.a));
    detunings()
        .filter(|&y| on_upper_branch(r, y))
        .max_by(|a, b| speed(*a).total_cmp(&speed(*b)))
        .unwrap_or(0.0)
}

fn on_upper_branch(r: &Resonator, y: f64) -> bool {
    // A detuning is on the branch if it is the solution of the resonator equation at its own
    // frequency.
    let y0 = y - r.a / (1.0 + 4.0 * y * y);
    (pulled_detuning(y0, r.a, Direction::Down) - y).abs() < 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_complex::Complex64;

    fn resonator(a: f64, phi: f64) -> Resonator {
        Resonator {
            f_ref_hz: 1.2e9,
            gain: Complex64::new(1.0, 0.0),
            slope_per_hz: 0.0,
            tau_s: 0.0,
            fr_hz: 1.2e9,
            qr: 2e4,
            coupling: Complex64::from_polar(0.8, phi),
            off: Complex64::ONE,
            geometry: Geometry::Notch,
            a,
        }
    }

    #[test]
    fn stable_rule_changes_sides_with_power() {
        let weak = place(&resonator(0.1, 0.2), &PlacementParams::default()).unwrap();
        // At `y = 0` the resonance is pulled down by `a` linewidths.
        assert!((weak.tone_hz - (1.2e9 - 0.1 * 6e4)).abs() < 1.0);
        assert_eq!(weak.approach_hz, None);
        let r = resonator(0.6, 0.2);
        let strong = place(&r, &PlacementParams::default()).unwrap();
        let y = pulled_detuning(r.y0(strong.tone_hz), r.a, Direction::Down);
        assert!((y - 0.2).abs() < 1e-6);
        assert!(strong.approach_hz.unwrap() > strong.tone_hz);
    }

    #[test]
    fn grid_rounding_is_recorded() {
        let grid_hz = 298.0232;
        let params = PlacementParams {
            grid_hz: Some(grid_hz),
            ..Default::default()
        };
        let placed = place(&resonator(0.0, 0.0), &params).unwrap();
        let steps = placed.tone_hz / grid_hz;
        assert!((steps - steps.round()).abs() < 1e-6);
        assert!((1.2e9 + placed.rounding_hz - placed.tone_hz).abs() < 1e-6);
        assert!(placed.rounding_hz.abs() <= 0.5 * grid_hz);
    }

    #[test]
    fn least_transmission_is_the_bottom_of_the_dip() {
        let r = resonator(0.4, 0.4);
        let params = PlacementParams {
            rule: PlacementRule::LeastTransmission,
            ..Default::default()
        };
        let placed = place(&r, &params).unwrap();
        let at = |f: f64| r.transmission(f, Direction::Down).norm();
        let lowest = (-3000..3000)
            .map(|i| r.fr_hz + f64::from(i) * 30.0)
            .min_by(|a, b| at(*a).total_cmp(&at(*b)))
            .unwrap();
        assert!((placed.tone_hz - lowest).abs() < 0.01 * r.linewidth_hz());
    }

    #[test]
    fn no_tone_is_placed_on_an_impossible_resonator() {
        let r = Resonator {
            fr_hz: f64::NAN,
            ..resonator(0.0, 0.0)
        };
        assert_eq!(place(&r, &PlacementParams::default()), None);
    }
}
