//! Connections to boards, and locks of boards, that a program keeps for several campaigns. A
//! campaign is a tune, a sweep, a capture or a switch-off. A lock keeps other programs on this host
//! from changing the settings of a board.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tworoutine::offload;
use twotone_hal::{Batch, BoardHandle, ChannelId, ErrorKind, Result, ToneFields};
use twotone_transport::{ConnectOptions, look_up_ipv4};

use crate::lock::{Asked, BoardLock, Holder};
use crate::map::BoardEntry;

/// Connections and locks of the boards of one map.
///
/// A campaign that is given this value ([`Campaign::connections`]) uses the connections that exist,
/// makes the missing ones, and leaves all of them for the next campaign. The boards stay locked in
/// between. Two campaigns on different modules of a board can run at the same time. The caller must
/// make sure that no two campaigns set the same module at the same time.
///
/// Clones share the connections. The locks are released when the last clone is dropped and no
/// campaign uses them.
///
/// [`Campaign::connections`]: crate::campaign::Campaign::connections
#[derive(Debug, Clone, Default)]
pub struct Connections(Option<Arc<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    all: Mutex<All>,
    /// Held while the lock of a board is requested.
    locking: Arc<tokio::sync::Mutex<()>>,
}

/// The kept connections and locks.
#[derive(Debug, Default)]
struct All {
    /// Connected boards, by their names in the map.
    boards: BTreeMap<String, BoardHandle>,
    /// Locks of boards, by the names from [`place`].
    locks: BTreeMap<String, Arc<BoardLock>>,
}

impl Kept {
    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the kept lock of the board at the address `place`, unless another program has taken
    /// the board over.
    fn held(&self, place: &str) -> Option<Arc<BoardLock>> {
        // `taken_over` reads a file, so the mutex is released before.
        let lock = self.all().locks.get(place).cloned();
        lock.filter(|lock| lock.taken_over().is_none())
    }

    fn lock(&self, place: &str, take_over: bool) -> io::Result<Locking> {
        if let Some(lock) = self.held(place) {
            return Ok(Locking::Taken(lock, None));
        }
        // A lock that is not held any more is dropped before the board is locked again, because
        // dropping it removes its files.
        let lost = self.all().locks.remove(place);
        drop(lost);
        let locking = Locking::of(BoardLock::ask(place, take_over)?);
        if let Locking::Taken(lock, _) = &locking {
            self.all().locks.insert(place.to_owned(), Arc::clone(lock));
        }
        Ok(locking)
    }
}

/// Result of locking a board.
#[derive(Debug)]
pub(crate) enum Locking {
    /// This program holds the board. Contains the program from which the board was taken over, if
    /// it was.
    Taken(Arc<BoardLock>, Option<Holder>),
    /// Another program holds the board.
    Held(Holder),
}

impl Connections {
    /// Returns a value that keeps nothing: each campaign connects and locks its boards itself. This
    /// is the default.
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns a value that keeps all connections and locks that are made with it.
    pub fn keeping() -> Self {
        Self(Some(Arc::default()))
    }

    fn kept(&self) -> Option<MutexGuard<'_, All>> {
        Some(self.0.as_ref()?.all())
    }

    /// Returns the kept connection of a board if the board answers over it, or else connects the
    /// board.
    ///
    /// # Errors
    /// If the board cannot be connected.
    pub(crate) async fn connect(
        &self,
        entry: &BoardEntry,
        options: &ConnectOptions,
    ) -> Result<BoardHandle> {
        if let Some(board) = self.board(&entry.name)
            && ask(&board).await.is_ok()
        {
            return Ok(board);
        }
        self.forget(&entry.name);
        let board = connect(entry, options).await?;
        if let Some(mut kept) = self.kept() {
            kept.boards.insert(entry.name.clone(), board.clone());
        }
        Ok(board)
    }

    /// Returns the kept connection of the board called `name`.
    pub(crate) fn board(&self, name: &str) -> Option<BoardHandle> {
        self.kept()?.boards.get(name).cloned()
    }

    /// Forgets the connection of a board. Campaigns that use the connection continue to use it.
    pub(crate) fn forget(&self, name: &str) {
        if let Some(mut kept) = self.kept() {
            kept.boards.remove(name);
        }
    }

    /// Releases all kept connections and locks. A board is free for other programs as soon as no
    /// campaign uses it.
    pub fn release(&self) {
        // Dropping the locks removes files, so they are dropped without holding the mutex.
        let released = self.kept().map(|mut kept| std::mem::take(&mut *kept));
        drop(released);
    }

    /// Locks the board at the address `place`. If another program has locked it and `take_over` is
    /// true, takes the board over.
    ///
    /// # Errors
    /// As [`BoardLock::ask`].
    pub(crate) async fn lock(&self, place: String, take_over: bool) -> io::Result<Locking> {
        let Some(kept) = self.0.clone() else {
            return offload(move || BoardLock::ask(&place, take_over).map(Locking::of)).await;
        };
        // Usually the lock is held already. The check reads an open file, which does not block for
        // long.
        if let Some(lock) = kept.held(&place) {
            return Ok(Locking::Taken(lock, None));
        }
        // Locks are requested one at a time. The second of two simultaneous requests would find
        // that this program holds the board.
        let alone = Arc::clone(&kept.locking).lock_owned().await;
        // Access to the files of the locks may block, and must not block an event loop.
        offload(move || {
            // The guard is held until this closure ends, even if the caller gives up earlier.
            let _alone = alone;
            kept.lock(&place, take_over)
        })
        .await
    }
}

impl Locking {
    fn of(asked: Asked) -> Self {
        match asked {
            Asked::Held(by) => Self::Held(by),
            Asked::Taken(lock, from) => Self::Taken(Arc::new(lock), from),
        }
    }
}

/// Checks a connection with requests that change nothing.
///
/// # Errors
/// If the board does not answer, or has restarted or been replaced since it was connected.
pub(crate) async fn ask(board: &BoardHandle) -> Result<()> {
    let described = board.describe().await?;
    let Some(module) = described.modules.first() else {
        return Ok(());
    };
    let mut batch = Batch::new();
    batch.read_tones(module.module, ChannelId::FIRST, 1, ToneFields::AMPLITUDE);
    match board.run(&batch).await {
        Err(error) if error.kind() != ErrorKind::Unsupported => Err(error),
        _ => Ok(()),
    }
}

/// Returns the address that names the lock of a board: the IP address and the port, or the host
/// name and the port if the name cannot be looked up.
pub(crate) async fn place(entry: &BoardEntry) -> String {
    let host = entry.address();
    match look_up_ipv4(&host).await {
        Ok(ip) => format!("{ip}:{}", host.port()),
        Err(_) => host.to_string(),
    }
}

/// Connects one board.
async fn connect(entry: &BoardEntry, options: &ConnectOptions) -> Result<BoardHandle> {
    let host = entry.address();
    // The packets of the board's stream are recognized by the serial number.
    let serial = entry.serial.as_ref().and_then(|serial| serial.parse().ok());
    let mut options = options.clone();
    options.serial = options.serial.or(serial);
    if let Some(life) = entry.request_life() {
        options.request_life = life;
        // A request life is the longest time for which a board may still execute a lost request. An
        // operation may first have to wait for one request life. So it gets at least two: one for
        // this wait, and one for itself.
        options.request_timeout = options.request_timeout.max(2 * life);
    }
    (entry.kind.family().connect)(&entry.name, host, options).await
}
