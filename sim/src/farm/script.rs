//! Faults of a script, which are added to the boards at their times.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::SimBoard;
use crate::board::Simulated;
use crate::error::StartError;
use crate::fault::{FaultScript, Scheduled, Window};

/// Adds the faults to their boards: those without a window of time immediately, and the others when
/// their windows begin.
pub(super) fn run(
    script: &FaultScript,
    boards: &[SimBoard],
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<(), StartError> {
    for (number, entry) in (0..).zip(&script.entries) {
        let named = entry.boards.as_ref();
        let unknown = named.into_iter().flatten().find(|name| {
            let has_name = |board: &SimBoard| board.name() == *name;
            !boards.iter().any(has_name)
        });
        if let Some(name) = unknown {
            let name_of =
                |board: Option<&SimBoard>| board.map_or("none", SimBoard::name).to_owned();
            return Err(StartError::UnknownBoard {
                name: name.clone(),
                first: name_of(boards.first()),
                last: name_of(boards.last()),
            });
        }
        for board in boards {
            let simulated = board.simulated();
            if named.is_some_and(|names| !names.iter().any(|name| name == board.name())) {
                continue;
            }
            match entry.window {
                None => simulated.board().inject(entry.scheduled.clone()),
                Some(window) => {
                    let fault = during(
                        Arc::clone(simulated),
                        number,
                        window,
                        entry.scheduled.clone(),
                    );
                    let stop = stop.clone();
                    tasks.spawn(async move { stop.run_until_cancelled(fault).await });
                }
            }
        }
    }
    Ok(())
}

/// Adds a fault to a board at the beginning of a window, and removes it at the end.
async fn during(simulated: Arc<dyn Simulated>, number: u64, window: Window, fault: Scheduled) {
    let board = simulated.board();
    tokio::time::sleep(window.from).await;
    board.open_window(number, fault);
    if let Some(lasting) = window.lasting {
        tokio::time::sleep(lasting).await;
        board.close_window(number);
    }
}
