//! Boot window of a CRS board. The board announces itself by beacons. A host that answers gets the
//! console of the boot loader, which can replace the firmware in the flash.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use twotone_wire::crs::boot::{
    Beacon, Flash, FlashStep, MOST_DATAGRAM, Redirect, Uboot, XmodemReceiver, example_image,
    release_in,
};

use super::Crs;
use crate::board::{BootWindow, lock};
use crate::fault::{self, ConsoleSender, OnConsole, OnFlash};

/// Firmware release of new boards, which behave like boards with firmware 1.6 and later.
const RELEASE: &str = "1.7.0-sim";

/// Size of the image of new boards, bytes.
const IMAGE: usize = 0x1_0000;

/// Time between two beacons.
const BEACON_INTERVAL: Duration = Duration::from_millis(200);

/// Time between two requests for the first block of a file.
const START_INTERVAL: Duration = Duration::from_secs(1);

/// The firmware of a board.
#[derive(Debug)]
pub(super) struct Firmware {
    /// The release that runs, or ran last.
    pub(super) release: String,
    /// Content of the flash. `None` stands for the image of new boards, which many boards never
    /// change.
    flash: Option<Flash>,
}

impl Default for Firmware {
    fn default() -> Self {
        Self {
            release: RELEASE.to_owned(),
            flash: None,
        }
    }
}

/// End of a conversation on the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The host restarted the board.
    Reset,
    /// The power failed.
    PowerLoss,
}

/// Starts the board, and starts it again after each restart.
pub(super) async fn run(crs: Arc<Crs>, window: BootWindow) {
    loop {
        let life = crs.board.life();
        let started = async {
            if let Some(until) = crs.board.down_until() {
                sleep_until(until).await;
            }
            start(&crs, window).await
        };
        match life.run_until_cancelled(started).await {
            // The power failed before the firmware ran, or the farm is shut down.
            None => {}
            Some(Err(error)) => {
                let board = crs.board.name();
                tracing::error!(board, %error, "the boot window cannot be opened");
                return;
            }
            Some(Ok(Some(Ended::Reset))) => crs.reboot(Duration::ZERO),
            Some(Ok(Some(Ended::PowerLoss))) => crs.reboot(Duration::ZERO),
            Some(Ok(None)) => life.cancelled().await,
        }
        // The farm is shut down, or the board has restarted.
        if crs.board.shut_down().is_cancelled() {
            return;
        }
    }
}

/// Opens the boot window, and runs the firmware after it. Returns `None` when the firmware runs, or
/// the end of the conversation if a host used the console. If the board has no complete firmware,
/// this future never completes.
async fn start(crs: &Crs, window: BootWindow) -> std::io::Result<Option<Ended>> {
    let flash = lock(&crs.firmware).flash.clone();
    let flash = flash.unwrap_or_else(|| Flash::with_image(&example_image(RELEASE, IMAGE)));
    let Some(release) = release_in(&flash.image()).map(str::to_owned) else {
        tracing::warn!(
            board = crs.board.name(),
            "no complete firmware, the board does not start"
        );
        return std::future::pending().await;
    };
    if let Some((redirect, host)) = beacons(crs, window).await? {
        return console(crs, flash, redirect, host).await.map(Some);
    }
    lock(&crs.firmware).release = release;
    crs.board.end_boot();
    Ok(None)
}

/// Sends beacons until the window ends (`None`), or until a host answers. Returns the answer and
/// the address of the host.
async fn beacons(crs: &Crs, window: BootWindow) -> std::io::Result<Option<(Redirect, SocketAddr)>> {
    let socket = UdpSocket::bind((crs.board.address().ip(), 0)).await?;
    let beacon = Beacon {
        version: 1,
        serial: format!("{:04}", crs.board.serial()),
        crate_serial: crs.board.slot().map(|slot| slot.crate_serial.clone()),
    }
    .emit();
    let end = Instant::now() + window.lasting;
    let mut ticks = interval(BEACON_INTERVAL);
    let mut datagram = [0; MOST_DATAGRAM];
    loop {
        tokio::select! {
            () = sleep_until(end) => return Ok(None),
            _ = ticks.tick() => {
                // Nobody may be listening, which the system may report as an error.
                let _ = socket.send_to(&beacon, window.beacons_to).await;
            }
            received = socket.recv_from(&mut datagram) => {
                let Ok((size, from)) = received else { continue };
                if let Ok(redirect) = Redirect::parse(&datagram[..size]) {
                    return Ok(Some((redirect, from)));
                }
            }
        }
    }
}

