//! An algorithm of one's own, tested on a simulated farm.

use twotone::prelude::*;

/// How strongly a tone at `frequency` is transmitted, compared with one 5 MHz above it.
#[tworoutine]
async fn dip(board: &BoardHandle, module: ModuleId, frequency: Hertz) -> Result<f64> {
    let mut batch = Batch::new();
    batch.set_nco(module, frequency + Hertz(50e6));
    for (index, offset) in [-50e6, -45e6].into_iter().enumerate() {
        let channel = ChannelId::from_index(index).expect("two channels");
        batch.set_tone(
            module,
            ToneUpdate::new(channel)
                .offset(Hertz(offset))
                .amplitude(0.001),
        );
    }
    let mean = batch.acquire_mean(module, Acquire::new(10).first_channels(2));
    let replies = board.run(&batch).await?;
    Ok(replies.get(mean).mean[0].norm() / replies.get(mean).mean[1].norm())
}

#[tworoutine::test]
async fn a_detector_takes_from_a_tone_on_it_and_not_beside_it() {
    let farm = Farm::builder()
        .boards(2)
        .detectors(4)
        .start()
        .await
        .unwrap();
    let detector = farm.truth().boards[1].modules[0].detectors[2].clone();
    let map = HardwareMap::parse(&farm.map_toml(), "farm.toml").unwrap();
    let board = Array::connect(&map).await.board("crs0002").await.unwrap();
    let module = ModuleId::new(1).unwrap();

    let on = dip(&board, module, Hertz(detector.fr_hz)).await.unwrap();
    let beside = dip(&board, module, Hertz(detector.fr_hz + 1e6))
        .wait()
        .unwrap();
    assert!(on < 0.5, "{on}");
    assert!((beside - 1.0).abs() < 0.05, "{beside}");
}
