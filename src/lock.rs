//! One program a board, on this host.
//!
//! A board does what any program tells it, so two programs on one board undo each other's settings.
//! A program that sets something takes the lock of each of its boards first: a file in `/run/lock`,
//! locked for as long as the program lives, in which it says who it is. Another one is refused, and
//! told by whom; or it takes the board over, and then the first one is refused whatever it sends
//! next. Programs on other hosts are not seen by it.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use serde::{Deserialize, Serialize};
use twotone_hal::{
    Batch, Board, BoardHandle, Certainty, Error, ErrorKind, Op, Replies, Result, Safety,
    async_trait, legible,
};

use crate::record::UtcTime;

/// Folder of the locks on most systems: for all users, and empty after a start.
const FOLDER: &str = "/run/lock";

/// Environment variable with another folder.
const FOLDER_VARIABLE: &str = "TWOTONE_LOCKS";

/// Largest size of what a holder says of itself, in bytes.
const LARGEST: usize = 4096;

/// Number of locks that this program has asked for.
static TURNS: AtomicU32 = AtomicU32::new(0);

/// Program that holds a board, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its command.
    pub command: String,
    /// Its process number on this host.
    pub process: u32,
    /// User that started it, as the environment has it.
    pub user: String,
    /// Time at which it took the board.
    pub since: UtcTime,
    /// Number of locks that it had asked for before: two of one program are told apart by it.
    pub turn: u32,
}

impl Holder {
    /// This program.
    pub fn this_program() -> Self {
        let variable = |name| std::env::var(name).ok();
        let command: Vec<_> = std::env::args().collect();
        Self {
            command: command.join(" "),
            process: std::process::id(),
            user: variable("USER")
                .or_else(|| variable("LOGNAME"))
                .unwrap_or_else(|| rustix::process::getuid().as_raw().to_string()),
            since: UtcTime::now(),
            turn: TURNS.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command,
            process,
            user,
            since,
            ..
        } = self;
        write!(
            f,
            "`{command}` (process {process}, user {user}, since {since})"
        )
    }
}

/// The lock of one board, held until it is dropped.
#[derive(Debug)]
pub struct BoardLock {
    file: File,
    said: Vec<u8>,
    /// False while a holder that was taken over from still has the file locked.
    locked: AtomicBool,
}

/// Result of asking for a lock.
#[derive(Debug)]
pub enum Asked {
    /// The board is this program's. If it was taken over, from whom.
    Taken(BoardLock, Option<Holder>),
    /// Another program has it.
    Held(Holder),
}

impl BoardLock {
    /// Asks for the lock of the board at `address` ("host:port"), or takes it over.
    ///
    /// # Errors
    /// If the folder of the locks cannot be used.
    pub fn ask(address: &str, take_over: bool) -> io::Result<Asked> {
        let folder = std::env::var_os(FOLDER_VARIABLE).map_or_else(|| FOLDER.into(), PathBuf::from);
        Self::ask_in(&folder, address, take_over)
    }

    fn ask_in(folder: &Path, address: &str, take_over: bool) -> io::Result<Asked> {
        let file = open(&folder.join(file_name(address)))?;
        let locked = match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => true,
            Err(error) if error == rustix::io::Errno::WOULDBLOCK => false,
            Err(error) => return Err(error.into()),
        };
        let holder = if locked { None } else { Some(holder(&file)?) };
        if let (Some(holder), false) = (&holder, take_over) {
            return Ok(Asked::Held(holder.clone()));
        }
        let mut said = serde_json::to_vec(&Holder::this_program())?;
        if said.len() > LARGEST {
            let short = Holder {
                command: "twotone".to_owned(),
                ..Holder::this_program()
            };
            said = serde_json::to_vec(&short)?;
        }
        file.set_len(0)?;
        file.write_all_at(&said, 0)?;
        let lock = Self {
            file,
            said,
            locked: AtomicBool::new(locked),
        };
        Ok(Asked::Taken(lock, holder))
    }

    /// Program that has taken the board over since, if one has.
    pub fn taken_over(&self) -> Option<Holder> {
        if !self.locked.load(Ordering::Relaxed)
            && flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            self.locked.store(true, Ordering::Relaxed);
        }
        let mut found = vec![0; LARGEST];
        // One that cannot be read any more has not been taken over.
        let read = self.file.read_at(&mut found, 0).ok()?;
        if read == 0 || found[..read] == self.said[..] {
            return None;
        }
        holder(&self.file).ok()
    }
}

