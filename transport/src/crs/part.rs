//! A batch cut into requests.

use std::time::Duration;

use twotone_hal::{Batch, ModuleId, Op, Safety};

use super::describe::Survey;

/// A run of operations of a batch, all on one module, that travel in one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) module: Option<ModuleId>,
    /// It changes settings.
    pub(super) sets: bool,
    /// How long its acquisitions take.
    pub(super) acquiring: Duration,
    /// It acquires samples.
    acquires: bool,
    /// It ends with an acquisition whose samples are those of the stream.
    pub(super) streamed: bool,
}

impl Part {
    /// The first run of operations from `from` on. Operations on no module go with those before
    /// them. Where samples are `streamed`, it ends with its first acquisition.
    pub(super) fn of(batch: &Batch, from: usize, survey: &Survey, streamed: bool) -> Self {
        let mut part = Self {
            from,
            to: from,
            module: None,
            sets: false,
            acquiring: Duration::ZERO,
            acquires: false,
            streamed: false,
        };
        for op in &batch.ops()[from..] {
            match (part.module, op.module()) {
                (Some(one), Some(other)) if one != other => break,
                (None, other) => part.module = other,
                _ => {}
            }
            part.sets |= op.safety() == Safety::AbsoluteSet;
            if let Op::AcquireMean { acquire, .. } | Op::AcquireSamples { acquire, .. } = op {
                part.acquiring += survey.acquisition_time(acquire);
                part.acquires = true;
            }
            part.to += 1;
            if streamed && part.acquires {
                part.streamed = true;
                break;
            }
        }
        part
    }

    pub(super) fn ops<'b>(&self, batch: &'b Batch) -> &'b [Op] {
        &batch.ops()[self.from..self.to]
    }

    /// Whether it means something only in the epoch that its caller knows: it sets or acquires.
    /// What only reads back is true in any.
    pub(super) fn needs_its_epoch(&self) -> bool {
        self.sets || self.acquires
    }
}
