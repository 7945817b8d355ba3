//! One function, called in two ways: at a prompt on one board, then on all boards of a simulated
//! array at once.
use twotone::campaign::CampaignParams;
use twotone::prelude::*;

#[tworoutine::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let farm = Farm::builder().boards(4).detectors(32).start().await?;
    let map = HardwareMap::try_from(&farm)?;
    let array = Array::connect(&map).await;
    // The map gives the band and the start power of each module.
    let params = CampaignParams::default().for_array(&map, &array);

    let board = array.board("crs0001").wait()?;
    let alone = tune(
        &board,
        ModuleId::FIRST,
        &params.of("crs0001", ModuleId::FIRST)?,
    )
    .wait()?;
    println!("alone: {alone}");

    let tuning = move |board: BoardHandle, module| {
        let params = params.of(board.name(), module);
        async move { tune(&board, module, &params?).await }
    };
    for outcome in Runner::new().run(array.targets(), tuning).await {
        println!("{}: {}", outcome.board, outcome.result?);
    }
    Ok(())
}
