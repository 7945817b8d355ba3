//! Use of the library in an application that has a multi-thread runtime of its own. The application
//! awaits every call.
use std::time::Duration;

use twotone::prelude::*;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The boards are simulated. For real boards, an application reads its hardware map (the list of
    // boards) with `HardwareMap::load`.
    let farm = Farm::builder().boards(3).detectors(16).start().await?;
    let array = Array::connect(&HardwareMap::try_from(&farm)?).await;

    let tuning = async |board, module| tune(&board, module, &TuneParams::default()).await;
    let run = Runner::new().run(array.targets(), tuning);

    // All boards are tuned (their tones are set on the resonances of their detectors) at the same
    // time, while the application continues with other work.
    let mut heartbeat = tokio::time::interval(Duration::from_millis(20));
    let mut beats = 0;
    tokio::pin!(run);
    let outcomes = loop {
        tokio::select! {
            outcomes = &mut run => break outcomes,
            _ = heartbeat.tick() => beats += 1,
        }
    };
    for outcome in outcomes {
        println!("{}: {}", outcome.board, outcome.result?);
    }
    println!("{beats} heartbeats meanwhile");
    Ok(())
}
