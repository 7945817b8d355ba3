//! Tests of clients that are slow or read nothing, and of boards that do not answer. None of them
//! makes the daemon `twotone serve` slow for others. A *job* is a command that the daemon runs. A
//! map is a file that lists boards.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::json;

use super::Daemon;
use super::http::{daemon, request};
use crate::process::{SimProcess, write};

#[test]
fn a_client_whose_request_comes_byte_by_byte_is_answered_and_others_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let (_sim, daemon) = daemon(&folder);
    let text = request("GET /healthz", &["Host: localhost"], "");
    let mut slow: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(daemon.listen).unwrap())
        .collect();
    for byte in text.as_bytes() {
        for stream in &mut slow {
            stream.write_all(&[*byte]).unwrap();
        }
        assert_eq!(daemon.get("/healthz").0, 200);
    }
    for stream in slow {
        assert_eq!(super::exchange(stream, b"").0, 200);
    }
    // The same is done with a command at the Unix socket, whose body is slow.
    let text = request("POST /jobs", &["Host: x"], "{\"command\":[\"info\"]}");
    let mut stream = UnixStream::connect(folder.path().join("control.sock")).unwrap();
    for byte in text.as_bytes() {
        stream.write_all(&[*byte]).unwrap();
        let (status, _) = daemon.send_by_socket(&request("GET /jobs", &["Host: x"], ""));
        assert_eq!(status, 200);
    }
    assert_eq!(super::exchange(stream, b"").0, 201);
}

