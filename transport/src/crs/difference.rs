//! What is not as it was left, in words for whoever is on watch.

use std::fmt;

use twotone_hal::ModuleId;

use super::leaves::{Key, Setting};

/// Settings that are not what they were set to.
#[derive(Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) first: Key,
    pub(super) found: Option<f64>,
    pub(super) expected: f64,
    /// What it may have been set to since.
    pub(super) or: Option<f64>,
    pub(super) differ: usize,
    pub(super) compared: usize,
}

impl Difference {
    /// What differs on `module`, and what that may mean.
    pub(super) fn on(&self, module: ModuleId) -> String {
        let setting = self.first.setting;
        let show = |value| shown(setting, value);
        let unit = match setting {
            Setting::Nco | Setting::Offset => " Hz",
            Setting::Amplitude => "",
            Setting::Phase | Setting::Rotation => " degrees",
        };
        let found = self.found.map_or_else(
            || "is not set".to_owned(),
            |is| format!("is {}{unit}", show(is)),
        );
        let expected = show(self.expected);
        let or = self
            .or
            .map_or_else(String::new, |or| format!(" or {}", show(or)));
        let among = Among(self.differ, self.compared);
        format!(
            "module {module} {} {found}, was set to {expected}{or}{unit}{among}: the board has \
             restarted, or another program has set it",
            self.first
        )
    }
}

/// A value without the digits that come from conversions.
fn shown(setting: Setting, value: f64) -> f64 {
    let digits = match setting {
        Setting::Amplitude => 1e8,
        _ => 1e4,
    };
    let rounded = (value * digits).round() / digits;
    // Not what is too large or too small to be rounded.
    if rounded == 0.0 || !rounded.is_finite() {
        value
    } else {
        rounded
    }
}

/// How many settings differ, of how many.
struct Among(usize, usize);

impl fmt::Display for Among {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self(1, _) => Ok(()),
            Self(differ, compared) => {
                write!(f, " ({differ} of {compared} settings read back differ)")
            }
        }
    }
}
