//! Tests of the messages that the daemon `twotone serve` sends to systemd, and of the boards that
//! the daemon keeps connected.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::process::Signal;

use super::Daemon;
use crate::process::SimProcess;

/// Receives the next datagram, and returns its lines. Each line counts as a message.
fn messages(socket: &UnixDatagram) -> Vec<String> {
    let mut message = [0; 4096];
    let length = socket.recv(&mut message).unwrap();
    let text = String::from_utf8(message[..length].to_vec()).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Waits until the message `text` arrives.
fn wait_for(socket: &UnixDatagram, text: &str) {
    while !messages(socket).iter().any(|message| message == text) {}
}

#[test]
fn systemd_is_told_of_the_beginning_the_boards_the_life_and_the_end() {
    let sim = SimProcess::start(&["--boards", "2", "--detectors", "4"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut daemon = Daemon::start_with(folder.path(), &sim.map(), |command| {
        command
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "200000")
    });
    let mut until_ready = Vec::new();
    while !until_ready.iter().any(|message| message == "READY=1") {
        until_ready.extend(messages(&socket));
    }
    wait_for(&socket, "WATCHDOG=1");
    // The daemon sends messages that the connections to the boards are lost, and that they are
    // back.
    sim.signal(Signal::STOP);
    wait_for(&socket, "STATUS=connected 0 of 2 boards");
    assert_eq!(daemon.json("/healthz")["boards"]["connected"], 0);
    sim.signal(Signal::CONT);
    wait_for(&socket, "STATUS=connected 2 of 2 boards");
    daemon.signal(Signal::TERM);
    wait_for(&socket, "STOPPING=1");
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
fn an_abstract_socket_will_do_and_the_watchdog_of_another_process_is_left_alone() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "4"]);
    let folder = tempfile::tempdir().unwrap();
    let name = format!("twotone-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let mut daemon = Daemon::start_with(folder.path(), &sim.map(), |command| {
        let command = command.env("NOTIFY_SOCKET", format!("@{name}"));
        command
            .env("WATCHDOG_USEC", "1000")
            .env("WATCHDOG_PID", "1")
    });
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
    let mut told = Vec::new();
    while told.last().map(String::as_str) != Some("STOPPING=1") {
        told.extend(messages(&socket));
    }
    assert!(told.iter().any(|message| message == "READY=1"), "{told:?}");
    assert!(
        !told.iter().any(|message| message == "WATCHDOG=1"),
        "{told:?}"
    );
}

#[test]
fn the_socket_is_for_its_owner_and_its_group() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "4"]);
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(folder.path(), &sim.map(), |command| {
        let group = rustix::process::getgid().as_raw().to_string();
        command.args(["--group", &group])
    });
    let path = daemon.host().replace("unix:", "");
    let mode = std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn boards_that_come_later_are_connected() {
    let mut sim = SimProcess::start(&["--boards", "2", "--detectors", "4"]);
    let folder = tempfile::tempdir().unwrap();
    sim.signal(Signal::STOP);
    let daemon = Daemon::start(folder.path(), &sim.map());
    let boards = daemon.json("/boards");
    assert_eq!(boards[0]["connected"], false, "{boards}");
    assert!(boards[0]["error"].is_string(), "{boards}");
    let health = daemon.json("/healthz");
    assert_eq!(
        health["ok"], true,
        "a board that is down is no failure: {health}"
    );
    let (status, out, err) = daemon.run(&["health", "--expect-boards", "2"]);
    assert_eq!(status, 3, "{out}{err}");
    sim.signal(Signal::CONT);
    while daemon.json("/healthz")["boards"]["connected"] != 2 {}
    let well = |args: &[&str]| {
        let (status, out, err) = daemon.run(args);
        assert_eq!(status, 0, "{out}{err}");
    };
    well(&["health", "--expect-boards", "2"]);
    well(&["tune", "--out", "tonight"]);
    // After a job (a command that the daemon runs), the daemon reads back the tones that the job
    // leaves on, even if the job was short.
    let on = || {
        let boards = daemon.json("/boards");
        let boards = boards.as_array().unwrap().iter();
        let on = boards.map(|board| board["modules"][0]["tones_on"].as_u64().unwrap());
        on.collect::<Vec<_>>()
    };
    while on().contains(&0) {}
    well(&["off"]);
    while on() != [0, 0] {}
    // If the boards are gone, the exit status is the same as without the daemon.
    sim.signal(Signal::KILL);
    sim.wait();
    let (status, _, err) = daemon.run(&["tune", "--out", "nobody"]);
    assert_eq!(status, 4, "{err}");
}