/// Serves the console until the board restarts or its power fails. The board keeps the content that
/// the flash has at this moment, even if this future is dropped.
async fn console(
    crs: &Crs,
    flash: Flash,
    redirect: Redirect,
    host: SocketAddr,
) -> std::io::Result<Ended> {
    let board = crs.board.name();
    let socket = UdpSocket::bind((crs.board.address().ip(), redirect.in_port)).await?;
    socket
        .connect((redirect.address, redirect.out_port))
        .await?;
    tracing::info!(board, %host, "the console is taken");
    let mut session = Session {
        crs,
        uboot: Some(Uboot::new(flash)),
    };
    let mut link = Link {
        crs,
        socket: &socket,
        sent: 0,
        received: 0,
    };
    let mut ticks = interval(START_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    let mut datagram = [0; MOST_DATAGRAM];
    loop {
        let Some(uboot) = session.uboot.as_mut() else {
            return Ok(Ended::PowerLoss);
        };
        while let Some(output) = uboot.output() {
            link.send(&output).await;
        }
        if uboot.is_reset() {
            return Ok(Ended::Reset);
        }
        if let Some(step) = uboot.next_step() {
            match crs.board.on_flash(fault_step(step)) {
                OnFlash::Work => uboot.work(),
                OnFlash::WorkAfter(time) => {
                    sleep(time).await;
                    // Datagrams that have come in the meantime are lost.
                    while socket.try_recv(&mut datagram).is_ok() {}
                    uboot.work();
                }
                OnFlash::Spoil(at) => {
                    uboot.work();
                    uboot.flash_mut().spoil(at as usize);
                }
                OnFlash::LosePower => return Ok(Ended::PowerLoss),
                OnFlash::Hang => return std::future::pending().await,
            }
            tokio::task::yield_now().await;
            continue;
        }
        let waits = uboot.waits_for_file();
        tokio::select! {
            received = socket.recv(&mut datagram) => {
                let Ok(size) = received else { continue };
                for _ in 0..link.copies_received() {
                    uboot.receive(&datagram[..size]);
                }
            }
            _ = ticks.tick(), if waits => link.send(XmodemReceiver::START).await,
        }
    }
}

/// Way between the boot loader and the host, with the faults on it.
struct Link<'a> {
    crs: &'a Crs,
    socket: &'a UdpSocket,
    /// Number of datagrams that the boot loader has sent.
    sent: u64,
    /// Number of datagrams of the host.
    received: u64,
}

impl Link<'_> {
    fn copies(&self, sender: ConsoleSender, nth: u64) -> usize {
        match self.crs.board.on_console(sender, nth) {
            OnConsole::Pass => 1,
            OnConsole::Lose => 0,
            OnConsole::Twice => 2,
        }
    }

    async fn send(&mut self, datagram: &[u8]) {
        let copies = self.copies(ConsoleSender::Board, self.sent);
        self.sent += 1;
        for _ in 0..copies {
            // The host may have disconnected, which the system may report as an error.
            let _ = self.socket.send(datagram).await;
        }
    }

    /// Counts a datagram of the host, and returns the number of times that it arrives.
    fn copies_received(&mut self) -> usize {
        let copies = self.copies(ConsoleSender::Host, self.received);
        self.received += 1;
        copies
    }
}

/// Converts the step to the type that faults use.
fn fault_step(step: FlashStep) -> fault::FlashStep {
    match step {
        FlashStep::Erase { at } => fault::FlashStep::Erase { at: at as u64 },
        FlashStep::Write { at, size } => fault::FlashStep::Write {
            at: at as u64,
            end: (at + size) as u64,
        },
    }
}

/// A boot loader. When this value is dropped, the board keeps the content of the flash.
#[derive(Debug)]
struct Session<'a> {
    crs: &'a Crs,
    uboot: Option<Uboot>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some(uboot) = self.uboot.take() {
            lock(&self.crs.firmware).flash = Some(uboot.into_flash());
        }
    }
}
