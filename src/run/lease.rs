//! Leases of modules. A run executes an algorithm on a module, and then cleans up: it brings the
//! module to the state in which the module is to be left. While a run has the lease of a module, no
//! other run of this process can use the module.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use twotone_hal::{
    Batch, Board, BoardHandle, Certainty, Error, ErrorKind, ModuleId, Replies, Result, async_trait,
};

/// Modules that runs of this process have leased.
static LEASED: Mutex<BTreeSet<Key>> = Mutex::new(BTreeSet::new());

/// A module, with the board to which it belongs.
type Key = (Hardware, ModuleId);

/// Identity of the board behind a handle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Hardware {
    /// Address at which the board was reached.
    At(String),
    /// Address of the board's object in memory, for a board without a network address.
    InMemory(usize),
}

/// The right of a run to use a module, until this value is dropped. Handles with the same address,
/// and clones of a handle, count as the same board.
#[derive(Debug)]
pub(super) struct Lease {
    key: Key,
    /// Keeps the board's object alive, so that no other board can get the same address in memory.
    _board: BoardHandle,
}

impl Lease {
    /// Takes the lease of `module` of `board`.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] if another run has leased the module.
    pub(super) fn take(board: &BoardHandle, module: ModuleId) -> Result<Self> {
        let place = (&raw const **board).cast::<()>() as usize;
        let address = board.address().map(ToOwned::to_owned);
        let hardware = address.map_or(Hardware::InMemory(place), Hardware::At);
        let key = (hardware, module);
        if !leased().insert(key.clone()) {
            let message = "another run has this module; wait for its end";
            return Err(Error::new(ErrorKind::Busy, message)
                .during(format!("lease module {module}"))
                .on(board.name()));
        }
        Ok(Self {
            key,
            _board: board.clone(),
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        leased().remove(&self.key);
    }
}

fn leased() -> std::sync::MutexGuard<'static, BTreeSet<Key>> {
    LEASED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Board that an algorithm receives. It works until the algorithm ends, and lets the algorithm
/// change only its own module.
///
/// A batch is a list of operations that is sent to the board as one request. When the algorithm
/// ends or is ended, its running batches are dropped, and its later batches are refused. Both fail
/// with [`ErrorKind::Cancelled`]. This applies to every clone of the handle. So no batch of the
/// algorithm, or of a task that it has started, is sent to the board while the run cleans up, or
/// later.
#[derive(Debug)]
pub struct Leased {
    board: BoardHandle,
    module: ModuleId,
    ended: CancellationToken,
    on_their_way: TaskTracker,
}

/// Handle that ends a [`Leased`] board.
#[derive(Debug, Clone)]
pub(super) struct End {
    ended: CancellationToken,
    on_their_way: TaskTracker,
}

impl Leased {
    pub(super) fn new(board: BoardHandle, module: ModuleId) -> (Self, End) {
        let (ended, on_their_way) = (CancellationToken::new(), TaskTracker::new());
        let end = End {
            ended: ended.clone(),
            on_their_way: on_their_way.clone(),
        };
        let leased = Self {
            board,
            module,
            ended,
            on_their_way,
        };
        (leased, end)
    }

    fn cancelled(&self) -> Error {
        Error::new(ErrorKind::Cancelled, "the run has ended").on(self.name())
    }
}

impl End {
    /// Refuses every batch from now on, and waits until no batch is running.
    pub(super) async fn end(&self) {
        self.ended.cancel();
        self.on_their_way.close();
        self.on_their_way.wait().await;
    }
}

#[async_trait]
impl Board for Leased {
    fn name(&self) -> &str {
        self.board.name()
    }

    fn wrapped(&self) -> Option<&dyn Board> {
        Some(&*self.board)
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        batch.check_each(self.name(), |op| {
            // A write (an operation that changes a setting) without a module changes the whole
            // board, so it is refused too.
            if !op.safety().writes() || op.module() == Some(self.module) {
                return Ok(());
            }
            let message = format!("this run has module {} only", self.module);
            Err(Error::new(ErrorKind::InvalidArgument, message))
        })?;
        let _on_its_way = self.on_their_way.token();
        if self.ended.is_cancelled() {
            return Err(self
                .cancelled()
                .certainty_is(Certainty::NotExecuted)
                .after(0));
        }
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Err(self.cancelled()),
            answer = self.board.run(batch) => answer,
        }
    }
}
