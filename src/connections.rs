//! Connections and locks of boards that a program keeps over several campaigns.

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
/// A campaign that is given some uses the connections that are there, makes those that are not, and
/// leaves all of them to the next: see [`Campaign::connections`]. The boards stay locked in
/// between. Two campaigns on different modules of a board can run at the same time. The caller
/// makes sure that no two campaigns set the same module.
///
/// A clone is the same connections. The locks are given back when the last clone is dropped.
///
/// [`Campaign::connections`]: crate::campaign::Campaign::connections
#[derive(Debug, Clone, Default)]
pub struct Connections(Option<Arc<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    all: Mutex<All>,
    /// Held while the lock of a board is asked for.
    locking: Arc<tokio::sync::Mutex<()>>,
}

/// All that is kept.
#[derive(Debug, Default)]
struct All {
    /// Connected boards, by their names in the map.
    boards: BTreeMap<String, BoardHandle>,
    /// Locks of boards, by their addresses.
    locks: BTreeMap<String, Arc<BoardLock>>,
}

impl Kept {
    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kept lock of the board at an address, if nobody has taken the board over.
    fn held(&self, place: &str) -> Option<Arc<BoardLock>> {
        // No file is touched while others wait for what is kept.
        let lock = self.all().locks.get(place).cloned();
        lock.filter(|lock| lock.taken_over().is_none())
    }

    fn lock(&self, place: &str, take_over: bool) -> io::Result<Locking> {
        if let Some(lock) = self.held(place) {
            return Ok(Locking::Taken(lock, None));
        }
        // Its files are removed when it is dropped.
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
    /// The board is this program's, with the program that it was taken over from, if it was.
    Taken(Arc<BoardLock>, Option<Holder>),
    /// Another program has it.
    Held(Holder),
}

impl Connections {
    /// Keeps nothing: each campaign connects and locks its boards for itself. This is the default.
    pub fn none() -> Self {
        Self::default()
    }

    /// Keeps what is connected and locked from now on.
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
    /// If it cannot be connected.
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

    /// The kept connection of the board of this name.
    pub(crate) fn board(&self, name: &str) -> Option<BoardHandle> {
        self.kept()?.boards.get(name).cloned()
    }

    /// Keeps the connection of a board no longer. Campaigns that use it go on to use it.
    pub(crate) fn forget(&self, name: &str) {
        if let Some(mut kept) = self.kept() {
            kept.boards.remove(name);
        }
    }

    /// Gives everything back that is kept: the boards are free for other programs once no campaign
    /// uses them any more.
    pub fn release(&self) {
        // Files are removed when the locks are dropped, which others do not wait for.
        let released = self.kept().map(|mut kept| std::mem::take(&mut *kept));
        drop(released);
    }

    /// Locks the board at an address, or takes it over.
    ///
    /// # Errors
    /// As [`BoardLock::ask`].
    pub(crate) async fn lock(&self, place: String, take_over: bool) -> io::Result<Locking> {
        let Some(kept) = self.0.clone() else {
            return offload(move || BoardLock::ask(&place, take_over).map(Locking::of)).await;
        };
        // The usual case: a look at a file that is open.
        if let Some(lock) = kept.held(&place) {
            return Ok(Locking::Taken(lock, None));
        }
        // Two that ask at once would be told that this program has the board.
        let alone = Arc::clone(&kept.locking).lock_owned().await;
        // The files of the locks may hold it up, and no event loop waits for them.
        offload(move || {
            // Kept if the caller gives up before this is done.
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

/// Asks a board a question that changes nothing.
///
/// # Errors
/// If it does not answer, or is not the one that was connected.
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

/// Address of a board by which its lock is named: the IP address and the port, or the name if it
/// cannot be looked up.
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
    // Packets of its stream are recognized by it.
    let serial = entry.serial.as_ref().and_then(|serial| serial.parse().ok());
    let mut options = options.clone();
    options.serial = options.serial.or(serial);
    if let Some(life) = entry.request_life() {
        options.request_life = life;
        // An operation may have to wait until a lost request cannot be executed any more. It has as
        // much time again for itself.
        options.request_timeout = options.request_timeout.max(2 * life);
    }
    (entry.kind.family().connect)(&entry.name, host, options).await
}
