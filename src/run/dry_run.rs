//! Wrapper that writes nothing to its board.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use twotone_hal::{
    Batch, Board, BoardHandle, Description, Error, ErrorKind, MemoryModule, ModuleId, Op, Replies,
    RepliesBuilder, Result, async_trait,
};

/// Writes nothing to its board. Settings are stored in the wrapper and read back from it. At first
/// all tones are off and each NCO is at the middle of its range. The description, the clock and the
/// housekeeping are read from the board. The tones do not exist, so there are no samples: an
/// acquisition fails with [`ErrorKind::Unsupported`], after the operations before it in its batch.
#[derive(Debug)]
pub struct DryRun {
    board: BoardHandle,
    modules: Mutex<BTreeMap<ModuleId, MemoryModule>>,
}

impl DryRun {
    /// Makes a dry run of `board`.
    pub fn new(board: BoardHandle) -> Self {
        Self {
            board,
            modules: Mutex::default(),
        }
    }

    /// Checks the arguments of an operation. The first one on a module makes that module.
    fn check(&self, description: &Description, batch: &Batch, op: &Op) -> Result<()> {
        let Some(module) = op.module() else {
            return Ok(());
        };
        let described = description.module(module)?;
        let mut modules = self.modules();
        let new = || MemoryModule::new(described.clone());
        let known = modules.entry(module).or_insert_with(new);
        // A board that describes itself otherwise has restarted, and lost its settings.
        if known.description() != described {
            *known = new();
        }
        known.check(batch, op)
    }

    fn modules(&self) -> MutexGuard<'_, BTreeMap<ModuleId, MemoryModule>> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Board for DryRun {
    fn name(&self) -> &str {
        self.board.name()
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        batch.refuse_unknown(self.name(), Op::is_modelled)?;
        let description = self.board.describe().await?;
        let fail =
            |error: Error, op: &Op, done| error.during(op.to_string()).on(self.name()).after(done);
        for op in batch.ops() {
            self.check(&description, batch, op)
                .map_err(|error| fail(error, op, 0))?;
        }
        let mut replies = RepliesBuilder::new(batch);
        while let Some(op) = replies.next_op() {
            let done = replies.answered();
            match op {
                Op::Describe => replies.description(description.clone())?,
                Op::ReadClock => {
                    let time = self.board.clock().read().await;
                    replies.clock(time.map_err(|error| fail(error, op, done))?)?;
                }
                Op::ReadHousekeeping => {
                    let readings = self.board.housekeeping().read().await;
                    replies.readings(readings.map_err(|error| fail(error, op, done))?)?;
                }
                _ => {
                    let mut modules = self.modules();
                    let module = op.module().and_then(|module| modules.get_mut(&module));
                    let is_answered = match module {
                        Some(module) => module.answer(batch, op, &mut replies)?,
                        None => false,
                    };
                    if !is_answered {
                        let message = "a dry run has no samples";
                        return Err(fail(Error::new(ErrorKind::Unsupported, message), op, done));
                    }
                }
            }
        }
        replies.finish()
    }
}
