//! Switch-off of an array: all tones off, and read back that they are.

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

/// Pause before a board that did not answer is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Longest time of each board, unless another is set.
const DEADLINE: Duration = Duration::from_secs(30);

/// Report of a switch-off. Its JSON is the object of `twotone off --json`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct OffReport {
    /// True if every tone of every module was read back as off, on the boards of the map.
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
    /// Its name in the map.
    pub name: String,
    #[serde(skip)]
    reached: bool,
    /// True if every tone of its modules was read back as off.
    pub off: bool,
    /// Reason that it is not the board of the map, if something shows that. It was switched off
    /// all the same.
    pub another: Option<String>,
    #[serde(skip)]
    said_serial: Option<String>,
    /// Program from which it was taken over, so that it sets nothing more.
    pub taken_over: Option<Holder>,
    /// Reason that it could not be locked, if it could not. It was switched off all the same.
    pub lock_error: Option<Failure>,
    /// Its error, if it could not be reached or used.
    pub error: Option<Failure>,
    /// Its modules.
    pub modules: Vec<OffModule>,
    /// Modules that the board has and the map does not list. They were left alone.
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
    /// Reason that it is not known to be off.
    pub error: Option<Failure>,
    /// State that the tones are left in.
    pub hardware: HardwareState,
}

impl OffReport {
    /// Completion of the switch-off.
    pub fn completion(&self) -> Completion {
        if self.ok {
            Completion::Complete
        } else if !self.interrupted && !self.boards.iter().any(|board| board.reached) {
            Completion::Unreachable
        } else {
            Completion::Incomplete
        }
    }

    /// Report of a switch-off that ended without one: nothing is known of any board.
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

/// Switches the boards of the map off, each in a context of its own, so that a board that hangs
/// does not delay the others.
pub(super) async fn run(campaign: Campaign) -> OffReport {
    let map = &campaign.map;
    let at_once = campaign.concurrency.min(map.boards().len()).max(1);
    // If boards have to take turns, the process may open few files. None of these is spent on
    // listening.
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
    // The identity is checked last: the board at the address is switched off first, whichever it
    // is.
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

/// Switches one board of the map off. If it does not answer, it is asked again until the deadline.
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
        let connecting = Array::connect_through(&map, &options, 1, kept);
        let array = tokio::select! {
            biased;
            () = campaign.cancel.cancelled() => {
                let why = "interrupted before it answered";
                return OffBoard::unknown(name, &Error::new(ErrorKind::Cancelled, why));
            }
            // It is not dropped half way: it ends by its own deadlines, with an error that says
            // more.
            mut array = counted(&time, connecting) => {
                // Otherwise the program that has the board would go on, and set its tones again.
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
        // To try again is of no use if the board is not what the map says.
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
        let outcomes = Runner::new()
            .deadline(left)
            .cancel(campaign.cancel.clone())
            .off(array.targets())
            .await;
        let report = OffBoard::of(name, &array, &outcomes);
        return OffBoard {
            reached: report.reached || answered,
            ..report
        };
    }
}

/// Awaits a future to its end, also past the allowance, and counts its time.
async fn counted<T>(time: &Allowance, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match time.within(future.as_mut()).await {
        Ok(output) => output,
        Err(_) => future.await,
    }
}

impl OffBoard {
    /// Report of a board of which nothing is known.
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

    fn of(name: String, array: &Array, outcomes: &[Outcome<()>]) -> Self {
        let modules: Vec<OffModule> = outcomes
            .iter()
            .map(|outcome| OffModule {
                module: outcome.module,
                off: outcome.is_well(),
                error: outcome.result.as_ref().err().map(Failure::from),
                hardware: outcome.hardware.clone(),
            })
            .collect();
        let error = array.failure(&name).map(Failure::from);
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
