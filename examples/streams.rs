//! Receives a board's sample stream beside its control connection: samples, times, and losses.
use std::time::Duration;

use twotone::hal::ReceiveOptions;
use twotone::prelude::*;
use twotone::transport::readout::{Receiver, Source, Take};

#[tworoutine::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let farm = Farm::builder().detectors(16).start().await?;
    let array = Array::connect(&HardwareMap::try_from(&farm)?).await;
    let board = array.board("crs0001").await?;

    // The address that a board's packets come from, and the serial number in them.
    let sender = &farm.boards()[0];
    let source = Source::new(sender.ip(), sender.serial().parse()?);
    let mut receiver = Receiver::open(&[source], &ReceiveOptions::new())?;

    let tone = ToneUpdate::tone(ChannelId::FIRST, Hertz(5e6), 0.001);
    board.nco().set(ModuleId::FIRST, Hertz(1.2e9)).await?;
    board.tones().set(ModuleId::FIRST, [tone]).await?;

    // Takes a block of 200 consecutive samples, and waits for 10 s at the most.
    let take = Take::new(200).of(source, ModuleId::FIRST);
    let blocks = receiver.take(&take, Duration::from_secs(10)).await?;
    let times: Vec<f64> = blocks[0]
        .times
        .iter()
        .map(|time| time.map(|time| time.seconds()))
        .collect::<Result<_, _>>()?;
    println!("{} samples", times.len());
    println!(
        "{:.1} ms from one to the next",
        1e3 * (times[199] - times[0]) / 199.0
    );

    let counters = receiver.counters();
    let of_module = counters.boards[0].module(ModuleId::FIRST);
    println!("{} lost of {}", of_module.lost, of_module.expected);
    Ok(())
}
