//! A board that has no hardware: the settings of its modules are kept in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use num_complex::Complex64;

use crate::{
    Acquire, Batch, Board, BoardHandle, Description, MemoryModule, ModuleId, Op, Replies,
    RepliesBuilder, Result,
};

/// Means of an acquisition: one for each of its channels, in order.
#[derive(Debug, Clone, Default)]
pub struct Means {
    /// Means of the samples, in readout counts, the unit of samples.
    pub mean: Vec<Complex64>,
    /// Standard deviation of single samples of each channel, in readout counts.
    pub scatter: Vec<f64>,
    /// True if a converter was over its range.
    pub overrange: bool,
    /// True if an input was over its voltage limit.
    pub overvoltage: bool,
}

/// Board in memory that keeps the contract of [`Board`]. A function of the test computes its
/// samples.
///
/// This board has tones, NCOs, waits and means. To add faults, a test wraps the board in a
/// [`Board`] of its own. This wrapper calls [`MemoryBoard::answer`] for each operation that it
/// executes. Clones share one board.
#[derive(Clone)]
pub struct MemoryBoard(Arc<Inner>);

type Measure = dyn FnMut(&MemoryModule, &Acquire) -> Result<Means> + Send;

struct Inner {
    name: String,
    description: Description,
    modules: Mutex<BTreeMap<ModuleId, MemoryModule>>,
    measure: Mutex<Box<Measure>>,
}

impl MemoryBoard {
    /// Returns a board with this description, in the state after a start: no tone was ever set.
    /// `measure` returns the means of an acquisition from the settings of its module.
    pub fn new(
        name: &str,
        description: Description,
        measure: impl FnMut(&MemoryModule, &Acquire) -> Result<Means> + Send + 'static,
    ) -> Self {
        let board = Self(Arc::new(Inner {
            name: name.to_owned(),
            description,
            modules: Mutex::default(),
            measure: Mutex::new(Box::new(measure)),
        }));
        board.restart();
        board
    }

    /// A handle on the board.
    pub fn handle(&self) -> BoardHandle {
        BoardHandle::new(self.clone())
    }

    /// Description of the board.
    pub fn description(&self) -> &Description {
        &self.0.description
    }

    /// Loses all settings, as in a restart that no client notices. The epoch in its [`Description`]
    /// stays the same.
    pub fn restart(&self) {
        let described = self.0.description.modules.iter();
        *self.modules() = described
            .map(|described| (described.module, MemoryModule::new(described.clone())))
            .collect();
    }

    /// Calls `act` with the settings of a module. `act` may read these settings, or change them as
    /// another program would.
    ///
    /// # Panics
    /// If the board does not have the module.
    pub fn with_module<T>(&self, module: ModuleId, act: impl FnOnce(&mut MemoryModule) -> T) -> T {
        let mut modules = self.modules();
        act(modules
            .get_mut(&module)
            .expect("the description has the module"))
    }

    /// Executes a batch, as [`Board::run`] does.
    ///
    /// # Errors
    /// The errors of [`MemoryBoard::check`] and [`MemoryBoard::answer`].
    pub fn execute(&self, batch: &Batch) -> Result<Replies> {
        self.check(batch)?;
        let name = &self.0.name;
        batch.answer_each(name, |op, replies| self.answer(batch, op, replies))
    }

    /// Checks the operations of a batch and their arguments. Nothing is executed.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for operations that the
    /// description or this board in memory does not have, and the errors of [`Description::check`].
    pub fn check(&self, batch: &Batch) -> Result<()> {
        batch.refuse_unknown(&self.0.name, |op| match op {
            Op::ReadClock
            | Op::ReadHousekeeping
            | Op::ReadProperty { .. }
            | Op::AcquireSamples { .. } => false,
            op => op.is_modelled(),
        })?;
        batch.check_each(&self.0.name, |op| self.0.description.check(batch, op))
    }

    /// Executes `op`, the first operation of `batch` that has no answer yet, and adds its answer to
    /// `replies`.
    ///
    /// # Errors
    /// The errors of the function `measure` and of [`RepliesBuilder`], and
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for an operation that this board
    /// does not have.
    pub fn answer(&self, batch: &Batch, op: &Op, replies: &mut RepliesBuilder<'_>) -> Result<()> {
        let done = replies.answered();
        let answered = match (op, op.module()) {
            (Op::Describe, _) => replies.description(self.0.description.clone()),
            (Op::AcquireMean { module, acquire }, _) => {
                let module = self.with_module(*module, |module| module.clone());
                let measure = self.0.measure.lock();
                let means = measure.unwrap_or_else(PoisonError::into_inner)(&module, acquire);
                means.and_then(|means| {
                    let flags = (means.overrange, means.overvoltage);
                    replies.mean(means.mean, means.scatter, flags.0, flags.1)
                })
            }
            (op, Some(module)) => {
                self.with_module(module, |module| module.answer(batch, op, replies))
            }
            (_, None) => Err(MemoryModule::lacks()),
        };
        answered.map_err(|error| error.on(&self.0.name).during(op.to_string()).after(done))
    }

    fn modules(&self) -> MutexGuard<'_, BTreeMap<ModuleId, MemoryModule>> {
        let modules = self.0.modules.lock();
        modules.unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Board for MemoryBoard {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        self.execute(batch)
    }
}

impl fmt::Debug for MemoryBoard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBoard")
            .field("name", &self.0.name)
            .finish_non_exhaustive()
    }
}
