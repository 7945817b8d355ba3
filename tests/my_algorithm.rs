//! An algorithm of one's own, tested on a simulated farm.

use twotone::prelude::*;

/// How much of a tone at `frequency` comes through, in readout counts.
#[tworoutine]
async fn level(board: &BoardHandle, module: ModuleId, frequency: Hertz) -> Result<f64> {
    let tone = ToneUpdate::new(ChannelId::new(1)?)
        .offset(Hertz(5e6))
        .amplitude(0.001);
    let mut batch = Batch::new();
    batch.set_nco(module, frequency - Hertz(5e6));
    batch.set_tone(module, tone);
    let mean = batch.acquire_mean(module, Acquire::new(10).first_channels(1));
    Ok(board.run(&batch).await?.get(mean).mean[0].norm())
}

#[tworoutine::test]
async fn a_detector_takes_from_a_tone_on_it_and_not_beside_it() {
    let farm = Farm::builder()
        .boards(2)
        .detectors(4)
        .start()
        .await
        .unwrap();
    let fr = farm.truth().boards[1].modules[0].detectors[2].fr_hz;
    let map = HardwareMap::parse(&farm.map_toml(), "farm.toml").unwrap();
    let board = Array::connect(&map).await.board("crs0002").await.unwrap();
    let module = ModuleId::new(1).unwrap();
    let on = level(&board, module, Hertz(fr)).await.unwrap();
    let beside = level(&board, module, Hertz(fr + 1e6)).wait().unwrap();
    assert!(on < 0.5 * beside, "{on} of {beside}");
}
