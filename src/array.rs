//! An array: the connected boards of a hardware map.
//!
//! A *hardware map* is a file that lists readout boards, the modules of each board and the limits
//! of each module's tones. A *target* is one module of a connected board, with its limits.

mod setup;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tworoutine::tworoutine;
use twotone_hal::{BoardHandle, Description, Error, ErrorKind, ModuleLimits, Result, ToneFields};
use twotone_transport::{ConnectOptions, Connected, connect_all};

use crate::campaign::BoardSetup;
use crate::connections::{Connections, Locking, place};
use crate::identity::{Identity, Listening};
use crate::lock::{self, BoardLock, Holder, Locked, Refused};
use crate::map::HardwareMap;
use crate::run::{Journal, Limits, Target};
use crate::settings_watch::{self, Watched};

/// The boards of a hardware map: those that can be used, and the errors of the others.
///
/// ```
/// use twotone::prelude::*;
///
/// # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
/// let farm = Farm::builder().boards(2).detectors(8).start_blocking()?;
/// let array = Array::connect(&HardwareMap::try_from(&farm)?).wait();
/// assert!(array.failed().is_empty());
/// assert_eq!(array.targets().len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Array {
    boards: Vec<ArrayBoard>,
    failed: Vec<Error>,
    identities: Vec<Identity>,
    /// Boards whose locks were taken from other programs, each with the program that held the
    /// lock.
    taken: Vec<(String, Holder)>,
    /// Boards that could not be locked, each with the reason.
    not_locked: Vec<Error>,
    /// Set-ups of the boards for which the map has properties, by their names.
    setups: BTreeMap<String, BoardSetup>,
    /// Connections and locks that outlive this array, if the caller gave any.
    connections: Connections,
}

/// A board of an array.
#[derive(Debug, Clone)]
pub struct ArrayBoard {
    handle: BoardHandle,
    /// Handle without lock and refusal.
    plain: BoardHandle,
    /// Lock of the board, and true if the board was taken over from another program.
    lock: Option<(Arc<BoardLock>, bool)>,
    /// Reason that the board must not be used, and advice.
    refusal: Option<(String, String)>,
    description: Description,
    targets: Vec<Target>,
    /// Handle that refuses writes beyond the limits of any module. The first call of
    /// [`Array::board`] makes it.
    limited: Arc<OnceCell<Limited>>,
}

/// A board that refuses writes beyond the limits of any of its modules.
#[derive(Debug)]
struct Limited {
    handle: BoardHandle,
    journals: Vec<Arc<Journal>>,
}

/// Number of boards that connect at the same time, unless the caller gives another.
const CONNECT_AT_ONCE: usize = 64;

impl Array {
    /// Connects to every board of `map`, with the default deadlines. Up to 64 boards connect at the
    /// same time. A board that does not answer is an error in [`Array::failed`] after its own
    /// deadline, and counts among these 64 boards until then. A board that lacks a module of the
    /// map is an error in [`Array::failed`] too.
    #[tworoutine(Send)]
    pub async fn connect(map: &HardwareMap) -> Self {
        Self::connect_with(map, &ConnectOptions::default(), CONNECT_AT_ONCE).await
    }

    /// As [`Array::connect`], with other deadlines and at most `at_once` boards at a time.
    #[tworoutine(Send)]
    pub async fn connect_with(map: &HardwareMap, options: &ConnectOptions, at_once: usize) -> Self {
        Self::connect_through(map, options, at_once, &Connections::none()).await
    }

    /// As [`Array::connect`], but reuses the connections in `connections`, and leaves new ones
    /// there for later calls.
    #[tworoutine(Send)]
    pub async fn connect_kept(map: &HardwareMap, connections: &Connections) -> Self {
        let options = ConnectOptions::default();
        Self::connect_through(map, &options, CONNECT_AT_ONCE, connections).await
    }

    /// As [`Array::connect_with`], but reuses the connections in `connections`, and leaves new ones
    /// there for later calls.
    pub(crate) async fn connect_through(
        map: &HardwareMap,
        options: &ConnectOptions,
        at_once: usize,
        connections: &Connections,
    ) -> Self {
        let connecting: Vec<_> = map
            .boards()
            .iter()
            .map(|entry| connections.connect(entry, options))
            .collect();
        let Connected {
            boards: handles,
            mut failed,
        } = connect_all(connecting, at_once).await;
        let mut boards = Vec::with_capacity(handles.len());
        for handle in handles {
            match ArrayBoard::of(handle, map).await {
                Ok(board) => boards.push(board),
                Err(error) => failed.push(error),
            }
        }
        Self {
            boards,
            failed,
            identities: Vec::new(),
            taken: Vec::new(),
            not_locked: Vec::new(),
            setups: BTreeMap::new(),
            connections: connections.clone(),
        }
    }

