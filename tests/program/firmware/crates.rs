//! Boards of a crate, which share their power.

use std::collections::BTreeSet;
use std::sync::mpsc;

use super::*;

/// Lines of standard error, as they come.
fn lines(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    let stderr = child.stderr.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Board and words of a line.
fn parts(line: &str) -> (&str, &str) {
    let (board, words) = line.split_once(": ").unwrap_or(("", line));
    (board.rsplit(' ').next().unwrap_or_default(), words)
}

#[test]
fn a_whole_crate_is_switched_off_once_and_loses_no_board() {
    let site = Site::with(|farm| farm.boards(5).crate_size(3));
    let beacon_of = |board: &str| site.board(board).slot().unwrap().0.to_owned();
    let (mut asked, mut switched) = (BTreeSet::new(), BTreeSet::new());
    // A person who switches a whole crate off and on, once all of its boards are waited for.
    let (status, out, told) = site.work_with("flash", &["--at-once"], |board| {
        asked.insert(board.to_owned());
        let its_crate = beacon_of(board);
        let of_crate = site.farm.boards().iter();
        let of_crate: Vec<_> = of_crate
            .filter(|other| other.slot().unwrap().0 == its_crate)
            .collect();
        let all = of_crate.iter().all(|board| asked.contains(board.name()));
        if all && switched.insert(its_crate) {
            for board in of_crate {
                board.power_cycle(Duration::ZERO);
            }
        }
    });
    assert_eq!(status, 0, "{out}{told}");
    assert_eq!(out.matches("flashed and verified").count(), 5, "{out}");
    assert_eq!(switched.len(), 2);
    // In each crate, one board is written at a time, until its result is told.
    for of_crate in [
        &["crs0001", "crs0002", "crs0003"][..],
        &["crs0004", "crs0005"],
    ] {
        let mut written = None;
        for (board, words) in told.lines().map(parts) {
            if !of_crate.contains(&board) {
                continue;
            }
            if words.starts_with("erasing") {
                assert_eq!(written.replace(board), None, "{told}");
            } else if words.starts_with("flashed and verified") {
                assert_eq!(written.take(), Some(board), "{told}");
            } else if written.is_some_and(|written| written != board) {
                assert!(!words.contains("waiting"), "{told}");
            }
        }
    }
}

#[test]
fn no_board_is_written_while_a_person_may_switch_its_crate_off() {
    let site = Site::with(|farm| farm.boards(2).crate_size(2));
    let mut child = site.start("flash", &["--at-once"]);
    let lines = lines(&mut child);
    let within = Duration::from_secs(60);
    let mut waiting = BTreeSet::new();
    while waiting.len() < 2 {
        let line = lines.recv_timeout(within).unwrap();
        let (board, words) = parts(&line);
        if words.starts_with("waiting") {
            waiting.insert(board.to_owned());
        }
    }
    site.board("crs0001").power_cycle(Duration::ZERO);
    // The image is in the memory of the first board, but the person may still switch the crate off.
    let whole = "100 % of the image";
    while !lines.recv_timeout(within).unwrap().contains(whole) {}
    site.board("crs0002").power_cycle(Duration::ZERO);
    let mut told = Vec::new();
    while let Ok(line) = lines.recv_timeout(within) {
        told.push(line);
    }
    assert!(child.wait().unwrap().success(), "{told:?}");
    let controlled = told.iter().position(|line| line.contains("takes commands"));
    let erasing = told.iter().position(|line| line.contains("erasing"));
    assert!(controlled.unwrap() < erasing.unwrap(), "{told:?}");
}
