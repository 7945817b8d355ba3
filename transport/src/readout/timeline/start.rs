//! The beginning of a line: at the stamp that most of the first ones agree with.

use super::line::{Line, jitter};
use super::{PARTS, Reading, Seen};

/// Least number of samples that decide a line.
const LEAST: usize = 8;
/// The share of the stamps that must agree, as a divisor: a clock that is wrong now and then has
/// more, one that stands still or runs backward has next to none.
const LEAST_SHARE: usize = 4;
/// Largest number of different lines that are considered.
const MOST_LINES: usize = 64;

/// Number of samples that decide a line: a tenth of a second, which is several times the 20 ms for
/// which a second may be renewed late.
pub(super) fn window(period: i64) -> usize {
    usize::try_from(PARTS / 10 / period).map_or(LEAST, |samples| samples.max(LEAST))
}

/// Stamps that agree with each other.
struct Agreed {
    /// Place of the first.
    first: usize,
    /// The time of the run's first sample by the last of them.
    origin: i64,
    count: usize,
}

/// The line through the largest group of these stamps that agree, if it has at least a quarter of
/// them.
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
    // Of groups of the same size, the first.
    let most = lines.into_iter().rev().max_by_key(|line| line.count)?;
    let is_enough = LEAST_SHARE * most.count >= stamps;
    is_enough.then(|| Line::at(&seen[most.first], period))?
}
