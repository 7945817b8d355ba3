//! Doubt about the geometry of a module, from the fits of its resonances.

use crate::finding::{Candidate, Flag};
use crate::fit::{Fit, FitStatus};
use crate::geometry::Geometry;

/// Share of the resonances, as a divisor, from which on the geometry of the module is in doubt. A
/// few resonances may be disturbed by what the search did not find.
const ONE_IN: usize = 5;

/// Returns a warning if at least one in five of the resonances without close neighbours is clearly
/// of another geometry than the given one. The others are then in doubt too, although their loops
/// fit, because the shape of an undercoupled resonator in reflection is that of a notch. So their
/// fits get the status [`FitStatus::OtherGeometry`].
pub(super) fn doubt(
    candidates: &[Candidate],
    chosen: &[usize],
    fits: &mut [Fit],
    geometry: Geometry,
) -> Option<String> {
    let is_alone =
        |i: usize| !candidates[i].has(Flag::Crowded) && !candidates[i].has(Flag::Collided);
    let alone = chosen.iter().zip(&*fits).filter(|(i, _)| is_alone(**i));
    let (mut others, mut all) = (0, 0);
    for (_, fit) in alone {
        let is_other = fit.status == FitStatus::OtherGeometry;
        others += usize::from(is_other);
        all += usize::from(is_other || fit.status.is_success());
    }
    if others == 0 || others * ONE_IN < all {
        return None;
    }
    for fit in fits {
        if fit.status.is_success() {
            fit.status = FitStatus::OtherGeometry;
        }
    }
    let seen = match geometry {
        Geometry::Notch => {
            "the loops are too large for notches, or are peaks: the module may be measured in \
             reflection"
        }
        Geometry::Reflection => "the loops are too large for reflection, or are peaks",
        Geometry::Peak => "there are dips in place of peaks",
    };
    Some(format!(
        "{others} of {all} resonances are not of the geometry {geometry}: {seen}; no detector of the \
         module is tuned until its geometry in the map is right"
    ))
}
