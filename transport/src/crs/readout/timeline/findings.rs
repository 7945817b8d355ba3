//! Updates of the findings about the stamps of a stream.

use twotone_hal::{ClockSource, ClockSourceKind, ClockStep, TimeFindings};
use twotone_wire::crs::StampSource;

use super::PARTS;

/// Counts a jump of the sequence numbers. `not_lost` of the skipped numbers belong to no sample.
pub(super) fn count_jump(found: &mut TimeFindings, sequence: u32, not_lost: u64) {
    found.sequence_jumps += 1;
    found.not_lost += not_lost;
    found.first_jump_sequence.get_or_insert(sequence);
}

/// Counts a step of the clock, in parts of a second.
pub(super) fn count_step(found: &mut TimeFindings, sequence: u32, parts: i64) {
    found.steps += 1;
    let seconds = parts as f64 / PARTS as f64;
    let step = ClockStep { sequence, seconds };
    found.first_step.get_or_insert(step);
}

/// Source of the time of a stamp, with its name in files.
pub(super) fn clock_source(source: StampSource) -> ClockSource {
    let (name, kind) = match source {
        StampSource::Backplane => ("backplane", ClockSourceKind::External),
        StampSource::Test => ("test", ClockSourceKind::MadeUp),
        StampSource::Sma => ("sma", ClockSourceKind::External),
        StampSource::Ground => ("ground", ClockSourceKind::Nothing),
    };
    ClockSource { name, kind }
}
