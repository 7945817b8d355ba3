//! The first fit of a line: through the stamp with which most of the first stamps agree.

use super::line::{Line, jitter};
use super::{PARTS, Reading, Seen};

/// Smallest number of samples that determine a line.
const LEAST: usize = 8;
/// Share of the stamps that must agree, as a divisor. A clock with occasional errors has a larger
/// share; a clock that stands still or runs backward has almost none.
const LEAST_SHARE: usize = 4;
/// Largest number of lines that are compared.
const MOST_LINES: usize = 64;

/// Number of samples that determine a line: the samples of a tenth of a second, which is several
/// times the 20 ms by which a clock may be late in counting a second.
pub(super) fn window(period: i64) -> usize {
    usize::try_from(PARTS / 10 / period).map_or(LEAST, |samples| samples.max(LEAST))
}

/// Group of stamps that agree with each other.
struct Agreed {
    /// Index of the first stamp of the group.
    first: usize,
    /// Time at position 0, from the last stamp of the group.
    origin: i64,
    count: usize,
}

/// Line through the largest group of stamps that agree, if the group has at least a quarter of all
/// stamps.
pub(super) fn line(seen: &[Seen], period: i64) -> Option<Line> {
    let mut lines: Vec<Agreed> = Vec::new();
    let mut stamps = 0;
    for (at, one) in seen.iter().enumerate() {
        let time = match one.reading {
            Reading::Nothing => continue,
            Reading::Frozen => None,
            Reading::Time { time, .. } => Some(time),
        };
        stamps += 1;
        let Some(time) = time else { continue };
        let origin = time - one.position * period;
        let near = |line: &Agreed| (origin - line.origin).abs() <= jitter(period);
        if let Some(line) = lines.iter().rposition(near) {
            let line = &mut lines[line];
            (line.origin, line.count) = (origin, line.count + 1);
        } else if lines.len() < MOST_LINES {
            lines.push(Agreed {
                first: at,
                origin,
                count: 1,
            });
        }
    }
    // `max_by_key` returns the last maximum, so `rev` selects the first of groups of the same size.
    let most = lines.into_iter().rev().max_by_key(|line| line.count)?;
    let is_enough = LEAST_SHARE * most.count >= stamps;
    is_enough.then(|| Line::at(&seen[most.first], period))?
}
