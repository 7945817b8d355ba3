//! Doubt about the geometry of a module, from the fits of its resonances.

use super::outcome::{ChannelStatus, Reason, TuneOutcome};
use crate::finding::{Candidate, Flag};
use crate::fit::{Fit, FitStatus};
use crate::geometry::Geometry;

/// Share of the resonances, as a divisor, from which on the geometry of the module is in doubt. A
/// few resonances may be disturbed by what the search did not find.
const ONE_IN: usize = 5;
/// Share of the resonances, as a divisor, from which on those without close neighbours stand for
/// all.
const ALONE_ONE_IN: usize = 5;

/// Adds a warning if many of the resonances are clearly of another geometry than that of the tune.
/// The others are then in doubt too, although their loops fit, because the shape of an undercoupled
/// resonator in reflection is that of a notch. So their channels fail with the reason
/// [`Reason::GeometryInDoubt`].
pub(super) fn doubt(outcome: &mut TuneOutcome, chosen: &[usize], fits: &[Fit]) {
    let Some((others, all)) = others(&outcome.find.candidates, chosen, fits) else {
        return;
    };
    for channel in &mut outcome.channels {
        if channel.status == ChannelStatus::Tuned {
            channel.status = ChannelStatus::Failed;
            channel.reason = Reason::GeometryInDoubt;
        }
    }
    let seen = match outcome.geometry {
        Geometry::Notch => {
            "the loops are too large for notches, or are peaks: the module may be measured in \
             reflection"
        }
        Geometry::Reflection => "the loops are too large for reflection, or are peaks",
        Geometry::Peak => "there are dips in place of peaks",
    };
    outcome.warnings.push(format!(
        "{others} of {all} resonances are not of the geometry {}: {seen}; no detector of the \
         module is tuned until its geometry is right, in the map or in the parameters",
        outcome.geometry
    ));
}

/// Returns the number of resonances of another geometry, and the number of all that were fitted or
/// are of another geometry; `None` if there are too few of another geometry for a doubt. Only
/// resonances without close neighbours are counted, unless these are few.
fn others(candidates: &[Candidate], chosen: &[usize], fits: &[Fit]) -> Option<(usize, usize)> {
    let is_other = |fit: &Fit| fit.status == FitStatus::OtherGeometry;
    let is_alone =
        |i: usize| !candidates[i].has(Flag::Crowded) && !candidates[i].has(Flag::Collided);
    let fitted = || {
        let pairs = chosen.iter().zip(fits);
        pairs.filter(|(_, fit)| is_other(fit) || fit.status.is_success())
    };
    let alone: Vec<&Fit> = fitted()
        .filter(|(i, _)| is_alone(**i))
        .map(|(_, fit)| fit)
        .collect();
    let all: Vec<&Fit> = fitted().map(|(_, fit)| fit).collect();
    let counted = if alone.len() * ALONE_ONE_IN >= all.len() {
        &alone
    } else {
        &all
    };
    let others = counted.iter().filter(|fit| is_other(fit)).count();
    // One resonance says nothing about others.
    let is_doubt = others >= all.len().clamp(1, 2) && others * ONE_IN >= counted.len();
    is_doubt.then_some((others, counted.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resonator::Direction;

    #[test]
    fn a_few_disturbed_resonances_do_not_make_a_doubt() {
        for (others, alone, crowded, expected) in [
            (0, 0, 0, None),
            (0, 10, 0, None),
            (1, 1, 0, Some(1)),
            (1, 1, 1, None),
            (1, 2, 0, None),
            (1, 5, 0, None),
            (2, 5, 0, Some(5)),
            (2, 10, 0, Some(10)),
            (2, 11, 0, None),
            (2, 5, 20, Some(5)),
            // So few resonances without close neighbours do not stand for all.
            (2, 5, 21, None),
            (6, 5, 21, Some(26)),
        ] {
            let candidate = |k: usize| Candidate {
                fr_hz: 1e9,
                q: 1e4,
                depth_db: 10.0,
                coupling: 0.7.into(),
                statistic: 1.0,
                flags: if k < alone {
                    Vec::new()
                } else {
                    vec![Flag::Crowded]
                },
                keep: true,
            };
            let fit = |k: usize| {
                let status = if k < others {
                    FitStatus::OtherGeometry
                } else {
                    FitStatus::Success
                };
                Fit::failed(status, Direction::Up)
            };
            let count = alone + crowded;
            let candidates: Vec<Candidate> = (0..count).map(candidate).collect();
            let chosen: Vec<usize> = (0..count).collect();
            let fits: Vec<Fit> = chosen.iter().map(|&k| fit(k)).collect();
            let found = super::others(&candidates, &chosen, &fits);
            let expected = expected.map(|of| (others, of));
            assert_eq!(found, expected, "{others} of {alone} and {crowded}");
        }
    }
}
