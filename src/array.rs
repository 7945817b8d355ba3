//! The boards of a hardware map, connected.

use std::time::Duration;

use tworoutine::tworoutine;
use twotone_hal::{BoardHandle, Description, Error, ErrorKind, ErrorTree, Result, ToneFields};
use twotone_transport::{ConnectOptions, Connected, CrsBoard, connect_all};

use crate::identity::{Identity, Listening, address};
use crate::lock::{self, Asked, BoardLock, Holder, Locked, Refused};
use crate::map::{BoardEntry, BoardKind, HardwareMap};
use crate::run::{Journal, Limits, Target};
use crate::unrest;

/// The boards of a hardware map: those that answered, and why the others did not.
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
    failed: ErrorTree,
    identities: Vec<Identity>,
    taken: Vec<(String, Holder)>,
}

/// A board of an array.
#[derive(Debug, Clone)]
pub struct ArrayBoard {
    handle: BoardHandle,
    description: Description,
    targets: Vec<Target>,
}

/// How many boards connect at the same time unless told otherwise.
const CONNECT_AT_ONCE: usize = 64;

impl Array {
    /// Connects to every board of `map`, with the default deadlines. A board that is not there
    /// costs its own deadline and becomes a branch of [`Array::failed`]; the others are there.
    #[tworoutine(Send)]
    pub async fn connect(map: &HardwareMap) -> Self {
        Self::connect_with(map, &ConnectOptions::default(), CONNECT_AT_ONCE).await
    }

    /// As [`Array::connect`], with other deadlines and at most `at_once` boards at a time.
    #[tworoutine(Send)]
    pub async fn connect_with(map: &HardwareMap, options: &ConnectOptions, at_once: usize) -> Self {
        let connecting: Vec<_> = map
            .boards()
            .iter()
            .map(|entry| connect_board(entry, options))
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
        }
    }

    /// As [`Array::connect`], for callers that set something: a board that is not the one of the
    /// map is a branch of [`Array::failed`], and nothing is set on it.
    ///
    /// `listening` is that of [`Listening::begin`], which hears the boards' streams while this
    /// connects, or of [`Listening::none`]. If nothing shows that a board is the one of the map or
    /// that it is not, it is among [`Array::boards`], and its [`Array::identity`] is unknown.
    ///
    /// The boards are locked, as by [`Array::lock`]; [`Array::taken_over`] has those that were taken
    /// over.
    #[tworoutine(Send)]
    pub async fn connect_identified(
        map: &HardwareMap,
        listening: Listening,
        take_over: bool,
    ) -> Self {
        let mut array = Self::connect_with(map, &ConnectOptions::default(), CONNECT_AT_ONCE).await;
        array.taken = array.lock(map, take_over).await;
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

    /// Finds out, within `time` and two readings, if another program is setting a board, on whatever
    /// host: its settings change while this one sends nothing. Such a board is refused as one that
    /// is locked. A program that only measures at that time is not seen.
    #[tworoutine(Send)]
    pub async fn leave_unrest(&mut self, time: Duration) {
        let mut before = Vec::new();
        for reading in unrest::read(&self.boards) {
            before.push(reading.await.unwrap_or_default());
        }
        tokio::time::sleep(time).await;
        let after = unrest::read(&self.boards);
        let mut boards = Vec::with_capacity(self.boards.len());
        for ((board, before), after) in std::mem::take(&mut self.boards)
            .into_iter()
            .zip(before)
            .zip(after)
        {
            let after = after.await.ok();
            match after.and_then(|after| unrest::changed(&board, &before, &after)) {
                Some(why) => boards.push(board.refused(why)),
                None => boards.push(board),
            }
        }
        self.boards = boards;
    }

    /// Boards that were taken over from other programs, by name, and from whom.
    pub fn taken_over(&self) -> &[(String, Holder)] {
        &self.taken
    }

    /// Takes the locks of the boards that answered, so that no other program on this host sets
    /// anything on them while the array lives. Of a board that another program has, everything but
    /// its description is refused, with [`ErrorKind::Busy`], and it is told which program it is. With
    /// `take_over`, it is taken from that program, which can set nothing on it from then on; returns
    /// the boards that were taken over, by name, and from whom.
    ///
    /// If locks cannot be used on this host, that is logged, and nothing is locked.
    #[tworoutine(Send)]
    pub async fn lock(&mut self, map: &HardwareMap, take_over: bool) -> Vec<(String, Holder)> {
        let mut taken = Vec::new();
        let mut boards = Vec::with_capacity(self.boards.len());
        for board in std::mem::take(&mut self.boards) {
            let name = board.name().to_owned();
            match BoardLock::ask(&place(map, &name).await, take_over) {
                Ok(Asked::Taken(lock, from)) => {
                    boards.push(board.locked(lock));
                    taken.extend(from.map(|from| (name, from)));
                }
                Ok(Asked::Held(by)) => boards.push(board.refused(lock::in_use(&by))),
                Err(error) => {
                    tracing::warn!(board = name, %error, "the board cannot be locked on this host");
                    boards.push(board);
                }
            }
        }
        self.boards = boards;
        taken
    }

    /// Identities of the boards of `map`, in its order. The serial numbers that the boards said
    /// when they were connected are taken into account.
    pub async fn identities_of(&self, map: &HardwareMap, listening: Listening) -> Vec<Identity> {
        let said = |name: &str| {
            let board = self.answered(name)?;
            Some(board.description().serial.clone())
        };
        listening.identities(map, said).await
    }

    /// Identity of the board that the map calls `name`, if it was checked.
    pub fn identity(&self, name: &str) -> Option<&Identity> {
        self.identities.iter().find(|found| found.name == name)
    }

    /// The boards that answered, in the order of the map.
    pub fn boards(&self) -> &[ArrayBoard] {
        &self.boards
    }

    /// Why the others did not.
    pub fn failed(&self) -> &ErrorTree {
        &self.failed
    }

    /// Why the board that the map calls `name` is not among them, or `None` where it is.
    pub fn failure(&self, name: &str) -> Option<&Error> {
        let mut errors = self.failed.errors();
        errors.find(|error| error.board() == Some(name))
    }

    /// True if the board that the map calls `name` has answered. An error, nonsense, or an answer
    /// of something else than the map says is an answer too.
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

    /// The board that the map calls `name`, where it is among those that answered.
    pub fn answered(&self, name: &str) -> Option<&ArrayBoard> {
        self.boards.iter().find(|board| board.name() == name)
    }

    /// The board that the map calls `name`, for direct use: every write to a module of the map is
    /// held to its limits. Reads back what the modules are set to, so that tones which are on
    /// already count.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] where no such board answered, and as
    /// [`twotone_hal::Board::run`].
    #[tworoutine(Send)]
    pub async fn board(&self, name: &str) -> Result<BoardHandle> {
        let board = self.answered(name).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidArgument,
                format!("no board {name:?} has answered"),
            )
        })?;
        let mut handle = board.handle.clone();
        for target in &board.targets {
            let journal = Journal::start(handle, target.module, ToneFields::AMPLITUDE).await?;
            handle = BoardHandle::new(Limits::new(journal, target.limits));
        }
        Ok(handle)
    }

    /// The modules of the board that the map calls `name`; none where it has not answered.
    pub fn board_targets(&self, name: &str) -> Vec<Target> {
        self.answered(name)
            .map(|board| board.targets.clone())
            .unwrap_or_default()
    }

    /// Every module of every board that answered, with its limits and its safe state: what a
    /// [`crate::run::Runner`] runs over.
    pub fn targets(&self) -> Vec<Target> {
        self.boards
            .iter()
            .flat_map(|board| board.targets.clone())
            .collect()
    }
}

