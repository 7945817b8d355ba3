//! Test of an algorithm of your own on a farm (a set of simulated boards).
use twotone::prelude::*;

/// Returns the level of a tone at `frequency` after it has passed the readout line, in readout
/// counts.
#[tworoutine]
async fn level(board: &BoardHandle, module: ModuleId, frequency: Hertz) -> Result<f64> {
    let mut batch = Batch::new();
    batch.set_nco(module, frequency - Hertz(5e6));
    let tone = ToneUpdate::tone(ChannelId::FIRST, Hertz(5e6), 0.001);
    batch.set_tone(module, tone);
    let mean = batch.acquire_mean(module, Acquire::new(10).first_channels(1));
    Ok(board.run(&batch).await?.get(mean).mean[0].norm())
}

#[tworoutine::test]
async fn a_detector_takes_from_a_tone_on_it() -> Result<(), Box<dyn std::error::Error>> {
    let farm = Farm::builder().detectors(4).start().await?;
    let fr = farm.truth().boards[0].modules[0].detectors[2].fr_hz;
    let array = Array::connect(&HardwareMap::try_from(&farm)?).await;
    let board = array.board("crs0001").await?;
    let on = level(&board, ModuleId::FIRST, Hertz(fr)).await?;
    let beside = level(&board, ModuleId::FIRST, Hertz(fr + 1e6)).wait()?;
    assert!(on < 0.5 * beside, "{on} of {beside}");
    Ok(())
}