    /// As [`Array::connect`], but also checks that each board is the one in the map, for callers
    /// that will change settings of the boards. If a serial number or a hardware address shows that
    /// a board is not the one in the map, its error is in [`Array::failed`], and it is not among
    /// [`Array::boards`]. Call [`Array::lock`] next, before you change a setting of any board.
    /// `listening` comes from [`Listening::begin`] or [`Listening::none`]. Call
    /// [`Listening::begin`] with the same map before this method: it listens to the streams of the
    /// boards while they are connected. A board whose identity cannot be determined is among
    /// [`Array::boards`], and its [`Array::identity`] is unknown.
    #[tworoutine(Send)]
    pub async fn connect_identified(map: &HardwareMap, listening: Listening) -> Self {
        Self::connect_identified_through(map, listening, &Connections::none()).await
    }

    /// As [`Array::connect_identified`], but reuses the connections in `connections`, and leaves
    /// new ones there for later calls.
    pub(crate) async fn connect_identified_through(
        map: &HardwareMap,
        listening: Listening,
        connections: &Connections,
    ) -> Self {
        let options = ConnectOptions::default();
        let mut array = Self::connect_through(map, &options, CONNECT_AT_ONCE, connections).await;
        array.identities = array.identities_of(map, listening).await;
        for identity in array.identities.iter().filter(|found| found.is_another()) {
            if array.failure(&identity.name).is_some() {
                continue;
            }
            array.boards.retain(|board| board.name() != identity.name);
            let error = Error::new(ErrorKind::InvalidArgument, identity.why.clone());
            array
                .failed
                .push(error.during("connect").on(&identity.name));
        }
        array
    }

    /// Takes the locks of the boards that answered, so that no other program on this host sets
    /// anything on them. The locks last until the array and all handles from it are dropped, or
    /// longer if `connections` of [`Array::connect_kept`] keep them. If another program has locked
    /// a board, every request to the board except for its description is refused, with
    /// [`ErrorKind::Busy`] and a message that describes that program ([`Holder`]).
    ///
    /// If `take_over` is true, the board is taken from that program instead. From then on, that
    /// program sends no request that changes a setting. The board may still execute requests that
    /// the program sent earlier, for the time of [`Target::request_life`]. [`Array::taken_over`]
    /// returns the program from which a board was taken over. A board that cannot be locked on this
    /// host is refused too, with the reason ([`Array::not_locked`]).
    ///
    /// **On cancel** (the future is dropped) some boards may be locked already, and
    /// [`Array::taken_over`] returns the programs of those that were taken over.
    #[tworoutine(Send)]
    pub async fn lock(&mut self, map: &HardwareMap, take_over: bool) {
        self.lock_each(map, take_over, true).await;
    }

    /// As [`Array::lock`] with `take_over`, but boards that cannot be locked are used without a
    /// lock. This is for programs that only switch tones off.
    #[tworoutine(Send)]
    pub async fn lock_or_go_on(&mut self, map: &HardwareMap) {
        self.lock_each(map, true, false).await;
    }

    async fn lock_each(&mut self, map: &HardwareMap, take_over: bool, or_refuse: bool) {
        // The host names of all boards are looked up at the same time, so that a slow look-up does
        // not delay the others.
        let places = self.boards.iter().map(|board| {
            let (name, entry) = (board.name().to_owned(), map.board(board.name()).cloned());
            tworoutine::spawn(async move {
                match entry {
                    Some(entry) => place(&entry).await,
                    None => name,
                }
            })
        });
        let places: Vec<_> = places.collect();
        for (index, place) in places.into_iter().enumerate() {
            let asked = match place.await {
                Ok(place) => self.connections.lock(place, take_over).await,
                Err(ended) => Err(std::io::Error::other(ended.to_string())),
            };
            let board = self.boards[index].clone();
            let name = board.name().to_owned();
            self.boards[index] = match asked {
                Ok(Locking::Taken(lock, from)) => {
                    let board = board.locked(lock, from.is_some());
                    self.taken.extend(from.map(|from| (name, from)));
                    board
                }
                Ok(Locking::Held(by)) => board.refused(lock::in_use(&by), lock::advice(&by)),
                Err(error) => {
                    tracing::warn!(board = name, %error, "the board cannot be locked on this host");
                    let why = lock::not_lockable(&error);
                    let advice = lock::ADVICE_NOT_LOCKABLE;
                    // Requests to a board that is refused fail with the same kind of error.
                    let error = Error::new(ErrorKind::Busy, why.clone()).advise(advice);
                    self.not_locked.push(error.during("lock").on(&name));
                    match or_refuse {
                        true => board.refused(why, advice),
                        false => board,
                    }
                }
            };
        }
    }

