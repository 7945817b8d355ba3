//! Boards of the daemon's hardware map. The daemon connects them and keeps them connected. It reads
//! back their settings before it changes any. A *job* is a command that the daemon carries out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tworoutine::runtime;
use twotone_hal::{Batch, BoardHandle, ChannelId, Error, ModuleId, Result, ToneFields};
use twotone_transport::ConnectOptions;

use crate::Connections;
use crate::connections::{Locking, ask, place};
use crate::firmware::{Flashes, Unfinished};
use crate::lock::Holder;
use crate::map::{BoardEntry, HardwareMap};

/// Time between two questions (read-only requests) to a board. Boards close a connection that was
/// not used for 5 s.
const QUESTION_INTERVAL: Duration = Duration::from_secs(3);

/// Longest duration of a turn of a board. In its turn, a connected board is asked a question. A
/// board that is not connected is connected, read back and locked.
const LONGEST_TURN: Duration = Duration::from_secs(15);

/// Largest number of boards that are contacted at the same time.
const CONNECT_AT_ONCE: usize = 64;

/// Facts about a board.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct BoardReport {
    pub(crate) name: String,
    pub(crate) address: String,
    /// True if the board has answered the last question.
    pub(crate) connected: bool,
    /// Reason why the board is not connected, or why its lock could not be requested. A lock that
    /// another program holds is no error: see `in_use_by`.
    pub(crate) error: Option<String>,
    /// Program that has locked the board, if it is not this program.
    pub(crate) in_use_by: Option<Holder>,
    /// True if this program has locked the board.
    pub(crate) locked: bool,
    pub(crate) serial: Option<String>,
    pub(crate) firmware: Option<String>,
    /// Flash of the board that was begun on this computer and is not known to be complete. `None`
    /// if the board is connected, since it has then started with a complete flash.
    #[serde(default)]
    pub(crate) unfinished_flash: Option<Unfinished>,
    /// Time from the last question to its answer, in seconds. `None` if no question was answered
    /// since the board was connected.
    pub(crate) round_trip_s: Option<f64>,
    /// Number of times that the board was connected.
    pub(crate) connects: u64,
    /// Address that names the lock of the board. It is looked up when the board is connected.
    #[serde(skip)]
    place: String,
    /// Modules of the board, as they were last read back: when the board was connected, or after
    /// the last job on it.
    pub(crate) modules: Vec<ModuleTones>,
}

/// A module, and the number of its tones that are on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModuleTones {
    pub(crate) module: ModuleId,
    /// Number of tones that are on. `None` if the tones could not be read.
    pub(crate) tones_on: Option<usize>,
}

/// Boards of a map.
pub(crate) struct Boards {
    map: HardwareMap,
    pub(crate) connections: Connections,
    reports: Mutex<BTreeMap<String, BoardReport>>,
    /// Number of boards whose first turn (see [`LONGEST_TURN`]) has ended, and number of connected
    /// boards.
    counts: watch::Sender<Counts>,
    /// Number of turns of all boards since the start. Turns that were left out because a job used
    /// the board count too.
    turns: AtomicU64,
    /// Token that is cancelled when the boards are released.
    closing: CancellationToken,
}

/// Counts of boards.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Number of boards that have had their first turn.
    pub(crate) tried: usize,
    /// Number of boards that have answered the last question.
    pub(crate) connected: usize,
    /// Number of all boards.
    pub(crate) of: usize,
}

impl Boards {
    /// Creates the boards of `map`. None of them is connected yet.
    pub(crate) fn new(map: HardwareMap) -> Arc<Self> {
        let reports = map.boards().iter().map(|entry| {
            let report = BoardReport {
                name: entry.name.clone(),
                address: entry.address().to_string(),
                error: Some("not asked yet".to_owned()),
                ..BoardReport::default()
            };
            (entry.name.clone(), report)
        });
        let reports: BTreeMap<_, _> = reports.collect();
        let counts = Counts {
            of: reports.len(),
            ..Counts::default()
        };
        Arc::new(Self {
            map,
            connections: Connections::keeping(),
            reports: Mutex::new(reports),
            counts: watch::channel(counts).0,
            turns: AtomicU64::new(0),
            closing: CancellationToken::new(),
        })
    }

