//! Connections for tunes, sweeps and other campaigns that change settings of boards. Before a
//! campaign changes anything, it checks that each board is the one in the map, and that no other
//! program changes the board's settings.

use std::time::Duration;

use super::{Campaign, CampaignError, setup};
use crate::identity::Listening;
use crate::map::HardwareMap;
use crate::{Array, lock};

/// Time for which the settings of boards are watched before anything is set on them. It is longer
/// than the interval at which a sweeping program sets tones.
pub(super) const WATCHED: Duration = Duration::from_millis(300);

/// Checks of the boards before a campaign sets anything on them.
///
/// The default makes all checks, and takes no board from another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Access {
    /// True to identify the boards by their sample streams. Set it to false if the streams would
    /// fill the network link, and for simulated boards whose samples must be reproducible to the
    /// bit.
    pub listen: bool,
    /// True to lock the boards, so that other programs on this host set nothing on them.
    pub lock: bool,
    /// True to take over boards that another program on this host has locked. The tones of that
    /// program are not switched off.
    pub take_over: bool,
    /// True to watch the boards for other programs, perhaps on other hosts, and to refuse a board
    /// whose settings change in the 0.3 s before the campaign.
    pub watch: bool,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            listen: true,
            lock: true,
            take_over: false,
            watch: true,
        }
    }
}

impl Access {
    /// Returns an access without any check. Use it for boards that no other program uses, such as
    /// boards that this program simulates.
    pub fn unchecked() -> Self {
        Self {
            listen: false,
            lock: false,
            take_over: false,
            watch: false,
        }
    }

    /// Checks that boards can be locked on this host, if `lock` is true. Contacts no board.
    pub(super) fn check(self) -> Result<(), CampaignError> {
        match self.lock {
            true => lock::check().map_err(CampaignError::Lock),
            false => Ok(()),
        }
    }

    /// Begins to listen to the streams of the boards of `map` if `listen` is true.
    pub(super) fn listening(self, map: &HardwareMap) -> Listening {
        match self.listen {
            true => Listening::begin(map),
            false => Listening::none(map),
        }
    }
}

impl Campaign {
    /// Connects to the boards, locks them, and watches them for other programs. Returns `None` if
    /// the campaign is cancelled before they are connected. After a later cancel, the array lists
    /// the boards that were locked and taken over until then.
    pub(super) async fn connect(&self) -> Option<Array> {
        let array = self.connect_locked(&self.map).await?;
        Some(self.watched(array).await)
    }

    /// As [`Campaign::connect`], and sets up the boards for which the map has properties.
    pub(super) async fn connect_set_up(&self) -> Option<Array> {
        if !setup::is_needed(&self.map) {
            return self.connect().await;
        }
        // A module of a bank that is not in use cannot be used before the board was set up.
        let mut array = self.connect_locked(&self.map.of_boards_alone()).await?;
        self.set_up_for_run(&mut array).await;
        Some(self.watched(array).await)
    }

    async fn connect_locked(&self, map: &HardwareMap) -> Option<Array> {
        let mut array = self.connect_identified(map).await?;
        if self.access.lock {
            self.lock(map, &mut array).await;
        }
        Some(array)
    }

    async fn watched(&self, mut array: Array) -> Array {
        if self.access.watch {
            let watching = array.refuse_boards_set_by_others(WATCHED);
            let _ = self.unless_cancelled(watching).await;
        }
        for error in array.failed() {
            tracing::error!(error = %error.chain(), "not connected");
        }
        array
    }

    /// Connects to the boards of `map` and identifies them. Returns `None` if the campaign is
    /// cancelled before they are connected.
    pub(super) async fn connect_identified(&self, map: &HardwareMap) -> Option<Array> {
        let (listening, kept) = (self.access.listening(map), &self.connections);
        let connecting = Array::connect_identified_through(map, listening, kept);
        let array = self.unless_cancelled(connecting).await;
        if array.is_none() {
            self.observer.notice(
                "interrupted while connecting: nothing was set on any board, and none was taken over",
            );
        }
        array
    }

    /// Locks the boards of `map`.
    pub(super) async fn lock(&self, map: &HardwareMap, array: &mut Array) {
        let locking = array.lock(map, self.access.take_over);
        let _ = self.unless_cancelled(locking).await;
        self.notice_taken(map, array);
    }

    /// Notifies the observer of the programs from which boards were taken over.
    pub(super) fn notice_taken(&self, map: &HardwareMap, array: &Array) {
        for board in map.boards() {
            if let Some(from) = array.taken_over(&board.name) {
                let text = format!("board {}: taken over from {from}", board.name);
                self.observer.notice(&text);
            }
        }
    }

    /// Waits for `future`. Returns `None` if the campaign is cancelled before `future` is ready.
    pub(super) async fn unless_cancelled<F: IntoFuture>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => None,
            done = future.into_future() => Some(done),
        }
    }
}
