//! One function, called both ways: on one board as at a prompt, then on a whole farm at once.

use twotone::prelude::*;

#[tworoutine::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let farm = Farm::builder().boards(4).detectors(32).start().await?;
    let array = Array::connect(&HardwareMap::parse(&farm.map_toml(), "farm.toml")?).await;

    let (board, module) = (array.board("crs0001").wait()?, ModuleId::new(1)?);
    let outcome = tune(&board, module, &TuneParams::default(), &()).wait()?;
    println!(
        "alone: {} of {} tuned",
        outcome.tuned(),
        outcome.channels.len()
    );

    let tuning =
        |board, module| async move { tune(&board, module, &TuneParams::default(), &()).await };
    for outcome in Runner::new().run(array.targets(), tuning).await {
        println!("{}: {} tuned", outcome.board, outcome.result?.tuned());
    }
    Ok(())
}
