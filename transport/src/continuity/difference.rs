//! Messages to the operator about settings that differ from those that this client made.

use twotone_hal::{Difference, ModuleId};

/// State of the marker: a setting of an unused channel that this client makes only to find out
/// later if the board has restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// The marker is unchanged, so the board has not restarted: a restart would have erased the
    /// marker.
    Intact,
    /// The marker has changed or is missing.
    Gone,
    /// No marker was set, or it may have been set again after a restart. The cause is not known.
    Unset,
}

/// Message about a difference on `module`, with its possible causes and the steps to take.
pub(super) fn message(difference: &Difference, module: ModuleId, marker: Marker) -> String {
    format!(
        "module {module} {difference}: the board has restarted, or another program has set it{}",
        advice(difference, marker)
    )
}

/// The cause that applies, if the marker shows it, and the steps to take.
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
