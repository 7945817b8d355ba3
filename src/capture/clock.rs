//! Checks of the boards' clocks, from the time stamps of a capture. A *stamp* is the time that a
//! packet bears.

use std::time::Duration;

use serde::Serialize;
use twotone_hal::{ClockSourceKind, TimeFindings};

use super::ModuleOutcome;

/// Largest difference, in seconds, between the times of a board's clock that the packets of two of
/// its modules show. The board has only one clock, and the delays of the packets differ by less
/// than this.
const ONE_CLOCK_S: f64 = 1.0;
/// Largest difference in seconds between a board's clock and this computer's that counts as a
/// mistake, such as a wrong time zone or a wrong day. A clock that differs by more is assumed to
/// show an arbitrary time on purpose.
const MEANT_S: f64 = 2.0 * 86_400.0;
/// Largest tolerated difference of clocks that are meant to show the same time, in seconds. It is
/// more than the error of a computer that sets its clock from time to time, and less than the lead
/// of GPS time over UTC.
const SAME_S: f64 = 10.0;

/// State of the board's clock, from the time stamps of a module.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct ClockOutcome {
    /// Name of the clock's time source, which depends on the board's family. `None` if no stamp is
    /// recent. CRS boards have `backplane`, `test` (an arbitrary time that the board generates),
    /// `sma` and `ground` (no source).
    pub clock_source: Option<&'static str>,
    /// Lead of the clock over this computer's clock in seconds, before any step. A step is a jump
    /// of the clock when it is set. `None` if no time is known.
    pub clock_offset_s: Option<f64>,
    /// Size of the clock's first step in seconds, positive if forward, if the clock was set during
    /// the capture.
    pub clock_step_s: Option<f64>,
    /// Sequence number of the first sample after this step.
    pub clock_step_sequence: Option<u32>,
    /// True if no stamp contradicts another, the calendar, or the date of this computer.
    #[serde(skip)]
    pub is_sound: bool,
}

impl ClockOutcome {
    pub(super) fn of(found: &TimeFindings) -> Self {
        Self {
            clock_source: found.source.map(|source| source.name),
            clock_offset_s: found.clock_offset_s,
            clock_step_s: found.first_step.map(|step| step.seconds),
            clock_step_sequence: found.first_step.map(|step| step.sequence),
            is_sound: found.is_sound(),
        }
    }

    /// Returns the difference between the board's clock and this computer's, in words, or `None` if
    /// it is not known.
    pub fn offset(&self) -> Option<String> {
        let offset_s = self.clock_offset_s?;
        let where_it_is = if offset_s < 0.0 { "behind" } else { "ahead of" };
        let far = apart(offset_s);
        Some(format!("its clock is {far} {where_it_is} this computer's"))
    }
}

