//! Locks of boards: only one program of this host at a time changes the settings of a board.
//!
//! A board executes the requests of any program, so two programs on one board undo each other's
//! settings. Therefore a program takes the lock of each of its boards before it changes any
//! setting. A lock is a file with the identity of the program, locked while the program holds the
//! board, and removed afterwards. Another program is refused with an error that names the holder,
//! or it takes the board over. After a take-over, the first program sends no request that changes a
//! setting. For some seconds, the board may still execute requests that the first program sent
//! earlier. Locks do not protect against programs on other hosts.
//!
//! The files are in `/run/lock`, or in `/tmp/twotone-locks` if `/run/lock` is not a folder for all
//! users, or in the folder that the environment variable `TWOTONE_LOCKS` names. While a program
//! asks for a lock it keeps the folder locked, so that no other program can act between its check
//! and its decision.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};
use twotone_hal::legible;

use self::folder::Folder;
use crate::record::UtcTime;

mod boards;
mod folder;

pub(crate) use self::boards::{Locked, Refused};

/// Largest size, in bytes, of the record of a lock's holder, which is the program that has locked
/// the board.
const LARGEST: usize = 4096;

/// Number of records that this program has written as the holder of locks.
static TURNS: AtomicU32 = AtomicU32::new(0);

/// Address at which this program takes commands, if it is a daemon.
static HOST: OnceLock<String> = OnceLock::new();

/// Makes all later locks of this program record that it takes commands at `host`, an address in the
/// form of the option `--host`. Only the first call has an effect.
pub fn takes_commands_at(host: impl Into<String>) {
    // Only the first address is kept.
    let _ = HOST.set(host.into());
}

/// Program that holds the lock of a board, as far as the lock's file identifies it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holder {
    /// Command line of the program.
    pub command: Option<String>,
    /// Process number of the program on this host.
    pub process: Option<u32>,
    /// User that started the program: the name in the environment, or else the user number.
    pub user: Option<String>,
    /// Time at which the program locked the board.
    pub since: Option<UtcTime>,
    /// Address at which the program takes commands, in the form of the option `--host`, if it is a
    /// daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

impl Holder {
    /// Describes this program.
    pub fn this_program() -> Self {
        let variable = |name| std::env::var(name).ok();
        let command: Vec<_> = std::env::args_os()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let number = || rustix::process::getuid().as_raw().to_string();
        let user = variable("USER").or_else(|| variable("LOGNAME"));
        Self {
            command: Some(command.join(" ")),
            process: Some(std::process::id()),
            user: Some(user.unwrap_or_else(number)),
            since: Some(UtcTime::now()),
            host: HOST.get().cloned(),
        }
    }

    /// Returns the same holder, with texts that are safe to show.
    fn legible(self) -> Self {
        let legible = |text: String| legible(&text).into_owned();
        Self {
            command: self.command.map(legible),
            user: self.user.map(legible),
            host: self.host.map(legible),
            ..self
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.command {
            Some(command) => write!(f, "`{command}`")?,
            None => f.write_str("another program")?,
        }
        let process = self.process.map(|process| format!("process {process}"));
        let user = self.user.as_ref().map(|user| format!("user {user}"));
        let since = self.since.map(|since| format!("since {since}"));
        let known: Vec<_> = [process, user, since].into_iter().flatten().collect();
        match known.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", known.join(", ")),
        }
    }
}

/// Record of the holder in the lock file of a board. It is the last line of the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    holder: Holder,
    /// Number of records that the program had written before. It distinguishes two locks of one
    /// program.
    #[serde(default)]
    turn: u32,
    /// Name of the file that the holder has locked, if it is not the lock file of the board. A
    /// program that takes a board over locks a file of its own, because the first holder keeps the
    /// board's file locked as long as it runs.
    #[serde(default)]
    own_file: Option<String>,
}

/// Lock of one board, held until this value is dropped.
#[derive(Debug)]
pub struct BoardLock {
    folder: PathBuf,
    name: String,
    file: File,
    said: Vec<u8>,
    /// File that this program has locked instead of the board's lock file, if it has taken the
    /// board over.
    own: Option<(String, File)>,
}

