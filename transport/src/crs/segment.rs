//! Division of a batch, a list of operations, into the requests that carry it.

use std::time::Duration;

use twotone_hal::{Batch, ModuleId, Op, Safety};

use super::describe::Survey;
use super::properties;

/// Consecutive operations of a batch that are sent in one request, or a single operation that takes
/// several requests. All operations of a segment that act on a module act on the same module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) module: Option<ModuleId>,
    /// Safety of the operation that is the least safe to repeat.
    pub(super) safety: Safety,
    /// Time that the acquisitions of the segment take on the board.
    pub(super) acquiring: Duration,
    /// True if the segment acquires samples.
    pub(super) acquires: bool,
    /// True if the segment ends with an acquisition whose samples come from the board's sample
    /// stream.
    pub(super) streamed: bool,
    /// True if the segment reads the clock or the sensors, which belong to the board as a whole.
    pub(super) of_board: bool,
}

impl Segment {
    /// The longest segment that begins at operation `from`. Readings of the board as a whole are
    /// not in one segment with operations on a module, so that a module that fails does not affect
    /// them. A reading of the sensors, a wait and an operation on a property are segments of their
    /// own, since each takes several requests. If samples are `streamed`, a segment ends with its
    /// first acquisition.
    pub(super) fn of(batch: &Batch, from: usize, survey: &Survey, streamed: bool) -> Self {
        let mut segment = Self {
            from,
            to: from,
            module: None,
            safety: Safety::Read,
            acquiring: Duration::ZERO,
            acquires: false,
            streamed: false,
            of_board: false,
        };
        for op in &batch.ops()[from..] {
            let of_board = matches!(op, Op::ReadClock | Op::ReadHousekeeping);
            let is_lone = |op: &Op| matches!(op, Op::Wait { .. }) || properties::is_one(op);
            if segment.to > from && (is_lone(op) || is_lone(&batch.ops()[from])) {
                break;
            }
            let is_alone = segment.to > from
                && (segment.is_housekeeping(batch) || *op == Op::ReadHousekeeping);
            if is_alone
                || (of_board && segment.module.is_some())
                || (segment.of_board && op.module().is_some())
            {
                break;
            }
            segment.of_board |= of_board;
            match (segment.module, op.module()) {
                (Some(one), Some(other)) if one != other => break,
                (None, other) => segment.module = other,
                _ => {}
            }
            segment.safety = segment.safety.max(op.safety());
            if let Op::AcquireMean { acquire, .. } | Op::AcquireSamples { acquire, .. } = op {
                segment.acquiring += survey.acquisition_time(acquire);
                segment.acquires = true;
            }
            segment.to += 1;
            if streamed && segment.acquires {
                segment.streamed = true;
                break;
            }
        }
        segment
    }

    /// True if the segment changes settings.
    pub(super) fn sets(&self) -> bool {
        self.safety.writes()
    }

    /// True if the segment reads the sensors and nothing else.
    pub(super) fn is_housekeeping(&self, batch: &Batch) -> bool {
        self.ops(batch) == [Op::ReadHousekeeping]
    }

    pub(super) fn ops<'b>(&self, batch: &'b Batch) -> &'b [Op] {
        &batch.ops()[self.from..self.to]
    }

    /// True if the segment must be executed in the epoch that its caller knows, since it sets or
    /// acquires. An epoch is a period in which the board keeps its settings. A segment that only
    /// reads settings is valid in any epoch.
    pub(super) fn needs_its_epoch(&self) -> bool {
        self.sets() || self.acquires
    }
}
