//! Firmware of simulated boards, replaced over the wire.

mod again;
mod lost;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use twotone::hal::{
    BoardHandle, Certainty, Error, ErrorKind, Firmware, FirmwareError, FirmwareImage, PowerLoss,
};
use twotone::map::BoardKind;
use twotone::sim::fault::{FlashHang, FlashPowerLoss, FlashWrongBit, Scheduled};
use twotone::sim::{Farm, SimBoard, example_image};
use twotone::transport::{BoardPlace, ConnectOptions, FirmwareOptions, Host};

/// Time after a start in which a board can be flashed. Longer than a busy machine may sleep.
const WINDOW: Duration = Duration::from_secs(3);

/// Some boards in their boot window, and the access to their firmware.
struct Bench {
    farm: Farm,
    firmware: Vec<Arc<dyn Firmware>>,
    beacons: SocketAddr,
}

impl Bench {
    async fn of(boards: usize) -> Self {
        Self::with(boards, WINDOW).await
    }

    async fn with(boards: usize, window: Duration) -> Self {
        // The port is free when the farm starts, and the beacons go on until the window ends.
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let beacons = port.local_addr().unwrap();
        drop(port);
        let farm = Farm::builder().boards(boards).detectors(4);
        let farm = farm.boot_window(window, beacons).start().await.unwrap();
        Self {
            firmware: access(&farm, beacons),
            beacons,
            farm,
        }
    }

    /// Ends the access to the boards, and returns that of a second program to the first board.
    fn second(&mut self) -> &dyn Firmware {
        self.firmware.clear();
        self.firmware = access(&self.farm, self.beacons);
        &*self.firmware[0]
    }

    fn board(&self) -> &SimBoard {
        &self.farm.boards()[0]
    }

    /// Waits until the firmware of the board runs, and returns its release.
    async fn release(&self) -> String {
        release(self.board()).await
    }
}

