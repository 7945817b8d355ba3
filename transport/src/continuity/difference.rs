//! Settings that are not as they were left, in words for the person on watch.

use std::fmt;

use twotone_hal::{Difference, ModuleId, Setting};

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

/// Message about a difference on `module`, with its possible meaning and the steps to take.
pub(super) fn message(difference: &Difference, module: ModuleId, marker: Marker) -> String {
    let setting = difference.first.setting;
    let show = |value| shown(setting, value);
    let unit = match setting {
        Setting::Nco | Setting::Offset => " Hz",
        Setting::Amplitude => "",
        Setting::Phase | Setting::Rotation => " degrees",
    };
    let found = difference.found.map_or_else(
        || "is not set".to_owned(),
        |is| format!("is {}{unit}", show(is)),
    );
    let expected = show(difference.expected);
    let or = difference
        .or
        .map_or_else(String::new, |or| format!(" or {}", show(or)));
    let among = Among(difference.differ, difference.compared);
    format!(
        "module {module} {} {found}, was set to {expected}{or}{unit}{among}: the board has \
         restarted, or another program has set it{}",
        difference.first,
        advice(difference, marker)
    )
}

/// The one of the two causes that applies, as far as it is known, and the steps to take.
fn advice(difference: &Difference, marker: Marker) -> &'static str {
    match marker {
        Marker::Intact => {
            " (the latter: a restart would have taken the marker with it); stop the other \
             program or let it end, then run this one again"
        }
        Marker::Gone if difference.all_lost && difference.differ > 1 => {
            " (the former: nothing of what was set is left); run this again once the board is \
             ready"
        }
        _ => "; if another program uses the module, stop it or let it end, then run this again",
    }
}

/// A value in the unit of the message, without the digits that come from conversions.
fn shown(setting: Setting, value: f64) -> f64 {
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