/// Result of [`BoardLock::ask`].
#[derive(Debug)]
pub enum Asked {
    /// This program holds the board now. Contains the program from which the board was taken over,
    /// if it was.
    Taken(BoardLock, Option<Holder>),
    /// Another program holds the board.
    Held(Holder),
}

/// Checks that boards can be locked on this host, which needs a usable folder of locks.
///
/// # Errors
/// The reason, with advice, if the folder of the locks cannot be used.
pub fn check() -> Result<(), String> {
    let found = Folder::of_host();
    found.map(drop).map_err(|why| {
        format!(
            "boards cannot be locked on this host, so that nothing keeps a second program off them: \
             {why}. Let root make the folder (`install -d -m 1777 /tmp/twotone-locks`), or set \
             TWOTONE_LOCKS to a folder in which all who use the boards can write"
        )
    })
}

impl BoardLock {
    /// Asks for the lock of the board at `address` ("host:port"). If another program holds it and
    /// `take_over` is true, takes the board over.
    ///
    /// # Errors
    /// If the folder of the locks, or a file of locks in it, cannot be used.
    pub fn ask(address: &str, take_over: bool) -> io::Result<Asked> {
        Self::ask_at(Folder::of_host()?, address, take_over)
    }

    /// As [`BoardLock::ask`], with another folder of locks, which must exist.
    ///
    /// # Errors
    /// If this folder, or a file of locks in it, cannot be used.
    pub fn ask_in(folder: &Path, address: &str, take_over: bool) -> io::Result<Asked> {
        Self::ask_at(Folder::open(folder)?, address, take_over)
    }

    fn ask_at(folder: Folder, address: &str, take_over: bool) -> io::Result<Asked> {
        let folder = folder.alone()?;
        let name = file_name(address);
        let (file, made) = match folder.file(&name)? {
            Some(file) => (file, false),
            None => (folder.make(&name)?, true),
        };
        let free = folder::lock(&file)?;
        let found = Record::of(&file)?;
        let own_file = found.own_file.filter(|own| is_beside(own, &name));
        let lives = match &own_file {
            Some(own) => is_locked(&folder, own)?,
            None => !free,
        };
        if lives && !take_over {
            return Ok(Asked::Held(found.holder));
        }
        if let Some(own) = own_file.filter(|_| !lives) {
            folder.remove(&own);
        }
        let taken = Self::take(&folder, &name, file, free, lives);
        if taken.is_err() && made {
            folder.remove(&name);
        }
        Ok(Asked::Taken(taken?, lives.then_some(found.holder)))
    }

    /// Records this program as the holder of a board. `free` is true if this program has locked the
    /// lock file of the board. `lives` is true if another program has held the board until now.
    fn take(folder: &Folder, name: &str, file: File, free: bool, lives: bool) -> io::Result<Self> {
        let own = match free {
            true => None,
            false => Some(own_file(folder, name)?),
        };
        let record = Record {
            holder: Holder::this_program(),
            turn: TURNS.fetch_add(1, Ordering::Relaxed),
            own_file: own.as_ref().map(|(name, _)| name.clone()),
        };
        let said = record.line()?;
        // Programs from which the board was taken may read the file at any moment. So the record is
        // added as a further line, and readers ignore an incomplete line.
        let at = if lives { file.metadata()?.len() } else { 0 };
        file.set_len(at)?;
        if let Err(error) = file.write_all_at(&[b"\n", &said[..], b"\n"].concat(), at) {
            file.set_len(at)?;
            own.iter().for_each(|(own, _)| folder.remove(own));
            return Err(error);
        }
        Ok(Self {
            folder: folder.path().to_owned(),
            name: name.to_owned(),
            file,
            said,
            own,
        })
    }

    /// Returns the program that has taken the board over from this one, if one has.
    pub fn taken_over(&self) -> Option<Holder> {
        // A board whose lock file cannot be read counts as not taken over.
        let said = last_line(&self.file).ok()?;
        (said != self.said).then(|| Record::parse(&said).holder)
    }
}

