//! Connects to one board and prints its properties.
//!
//! `cargo run -p twotone-transport --example probe -- HOST`

use tworoutine::Wait;
use twotone_hal::{Acquire, Batch, ChannelId, Hertz, ModuleId, ToneFields, ToneUpdate};
use twotone_transport::{ConnectOptions, CrsBoard};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let host = std::env::args()
        .nth(1)
        .ok_or("a host is missing")?
        .parse()?;
    let board = CrsBoard::connect("probe", host, ConnectOptions::new())
        .wait()?
        .handle();
    let module = ModuleId::new(1)?;
    let description = board.describe().wait()?;
    println!("{description:#?}");
    let mut batch = Batch::new();
    let nco = batch.set_nco(module, Hertz(1.25e9));
    let channel = ChannelId::new(1)?;
    batch.set_tone(
        module,
        ToneUpdate::new(channel).offset(Hertz(1e6)).amplitude(0.001),
    );
    let mean = batch.acquire_mean(module, Acquire::new(10).first_channels(4));
    let tones = batch.read_tones(module, channel, 2, ToneFields::ALL);
    batch.clear_tones(module);
    let clock = batch.read_clock();
    let sensors = batch.read_housekeeping();
    let replies = board.run(&batch).wait()?;
    println!("{:?}\n{:#?}", replies.get(nco), replies.get(mean));
    println!("{:?}\n{:?}", replies.get(tones), replies.get(clock));
    println!("{:?}", replies.get(sensors));
    Ok(())
}