/// Returns the contradictions in the stamps of a module, in words.
pub(super) fn doubts(found: &TimeFindings, within: Option<Duration>) -> Vec<String> {
    let clock = ClockOutcome::of(found);
    let mut doubts = Vec::new();
    if let Some(step) = found.first_step {
        let (far, sequence) = (apart(step.seconds), step.sequence);
        let direction = if step.seconds < 0.0 {
            "back"
        } else {
            "forward"
        };
        doubts.push(match found.steps {
            1 => format!("its clock was set {direction} by {far} at sample {sequence}"),
            steps => format!(
                "its clock was set {steps} times, first {direction} by {far} at sample {sequence}"
            ),
        });
    }
    if found.drifts > 0 {
        let why = "the rates of its clock and of its samples differed by more than 200 parts in a million";
        doubts.push(why.to_owned());
    }
    if let Some(sequence) = found.first_jump_sequence {
        let numbers = found.not_lost;
        let jumped = match found.sequence_jumps {
            1 => format!("jumped by {numbers} at sample {sequence}"),
            times => {
                format!("jumped {times} times, by {numbers} in all, first at sample {sequence}")
            }
        };
        doubts.push(format!(
            "its sequence numbers {jumped}, while time went on: {numbers} of the samples that are \
             counted as lost cannot have been lost in that time"
        ));
    }
    if found.source_changes > 0 {
        let times = found.source_changes;
        doubts.push(format!(
            "its clock changed the source of its time: {times} changes"
        ));
    }
    let is_sound = found.is_sound();
    let not_recent = if is_sound { 0 } else { found.not_recent };
    let counts = [
        (
            found.frozen,
            "stamps show that its clock stands still: check its time code",
        ),
        (found.stray, "stamps contradict those around them"),
        (
            found.no_such_day,
            "stamps have a day that their year does not have",
        ),
        (found.out_of_range, "stamps have values that no clock shows"),
        (
            found.out_of_reach,
            "stamps have a date that is out of reach of this computer's clock: check the year of \
             its time code, and this computer's date",
        ),
        (
            found.at_odds,
            "stamps have seconds of the day that are not those of their hour, minute and second",
        ),
        (not_recent, "stamps are not recent"),
    ];
    let some = counts.into_iter().filter(|(count, _)| *count > 0);
    doubts.extend(some.map(|(count, what)| format!("{count} {what}")));
    let off_s = found.clock_offset_s.unwrap_or(0.0).abs();
    let is_off = match within {
        Some(within) => off_s > within.as_secs_f64(),
        None => !found.is_made_up() && (SAME_S..MEANT_S).contains(&off_s),
    };
    if found.out_of_reach > 0 || is_off {
        doubts.extend(clock.offset());
    }
    if found
        .source
        .is_some_and(|source| source.kind == ClockSourceKind::Nothing)
    {
        let why = "its stamps say that they are recent and that nothing gives them their time";
        doubts.push(why.to_owned());
    }
    if found.reconstructed > 0 {
        let count = found.reconstructed;
        doubts.push(format!(
            "{count} times are not as stamped, see `time_source`"
        ));
    }
    if found.timeless > 0 && !is_sound {
        doubts.push(format!("{} samples have no time", found.timeless));
    }
    doubts
}

/// Compares the clock offsets of the modules of one board. All modules have the same clock, so a
/// difference is a doubt about the module.
pub(super) fn compare(modules: &mut [ModuleOutcome]) {
    let offsets = modules.iter().map(|module| module.clock.clock_offset_s);
    for (at, other, off_s) in strange(&offsets.collect::<Vec<_>>()) {
        let (far, other) = (apart(off_s), modules[other].module());
        let doubt = format!("its stamps are {far} from those of module {other} of the board");
        modules[at].doubts.push(doubt);
    }
}

/// Returns the indices of the modules whose clock offset differs from the median, each with the
/// index of the module to which it is compared, and the difference in seconds.
fn strange(offsets_s: &[Option<f64>]) -> Vec<(usize, usize, f64)> {
    let known = offsets_s.iter().enumerate();
    let mut known: Vec<(usize, f64)> = known
        .filter_map(|(at, offset_s)| Some((at, (*offset_s)?)))
        .collect();
    known.sort_by(|a, b| a.1.total_cmp(&b.1));
    let Some(&median) = known.get(known.len().saturating_sub(1) / 2) else {
        return Vec::new();
    };
    let from = |other: (usize, f64)| move |one: &(usize, f64)| (one.0, other.0, one.1 - other.1);
    let (near, off): (Vec<_>, Vec<_>) = known
        .iter()
        .partition(|(_, offset_s)| (offset_s - median.1).abs() <= ONE_CLOCK_S);
    let mut strange: Vec<_> = off.iter().map(from(median)).collect();
    // If no majority agrees with the median, it is unknown which clock is right, so all are
    // doubtful.
    if near.len() <= off.len()
        && let Some(&other) = off.first()
    {
        strange.extend(near.iter().map(from(other)));
    }
    strange.sort_by_key(|(at, ..)| *at);
    strange
}

/// Returns the absolute value of a time in words.
fn apart(seconds: f64) -> String {
    let seconds = seconds.abs();
    if seconds >= 2.0 * 86_400.0 {
        format!("{:.1} days", seconds / 86_400.0)
    } else if seconds < 0.1 {
        format!("{:.3} ms", seconds * 1e3)
    } else {
        format!("{seconds:.3} s")
    }
}