    /// Refuses the boards whose settings change within `time`. This program sets nothing in that
    /// time, so another program, on this host or another, is setting them. Requests to a refused
    /// board fail in the same way as requests to a board that another program has locked. Another
    /// program that only measures during `time` is not noticed.
    ///
    /// The settings are read twice, at the beginning and at the end of `time`. All modules of all
    /// boards are read at the same time. If a module cannot be read within a few seconds, the
    /// [doubts](Description::doubts) of its board name it. If the settings of a board that was
    /// taken over change, the board is watched once more, after the time in which late requests of
    /// the program that had locked it can still arrive. It is refused only if its settings change
    /// again.
    ///
    /// **On cancel** (the future is dropped) nothing is refused.
    #[tworoutine(Send)]
    pub async fn refuse_boards_set_by_others(&mut self, time: Duration) {
        let watched = settings_watch::watch(&self.boards, time).await;
        for (board, Watched { changed, doubts }) in self.boards.iter_mut().zip(watched) {
            board.description.doubts.extend(doubts);
            if let Some(why) = changed {
                *board = board.clone().refused(why, settings_watch::ADVICE);
            }
        }
    }

    /// Returns the program from which the board called `name` in the map was taken over, if it was.
    pub fn taken_over(&self, name: &str) -> Option<&Holder> {
        let mut taken = self.taken.iter();
        taken.find_map(|(board, from)| (board == name).then_some(from))
    }

    /// Returns the reason that the board called `name` in the map could not be locked, if it could
    /// not.
    pub fn not_locked(&self, name: &str) -> Option<&Error> {
        let mut errors = self.not_locked.iter();
        errors.find(|error| error.board() == Some(name))
    }

    /// Returns the identity of each board of `map`, in its order: if it is the board in the map, as
    /// far as is known. The identities take into account the serial numbers that the boards
    /// reported when they were connected.
    pub async fn identities_of(&self, map: &HardwareMap, listening: Listening) -> Vec<Identity> {
        let said = |name: &str| {
            let board = self.answered(name)?;
            Some(board.description().serial.clone())
        };
        listening.identities(map, said).await
    }

    /// Returns the identity of the board called `name` in the map, if [`Array::connect_identified`]
    /// has checked it.
    pub fn identity(&self, name: &str) -> Option<&Identity> {
        self.identities.iter().find(|found| found.name == name)
    }

    /// The boards that answered and can be used, in the order of the map.
    pub fn boards(&self) -> &[ArrayBoard] {
        &self.boards
    }

    /// Errors of the boards that are not among [`Array::boards`], each with the name of its board.
    pub fn failed(&self) -> &[Error] {
        &self.failed
    }

    /// Returns the error of the board called `name` in the map, or `None` if the board is among
    /// [`Array::boards`].
    pub fn failure(&self, name: &str) -> Option<&Error> {
        let mut errors = self.failed.iter();
        errors.find(|error| error.board() == Some(name))
    }

    /// True if the board called `name` in the map has answered. An error, an unintelligible answer,
    /// and the answer of another device than the map expects count as answers. An error of the kind
    /// [`ErrorKind::Unsupported`] does not count.
    pub fn reached(&self, name: &str) -> bool {
        use ErrorKind as K;
        let is_silence = |error: &Error| {
            matches!(
                error.kind(),
                K::Unreachable | K::Timeout | K::ConnectionLost | K::Unsupported
            )
        };
        !self.failure(name).is_some_and(is_silence)
    }

    /// Returns the board called `name` in the map, if it is among [`Array::boards`].
    pub fn answered(&self, name: &str) -> Option<&ArrayBoard> {
        self.boards.iter().find(|board| board.name() == name)
    }

