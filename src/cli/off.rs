//! `twotone off`: all tones off, and read back that they are.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tworoutine::Allowance;
use twotone::hal::{Error, ErrorKind, ModuleId};
use twotone::identity::Listening;
use twotone::lock::Holder;
use twotone::map::HardwareMap;
use twotone::run::{HardwareState, Outcome, Runner};
use twotone::transport::ConnectOptions;
use twotone::{Array, ArrayBoard};

use super::access::tell_taken;
use super::interrupt::Interrupt;
use super::output::{complain, say, say_json};
use super::tune::parse_seconds;
use super::{Exit, descriptors, limits, load_map};

/// The arguments of `twotone off`.
#[derive(Debug, Args)]
pub(crate) struct Off {
    /// The hardware map.
    map: PathBuf,
    /// How long each board may take, in seconds. Boards that fail are asked again until then.
    #[arg(long, value_name = "S", default_value_t = 30.0, value_parser = parse_seconds)]
    deadline: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    boards: Vec<BoardReport>,
}

#[derive(Debug, Serialize)]
struct BoardReport {
    name: String,
    #[serde(skip)]
    reached: bool,
    off: bool,
    /// Reason that it is not the board of the map, if something shows that. It was switched off all
    /// the same.
    another: Option<String>,
    #[serde(skip)]
    said_serial: Option<String>,
    /// Program from which it was taken over, so that it sets nothing more.
    taken_over: Option<Holder>,
    /// Reason that it could not be locked, if it could not. It was switched off all the same.
    lock_error: Option<String>,
    error: Option<String>,
    modules: Vec<ModuleReport>,
    /// What else the board has, and the map does not list: it was left alone.
    not_in_map: Vec<ModuleId>,
}

#[derive(Debug, Serialize)]
struct ModuleReport {
    module: ModuleId,
    off: bool,
    error: Option<String>,
    hardware: HardwareState,
}

/// How long to wait before a board that did not answer is asked again.
const PAUSE: Duration = Duration::from_millis(500);

impl Off {
    pub(crate) fn run(self, json: bool) -> Exit {
        let map = match load_map(&self.map) {
            Ok(map) => map,
            Err(exit) => return exit,
        };
        if let Err(why) = limits::enough_to_switch_off(&map) {
            complain(&why);
            return Exit::Usage;
        }
        let interrupt = Interrupt::watch("interrupted: leaving with what is known");
        let deadline = Duration::from_secs_f64(self.deadline);
        // With few open files the boards have their turns, and the files are for their connections.
        let at_once = descriptors::at_once(&map);
        let listening = match at_once < map.boards().len() {
            true => Listening::none(&map),
            false => Listening::begin(&map),
        };
        let turns = Arc::new(Semaphore::new(at_once));
        // Each by itself: a board that hangs keeps no other on.
        let asked = map.boards().iter().map(|entry| {
            let (name, cancel) = (entry.name.clone(), interrupt.first.clone());
            let only = map.only(std::slice::from_ref(&name), &[]);
            let turns = Arc::clone(&turns);
            let off = async move {
                let _turn = turns.acquire().await;
                switch_off(only, name, deadline, &cancel).await
            };
            (entry.name.clone(), tworoutine::spawn(off))
        });
        let asked: Vec<_> = asked.collect();
        let boards = tworoutine::wait(async {
            let mut boards = Vec::with_capacity(asked.len());
            for (name, board) in asked {
                let ended = board.await;
                boards
                    .push(ended.unwrap_or_else(|why| BoardReport::unknown(name, why.to_string())));
            }
            // The identity is checked last: the board at the address is switched off first,
            // whichever it is.
            let said = |name: &str| {
                let board = boards.iter().find(|board| board.name == name)?;
                board.said_serial.clone()
            };
            let identities = listening.identities(&map, said).await;
            for (board, identity) in boards.iter_mut().zip(identities) {
                board.another = identity.is_another().then_some(identity.why);
            }
            boards
        });
        let report = Report {
            ok: boards
                .iter()
                .all(|board| board.off && board.another.is_none()),
            boards,
        };
        if json {
            say_json(&report);
        } else {
            report.boards.iter().for_each(BoardReport::tell);
        }
        if report.ok {
            Exit::Well
        } else if !interrupt.happened() && !report.boards.iter().any(|board| board.reached) {
            Exit::NothingReachable
        } else {
            Exit::SomeFailed
        }
    }
}