async fn release(board: &SimBoard) -> String {
    for _ in 0..400 {
        if let Ok(board) = connect(board).await {
            return board.describe().await.unwrap().firmware;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the board {} does not start", board.name());
}

fn access(farm: &Farm, beacons: SocketAddr) -> Vec<Arc<dyn Firmware>> {
    let serials: Vec<_> = farm.boards().iter().map(SimBoard::serial).collect();
    let places: Vec<_> = farm.boards().iter().zip(&serials).collect();
    let places = places.iter().map(|(board, serial)| {
        let place = BoardPlace {
            serial: Some(serial),
            ..BoardPlace::default()
        };
        (board.name(), place)
    });
    let options = FirmwareOptions {
        beacons: Some(beacons),
        window: Duration::from_secs(10),
        flash_time: Duration::from_secs(3),
        answer_time: Duration::from_secs(1),
    };
    let of = BoardKind::CRS.family().firmware.unwrap();
    of(&places.collect::<Vec<_>>(), &options)
}

async fn connect(board: &SimBoard) -> Result<BoardHandle, Error> {
    let host = Host::parse(&board.address().to_string(), 80).unwrap();
    (BoardKind::CRS.family().connect)(board.name(), host, ConnectOptions::new()).await
}

fn image(release: &str) -> FirmwareImage {
    FirmwareImage {
        kind: String::from("crs"),
        release: release.to_owned(),
        bytes: example_image(release, 300_001).into(),
    }
}

/// Stages and commits an image, and verifies it.
async fn flash(firmware: &dyn Firmware, image: &FirmwareImage) -> Result<(), FirmwareError> {
    firmware.identify().await?;
    firmware.stage(image, &|_, _| ()).await?;
    firmware.commit().await?;
    firmware.verify(image).await?;
    firmware.boot().await?;
    Ok(())
}

#[tokio::test]
async fn a_board_runs_its_firmware_after_the_window() {
    let bench = Bench::of(1).await;
    assert!(connect(bench.board()).await.is_err());
    assert_eq!(bench.release().await, "1.7.0-sim");
}

#[tokio::test]
async fn boards_are_flashed_at_the_same_time_and_report_the_release() {
    let bench = Bench::of(3).await;
    let image = image("1.8.0");
    let flashes = bench.firmware.iter().map(|one| flash(&**one, &image));
    let (one, two, three) = {
        let mut flashes = flashes;
        let mut next = || flashes.next().unwrap();
        tokio::join!(next(), next(), next())
    };
    for flashed in [one, two, three] {
        flashed.unwrap();
    }
    assert_eq!(bench.release().await, "1.8.0");
}

#[tokio::test]
async fn each_answer_shows_if_the_board_can_be_lost() {
    let bench = Bench::of(1).await;
    let (firmware, image) = (&bench.firmware[0], image("1.8.0"));
    let identity = firmware.identify().await.unwrap();
    assert_eq!(identity.value.serial.as_deref(), Some("0001"));
    assert_eq!(
        (identity.value.slots, identity.power_loss),
        (1, PowerLoss::Harmless)
    );
    let staged = firmware.stage(&image, &|_, _| ()).await.unwrap();
    assert_eq!(staged.power_loss, PowerLoss::Harmless);
    // Nothing has changed yet.
    assert!(firmware.verify(&image).await.is_err());
    let committed = firmware.commit().await.unwrap();
    assert_eq!(committed.power_loss, PowerLoss::Unknown);
    let early = firmware.boot().await.unwrap_err();
    assert_eq!(early.error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(
        firmware.verify(&image).await.unwrap().power_loss,
        PowerLoss::Harmless
    );
    firmware.boot().await.unwrap();
}

#[tokio::test]
async fn a_restart_that_could_not_be_asked_for_was_not_executed() {
    let bench = Bench::of(1).await;
    let firmware = &bench.firmware[0];
    firmware.identify().await.unwrap();
    bench.board().power_cycle(Duration::from_secs(600));
    let failed = firmware.boot().await.unwrap_err();
    assert_eq!(failed.error.certainty(), Certainty::NotExecuted, "{failed}");
}

#[tokio::test]
async fn a_wrong_bit_in_the_flash_is_found_and_a_second_commit_mends_it() {
    let bench = Bench::of(1).await;
    bench.board().inject(FlashWrongBit { at: 200_000 });
    let (firmware, image) = (&bench.firmware[0], image("1.8.0"));
    let error = flash(&**firmware, &image).await.unwrap_err();
    assert_eq!(error.error.operation(), Some("verify"));
    assert_eq!(error.power_loss, PowerLoss::Fatal);
    assert!(error.to_string().contains("KEEP THE POWER ON"), "{error}");
    bench.board().clear_faults();
    firmware.commit().await.unwrap();
    firmware.verify(&image).await.unwrap();
    firmware.boot().await.unwrap();
    assert_eq!(bench.release().await, "1.8.0");
}

/// Flashes a board while `fault` acts. Returns what the error says of a loss of power, and if the
/// board is heard again after its power was cycled.
async fn under(fault: impl Into<Scheduled>) -> (PowerLoss, bool) {
    let bench = Bench::of(1).await;
    bench.board().inject(fault);
    let firmware = &bench.firmware[0];
    let error = flash(&**firmware, &image("1.8.0")).await.unwrap_err();
    assert_eq!(error.error.operation(), Some("commit"));
    assert_eq!(error.error.kind(), ErrorKind::Timeout);
    bench.board().clear_faults();
    bench.board().power_cycle(Duration::ZERO);
    (error.power_loss, firmware.identify().await.is_ok())
}

#[tokio::test]
async fn a_loss_of_power_during_the_erasure_or_the_write_loses_the_board() {
    let erasing = under(FlashPowerLoss { written: None });
    let writing = under(FlashPowerLoss {
        written: Some(250_000),
    });
    let last = under(FlashPowerLoss {
        written: Some(300_001),
    });
    let hanging = under(FlashHang { at: 100_000 });
    let (erasing, writing, last, hanging) = tokio::join!(erasing, writing, last, hanging);
    assert_eq!(erasing, (PowerLoss::Unknown, false));
    assert_eq!(writing, (PowerLoss::Fatal, false));
    // All headers and most of the image are there.
    assert_eq!(last, (PowerLoss::Fatal, false));
    assert_eq!(hanging, (PowerLoss::Fatal, false));
}

#[tokio::test]
async fn a_transfer_that_is_dropped_leaves_the_firmware() {
    let bench = Bench::of(1).await;
    let (firmware, image) = (&bench.firmware[0], image("1.8.0"));
    firmware.identify().await.unwrap();
    let (half, arrived) = tokio::sync::oneshot::channel();
    let half = std::sync::Mutex::new(Some(half));
    let progress = |sent: usize, all: usize| {
        if 2 * sent > all
            && let Some(half) = half.lock().unwrap().take()
        {
            half.send(()).unwrap();
        }
    };
    tokio::select! {
        staged = firmware.stage(&image, &progress) => panic!("{staged:?}"),
        half = arrived => half.unwrap(),
    }
    assert!(firmware.commit().await.is_err());
    // The board still waits for the file: only the power ends that.
    bench.board().power_cycle(Duration::ZERO);
    assert_eq!(bench.release().await, "1.7.0-sim");
}

#[tokio::test]
async fn images_that_brick_or_do_not_fit_are_refused_by_name() {
    let bench = Bench::of(1).await;
    let firmware = &bench.firmware[0];
    let refused = |image: &FirmwareImage| {
        let error = firmware.check(image).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error.to_string()
    };
    for release in ["1.6.9", "r1.6.2rc2", "r0.9.0", "1.7.0rc1", "r1.7-rc2"] {
        let why = refused(&image(release));
        assert!(why.contains("makes a board unusable"), "{why}");
    }
    let mut other = image("1.8.0");
    other.kind = String::from("dfmux");
    assert!(refused(&other).contains("the kind dfmux"));
    let mut short = image("1.8.0");
    short.bytes = short.bytes[..1000].into();
    assert!(refused(&short).contains("truncated"));
    let mut unnamed = image("1.8.0");
    unnamed.release = String::from("latest");
    assert!(refused(&unnamed).contains("not a release"));
    for release in ["1.7.0", "r1.7", "1.7.0-sim", "1.7.1rc1"] {
        assert!(firmware.check(&image(release)).is_ok(), "{release}");
    }
}
