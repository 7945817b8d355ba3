//! Checks of the resources (open files, threads and memory) that the system grants the process. The
//! program makes these checks before it contacts any board.

use std::fs::File;
use std::thread::{self, available_parallelism};

use rustix::process::{Resource, Signal, getrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tworoutine::{Config, Threads};
use twotone::map::HardwareMap;

use super::descriptors::{self, TOO_MANY_OPEN_FILES};
use super::job;
use super::{Command, Exit};

/// Raises the limits that can be raised, and starts the threads that `command` needs.
pub(crate) fn prepare(command: &Command) -> Result<(), Exit> {
    descriptors::raise_limit();
    checked(command).map_err(|why| Exit::usage(&format!("{why}; nothing was begun")))
}

/// Refuses a map if the system does not grant the resources for working on all its boards at the
/// same time.
///
/// # Errors
/// A sentence with the limit, the needed amount, and the remedy.
pub(crate) fn enough_for(map: &HardwareMap) -> Result<(), String> {
    if job::current().is_some() {
        // The daemon has checked this at its start, and its boards are connected already.
        return Ok(());
    }
    let file = map.file();
    descriptors::enough_for(map)
        .and_then(|()| memory_for(map, MODULE))
        .map_err(|why| format!("{file}: {why}; no board was touched"))
}

/// Refuses a map if the system does not grant the memory for switching off its tones. The limit of
/// open files is not checked, because the boards can be switched off one after the other.
///
/// # Errors
/// See [`enough_for`].
pub(crate) fn enough_to_switch_off(map: &HardwareMap) -> Result<(), String> {
    let file = map.file();
    memory_for(map, SWITCHED_OFF).map_err(|why| format!("{file}: {why}; no board was touched"))
}

/// Checks that one more thread can be started.
///
/// # Errors
/// A sentence with the limit and the remedy.
pub(crate) fn one_more_thread() -> Result<(), String> {
    let started = thread::Builder::new().spawn(|| ());
    started.map(drop).map_err(|error| {
        format!(
            "the system grants no thread for what is written to disk ({error}): raise the limit \
             (`ulimit -u`, or `TasksMax=` of systemd) by 1 at least; no board was touched"
        )
    })
}

fn checked(command: &Command) -> Result<(), String> {
    if let Command::Completions(_) = command {
        return Ok(());
    }
    // Every command reads or writes a file.
    one_file()?;
    match command {
        Command::Check(_) | Command::Fit(_) => return Ok(()),
        Command::Import(import) if !import.is_of_dirfile() => return Ok(()),
        _ => {}
    }
    memory(BASE)?;
    let is_short = memory_limit().is_some_and(|limit| limit < memory_of_all_threads());
    if is_short {
        // The runtime has not been used yet, so its settings can still be changed.
        let applied = Config::new().threads(Threads::None).apply();
        applied.map_err(|error| error.to_string())?;
    }
    let started = tworoutine::start().map_err(|error| error.to_string())?;
    one_file()?;
    outlive_large_files();
    let with = match started {
        Threads::All => return Ok(()),
        Threads::One => "one thread",
        _ => "no thread but its first",
    };
    let short = match is_short {
        true => "too little memory (`ulimit -v`, or `LimitAS=` of systemd)",
        false => {
            "too few threads or open files (`ulimit -u`, `ulimit -n`, or `TasksMax=` and \
             `LimitNOFILE=` of systemd)"
        }
    };
    tracing::warn!("the system grants {short}: the program goes on with {with}, and is slow");
    Ok(())
}

/// Checks that the limit of open files allows one more file.
fn one_file() -> Result<(), String> {
    match File::open("/dev/null") {
        Err(error) if error.raw_os_error() == Some(TOO_MANY_OPEN_FILES) => Err(format!(
            "no file can be opened ({error}): raise the limit of open files (`ulimit -n`, or \
             `LimitNOFILE=` of systemd)"
        )),
        _ => Ok(()),
    }
}

/// Makes a write beyond the limit of file sizes (`ulimit -f`) return an error. Without this, the
/// write would end the program.
fn outlive_large_files() {
    let _runtime = tworoutine::runtime().enter();
    // The process is not ended by a signal that has a handler.
    if let Err(error) = signal(SignalKind::from_raw(Signal::XFSZ.as_raw())) {
        tracing::warn!(%error, "a file that becomes larger than its limit will end the program");
    }
}

const MIB: u64 = 1 << 20;
/// Address space of a program that has just started, in bytes.
const BASE: u64 = 64 * MIB;
/// Address space of a thread, in bytes: its stack, and the arena that the C library reserves for
/// its allocations.
const THREAD: u64 = 72 * MIB;
/// Number of threads in addition to those of the runtime: one that writes files, and one that
/// resolves host names.
const BESIDE: u64 = 2;
/// Address space for measuring a module, in bytes.
const MODULE: u64 = 16 * MIB;
/// Number of modules for which address space must be left once all threads run. If the limit leaves
/// less, the runtime uses no threads of its own.
const SOME: u64 = 64;
/// Address space for switching off the tones of a module, in bytes.
const SWITCHED_OFF: u64 = 2 * MIB;

/// Limit of the address space of the process, in bytes. `None` if there is no limit. The limit is
/// checked in advance, because the program ends at once if the system refuses memory later.
fn memory_limit() -> Option<u64> {
    let limits = [Resource::As, Resource::Data].map(|which| getrlimit(which).current);
    limits.into_iter().flatten().min()
}

/// Address space of the program with all threads and [`SOME`] modules, in bytes.
fn memory_of_all_threads() -> u64 {
    let cores = available_parallelism().map_or(1, usize::from) as u64;
    // For each core there are three threads: one of the runtime, one that runs spawned contexts,
    // and one for computations. The main thread comes in addition.
    BASE + THREAD * (3 * cores + 1 + BESIDE) + SOME * MODULE
}

fn memory(needed: u64) -> Result<(), String> {
    match memory_limit() {
        Some(limit) if limit < needed => {
            let (limit, needed) = (limit >> 10, needed >> 10);
            Err(format!(
                "the memory of this process is limited to {limit} KiB, and {needed} KiB are needed: \
                 raise the limit (`ulimit -v {needed}`, or `LimitAS={needed}K` of systemd)"
            ))
        }
        _ => Ok(()),
    }
}

fn memory_for(map: &HardwareMap, module: u64) -> Result<(), String> {
    let boards = map.boards().iter();
    let modules: usize = boards.map(|board| board.modules.len().max(1)).sum();
    let threads = match memory_limit() {
        Some(limit) if limit < memory_of_all_threads() => BASE,
        _ => memory_of_all_threads() - SOME * MODULE,
    };
    let beside = if module == MODULE { BESIDE * THREAD } else { 0 };
    memory(threads + beside + modules as u64 * module)
}