    /// Returns the board called `name` in the map, for direct use. The handle refuses every write
    /// beyond the limits of a module of the map. Each call of this method reads back the settings
    /// of the modules, so that the limits take into account the tones that are already on. All
    /// handles that this method returns for a board share one record of its settings: a tone that
    /// is set through one of them counts for the limits of the others.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if no such board answered, and as
    /// [`twotone_hal::Board::run`].
    #[tworoutine(Send)]
    pub async fn board(&self, name: &str) -> Result<BoardHandle> {
        let board = self.answered(name).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                format!("no board {name:?} has answered"),
            )
        })?;
        let fields = ToneFields::AMPLITUDE;
        let is_first = !board.limited.initialized();
        let limited = board.limited.get_or_try_init(|| async {
            let mut handle = board.handle.clone();
            let mut journals = Vec::with_capacity(board.targets.len());
            for target in &board.targets {
                let journal = Journal::start(handle, target.module, fields).await?;
                handle = BoardHandle::new(Limits::new(journal.clone(), target.limits));
                journals.push(journal);
            }
            Ok::<_, Error>(Limited { handle, journals })
        });
        let Limited { handle, journals } = limited.await?;
        // A journal is the record of a module's settings against which its limits are checked. A
        // run over the targets of the array sets tones without these journals, so they read back
        // the settings here.
        for journal in journals.iter().filter(|_| !is_first) {
            journal.refresh(fields).await?;
        }
        Ok(handle.clone())
    }

    /// Returns the modules of the board called `name` in the map. The list is empty if the board is
    /// not among [`Array::boards`].
    pub fn board_targets(&self, name: &str) -> Vec<Target> {
        self.answered(name)
            .map(|board| board.targets.clone())
            .unwrap_or_default()
    }

    /// Returns the targets of a [`crate::run::Runner`]: every module of [`Array::boards`], with its
    /// limits and its safe state (the settings that a run leaves behind).
    pub fn targets(&self) -> Vec<Target> {
        self.boards
            .iter()
            .flat_map(|board| board.targets.clone())
            .collect()
    }
}

impl ArrayBoard {
    /// Returns the board with its modules as the map lists them.
    async fn of(handle: BoardHandle, map: &HardwareMap) -> Result<Self> {
        let description = handle.describe().await?;
        let entry = map
            .board(handle.name())
            .ok_or_else(|| not_in_map(handle.name()))?;
        let modules = entry.modules_of(&description)?;
        let without_powers = |limits: ModuleLimits| ModuleLimits {
            max_tone: None,
            max_total: None,
            ..limits
        };
        let targets = modules
            .iter()
            .map(|module| Target::mapped(handle.clone(), module))
            .map(|target| match entry.kind.family().has_power_scale {
                true => target,
                // A board without a power scale does not relate amplitudes to powers, so limits in
                // dBm have no meaning for it.
                false => {
                    let limits = without_powers(target.limits);
                    target.limits(limits)
                }
            })
            .map(|target| target.request_life(entry.request_life()));
        Ok(Self {
            targets: targets.collect(),
            plain: handle.clone(),
            lock: None,
            refusal: None,
            handle,
            description,
            limited: Arc::default(),
        })
    }

    /// Returns the board with `lock` in all of its handles.
    fn locked(self, lock: Arc<BoardLock>, taken_over: bool) -> Self {
        let handle = BoardHandle::new(Locked::new(self.handle.clone(), Arc::clone(&lock)));
        let board = self.through(handle);
        let targets = board.targets.into_iter();
        let targets = targets.map(|target| target.taken_over(taken_over));
        Self {
            targets: targets.collect(),
            lock: Some((lock, taken_over)),
            ..board
        }
    }

    /// Returns the board, with every request refused except for its description.
    fn refused(self, why: String, advice: impl Into<String>) -> Self {
        let advice = advice.into();
        let refusal = Some((why.clone(), advice.clone()));
        let handle = BoardHandle::new(Refused::new(self.handle.clone(), why, advice));
        Self {
            refusal,
            ..self.through(handle)
        }
    }

    /// Returns the board with `handle` in place of its present handles.
    fn through(self, handle: BoardHandle) -> Self {
        let targets = self.targets.iter().cloned().map(|mut target| {
            target.board = handle.clone();
            target
        });
        Self {
            targets: targets.collect(),
            handle,
            limited: Arc::default(),
            ..self
        }
    }

    /// Name of the board in the map.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// Handle of the board, which does not check the limits of the map.
    pub fn handle(&self) -> &BoardHandle {
        &self.handle
    }

    /// Description that the board gave of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Modules of the board, as the map lists them.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }
}

fn not_in_map(name: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, "it is not in the map").on(name)
}

#[cfg(all(test, feature = "sim"))]
mod tests;
