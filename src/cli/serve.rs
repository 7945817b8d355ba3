//! `twotone serve`: the daemon of a control host, which is a computer that controls boards. Clients
//! give the daemon commands, and it carries them out as *jobs*.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use rustix::fs::{FlockOperation, flock};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tworoutine::runtime;
use twotone::hal::legible;
use twotone::input::shown;
use twotone::lock;
use twotone::map::HardwareMap;

use super::interrupt::Interrupt;
use super::job::{self, Surroundings};
use super::output::{say, say_json};
use super::remote::wait;
use super::{Cli, Command, Exit, limits, load_map, run_here};
use crate::serve::{
    Boards, Claim, ControlSocket, JobRecords, JobReport, Jobs, LONGEST_SILENCE, LifeSigns,
    ModuleTones, Notify, ROOM_KIB, Routes, SOCKET, Server, Submission, Use, Work,
};

/// The arguments of `twotone serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The hardware map.
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    /// Path of the socket for commands. If it is absent: `control.sock` in the folder that
    /// systemd made (`RuntimeDirectory=`), or `/run/twotone/control.sock`.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Group that may give commands, by name or number. If it is absent: the one that new files
    /// in the folder of the socket have.
    #[arg(long, value_name = "GROUP", value_parser = parse_group)]
    group: Option<u32>,
    /// Address on this host at which the daemon answers questions: read-only HTTP requests.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8742", value_parser = parse_listen)]
    listen: SocketAddr,
    /// Folder for the records of jobs. If it is absent: the one that systemd made
    /// (`StateDirectory=`), or `/var/lib/twotone`.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Folder for run directories that commands name by a relative path. If it is absent: `runs`
    /// in the folder of the state.
    #[arg(long, value_name = "DIR")]
    runs: Option<PathBuf>,
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let address: Option<SocketAddr> = text.parse().ok();
    let of_this_host = address.filter(|address| address.ip().is_loopback());
    of_this_host.ok_or_else(|| {
        "an address of this host and a port, as in 127.0.0.1:8742 or [::1]:8742".to_owned()
    })
}

