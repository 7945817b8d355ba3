//! Settings that are not as they were left, in words for the person on watch.

use std::fmt;

use twotone_hal::ModuleId;

use super::leaves::{Key, Setting};

/// Settings that are not what they were set to.
#[derive(Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) first: Key,
    pub(super) found: Option<f64>,
    pub(super) expected: f64,
    /// The newest value that it may have been set to since.
    pub(super) or: Option<f64>,
    pub(super) differ: usize,
    pub(super) compared: usize,
    /// True if everything that differs is as on a board that has just started.
    pub(super) all_lost: bool,
}

/// State of the marker, which shows how the settings came to differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// It is as it was left: a board that restarts loses it.
    Intact,
    /// It is not as it was left.
    Gone,
    /// There was none.
    Unset,
}

impl Difference {
    /// Message about the difference on `module`, with its possible meaning and the steps to take.
    pub(super) fn on(&self, module: ModuleId, marker: Marker) -> String {
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
             restarted, or another program has set it{}",
            self.first,
            self.advice(marker)
        )
    }

    /// The one of the two causes that applies, as far as it is known, and the steps to take.
    fn advice(&self, marker: Marker) -> &'static str {
        match marker {
            Marker::Intact => {
                " (the latter: a restart would have taken the marker with it); stop the other \
                 program or let it end, then run this one again"
            }
            Marker::Gone if self.all_lost && self.differ > 1 => {
                " (the former: nothing of what was set is left); run this again once the board is \
                 ready"
            }
            _ => "; if another program uses the module, stop it or let it end, then run this again",
        }
    }
}

/// A value without the digits that come from conversions.
fn shown(setting: Setting, value: f64) -> f64 {
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

/// Number of settings that differ, and of those compared.
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