impl ArrayBoard {
    /// The board with its modules as the map has them.
    async fn of(handle: BoardHandle, map: &HardwareMap) -> Result<Self> {
        let description = handle.describe().await?;
        let entry = map.board(handle.name()).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "it is not in the map").on(handle.name())
        })?;
        let modules = entry.modules_of(&description)?;
        let targets = modules
            .iter()
            .map(|module| Target::mapped(handle.clone(), module))
            .map(|target| target.request_life(entry.request_life()));
        Ok(Self {
            targets: targets.collect(),
            handle,
            description,
        })
    }

    /// The board, used under this lock.
    fn locked(self, lock: BoardLock) -> Self {
        let handle = BoardHandle::new(Locked::new(self.handle.clone(), lock));
        self.through(handle)
    }

    /// The board, with everything refused but its description.
    fn refused(self, why: String) -> Self {
        let handle = BoardHandle::new(Refused::new(self.handle.clone(), why));
        self.through(handle)
    }

    /// The board, used through another handle.
    fn through(self, handle: BoardHandle) -> Self {
        let targets = self.targets.into_iter().map(|target| Target {
            board: handle.clone(),
            ..target
        });
        Self {
            targets: targets.collect(),
            handle,
            description: self.description,
        }
    }

    /// Its name in the map.
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// The board itself, held to no limit.
    pub fn handle(&self) -> &BoardHandle {
        &self.handle
    }

    /// What it is and has.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Its modules, as the map has them.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }
}

/// Address of a board, the same for all maps and names of it as far as that can be found out.
async fn place(map: &HardwareMap, name: &str) -> String {
    let Some(entry) = map.board(name) else {
        return name.to_owned();
    };
    let host = entry.address();
    match address(entry).await {
        Ok(ip) => format!("{ip}:{}", host.port()),
        Err(_) => host.to_string(),
    }
}

/// Connects one board.
async fn connect_board(entry: &BoardEntry, options: &ConnectOptions) -> Result<BoardHandle> {
    let host = entry.address();
    // Packets of its stream are known by it.
    let serial = entry.serial.as_ref().and_then(|serial| serial.parse().ok());
    let mut options = options.clone();
    options.serial = options.serial.or(serial);
    if let Some(life) = entry.request_life() {
        options.request_life = life;
        // An operation that waits for the end of a lost request has time for itself afterwards.
        options.request_timeout = options.request_timeout.max(2 * life);
    }
    // A new board kind is one arm here.
    match entry.kind {
        kind if kind == BoardKind::CRS => Ok(CrsBoard::connect(&entry.name, host, options)
            .await?
            .handle()),
        kind => {
            let message = format!("no client for boards of kind {kind}");
            Err(Error::new(ErrorKind::Unsupported, message).on(&entry.name))
        }
    }
}
