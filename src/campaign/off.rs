//! Switch-off of an array, which is the set of boards of a hardware map: all tones are switched
//! off, and read back as off.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Semaphore;
use tworoutine::{Allowance, JoinError};
use twotone_hal::{Error, ErrorKind, ModuleId};
use twotone_transport::ConnectOptions;

use super::{Campaign, Completion};
use crate::identity::Listening;
use crate::lock::Holder;
use crate::map::HardwareMap;
use crate::record::Failure;
use crate::run::{HardwareState, Outcome, Runner};
use crate::{Array, ArrayBoard};

/// Pause before another attempt to connect to a board that did not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// Longest time for the switch-off of a board, unless the caller gives another.
const DEADLINE: Duration = Duration::from_secs(30);

/// Report of a switch-off. It serializes to the JSON object of `twotone off --json`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct OffReport {
    /// True if every tone of every module was read back as off, and there is no evidence that a
    /// board is not the one in the map.
    pub ok: bool,
    #[serde(skip)]
    interrupted: bool,
    /// Every board of the map, in its order.
    pub boards: Vec<OffBoard>,
}

/// Report of the switch-off of a board.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct OffBoard {
    /// Name of the board in the map.
    pub name: String,
    #[serde(skip)]
    reached: bool,
    /// True if every tone of the board's modules was read back as off.
    pub off: bool,
    /// Evidence that the board is not the one in the map, if there is any. The board was switched
    /// off nevertheless.
    pub another: Option<String>,
    #[serde(skip)]
    said_serial: Option<String>,
    /// Program that had locked the board, if the switch-off took the board over from another
    /// program. That program can set nothing more on the board.
    pub taken_over: Option<Holder>,
    /// Reason that the board could not be locked, if it could not. The board was switched off
    /// nevertheless.
    pub lock_error: Option<Failure>,
    /// Error of the board, if it could not be reached or used, or if it lacks a module of the map.
    pub error: Option<Failure>,
    /// Modules to switch off: those of the board that the map lists, or all if it lists none.
    pub modules: Vec<OffModule>,
    /// Modules of the board that the map does not list. They were left unchanged.
    pub not_in_map: Vec<ModuleId>,
}

/// Report of the switch-off of a module.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct OffModule {
    /// The module.
    pub module: ModuleId,
    /// True if every tone was read back as off.
    pub off: bool,
    /// Reason that the module is not known to be off.
    pub error: Option<Failure>,
    /// Warnings that the board sent with its answers, in its own words.
    pub board_warnings: Vec<String>,
    /// State in which the tones are left.
    pub hardware: HardwareState,
}

impl OffReport {
    /// Returns the degree to which the switch-off was done.
    pub fn completion(&self) -> Completion {
        if self.ok {
            Completion::Complete
        } else if !self.interrupted && !self.boards.iter().any(|board| board.reached) {
            Completion::Unreachable
        } else {
            Completion::Incomplete
        }
    }

    /// Returns the report of a switch-off that panicked or was shut down: nothing is known of any
    /// board.
    pub(super) fn unknown(map: &HardwareMap, why: &str) -> Self {
        let boards = map.boards().iter();
        let error = Error::new(ErrorKind::Panicked, why);
        let unknown = |name: &str| OffBoard::unknown(name.to_owned(), &error);
        Self {
            ok: false,
            interrupted: true,
            boards: boards.map(|entry| unknown(&entry.name)).collect(),
        }
    }
}

/// Switches off the boards of the map, each in its own context, so that a board that hangs does not
/// delay the others.
pub(super) async fn run(campaign: Campaign) -> OffReport {
    let map = &campaign.map;
    let at_once = campaign.concurrency.min(map.boards().len()).max(1);
    // Fewer boards at a time than the map has usually mean that the process may open only few
    // files. In this case it does not open sockets to listen to streams.
    let listening = match at_once < map.boards().len() {
        true => Listening::none(map),
        false => campaign.access.listening(map),
    };
    let turns = Arc::new(Semaphore::new(at_once));
    let asked = map.boards().iter().map(|entry| {
        let (name, campaign) = (entry.name.clone(), campaign.clone());
        let turns = Arc::clone(&turns);
        let off = async move {
            let _turn = turns.acquire().await;
            switch_off(&campaign, name).await
        };
        (entry.name.clone(), tworoutine::spawn(off))
    });
    let asked: Vec<_> = asked.collect();
    let mut boards = Vec::with_capacity(asked.len());
    for (name, board) in asked {
        let ended = board.await;
        let failed = |why: JoinError| Error::new(ErrorKind::Panicked, why.to_string());
        boards.push(ended.unwrap_or_else(|why| OffBoard::unknown(name, &failed(why))));
    }
    // The identity is checked last, so that the board at the address in the map is switched off
    // even if it is not the board of the map.
    let said = |name: &str| {
        let board = boards.iter().find(|board| board.name == name)?;
        board.said_serial.clone()
    };
    let identities = listening.identities(map, said).await;
    for (board, identity) in boards.iter_mut().zip(identities) {
        board.another = identity.is_another().then_some(identity.why);
    }
    OffReport {
        ok: boards
            .iter()
            .all(|board| board.off && board.another.is_none()),
        interrupted: campaign.cancel.is_cancelled(),
        boards,
    }
}

