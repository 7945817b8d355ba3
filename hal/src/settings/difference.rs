//! Differences between settings that were read back and settings that were set.

use std::fmt;

use super::{Setting, SettingKey};

/// Settings whose values on the board are not the values that were set.
///
/// A difference is displayed as the first setting that differs, with its values, and with the
/// number of settings that differ if there is more than one: `channel 2: amplitude is 0, was set to
/// 0.004 (3 of 8 settings read back differ)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The first setting that differs, in the order of the reading.
    pub first: SettingKey,
    /// Value of the first setting that was read back; `None` if the board reports that it was
    /// never set.
    pub found: Option<f64>,
    /// Last value to which the first setting was surely set.
    pub expected: f64,
    /// Value to which the first setting may have been set since then; `None` if there is none. It
    /// is the newest such value, or any of them if there were too many to keep their order.
    pub or: Option<f64>,
    /// Number of settings that differ.
    pub differ: usize,
    /// Number of settings that were compared.
    pub compared: usize,
    /// True if all settings that differ were read back as 0 or as never set, as on a board that
    /// has just started.
    pub all_lost: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = self.first.setting;
        let unit = match setting {
            Setting::Nco | Setting::Offset => " Hz",
            Setting::Amplitude => "",
            Setting::Phase | Setting::Rotation => " degrees",
        };
        write!(f, "{} ", self.first)?;
        match self.found {
            Some(found) => write!(f, "is {}{unit}", rounded(setting, found))?,
            None => f.write_str("is not set")?,
        }
        write!(f, ", was set to {}", rounded(setting, self.expected))?;
        if let Some(or) = self.or {
            write!(f, " or {}", rounded(setting, or))?;
        }
        f.write_str(unit)?;
        match (self.differ, self.compared) {
            (1, _) => Ok(()),
            (differ, compared) => {
                write!(f, " ({differ} of {compared} settings read back differ)")
            }
        }
    }
}

/// A value in the unit of the message, without the digits that come from conversions.
fn rounded(setting: Setting, value: f64) -> f64 {
    let value = match setting {
        Setting::Phase | Setting::Rotation => value.to_degrees(),
        Setting::Nco | Setting::Offset | Setting::Amplitude => value,
    };
    let digits = match setting {
        Setting::Amplitude => 1e8,
        _ => 1e4,
    };
    let rounded = (value * digits).round() / digits;
    // Values that are too large or too small to be rounded are shown as they are.
    if rounded == 0.0 || !rounded.is_finite() {
        value
    } else {
        rounded
    }
}