/// Opens the file of a lock for all users, whoever has made it.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let all = Mode::from_raw_mode(0o666);
    let file: File = loop {
        // First without making it: in a folder for all users, the system refuses to make a file
        // that another user has made.
        match rustix::fs::open(path, flags, all) {
            Ok(file) => break file.into(),
            Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        match rustix::fs::open(path, flags | OFlags::CREATE | OFlags::EXCL, all) {
            Ok(file) => {
                // Also if the mask of this user would keep others out.
                let _ = rustix::fs::fchmod(&file, all);
                break file.into();
            }
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    Ok(file)
}

/// The holder of a lock as it says itself; as little as is known, if it says nothing.
fn holder(file: &File) -> io::Result<Holder> {
    let mut said = vec![0; LARGEST];
    let read = file.read_at(&mut said, 0)?;
    let unknown = || Holder {
        command: "another program".to_owned(),
        process: 0,
        user: "unknown".to_owned(),
        since: UtcTime::now(),
        turn: 0,
    };
    let found = serde_json::from_slice::<Holder>(&said[..read]);
    let found = found.unwrap_or_else(|_| unknown());
    Ok(Holder {
        command: legible(&found.command).into_owned(),
        user: legible(&found.user).into_owned(),
        ..found
    })
}

/// Name of the file for an address: one that no address can turn into a path.
fn file_name(address: &str) -> String {
    let plain = |c: char| match c {
        'a'..='z' | '0'..='9' | '.' | '-' => c,
        _ => '_',
    };
    let address: String = address
        .to_lowercase()
        .chars()
        .map(plain)
        .take(200)
        .collect();
    format!("twotone-board-{address}.lock")
}

/// Reason that nothing is set on a board that another program has.
pub(crate) fn in_use(holder: &Holder) -> String {
    format!(
        "{holder} has this board; wait for its end, end it, or take the board over (--take-over)"
    )
}

/// A board that another program has: nothing is asked of it but to describe itself.
#[derive(Debug)]
pub(crate) struct Refused {
    board: BoardHandle,
    why: String,
}

impl Refused {
    pub(crate) fn new(board: BoardHandle, why: String) -> Self {
        Self { board, why }
    }
}

#[async_trait]
impl Board for Refused {
    fn name(&self) -> &str {
        self.board.name()
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        match batch.ops().iter().find(|op| **op != Op::Describe) {
            None => self.board.run(batch).await,
            Some(op) => Err(Error::new(ErrorKind::Busy, self.why.clone())
                .during(op.to_string())
                .on(self.name())
                .after(0)),
        }
    }
}

/// A board that this program has locked: once it is taken over, nothing more is set on it.
#[derive(Debug)]
pub(crate) struct Locked {
    board: BoardHandle,
    lock: BoardLock,
}

impl Locked {
    pub(crate) fn new(board: BoardHandle, lock: BoardLock) -> Self {
        Self { board, lock }
    }
}

#[async_trait]
impl Board for Locked {
    fn name(&self) -> &str {
        self.board.name()
    }

    async fn run(&self, batch: &Batch) -> Result<Replies> {
        let sets = batch.ops().iter().find(|op| op.safety() != Safety::Read);
        if let Some(op) = sets
            && let Some(holder) = self.lock.taken_over()
        {
            let message = format!("{holder} has taken this board over");
            return Err(Error::new(ErrorKind::Busy, message)
                .certainty_is(Certainty::NotExecuted)
                .during(op.to_string())
                .on(self.name())
                .after(0));
        }
        self.board.run(batch).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(asked: Asked) -> (BoardLock, Option<Holder>) {
        match asked {
            Asked::Taken(lock, from) => (lock, from),
            Asked::Held(by) => panic!("held by {by:?}"),
        }
    }

    #[test]
    fn a_board_has_one_holder_until_it_is_left_or_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let ask = |take_over| BoardLock::ask_in(folder.path(), "10.0.0.1:80", take_over).unwrap();
        let (first, from) = taken(ask(false));
        assert!(from.is_none() && first.taken_over().is_none());
        let Asked::Held(by) = ask(false) else {
            panic!("two holders")
        };
        assert_eq!(by.process, std::process::id());
        let other = BoardLock::ask_in(folder.path(), "10.0.0.2:80", false).unwrap();
        assert!(matches!(other, Asked::Taken(..)), "another board");

        let (second, from) = taken(ask(true));
        assert_eq!(from.unwrap().process, std::process::id());
        assert!(second.taken_over().is_none());
        // The first one has it locked as long as it lives, and still it is not its.
        assert!(first.taken_over().is_some());
        drop(first);
        assert!(second.taken_over().is_none());
        assert!(
            matches!(ask(false), Asked::Held(_)),
            "the second one has it now"
        );
        drop(second);
        taken(ask(false));
    }

    #[test]
    fn a_file_that_is_no_lock_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = |address: &str| folder.path().join(file_name(address));
        std::os::unix::fs::symlink("/etc/passwd", path("link:80")).unwrap();
        std::fs::create_dir(path("folder:80")).unwrap();
        for address in ["link:80", "folder:80"] {
            BoardLock::ask_in(folder.path(), address, true).unwrap_err();
        }
        std::fs::write(path("nonsense:80"), "\u{1b}[2J").unwrap();
        let (lock, _) = taken(BoardLock::ask_in(folder.path(), "nonsense:80", false).unwrap());
        assert!(lock.taken_over().is_none());
        let name = file_name("../../etc/passwd");
        assert_eq!(name, "twotone-board-.._.._etc_passwd.lock");
    }
}