impl Drop for BoardLock {
    fn drop(&mut self) {
        // If the folder cannot be locked, the files stay, but nobody has locked them, so the next
        // program can take the board.
        let Ok(folder) = Folder::open(&self.folder).and_then(Folder::alone) else {
            return;
        };
        if let Some((own, _)) = &self.own {
            folder.remove(own);
        }
        if self.taken_over().is_none() && folder.has(&self.name, &self.file) {
            folder.remove(&self.name);
        }
    }
}

impl Record {
    /// Reads the record in a file.
    fn of(file: &File) -> io::Result<Self> {
        last_line(file).map(|line| Self::parse(&line))
    }

    /// Reads the record in a line. Returns an empty record if the line cannot be parsed.
    fn parse(line: &[u8]) -> Self {
        let found: Self = serde_json::from_slice(line).unwrap_or_default();
        Self {
            holder: found.holder.legible(),
            ..found
        }
    }

    fn line(mut self) -> io::Result<Vec<u8>> {
        let said = serde_json::to_vec(&self)?;
        if said.len() <= LARGEST {
            return Ok(said);
        }
        self.holder.command = Some("twotone".to_owned());
        Ok(serde_json::to_vec(&self)?)
    }
}

/// Returns the last complete line of a file, empty if there is none.
fn last_line(file: &File) -> io::Result<Vec<u8>> {
    // Another program may be writing a further line at this moment, so the last line may be
    // incomplete.
    let room = 2 * (LARGEST + 2);
    let end = file.metadata()?.len();
    let mut text = vec![0; room];
    let read = file.read_at(&mut text, end.saturating_sub(room as u64))?;
    text.truncate(read);
    let mut lines = text.rsplit(|byte| *byte == b'\n').skip(1);
    let line = lines.find(|line| !line.is_empty());
    Ok(line.unwrap_or_default().to_vec())
}

/// Makes and locks a file for this program, which has taken a board over and so cannot lock the
/// board's own file.
fn own_file(folder: &Folder, name: &str) -> io::Result<(String, File)> {
    let process = std::process::id();
    let mut number = 0;
    loop {
        let own = format!("{name}.{process}-{number}");
        // Programs in different containers may have the same process number. So a file with this
        // name may exist already.
        if folder.file(&own)?.is_some() {
            number += 1;
            continue;
        }
        let file = folder.make(&own)?;
        folder::lock(&file)?;
        return Ok((own, file));
    }
}

/// True if `own` can be the name of the own file of a program that has taken over the board whose
/// lock file is `name`.
fn is_beside(own: &str, name: &str) -> bool {
    let rest = own.strip_prefix(name).and_then(|own| own.strip_prefix('.'));
    rest.is_some_and(|rest| rest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'-')))
}

/// True if a program has locked the file called `name`.
fn is_locked(folder: &Folder, name: &str) -> io::Result<bool> {
    match folder.file(name)? {
        Some(file) => folder::lock(&file).map(|free| !free),
        None => Ok(false),
    }
}

/// Returns the name of the lock file for an address. No address leads to a path outside the folder.
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

/// Advice if another program holds a board.
const ADVICE_IN_USE: &str = "wait for its end, end it, or take the board over (--take-over)";

/// Returns the advice for a user who needs a board that `holder` holds.
pub(crate) fn advice(holder: &Holder) -> String {
    match &holder.host {
        Some(host) => format!(
            "give the command to it (`twotone --host {host} ...`), end it, or take the board over \
             (--take-over)"
        ),
        None => ADVICE_IN_USE.to_owned(),
    }
}

/// Advice if a board cannot be locked.
pub(crate) const ADVICE_NOT_LOCKABLE: &str = "mend that, or set TWOTONE_LOCKS to another folder, the \
                                              same one for all who use the board";

/// Returns the reason that nothing is set on a board that another program holds.
pub(crate) fn in_use(holder: &Holder) -> String {
    format!("{holder} has this board")
}

/// Returns the reason that nothing is set on a board that cannot be locked.
pub(crate) fn not_lockable(why: &io::Error) -> String {
    format!("the board cannot be locked on this host: {why}")
}

#[cfg(test)]
mod tests;
