//! Receives the sample stream of a board, with times and losses, while the board is also
//! controlled.
use std::time::Duration;

use twotone::hal::{ReceiveOptions, StreamRequest};
use twotone::prelude::*;

#[tworoutine::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let farm = Farm::builder().detectors(16).start().await?;
    let array = Array::connect(&HardwareMap::try_from(&farm)?).await;
    let board = array.board("crs0001").await?;

    let streams = board.streams().ok_or("the board has no sample streams")?;
    let request = StreamRequest::new(streams.clone(), [ModuleId::FIRST]);
    // A full block has 200 samples, which the board takes in a third of a second.
    let options = ReceiveOptions::new().block_time(Duration::from_millis(336));
    let mut receiver = streams.open(&[request], &options).await?;

    let tone = ToneUpdate::tone(ChannelId::FIRST, Hertz(5e6), 0.001);
    board.nco().set(ModuleId::FIRST, Hertz(1.2e9)).await?;
    board.tones().set(ModuleId::FIRST, [tone]).await?;

    let block = loop {
        let full = receiver.receive(Duration::from_secs(10)).await?;
        if let Some(block) = full.into_iter().next() {
            break block;
        }
        if receiver.status(0).counters.received == 0 {
            return Err("no sample has come within 10 s".into());
        }
    };
    let last = block.samples() - 1;
    let steps = block.sequence[last].wrapping_sub(block.sequence[0]);
    let time_ns = |sample: usize| block.time_ns[sample].ok_or("a sample has no time");
    let covered_ns = (time_ns(last)? - time_ns(0)?) as f64;
    println!("{} samples", block.samples());
    println!(
        "{:.1} ms from one to the next",
        1e-6 * covered_ns / f64::from(steps)
    );

    let counters = receiver.status(0).counters;
    println!("{} lost of {}", counters.lost, counters.expected);
    receiver.close().await?;
    Ok(())
}
