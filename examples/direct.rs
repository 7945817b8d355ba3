//! Drives one board directly: connects to it, runs a batch (a list of operations) in one request,
//! and calls single operations.
use twotone::hal::ToneFields;
use twotone::prelude::*;
use twotone::transport::{ConnectOptions, CrsBoard, Host};

#[tworoutine::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let farm = Farm::builder().detectors(16).start().await?;
    // A real board is at `CrsBoard::host_of_serial("0042")` or at `"host:port".parse()?`.
    let address = farm.boards()[0].address();
    let host = Host::new(address.ip().to_string(), address.port());
    let board = CrsBoard::connect("bench", host, ConnectOptions::new()).await?;

    let description = board.description();
    let module = description.module(ModuleId::FIRST)?;
    println!("{}: {} channels", description.kind, module.channels);

    // This batch sets tones, waits until they have settled, acquires samples and reads settings
    // back in one round trip. Each method that adds an operation returns a ticket, which gives the
    // reply of this operation after the batch has run.
    let board = board.handle();
    let tone = ToneUpdate::tone(ChannelId::FIRST, Hertz(5e6), 0.001);
    let mut batch = Batch::new();
    batch.set_nco(module.module, Hertz(1.2e9));
    batch.set_tone(module.module, tone);
    let mean = batch.acquire_mean(module.module, Acquire::new(50).channel(ChannelId::FIRST));
    let tones = batch.read_tones(module.module, ChannelId::FIRST, 2, ToneFields::AMPLITUDE);
    let replies = board.run(&batch).await?;
    println!("level: {:.0} counts", replies.get(mean).mean[0].norm());
    let on: Vec<bool> = replies.get(tones).iter().map(|it| it.is_on()).collect();
    println!("tones on: {on:?}");

    // The views `clock` and `tones` run one operation for each call, as at a prompt. In this
    // example nothing checks limits, and nothing switches the tones off if the example fails. A
    // `Runner` does both.
    println!("time source: {}", board.clock().read().await?.source);
    board.tones().clear(module.module).await?;
    let state = board
        .tones()
        .read(module.module, ChannelId::FIRST, 1)
        .await?;
    println!("left on: {}", state[0].is_on());
    Ok(())
}
