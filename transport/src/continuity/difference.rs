//! Settings that are not as they were left, in words for the person on watch.

use twotone_hal::{Difference, ModuleId};

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
    format!(
        "module {module} {difference}: the board has restarted, or another program has set it{}",
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
