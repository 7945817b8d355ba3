//! Switch-off of all tones of the targets of a run. A target is a module of a board.

use std::future::Future;

use tworoutine::{Allowance, Tworoutine};

use super::supervise::Supervised;
use super::{HardwareState, Outcome, Runner, Target};

impl Runner {
    /// Switches off every tone of each target, and confirms this by a read-back. The limits and the
    /// safe states of the targets are ignored.
    ///
    /// A target succeeds if every tone reads back as off. Otherwise its outcome lists the channels
    /// that are left on or unknown, and its error gives the reason. If the link fails, the request
    /// is repeated until the deadline, so this method can be called before a board is reachable
    /// again. The outcomes come in the order of the targets.
    ///
    /// **On cancel** by the token, a target that has not begun is left untouched. The outcomes of
    /// the other targets have the facts that are known by then. If the future is dropped, the
    /// targets end in the same way, and the outcomes are lost.
    pub fn off(
        &self,
        targets: Vec<Target>,
    ) -> Tworoutine<impl Future<Output = Vec<Outcome<()>>> + Send + use<>> {
        // A cancel usually ends the algorithm and begins the clean-up of the module. Here there is
        // only a clean-up, the switch-off, so a cancel ends it.
        let settings = self.clone().abandon(self.cancel.clone());
        let ended = settings.over(targets, off);
        Tworoutine::new(async move { ended.await.into_iter().map(|one| one.outcome).collect() })
    }
}

async fn off(supervised: Supervised) -> Outcome<()> {
    let turn = match supervised.turn().await {
        Ok(turn) => turn,
        Err(error) => return supervised.outcome(None, Err(error), HardwareState::Untouched),
    };
    let time = Allowance::new(supervised.settings.deadline);
    let board = supervised.board();
    let (result, hardware) = supervised.switch_off(&board, &time).await;
    let what = format!("switch module {} off", supervised.target.module);
    supervised.outcome(
        Some(&turn),
        result.map_err(|error| error.during(what)),
        hardware,
    )
}