/// Switches off one board of the map. If the board does not answer, attempts to connect are
/// repeated until the deadline.
async fn switch_off(campaign: &Campaign, name: String) -> OffBoard {
    let map = match campaign.map.only(std::slice::from_ref(&name), &[]) {
        Ok(map) => map,
        Err(why) => {
            let error = Error::new(ErrorKind::InvalidArgument, why);
            return OffBoard::unknown(name, &error);
        }
    };
    let time = Allowance::new(campaign.deadline.unwrap_or(DEADLINE));
    let (mut is_told, mut answered) = (false, false);
    loop {
        let left = time.left();
        let mut options = ConnectOptions::new();
        options.connect_timeout = options.connect_timeout.min(left);
        options.request_timeout = options.request_timeout.min(left);
        let kept = &campaign.connections;
        // A module that the board does not have must not keep the others on.
        let alone = map.of_boards_alone();
        let connecting = Array::connect_through(&alone, &options, 1, kept);
        let array = tokio::select! {
            biased;
            () = campaign.cancel.cancelled() => {
                let why = "interrupted before it answered";
                return OffBoard::unknown(name, &Error::new(ErrorKind::Cancelled, why));
            }
            // An attempt to connect is not dropped half-way. Its own deadlines end it, with a more
            // specific error.
            mut array = counted(&time, connecting) => {
                // The lock is taken from any program that has it. Otherwise that program would
                // continue, and set its tones again.
                array.lock_or_go_on(&map).await;
                campaign.notice_taken(&map, &array);
                if let Some(error) = array.not_locked(&name) {
                    campaign.observer.notice(&format!(
                        "board {name}: switched off without its lock, and another program may set \
                         it: {}",
                        Failure::from(error).cause()
                    ));
                }
                array
            }
        };
        let left = time.left();
        answered |= array.reached(&name);
        // Another attempt does not help if the board has answered and does not agree with the map.
        let failure = array.failure(&name).map(Error::kind);
        let passing = failure.is_some_and(|kind| kind != ErrorKind::InvalidArgument);
        if passing && left > PAUSE {
            if !std::mem::replace(&mut is_told, true) {
                let error = array.failure(&name).map(Error::chain);
                let error = error.map(tracing::field::display);
                tracing::warn!(error, "not connected; asking again until the deadline");
            }
            counted(&time, tokio::time::sleep(PAUSE)).await;
            continue;
        }
        let entry = map.board(&name);
        let mut targets = array.targets();
        targets.retain(|one| entry.is_some_and(|entry| entry.module(one.module).is_some()));
        let outcomes = Runner::new()
            .deadline(left)
            .cancel(campaign.cancel.clone())
            .off(targets)
            .await;
        let described = array.answered(&name).map(ArrayBoard::description);
        let missing = entry.zip(described);
        let missing = missing.and_then(|(entry, has)| entry.modules_of(has).err());
        let report = OffBoard::of(name, &array, missing, &outcomes);
        return OffBoard {
            reached: report.reached || answered,
            ..report
        };
    }
}

/// Awaits `future` to its end, even if the allowance `time` is used up before, and subtracts the
/// waiting time from the allowance.
async fn counted<T>(time: &Allowance, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match time.within(future.as_mut()).await {
        Ok(output) => output,
        Err(_) => future.await,
    }
}

impl OffBoard {
    /// Returns the report of a board about which nothing is known.
    fn unknown(name: String, error: &Error) -> Self {
        Self {
            name,
            reached: false,
            off: false,
            another: None,
            said_serial: None,
            taken_over: None,
            lock_error: None,
            error: Some(Failure::from(error)),
            modules: Vec::new(),
            not_in_map: Vec::new(),
        }
    }

    /// Returns the report of a board. `missing` is the error of a board that lacks modules of the
    /// map.
    fn of(name: String, array: &Array, missing: Option<Error>, outcomes: &[Outcome<()>]) -> Self {
        let modules: Vec<OffModule> = outcomes
            .iter()
            .map(|outcome| OffModule {
                module: outcome.module,
                off: outcome.is_well(),
                error: outcome.result.as_ref().err().map(Failure::from),
                board_warnings: outcome.board_warnings.clone(),
                hardware: outcome.hardware.clone(),
            })
            .collect();
        let error = array.failure(&name).or(missing.as_ref());
        let error = error.map(Failure::from);
        let described = array.answered(&name).map(ArrayBoard::description);
        let not_in_map = described
            .iter()
            .flat_map(|described| &described.modules)
            .map(|described| described.module)
            .filter(|number| !modules.iter().any(|module| module.module == *number));
        Self {
            reached: array.reached(&name),
            taken_over: array.taken_over(&name).cloned(),
            lock_error: array.not_locked(&name).map(Failure::from),
            name,
            another: None,
            said_serial: described.map(|described| described.serial.clone()),
            off: error.is_none() && modules.iter().all(|module| module.off),
            error,
            not_in_map: not_in_map.collect(),
            modules,
        }
    }
}
