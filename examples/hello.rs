//! One function, called both ways: at a prompt on one board, then on a whole farm at once.
use twotone::prelude::*;

#[tworoutine::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let farm = Farm::builder().boards(4).detectors(32).start().await?;
    let array = Array::connect(&HardwareMap::try_from(&farm)?).await;
    let board = array.board("crs0001").wait()?;
    let alone = tune(&board, ModuleId::FIRST, &TuneParams::default()).wait()?;
    println!("alone: {alone}");
    let tuning = async |board, module| tune(&board, module, &TuneParams::default()).await;
    for outcome in Runner::new().run(array.targets(), tuning).await {
        println!("{}: {}", outcome.board, outcome.result?);
    }
    Ok(())
}