/// Sends the same request until the connection accepts no more bytes. Reads no answer.
fn stuff(mut stream: impl Write, request: &str) {
    loop {
        match stream.write(request.as_bytes()) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn clients_that_read_no_answer_hold_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (_sim, daemon) = daemon(&folder);
    let (status, _, err) = daemon.run(&["info"]);
    assert_eq!(status, 0, "{err}");
    let socket = folder.path().join("control.sock");
    let mut by_port = Vec::new();
    let mut by_socket = Vec::new();
    for path in ["/boards", "/metrics", "/jobs", "/jobs/1/events"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        for _ in 0..16 {
            let stream = TcpStream::connect(daemon.listen).unwrap();
            stream.set_nonblocking(true).unwrap();
            stuff(&stream, &request);
            by_port.push(stream);
            let stream = UnixStream::connect(&socket).unwrap();
            stream.set_nonblocking(true).unwrap();
            stuff(&stream, &request);
            by_socket.push(stream);
        }
    }
    // A job ends even if some of the clients that follow it read nothing. Other clients that follow
    // it see its end.
    let id = daemon.detach(&["tune", "--out", "tonight"]);
    for _ in 0..16 {
        let mut stream = UnixStream::connect(&socket).unwrap();
        let follow = format!("GET /jobs/{id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(follow.as_bytes()).unwrap();
        by_socket.push(stream);
    }
    let (status, out, err) = daemon.run(&["follow", &id.to_string()]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("crs0002"), "{out}");
    for path in ["/healthz", "/metrics", "/boards", "/jobs"] {
        assert_eq!(daemon.get(path).0, 200);
    }
    assert_eq!(daemon.run(&["off"]).0, 0);
    // These clients were connected all the time, and can still read the bytes that the daemon has
    // sent to them.
    let mut first = [0; 15];
    by_port[0].set_nonblocking(false).unwrap();
    by_port[0].read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
}

#[test]
fn a_board_that_stalls_holds_up_no_other() {
    let stalls = SimProcess::start(&[
        "--boards",
        "1",
        "--detectors",
        "200",
        "--real-time",
        "--call-us",
        "1000",
    ]);
    let works = SimProcess::start(&["--boards", "2", "--detectors", "4"]);
    let folder = tempfile::tempdir().unwrap();
    // The map has the first board of one simulator, and the second board of the other one.
    let texts = [&stalls, &works].map(|sim| std::fs::read_to_string(sim.map()).unwrap());
    let second = texts[1].rfind("[[board]]").unwrap();
    let map = write(
        folder.path(),
        "map.toml",
        &format!("{}\n{}", texts[0], &texts[1][second..]),
    );
    let daemon = Daemon::start(folder.path(), &map);
    assert_eq!(daemon.json("/healthz")["boards"]["connected"], 2);
    // The board `crs0001` stops answering in the middle of a job.
    let id = daemon.detach(&["tune", "--board", "crs0001", "--out", "stalled"]);
    super::jobs::wait_for_tones(&stalls);
    stalls.signal(Signal::STOP);
    let (status, _, err) = daemon.run(&["tune", "--board", "crs0002", "--out", "other"]);
    assert_eq!(status, 0, "{err}");
    assert_eq!(daemon.get("/metrics").0, 200);
    assert_eq!(daemon.job(id)["state"], "running");
    // The daemon notices that `crs0001` does not answer as soon as the job on it is over. The other
    // board stays connected.
    assert_eq!(daemon.run(&["cancel", &id.to_string(), "--abandon"]).0, 0);
    let job = daemon.wait_for(id, "ended");
    assert_ne!(job["status"], 0, "{job}");
    while daemon.json("/boards")[0]["connected"] != false {}
    assert_eq!(daemon.json("/boards")[1]["connected"], true);
    assert_eq!(daemon.json("/healthz")["ok"], true);
    // A job on both boards gives a result for the other board.
    let (status, out, err) = daemon.run(&["tune", "--out", "both", "--json"]);
    assert_eq!(status, 3, "{out}{err}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    let [first, second] = [0, 1].map(|index| &report["boards"][index]);
    assert_eq!(
        (&first["name"], &first["status"]),
        (&json!("crs0001"), &json!("unreachable"))
    );
    assert_eq!(second["name"], "crs0002");
    let channels = second["channels"].as_array().unwrap();
    assert!(
        second["error"].is_null() && !channels.is_empty(),
        "{second}"
    );
    stalls.signal(Signal::CONT);
    while daemon.json("/healthz")["boards"]["connected"] != json!(2) {}
    assert_eq!(daemon.run(&["off"]).0, 0);
}

#[test]
fn questions_are_answered_while_the_locks_of_the_boards_wait() {
    const BOARDS: usize = 16;
    const QUESTIONS: usize = 8;
    let sim = SimProcess::start(&["--boards", &BOARDS.to_string(), "--detectors", "4"]);
    let folder = tempfile::tempdir().unwrap();
    let locks = folder.path().join("locks");
    std::fs::create_dir(&locks).unwrap();
    let with_locks = |command: &mut std::process::Command| {
        command.env("TWOTONE_LOCKS", &locks);
    };
    // Another daemon has locked the boards, so this daemon asks for the locks again and again.
    let other = tempfile::tempdir().unwrap();
    let _other = Daemon::start_with(other.path(), &sim.map(), |command| {
        with_locks(command);
        command
    });
    let daemon = Daemon::start_with(folder.path(), &sim.map(), |command| {
        with_locks(command);
        command
    });
    // Returns the number of boards whose lock this daemon could not look at.
    let waited = || {
        let boards = daemon.json("/boards");
        let boards = boards.as_array().unwrap().iter();
        boards.filter(|board| board["error"].is_string()).count()
    };
    assert_eq!(waited(), 0);
    // This lock of the whole folder has the same effect as a program that is suspended while it
    // looks at the locks.
    let held = std::fs::File::open(&locks).unwrap();
    held.lock().unwrap();
    while waited() == 0 {}
    let before = waited();
    for _ in 0..QUESTIONS {
        assert_eq!(daemon.get("/metrics").0, 200);
    }
    let after = waited();
    assert!(
        after - before < QUESTIONS / 2,
        "{QUESTIONS} questions waited for {} of {BOARDS} locks",
        after - before
    );
}