/// Switches the one board of a map off, asking again until the deadline where it does not answer.
async fn switch_off(
    only: Result<HardwareMap, String>,
    name: String,
    deadline: Duration,
    cancel: &CancellationToken,
) -> BoardReport {
    let map = match only {
        Ok(map) => map,
        Err(why) => return BoardReport::unknown(name, why),
    };
    let time = Allowance::new(deadline);
    let (mut told, mut answered) = (false, false);
    loop {
        let left = time.left();
        let mut options = ConnectOptions::new();
        options.connect_timeout = options.connect_timeout.min(left);
        options.request_timeout = options.request_timeout.min(left);
        let array = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                return BoardReport::unknown(name, "interrupted before it answered".to_owned());
            }
            // Not given up in its midst: it ends by its own deadlines, and says how.
            mut array = counted(&time, Array::connect_with(&map, &options, 1)) => {
                // Else the program that has the board would go on, and set its tones again.
                array.lock_or_go_on(&map).await;
                tell_taken(&map, &array);
                if let Some(why) = array.not_locked(&name) {
                    complain(&format!(
                        "board {name}: switched off without its lock, and another program may set \
                         it: {why}"
                    ));
                }
                array
            }
        };
        let left = time.left();
        answered |= array.reached(&name);
        // To try again is of no use if the board is not what the map says.
        let failure = array.failure(&name).map(Error::kind);
        let passing = failure.is_some_and(|kind| kind != ErrorKind::InvalidArgument);
        if passing && left > PAUSE {
            if !std::mem::replace(&mut told, true) {
                let error = array.failure(&name).map(tracing::field::display);
                tracing::warn!(error, "not connected; asking again until the deadline");
            }
            counted(&time, tokio::time::sleep(PAUSE)).await;
            continue;
        }
        let outcomes = Runner::new()
            .deadline(left)
            .cancel(cancel.clone())
            .off(array.targets())
            .await;
        let report = BoardReport::of(name, &array, &outcomes);
        return BoardReport {
            reached: report.reached || answered,
            ..report
        };
    }
}

/// Awaits a future to its end, and counts the time that it takes.
async fn counted<T>(time: &Allowance, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match time.within(future.as_mut()).await {
        Ok(output) => output,
        Err(_) => future.await,
    }
}

impl BoardReport {
    /// Of a board of which nothing is known.
    fn unknown(name: String, error: String) -> Self {
        Self {
            name,
            reached: false,
            off: false,
            another: None,
            said_serial: None,
            taken_over: None,
            lock_error: None,
            error: Some(error),
            modules: Vec::new(),
            not_in_map: Vec::new(),
        }
    }

    fn of(name: String, array: &Array, outcomes: &[Outcome<()>]) -> Self {
        let modules: Vec<ModuleReport> = outcomes
            .iter()
            .map(|outcome| ModuleReport {
                module: outcome.module,
                off: outcome.is_well(),
                error: outcome.result.as_ref().err().map(ToString::to_string),
                hardware: outcome.hardware.clone(),
            })
            .collect();
        let error = array.failure(&name).map(ToString::to_string);
        let described = array.answered(&name).map(ArrayBoard::description);
        let not_in_map = described
            .iter()
            .flat_map(|described| &described.modules)
            .map(|described| described.module)
            .filter(|number| !modules.iter().any(|module| module.module == *number));
        Self {
            reached: array.reached(&name),
            taken_over: array.taken_over(&name).cloned(),
            lock_error: array.not_locked(&name).map(ToOwned::to_owned),
            name,
            another: None,
            said_serial: described.map(|described| described.serial.clone()),
            off: error.is_none() && modules.iter().all(|module| module.off),
            error,
            not_in_map: not_in_map.collect(),
            modules,
        }
    }

    fn tell(&self) {
        let name = &self.name;
        if let Some(why) = &self.another {
            say(&format!("{name}: NOT THE BOARD OF THE MAP: {why}"));
        }
        if let Some(error) = &self.error {
            return say(&format!("{name}: not known to be off: {error}"));
        }
        for module in self.modules.iter().filter(|module| !module.off) {
            let (number, left) = (module.module, module.hardware.to_string());
            let is_on = !module.hardware.left_on().is_empty();
            let off = if is_on {
                "NOT off"
            } else {
                "not known to be off"
            };
            // The state gives the reason, which mostly is the error.
            match &module.error {
                Some(error) if !left.contains(error.as_str()) => {
                    say(&format!("{name} module {number}: {off}: {left}; {error}"));
                }
                _ => say(&format!("{name} module {number}: {off}: {left}")),
            }
        }
        let off = self.modules.iter().filter(|module| module.off);
        let off = listed(off.map(|module| module.module));
        match listed(self.not_in_map.iter().copied()) {
            _ if off.is_empty() => {}
            others if others.is_empty() => say(&format!("{name}: off, read back: module {off}")),
            others => say(&format!(
                "{name}: off, read back: module {off}; not in the map and left alone: {others}"
            )),
        }
    }
}

/// Numbers of modules, as a sentence has them.
fn listed(modules: impl Iterator<Item = ModuleId>) -> String {
    let numbers: Vec<_> = modules.map(|module| module.to_string()).collect();
    numbers.join(", ")
}