#[cfg(test)]
mod tests {
    use twotone_hal::ClockSource;

    use super::*;

    const SMA: ClockSource = ClockSource {
        name: "sma",
        kind: ClockSourceKind::External,
    };
    const TEST: ClockSource = ClockSource {
        name: "test",
        kind: ClockSourceKind::MadeUp,
    };
    const GROUND: ClockSource = ClockSource {
        name: "ground",
        kind: ClockSourceKind::Nothing,
    };

    #[test]
    fn modules_of_a_board_have_one_clock() {
        for (offsets_s, expected) in [
            (&[][..], vec![]),
            (&[None, None], vec![]),
            (&[None, Some(7.0)], vec![]),
            (&[None, Some(-3.0), Some(-2.9)], vec![]),
            (
                &[Some(0.0), None, Some(0.125), Some(-3600.0)],
                vec![(3, 0, -3600.0)],
            ),
            // The first of the four clocks is the wrong one.
            (
                &[Some(3600.0), Some(0.5), Some(0.25), Some(0.0)],
                vec![(0, 2, 3599.75)],
            ),
            (
                &[Some(-9.0), None, Some(0.0), Some(0.5)],
                vec![(0, 2, -9.0)],
            ),
            // It is not known which of the two clocks is right.
            (
                &[None, Some(5.0), Some(2.0)],
                vec![(1, 2, 3.0), (2, 1, -3.0)],
            ),
            (
                &[Some(8.0), Some(0.0), Some(4.0)],
                vec![(0, 2, 4.0), (1, 2, -4.0), (2, 1, 4.0)],
            ),
        ] {
            assert_eq!(strange(offsets_s), expected, "{offsets_s:?}");
        }
    }

    #[test]
    fn clocks_that_are_meant_to_show_the_same_time_do() {
        let second = Some(Duration::from_secs(1));
        for (source, offset_s, within, is_doubtful) in [
            (SMA, -0.005, None, false),
            (SMA, 9.0, None, false),
            (SMA, 18.0, None, true),
            (SMA, -3600.0, None, true),
            (SMA, 86_400.0, None, true),
            (SMA, -11e6, None, false),
            (TEST, -3600.0, None, false),
            (GROUND, 0.0, None, true),
            (SMA, -11e6, second, true),
            (SMA, 0.9, second, false),
            (TEST, 1.1, second, true),
        ] {
            let mut found = TimeFindings::default();
            (found.source, found.clock_offset_s) = (Some(source), Some(offset_s));
            let doubts = doubts(&found, within);
            assert_eq!(!doubts.is_empty(), is_doubtful, "{offset_s}: {doubts:?}");
        }
    }

    #[test]
    fn sequence_numbers_that_jump_are_a_doubt_that_does_not_blame_the_clock() {
        for (jumps, says) in [
            (0, None),
            (
                1,
                Some(
                    "its sequence numbers jumped by 7000 at sample 12, while time went on: 7000 of",
                ),
            ),
            (
                3,
                Some("its sequence numbers jumped 3 times, by 7000 in all, first at sample 12, "),
            ),
        ] {
            let mut found = TimeFindings::default();
            if jumps > 0 {
                (found.sequence_jumps, found.not_lost) = (jumps, 7000);
                found.first_jump_sequence = Some(12);
            }
            let doubts = doubts(&found, None);
            assert_eq!(doubts.len(), says.iter().len(), "{doubts:?}");
            let told = doubts
                .iter()
                .zip(says)
                .all(|(doubt, says)| doubt.starts_with(says));
            assert!(told && !doubts.concat().contains("clock"), "{doubts:?}");
            assert_eq!(found.is_sound(), says.is_none());
        }
    }

    #[test]
    fn lengths_of_time_are_told_so_that_they_can_be_read() {
        for (seconds, words) in [
            (-3600.0, "3600.000 s"),
            (0.001_677, "1.677 ms"),
            (11_491_200.0, "133.0 days"),
        ] {
            assert_eq!(apart(seconds), words);
        }
    }
}
