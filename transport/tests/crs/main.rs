//! Tests of the client of a CRS board over byte streams in memory and in virtual time: order of
//! calls, cancellation, lost connections and reboots.

mod answers;
mod beyond;
mod closing;
mod description;
mod epoch;
mod journal;
mod late;
mod loss;
mod older;
mod order;
mod passing;
mod properties;
mod scripted;
mod sensors;
mod unknown;
mod warnings;

use std::time::Duration;

use tokio::time::{sleep, timeout};
use twotone_hal::{
    Acquire, Batch, Board, Certainty, ChannelId, Error, ErrorKind, Hertz, ModuleId, Radians,
    ToneUpdate,
};
use twotone_transport::{ConnectOptions, Connector, CrsBoard};

use scripted::{CHANNELS, Closing, Next, Scripted};

async fn connect(board: &Scripted) -> CrsBoard {
    connect_with(board, ConnectOptions::new()).await.unwrap()
}

async fn connect_with(board: &Scripted, options: ConnectOptions) -> Result<CrsBoard, Error> {
    CrsBoard::connect_over("b1", board.connector(), options).await
}

fn module(number: u8) -> ModuleId {
    ModuleId::new(number).unwrap()
}

fn tone(channel: u16) -> ToneUpdate {
    ToneUpdate::new(ChannelId::new(channel).unwrap())
}

fn batch(number: u8, updates: impl IntoIterator<Item = ToneUpdate>) -> Batch {
    let mut batch = Batch::new();
    batch.set_tones(module(number), updates);
    batch
}

fn set(number: u8, amplitude: f64) -> Batch {
    batch(number, [tone(1).amplitude(amplitude)])
}

fn read(number: u8) -> Batch {
    let mut batch = Batch::new();
    batch.read_nco(module(number));
    batch
}

/// Time after which an idle connection has been closed.
async fn idle() {
    sleep(Duration::from_secs(5)).await;
}