    /// Map of the daemon.
    pub(crate) fn map(&self) -> &HardwareMap {
        &self.map
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, BoardReport>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_connected(&self, board: &str) -> bool {
        self.locked().get(board).is_some_and(|one| one.connected)
    }

    /// As [`Boards::reports`], with the flashes that were begun.
    pub(crate) async fn reports_with_flashes(&self) -> Vec<BoardReport> {
        let begun = tworoutine::offload(|| Flashes::usual().all()).await;
        let mut reports = self.reports();
        for report in reports.iter_mut().filter(|report| !report.connected) {
            let entry = self.map.board(&report.name);
            let of_board = |begun: &&Unfinished| entry.is_some_and(|entry| begun.is_of(entry));
            report.unfinished_flash = begun.iter().find(of_board).cloned();
        }
        reports
    }

    /// Facts about all boards, in the order of the map. Flashes that were begun are not included.
    pub(crate) fn reports(&self) -> Vec<BoardReport> {
        let reports = self.locked();
        let boards = self.map.boards().iter();
        boards
            .filter_map(|entry| reports.get(&entry.name).cloned())
            .collect()
    }

    /// Receiver that observes the counts of boards.
    pub(crate) fn counts(&self) -> watch::Receiver<Counts> {
        self.counts.subscribe()
    }

    /// Number of turns of all boards since the start. Turns that were left out because a job used
    /// the board count too, so the number grows as long as the daemon works.
    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Begins to connect the boards, and keeps them connected until [`Boards::close`].
    ///
    /// `uses_of` returns the number of jobs that have used a board, or `None` while a job uses the
    /// board. While a job uses it, the board is not contacted. Afterwards its tones are read back.
    /// `read_back` is called after a board was connected, with the tones that are on.
    pub(crate) fn keep_connected(
        self: &Arc<Self>,
        uses_of: impl Fn(&str) -> Option<u64> + Send + Sync + 'static,
        read_back: impl Fn(&str, &[ModuleTones]) + Send + Sync + 'static,
    ) {
        let (uses_of, read_back) = (Arc::new(uses_of), Arc::new(read_back));
        let at_once = Arc::new(Semaphore::new(CONNECT_AT_ONCE));
        let count = self.map.boards().len();
        for (index, entry) in self.map.boards().iter().enumerate() {
            let (boards, entry) = (Arc::clone(self), entry.clone());
            let share = QUESTION_INTERVAL.mul_f64(index as f64 / count as f64);
            let (uses_of, read_back) = (Arc::clone(&uses_of), Arc::clone(&read_back));
            let at_once = Arc::clone(&at_once);
            runtime().spawn(async move {
                let turns = async {
                    let mut known = None;
                    loop {
                        if let Some(uses) = uses_of(&entry.name) {
                            // Only a board that has to be connected needs one of the places for
                            // this. A connected board need not wait.
                            let _place = match boards.is_connected(&entry.name) {
                                true => None,
                                false => at_once.acquire().await.ok(),
                            };
                            let before = known.replace(uses);
                            let anew = before.is_some_and(|before| before != uses);
                            boards.turn(&entry, anew, &*read_back).await;
                            if before.is_none() {
                                boards.counts.send_modify(|counts| counts.tried += 1);
                                // After its first turn, each board waits for a different part of
                                // the interval, so that later turns are spread over it. Turns of
                                // all boards at the same moment would delay the answers of the
                                // daemon to its clients.
                                sleep(share).await;
                            }
                        }
                        boards.turns.fetch_add(1, Ordering::Relaxed);
                        sleep(QUESTION_INTERVAL).await;
                    }
                };
                boards.closing.run_until_cancelled(turns).await;
            });
        }
    }

    /// Releases all boards, so that other programs can use them.
    pub(crate) fn close(&self) {
        self.closing.cancel();
        self.connections.release();
    }

    /// Gives one board its turn: sends it a question, or connects it if it is not connected. If
    /// `anew` is true, also reads back the tones of a connected board.
    async fn turn(
        &self,
        entry: &BoardEntry,
        anew: bool,
        read_back: &(dyn Fn(&str, &[ModuleTones]) + Send + Sync),
    ) {
        let before = self.locked().get(&entry.name).cloned().unwrap_or_default();
        let attempt = timeout(LONGEST_TURN, self.attempt(entry, &before, anew)).await;
        let after = match attempt {
            Ok(Ok(after)) => after,
            failed => {
                self.connections.forget(&entry.name);
                let why = match failed {
                    Ok(Err(error)) => error.chain().to_string(),
                    _ => format!("no answer within {} s", LONGEST_TURN.as_secs()),
                };
                BoardReport {
                    connected: false,
                    error: Some(why),
                    round_trip_s: None,
                    ..before.clone()
                }
            }
        };
        let board = entry.name.as_str();
        if after.connects > before.connects {
            tracing::info!(board, "connected");
            read_back(board, &after.modules);
        } else if before.connected && !after.connected {
            let error = after.error.as_deref().unwrap_or_default();
            tracing::warn!(board, error, "not connected any more");
        }
        if let Some(holder) = &after.in_use_by
            && before.in_use_by.is_none()
        {
            tracing::warn!(board, %holder, "another program has the board");
        }
        let connected = {
            let mut reports = self.locked();
            reports.insert(entry.name.clone(), after);
            reports.values().filter(|one| one.connected).count()
        };
        self.counts.send_if_modified(|counts| {
            std::mem::replace(&mut counts.connected, connected) != connected
        });
    }

    async fn attempt(
        &self,
        entry: &BoardEntry,
        before: &BoardReport,
        anew: bool,
    ) -> Result<BoardReport> {
        let mut report = before.clone();
        let kept = self.connections.board(&entry.name);
        match kept.filter(|_| before.connected) {
            Some(board) => {
                let asked = Instant::now();
                ask(&board).await?;
                report.round_trip_s = Some(asked.elapsed().as_secs_f64());
                if anew {
                    report.modules = tones(entry, &board).await?;
                }
            }
            None => {
                let options = ConnectOptions::default();
                let board = self.connections.connect(entry, &options).await?;
                let described = board.describe().await?;
                report.serial = Some(described.serial).filter(|serial| !serial.is_empty());
                report.firmware = Some(described.firmware).filter(|text| !text.is_empty());
                report.modules = tones(entry, &board).await?;
                report.place = place(entry).await;
                report.connects += 1;
            }
        }
        report.connected = true;
        (report.error, report.in_use_by, report.locked) = (None, None, false);
        match self.connections.lock(report.place.clone(), false).await {
            Ok(Locking::Taken(..)) => report.locked = true,
            Ok(Locking::Held(by)) => report.in_use_by = Some(by),
            Err(error) => report.error = Some(crate::lock::not_lockable(&error)),
        }
        Ok(report)
    }
}

/// Returns the number of tones that are on, for each module of a board.
async fn tones(entry: &BoardEntry, board: &BoardHandle) -> Result<Vec<ModuleTones>, Error> {
    let described = board.describe().await?;
    let mut modules = Vec::new();
    for module in entry.modules_of(&described)? {
        let channels = described.module(module.module)?.channels;
        let mut batch = Batch::new();
        let fields = ToneFields::AMPLITUDE;
        let read = batch.read_tones(module.module, ChannelId::FIRST, channels, fields);
        let tones_on = match board.run(&batch).await {
            Ok(replies) => {
                let tones = replies.get(read).iter();
                Some(tones.filter(|tone| tone.is_on()).count())
            }
            Err(error) => {
                let (board, module) = (&entry.name, module.module);
                tracing::warn!(board, %module, error = %error.chain(), "tones not read back");
                None
            }
        };
        modules.push(ModuleTones {
            module: module.module,
            tones_on,
        });
    }
    Ok(modules)
}