fn parse_group(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    match nix::unistd::Group::from_name(text) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err("there is no such group".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Interval between two checks that the daemon is alive, unless systemd asks for another interval.
/// The daemon asks each board a question, or connects it, again and again: this is the turn of the
/// board. The check is that some board had its turn in the last [`LONGEST_SILENCE`].
const WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// Longest time for which the ending daemon waits for clients to read their last answers.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Message at the first interrupt.
const ENDING: &str =
    "ending: jobs are ended and their modules restored; interrupt again to leave at once";

/// The parts of a daemon.
struct Daemon {
    boards: Arc<Boards>,
    jobs: Arc<Jobs>,
    interrupted: Vec<JobReport>,
    runs: PathBuf,
    socket: PathBuf,
    /// Lock file of the state folder. It is held until the daemon ends.
    _lock: File,
}

impl Serve {
    pub(crate) fn run(self, json: bool) -> Exit {
        let map = match load_map(Some(&self.map)) {
            Ok(map) => map,
            Err(exit) => return exit,
        };
        let prepared = limits::enough_for(&map)
            .and_then(|()| lock::check())
            .and_then(|()| self.prepare(map));
        let daemon = match prepared {
            Ok(daemon) => daemon,
            Err(why) => return Exit::usage(&why),
        };
        let interrupt = Interrupt::watch(ENDING);
        match wait(daemon.serve(self.group, self.listen, interrupt, json)) {
            Ok(()) => Exit::Well,
            Err(why) => Exit::usage(&why),
        }
    }

    /// Opens the folders of the daemon, and reads the records of earlier jobs.
    fn prepare(&self, map: HardwareMap) -> Result<Daemon, String> {
        let of_systemd = |name| std::env::var_os(name).map(PathBuf::from);
        let state = self.state.clone().or_else(|| of_systemd("STATE_DIRECTORY"));
        let state = state.unwrap_or_else(|| PathBuf::from("/var/lib/twotone"));
        let in_folder = of_systemd("RUNTIME_DIRECTORY").map(|folder| folder.join("control.sock"));
        let socket = self.socket.clone().or(in_folder);
        let socket = socket.unwrap_or_else(|| PathBuf::from(SOCKET));
        let socket = std::path::absolute(&socket).unwrap_or(socket);
        let runs = self.runs.clone().unwrap_or_else(|| state.join("runs"));
        let made = |folder: &Path| {
            let made = fs::create_dir_all(folder).and_then(|()| fs::canonicalize(folder));
            made.map_err(|error| format!("the folder {} cannot be made: {error}", shown(folder)))
        };
        let (state, runs) = (made(&state)?, made(&runs)?);
        let lock = alone(&state)?;
        let (records, interrupted) = JobRecords::open(&state.join("jobs"))
            .map_err(|error| format!("the jobs in {} cannot be read: {error}", shown(&state)))?;
        lock::takes_commands_at(format!("unix:{}", socket.display()));
        let boards = Boards::new(map);
        let plan = {
            let (boards, runs) = (Arc::clone(&boards), runs.clone());
            move |submission: &Submission| plan(&boards, &runs, submission)
        };
        Ok(Daemon {
            boards,
            jobs: Jobs::new(Box::new(plan), records),
            interrupted,
            runs,
            socket,
            _lock: lock,
        })
    }
}

/// Locks the folder `state`, so that no other daemon uses it.
fn alone(state: &Path) -> Result<File, String> {
    let path = state.join("lock");
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = opened.map_err(|error| format!("{} cannot be opened: {error}", shown(&path)))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => Err(format!(
            "another daemon uses the folder {}: end it, or name another folder (--state)",
            shown(state)
        )),
    }
}

impl Daemon {
    /// Serves until an interrupt.
    async fn serve(
        self,
        group: Option<u32>,
        listen: SocketAddr,
        interrupt: Interrupt,
        json: bool,
    ) -> Result<(), String> {
        let mut socket = ControlSocket::bind(&self.socket, group)?;
        let is_well = Arc::new(AtomicBool::new(true));
        let server = Server::new(self.routes(&is_well));
        let address = server.ask(listen).await.map_err(|error| {
            format!("{listen} cannot be listened on: {error}; name another address (--listen)")
        })?;
        let notify = Arc::new(Notify::of_environment());
        self.keep_connected();
        self.tell_status(&notify);
        self.watch_over(&notify, &is_well, interrupt.first.clone());
        let mut counts = self.boards.counts();
        let first_turns = counts.wait_for(|counts| counts.tried == counts.of);
        tokio::select! {
            _ = first_turns => {}
            () = interrupt.first.cancelled() => return Ok(()),
        }
        // Commands are accepted on the control socket only now, because a command must not change
        // the settings of a board before these were read back.
        server.control(&mut socket);
        notify.ready();
        self.print_ready(address, json);
        interrupt.first.cancelled().await;
        notify.stopping();
        is_well.store(false, Ordering::Relaxed);
        self.jobs.close(false);
        tokio::select! {
            () = self.jobs.all_over() => {}
            () = interrupt.second.cancelled() => {
                self.jobs.close(true);
                self.jobs.all_over().await;
            }
        }
        // Clients that have not read their last answers within this time have gone, or do not read.
        let _ = timeout(LAST_ANSWERS, server.close()).await;
        drop(socket);
        self.boards.close();
        Ok(())
    }

    fn routes(&self, is_well: &Arc<AtomicBool>) -> Routes {
        let is_well = Arc::clone(is_well);
        Routes {
            jobs: Arc::clone(&self.jobs),
            boards: Arc::clone(&self.boards),
            runs: self.runs.clone(),
            is_well: Box::new(move || is_well.load(Ordering::Relaxed)),
            requests: Default::default(),
            room: Arc::new(Semaphore::new(ROOM_KIB)),
        }
    }

    /// Starts to connect the boards. When a board is connected, its tones are read back. The result
    /// is added to the record of each job on this board that the end of an earlier daemon has
    /// interrupted.
    fn keep_connected(&self) {
        for report in &self.interrupted {
            let command = report.command.join(" ");
            tracing::warn!(
                job = report.id,
                command,
                "interrupted: the daemon ended before it"
            );
            self.jobs.records().note(
                report.id,
                "interrupted: the daemon ended before the job did, and nothing was restored",
            );
        }
        let (jobs, interrupted) = (Arc::clone(&self.jobs), self.interrupted.clone());
        let told = Mutex::new(BTreeSet::new());
        let busy = Arc::clone(&self.jobs);
        self.boards.keep_connected(
            move |board| busy.uses_of(board),
            move |board, modules| {
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                if !told.insert(board.to_owned()) {
                    return;
                }
                let concerned = |report: &&JobReport| report.boards.iter().any(|one| one == board);
                for report in interrupted.iter().filter(concerned) {
                    for module in modules {
                        jobs.records().note(report.id, &read_back(board, module));
                    }
                }
            },
        );
    }

    /// Reports to systemd how many boards are connected, whenever this number changes.
    fn tell_status(&self, notify: &Arc<Notify>) {
        let (notify, mut counts) = (Arc::clone(notify), self.boards.counts());
        runtime().spawn(async move {
            loop {
                let now = *counts.borrow_and_update();
                notify.status(&format!("connected {} of {} boards", now.connected, now.of));
                if counts.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Sends signs of life to systemd, as long as some board had its turn (see [`WATCH_INTERVAL`])
    /// in the last [`LONGEST_SILENCE`]. `ending` is cancelled when the daemon is about to end.
    fn watch_over(
        &self,
        notify: &Arc<Notify>,
        is_well: &Arc<AtomicBool>,
        ending: CancellationToken,
    ) {
        let (notify, is_well) = (Arc::clone(notify), Arc::clone(is_well));
        let boards = Arc::clone(&self.boards);
        let period = notify.watchdog().map_or(WATCH_INTERVAL, |time| time / 2);
        runtime().spawn(async move {
            let mut signs = LifeSigns::new();
            loop {
                let is_alive = signs.is_alive(boards.turns());
                if is_alive {
                    notify.alive();
                } else {
                    tracing::error!(
                        "the daemon has neither asked nor connected a board for {LONGEST_SILENCE:?}"
                    );
                }
                is_well.store(is_alive && !ending.is_cancelled(), Ordering::Relaxed);
                sleep(period).await;
            }
        });
    }

    fn print_ready(&self, address: SocketAddr, json: bool) {
        let counts = *self.boards.counts().borrow();
        let (connected, of) = (counts.connected, counts.of);
        let host = format!("unix:{}", self.socket.display());
        if json {
            say_json(&json!({
                "ready": true,
                "boards": {"connected": connected, "of": of},
                "host": host,
                "listen": format!("http://{address}"),
            }));
        } else {
            say(&format!(
                "ready: connected {connected} of {of} boards; commands at {}, questions at \
                 http://{address}",
                legible(&host)
            ));
        }
    }
}

/// Returns a message about the tones of a module that were on at the start of the daemon.
fn read_back(board: &str, module: &ModuleTones) -> String {
    let number = module.module;
    match module.tones_on {
        Some(on) => format!(
            "board {board} module {number}: {on} tones are on, read back when the daemon was \
             started again"
        ),
        None => format!("board {board} module {number}: not read back"),
    }
}

/// Reads a command of a client. Returns the modules that the command uses, and the function that
/// carries it out.
fn plan(boards: &Boards, runs: &Path, submission: &Submission) -> Result<(Claim, Work), String> {
    let arguments = std::iter::once("twotone").chain(submission.command.iter().map(String::as_str));
    let cli = Cli::parse_words(arguments).map_err(|error| error.to_string())?;
    if cli.host.is_some() || cli.site.is_some() {
        return Err("a command for a daemon names no other one".to_owned());
    }
    let named = match &cli.command {
        Command::Tune(tune) => tune.map(),
        Command::Sweep(sweep) => sweep.map(),
        Command::Capture(capture) => capture.map(),
        Command::Setup(setup) => setup.map(),
        Command::Off(off) => off.map(),
        Command::Info(info) => info.map(),
        _ => return Err("a daemon takes tune, sweep, capture, setup, off and info".to_owned()),
    };
    let map = match named {
        None => boards.map().clone(),
        Some(path) => same_map(boards.map(), path, submission)?,
    };
    let directories = match &cli.command {
        Command::Tune(tune) => vec![tune.out()],
        Command::Sweep(sweep) => vec![sweep.out()],
        Command::Capture(capture) => vec![Some(capture.out()), capture.tune()],
        _ => Vec::new(),
    };
    for path in directories.into_iter().flatten() {
        job::check_run_directory(path)?;
    }
    let claim = match &cli.command {
        Command::Tune(tune) => tune.claim(&map)?,
        Command::Sweep(sweep) => sweep.claim(&map)?,
        Command::Capture(capture) => capture.claim(&map)?,
        Command::Setup(setup) => setup.claim(&map)?,
        Command::Off(_) => Claim::of(&map, Use::SwitchesOff),
        _ => Claim::of(&map, Use::Asks),
    };
    let (connections, runs) = (boards.connections.clone(), runs.to_owned());
    let work: Work = Box::new(move |job| {
        let surroundings = Surroundings {
            job: Arc::clone(job),
            map,
            connections,
            runs,
        };
        surroundings.during(|| run_here(cli.command, cli.json).status())
    });
    Ok((claim, work))
}

/// Returns the map that a client has named and sent, if it is the same as `own`, the map of the
/// daemon.
fn same_map(own: &HardwareMap, path: &Path, sent: &Submission) -> Result<HardwareMap, String> {
    let shown = shown(path);
    let text = path.to_str().and_then(|path| sent.files.get(path));
    let text = text.ok_or_else(|| format!("{shown}: the client has not sent this map"))?;
    if text != own.text() {
        return Err(format!(
            "{shown} is not the map of this daemon ({}): leave the map out, or start the daemon \
             with this one",
            legible(own.file())
        ));
    }
    HardwareMap::parse(text, &path.display().to_string()).map_err(|error| error.to_string())
}
