//! Tests in which the unmodified Python client of CRS boards flashes (writes the firmware of)
//! simulated boards.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use twotone::firmware::list;
use twotone::map::HardwareMap;
use twotone::sim::fault::{FlashPowerLoss, FlashWrongBit, Scheduled};
use twotone::sim::{Farm, example_image};

use crate::python::python;

/// Time after the start of a board in which it can be flashed. It is long because the client needs
/// seconds to start.
const WINDOW: Duration = Duration::from_secs(20);

/// Flashes a board with the client while `faults` act. Returns the output of the client, and
/// whether the board starts afterwards.
fn flash(python: &str, faults: Vec<Scheduled>) -> (String, Then) {
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let beacons = port.local_addr().unwrap();
    drop(port);
    let farm = Farm::builder().detectors(4).boot_window(WINDOW, beacons);
    let farm = farm.start_blocking().unwrap();
    let board = &farm.boards()[0];
    for fault in faults {
        board.inject(fault);
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("boot.bin");
    std::fs::write(&image, example_image("1.9.0", 200_000)).unwrap();
    let program = Path::new(python).with_file_name("rfmux");
    let output = Command::new(program)
        .args(["firmware", "--bind", "127.0.0.1", "--serial", "0001", "-p"])
        .arg(beacons.port().to_string())
        .arg("reflash-spi")
        .arg(&image)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    // The client always exits with 0. Only its output tells of a failure.
    assert!(output.status.success(), "{said}");
    // A board that starts again sends beacons. A board whose flash is not complete sends none.
    let socket = UdpSocket::bind(beacons).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(3)))
        .unwrap();
    let then = match socket.recv(&mut [0; 512]) {
        Ok(_) => Then::Starts(Box::new(farm)),
        Err(_) => Then::IsLost,
    };
    (said, then)
}

/// State of a board after the client has ended.
enum Then {
    Starts(Box<Farm>),
    IsLost,
}

#[test]
fn the_client_flashes_a_simulated_board() {
    let Some(python) = python() else { return };
    let (said, then) = flash(&python, vec![]);
    assert!(said.contains("[0001] md5 verified"), "{said}");
    assert!(said.contains("[0001] complete"), "{said}");
    let Then::Starts(farm) = then else {
        panic!("no beacon after the restart: {said}");
    };
    let map = HardwareMap::try_from(&*farm).unwrap();
    let release = loop {
        let boards = list(&map, &[]).wait();
        if let Some(release) = boards[0].release.clone() {
            break release;
        }
        tworoutine::wait(async { tokio::time::sleep(Duration::from_millis(200)).await });
    };
    assert_eq!(release, "1.9.0");
}

#[test]
fn its_failures_leave_the_board_as_they_leave_a_real_one() {
    let Some(python) = python() else { return };
    let lost = flash(&python, vec![FlashPowerLoss { written: Some(0) }.into()]);
    assert!(lost.0.contains("operation FAILED"), "{}", lost.0);
    assert!(matches!(lost.1, Then::IsLost), "{}", lost.0);
    // The client does not read the flash back, and reports a success.
    let (said, then) = flash(&python, vec![FlashWrongBit { at: 150_000 }.into()]);
    assert!(said.contains("[0001] complete"), "{said}");
    assert!(matches!(then, Then::IsLost), "{said}");
}
