//! Runs an algorithm of your own over an array of boards, one of which hangs.
//! `tests/my_algorithm.rs` shows a test of an algorithm of your own.
use std::time::Duration;

use twotone::prelude::*;
use twotone::sim::fault::Hang;
use twotone::transport::ConnectOptions;

/// Measures the noise on a tone at 1.25 GHz, as a fraction of the tone's level, in one round trip.
#[tworoutine]
async fn noise(board: &BoardHandle, module: ModuleId) -> Result<f64> {
    let mut batch = Batch::new();
    batch.set_nco(module, Hertz(1.245e9));
    let tone = ToneUpdate::tone(ChannelId::FIRST, Hertz(5e6), 0.001);
    batch.set_tone(module, tone);
    let mean = batch.acquire_mean(module, Acquire::new(100).first_channels(1));
    let replies = board.run(&batch).await?;
    let mean = replies.get(mean);
    Ok(mean.scatter[0] / mean.mean[0].norm())
}

#[tworoutine::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let farm = Farm::builder().boards(8).detectors(16).start().await?;
    let patience = ConnectOptions::new().request_timeout(Duration::from_secs(1));
    let array = Array::connect_with(&HardwareMap::try_from(&farm)?, &patience, 8).await;
    let method = "get_samples".to_owned();
    farm.boards()[2].inject(Hang { method });

    // The algorithm runs on all boards at once. The run of a board that hangs ends with an error at
    // the deadline, and does not affect the other boards.
    let noise = async |board, module| noise(&board, module).await;
    for outcome in Runner::new().run(array.targets(), noise).await {
        match outcome.result {
            Ok(noise) => println!("{}: {noise:.1e} of the level", outcome.board),
            Err(error) => println!("{error}; its tones: {}", outcome.hardware),
        }
    }
    Ok(())
}
