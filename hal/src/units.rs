//! Physical quantities whose unit is in the type.

use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Sub};

use serde::{Deserialize, Serialize};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident, $symbol:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub f64);

        impl $name {
            /// The bare number, in the unit of the type.
            pub fn value(self) -> f64 {
                self.0
            }
            /// True if the number is neither infinite nor NaN.
            pub fn is_finite(self) -> bool {
                self.0.is_finite()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)?;
                f.write_str(concat!(" ", $symbol))
            }
        }
        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }
        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }
        impl Neg for $name {
            type Output = Self;
            fn neg(self) -> Self {
                Self(-self.0)
            }
        }
        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }
        impl Div<f64> for $name {
            type Output = Self;
            fn div(self, divisor: f64) -> Self {
                Self(self.0 / divisor)
            }
        }
    };
}

unit!(
    /// A frequency in hertz.
    Hertz,
    "Hz"
);
unit!(
    /// A power in decibels above one milliwatt. To add powers, convert them to milliwatts first:
    /// see [`Dbm::milliwatts`].
    Dbm,
    "dBm"
);
unit!(
    /// A voltage in volts; for a tone, the peak voltage.
    Volts,
    "V"
);
unit!(
    /// A current in amperes.
    Amperes,
    "A"
);
unit!(
    /// A temperature in degrees Celsius.
    Celsius,
    "C"
);
unit!(
    /// An angle in radians.
    Radians,
    "rad"
);
unit!(
    /// A time in seconds.
    Seconds,
    "s"
);

impl Dbm {
    /// The power in milliwatts.
    pub fn milliwatts(self) -> f64 {
        10f64.powf(self.0 / 10.0)
    }

    /// The power of `milliwatts`, in dBm; minus infinity for 0 mW.
    pub fn from_milliwatts(milliwatts: f64) -> Self {
        Self(10.0 * milliwatts.log10())
    }

    /// The power of a tone of `amplitude`, if `self` is the power of a tone of full scale. The
    /// amplitude is a fraction of full scale; its sign is ignored.
    #[must_use]
    pub fn at_amplitude(self, amplitude: f64) -> Self {
        Self(self.0 + 20.0 * amplitude.abs().log10())
    }

    /// The amplitude of a tone of power `tone`, as a fraction of full scale, if `self` is the power
    /// of a tone of full scale.
    pub fn amplitude_of(self, tone: Self) -> f64 {
        10f64.powf((tone.0 - self.0) / 20.0)
    }
}

impl Radians {
    /// The angle in degrees.
    pub fn degrees(self) -> f64 {
        self.0.to_degrees()
    }

    /// The angle of `degrees`.
    pub fn from_degrees(degrees: f64) -> Self {
        Self(degrees.to_radians())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tone_power_follows_amplitude() {
        let full_scale = Dbm(-1.5);
        assert!((full_scale.at_amplitude(0.001).0 - -61.5).abs() < 1e-9);
        assert!((full_scale.amplitude_of(Dbm(-61.5)) - 0.001).abs() < 1e-12);
        assert_eq!(full_scale.at_amplitude(0.0).0, f64::NEG_INFINITY);
        assert!((Dbm::from_milliwatts(Dbm(3.0).milliwatts() * 2.0).0 - 6.0103).abs() < 1e-4);
    }

    #[test]
    fn quantities_show_their_unit() {
        assert_eq!(format!("{:.1}", Hertz(1e6)), "1000000.0 Hz");
        assert_eq!(Dbm(-3.0).to_string(), "-3 dBm");
    }
}
