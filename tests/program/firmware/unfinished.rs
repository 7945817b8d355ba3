//! Flashes that were begun, and whose program was killed.

use twotone::sim::fault::{FlashHang, FlashSlow};

use super::*;

/// Begins to flash boards at the same time, and kills the program while crs0001 is written. `more`
/// are options of the program.
fn kill_while_written(site: &Site, more: &[&str]) {
    let mut child = site.start("flash", &[&["--at-once"], more].concat());
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some((board, _)) = line.split_once(": waiting for the board to start") {
            let board = board.rsplit(' ').next().unwrap();
            site.board(board).power_cycle(Duration::ZERO);
        }
        if line.contains("crs0001: erasing") {
            // The record is there before the flash is changed.
            let record = site.path("flashes/crs-1.json");
            assert!(record.exists());
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_second_call_finishes_a_flash_without_a_restart() {
    let site = Site::of(1);
    site.board("crs0001").inject(FlashSlow { step_ms: 50 });
    kill_while_written(&site, &[]);
    let board = &site.list()[0];
    assert_eq!(board["release"], Value::Null);
    assert_eq!(board["power_loss"], "unknown");
    assert_eq!(board["unfinished"]["release"], "1.8.0");
    let map = Site::text(site.map());
    let listed = site.twotone(&["firmware", "list", &map]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("KEEP THE POWER ON"), "{listed}");
    // It is neither refused because its release is not known, nor switched off.
    let image = Site::text(site.image());
    let checked = site.json(&["firmware", "check", &image, &map]);
    assert_eq!(checked["boards"][0]["refused"], Value::Null);
    let (status, out, told) = site.work("stage", &[]);
    assert_eq!(status, 3, "{out}{told}");
    assert!(out.contains("flash the board first"), "{out}");
    let (status, out, told) = site.work("flash", &[]);
    assert_eq!(status, 0, "{out}{told}");
    assert!(!told.contains("waiting for the board"), "{told}");
    assert!(told.contains("asking the boot loader"), "{told}");
    assert_eq!(site.releases(), ["1.8.0"]);
    assert_eq!(site.list()[0]["unfinished"], Value::Null);
    assert_eq!(fs::read_dir(site.path("flashes")).unwrap().count(), 0);
}

#[test]
fn a_board_that_cannot_be_reached_again_keeps_its_power_and_stops_the_others() {
    let site = Site::with(|farm| farm.boards(3).crate_size(2));
    kill_while_written(&site, &["--board", "crs0001"]);
    // Neither its boot loader answers, nor does a beacon come.
    site.board("crs0001").power_cycle(Duration::from_secs(600));
    // Not the board alone: its crate must keep its power. Boards of other crates need not.
    let (status, out, told) = site.work("flash", &["--board", "crs0002"]);
    assert_eq!(status, 3, "{out}{told}");
    assert!(out.contains("crs0001 is in the same crate"), "{out}");
    let (status, out, told) = site.work("stage", &["--board", "crs0003"]);
    assert_eq!(status, 0, "{out}{told}");
    // With all boards, the one that was begun comes first, and its failure ends the roll-out.
    let (status, out, told) = site.work("flash", &["--wait", "5", "--json"]);
    assert_eq!(status, 3, "{out}{told}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let boards = &report["boards"];
    assert_eq!(boards[0]["status"], "failed");
    assert_eq!(boards[0]["power_loss"], "unknown");
    let advice = boards[0]["error"]["advice"].as_str().unwrap();
    assert!(advice.contains("KEEP THE POWER ON"), "{advice}");
    assert!(advice.contains("before it loses its power"), "{advice}");
    assert_eq!(boards[1]["status"], "not_started");
    assert_eq!(boards[2]["status"], "not_started");
    assert!(!told.contains("waiting for the board"), "{told}");
}

#[test]
fn a_board_that_has_started_since_is_flashed_as_usual() {
    let site = Site::of(1);
    site.board("crs0001").inject(FlashSlow { step_ms: 50 });
    kill_while_written(&site, &[]);
    site.board("crs0001").clear_faults();
    // The boot loader finishes the command that it has, here the erasure.
    let record = site.path("flashes/crs-1.json");
    let kept = fs::read_to_string(&record).unwrap();
    let (status, out, told) = site.work("flash", &[]);
    assert_eq!(status, 0, "{out}{told}");
    // A record that is left, of a board that answers.
    fs::write(&record, kept).unwrap();
    let board = &site.list()[0];
    assert_eq!(board["power_loss"], "harmless");
    assert_eq!(board["unfinished"]["release"], "1.8.0");
    let (status, out, told) = site.work("flash", &[]);
    assert_eq!(status, 0, "{out}{told}");
    assert!(out.contains("  verified"), "{out}");
    assert!(told.contains("waiting for the board"), "{told}");
    assert!(!record.exists());
}

#[test]
fn a_flash_that_cannot_be_recorded_is_not_begun() {
    let site = Site::of(1);
    fs::write(site.path("flashes"), "").unwrap();
    let (status, out, told) = site.work("flash", &[]);
    assert_eq!(status, 3, "{out}{told}");
    assert!(out.contains("cannot be recorded"), "{out}");
    assert!(out.contains("TWOTONE_FLASHES"), "{out}");
    assert!(!told.contains("erasing"), "{told}");
    while site.releases() != ["1.7.0-sim"] {
        std::thread::yield_now();
    }
}

#[test]
fn the_daemon_tells_of_a_board_whose_flash_was_begun() {
    let site = Site::of(2);
    site.board("crs0001").inject(FlashHang { at: 100_000 });
    kill_while_written(&site, &[]);
    let (mut daemon, host) = site.daemon();
    let status = site.twotone(&["--host", &host, "status"]).output().unwrap();
    signal_to(&daemon, Signal::TERM);
    daemon.wait().unwrap();
    let status = String::from_utf8(status.stdout).unwrap();
    let told = status
        .lines()
        .find(|line| line.contains("KEEP THE POWER ON"));
    let told = told.unwrap_or_else(|| panic!("{status}"));
    assert!(told.contains("crs0001"), "{told}");
    assert!(
        told.contains("a flash of release 1.8.0 was begun"),
        "{told}"
    );
}
