//! Use of the library in an application whose runtime has one thread, with a function that blocks.
use std::time::Duration;

use twotone::prelude::*;
use twotone::tworoutine::context;

/// Tunes a module (sets its tones on the resonances of its detectors) and returns the number of
/// tuned channels. Every call in this function blocks, as at a prompt.
fn tuned(board: &BoardHandle, module: ModuleId) -> Result<usize> {
    let outcome = tune(board, module, &TuneParams::default()).wait()?;
    board.tones().clear(module).wait()?;
    Ok(outcome.tuned())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let farm = Farm::builder().detectors(16).start().await?;
    let array = Array::connect(&HardwareMap::try_from(&farm)?).await;
    let board = array.board("crs0001").await?;

    // `context` makes a future of code that blocks. In it, a wait suspends only this future, and
    // the thread continues with other work. Outside of a context, a wait would block the only
    // thread of the runtime, so it panics.
    let blocking = context(async move { tuned(&board, ModuleId::FIRST) });
    let mut heartbeat = tokio::time::interval(Duration::from_millis(20));
    let mut beats = 0;
    tokio::pin!(blocking);
    let tuned = loop {
        tokio::select! {
            tuned = &mut blocking => break tuned?,
            _ = heartbeat.tick() => beats += 1,
        }
    };
    println!("{tuned} channels tuned, {beats} heartbeats meanwhile");
    Ok(())
}
