//! Tests of the end of the daemon `twotone serve`: on request, by a kill, and with a disk that is
//! full. A *job* is a command that the daemon runs.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use rustix::process::Signal;
use serde_json::json;
use twotone::prelude::{Array, ChannelId, HardwareMap, Hertz, ModuleId, ToneUpdate, Wait};

use super::Daemon;
use super::jobs::{slow, wait_for_tones};
use crate::interrupt::any_tone_on;
use crate::process::{SimProcess, run, twotone, write};

#[test]
fn a_daemon_that_is_stopped_ends_its_jobs_and_restores_the_hardware() {
    let sim = slow("1");
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &sim.map());
    let running = daemon.detach(&["tune", "--out", "running"]);
    let waiting = daemon.detach(&["tune", "--out", "waiting"]);
    wait_for_tones(&sim);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
    assert!(!any_tone_on(&HardwareMap::load(sim.map()).unwrap()));
    assert!(!folder.path().join("control.sock").exists());
    // Both jobs are recorded as ended by the daemon, and not as interrupted by a crash.
    let daemon = Daemon::start(folder.path(), &sim.map());
    for id in [running, waiting] {
        let job = daemon.job(id);
        assert_eq!(
            (&job["state"], &job["status"]),
            (&json!("ended"), &json!(130)),
            "{job}"
        );
        let told = daemon.run(&["follow", &id.to_string()]).2;
        assert!(told.contains("the daemon is ending"), "{told}");
    }
}

#[test]
fn tones_of_a_tune_that_is_done_stay_on_when_the_daemon_is_stopped() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "4"]);
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &sim.map());
    assert_eq!(daemon.run(&["tune", "--out", "tonight"]).0, 0);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(), Some(0));
    assert!(any_tone_on(&HardwareMap::load(sim.map()).unwrap()));
}

#[test]
fn after_a_kill_the_job_is_told_as_interrupted_with_what_was_read_back() {
    let sim = slow("1");
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &sim.map());
    let id = daemon.detach(&["tune", "--out", "killed"]);
    wait_for_tones(&sim);
    daemon.signal(Signal::KILL);
    daemon.wait();
    // The killed daemon has left its socket and its locks. They do not hinder the next daemon.
    let daemon = Daemon::start(folder.path(), &sim.map());
    assert_eq!(daemon.job(id)["state"], "interrupted");
    let (status, _, err) = daemon.run(&["follow", &id.to_string()]);
    assert_eq!(status, 3, "{err}");
    assert!(err.contains("the daemon ended before the job did"), "{err}");
    let told = err
        .lines()
        .find(|line| line.contains("read back when the daemon"));
    let told = told.unwrap_or_else(|| panic!("{err}"));
    assert!(told.contains("board crs0001 module 1"), "{told}");
    assert!(!told.contains(" 0 tones"), "{told}");
    let boards = daemon.json("/boards");
    let on = boards[0]["modules"][0]["tones_on"].as_u64().unwrap();
    assert!(on > 0, "{boards}");
    // The next job gets the number after the last job of the killed daemon.
    assert_eq!(daemon.detach(&["off"]), id + 1);
    daemon.wait_for(id + 1, "ended");
    assert!(!any_tone_on(&HardwareMap::load(sim.map()).unwrap()));
}

/// A relay between the daemon and a board. It keeps the bytes that the daemon sends. It passes
/// nothing on before it is opened.
struct Relay {
    address: String,
    sent: Arc<Mutex<Vec<u8>>>,
    open: Arc<Barrier>,
}

impl Relay {
    fn start(board: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, sent) = (listener.local_addr().unwrap(), Arc::default());
        let open = Arc::new(Barrier::new(2));
        let opened = Arc::clone(&open);
        let kept: Arc<Mutex<Vec<u8>>> = Arc::clone(&sent);
        thread::spawn(move || {
            opened.wait();
            for ours in listener.incoming() {
                let (mut ours, mut theirs) = (ours.unwrap(), TcpStream::connect(&board).unwrap());
                let (mut back, mut answers) =
                    (ours.try_clone().unwrap(), theirs.try_clone().unwrap());
                // Either end may be gone at any time, and that ends the copying of bytes.
                thread::spawn(move || drop(std::io::copy(&mut answers, &mut back)));
                let kept = Arc::clone(&kept);
                thread::spawn(move || {
                    let mut bytes = [0; 1 << 16];
                    while let Ok(count @ 1..) = ours.read(&mut bytes) {
                        kept.lock().unwrap().extend_from_slice(&bytes[..count]);
                        if theirs.write_all(&bytes[..count]).is_err() {
                            return;
                        }
                    }
                    drop(theirs.shutdown(Shutdown::Both));
                });
            }
        });
        Self {
            address: address.to_string(),
            sent,
            open,
        }
    }

    /// Returns the position of the first `word`, such as the name of a method, in the bytes that
    /// were sent.
    fn first(&self, word: &str) -> Option<usize> {
        let sent = self.sent.lock().unwrap();
        let mut windows = sent.windows(word.len());
        windows.position(|window| window == word.as_bytes())
    }
}

#[test]
fn after_a_kill_the_board_is_read_back_before_anything_is_sent() {
    let sim = slow("1");
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(folder.path(), &sim.map());
    daemon.detach(&["tune", "--out", "killed"]);
    wait_for_tones(&sim);
    daemon.signal(Signal::KILL);
    daemon.wait();
    let socket = folder.path().join("control.sock");
    std::fs::remove_file(&socket).unwrap();
    let board = HardwareMap::load(sim.map()).unwrap().boards()[0]
        .address()
        .to_string();
    let relay = Relay::start(board.clone());
    let text = std::fs::read_to_string(sim.map()).unwrap();
    let map = write(
        folder.path(),
        "relay.toml",
        &text.replace(&board, &relay.address),
    );
    // This thread gives the daemon a command before the board can be reached.
    let (sent, open) = (Arc::clone(&relay.sent), Arc::clone(&relay.open));
    let early = thread::spawn(move || {
        let mut stream = loop {
            if let Ok(stream) = UnixStream::connect(&socket) {
                break stream;
            }
        };
        let command = "{\"command\":[\"off\"]}";
        let head = "POST /jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length";
        write!(stream, "{head}: {}\r\n\r\n{command}", command.len()).unwrap();
        open.wait();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        sent.lock().unwrap().extend_from_slice(b"TAKEN");
        answer
    });
    let daemon = Daemon::start(folder.path(), &map);
    let answer = early.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let told = daemon.run(&["follow", "2"]);
    assert_eq!(told.0, 0, "{told:?}");
    let place = |word: &str| relay.first(word).unwrap_or(usize::MAX);
    let read = place("get_amplitude");
    // Before the daemon had read the settings of the board, it took no command and set nothing.
    for later in ["TAKEN", "clear_channels", "set_"] {
        assert!(
            read < place(later),
            "{later}: {} before {read}",
            place(later)
        );
    }
    assert!(!any_tone_on(&HardwareMap::load(sim.map()).unwrap()));
}

#[test]
fn a_tone_with_a_negative_amplitude_is_on() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "4"]);
    let array = Array::connect(&HardwareMap::load(sim.map()).unwrap()).wait();
    let board = array.board("crs0001").wait().unwrap();
    let tone = ToneUpdate::tone(ChannelId::FIRST, Hertz(1e6), -1e-3);
    board
        .nco()
        .set(ModuleId::FIRST, Hertz(1.2e9))
        .wait()
        .unwrap();
    board.tones().set(ModuleId::FIRST, [tone]).wait().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &sim.map());
    let boards = daemon.json("/boards");
    assert_eq!(boards[0]["modules"][0]["tones_on"], 1, "{boards}");
}

#[test]
fn a_job_that_cannot_be_put_on_record_runs_and_says_so() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "4"]);
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &sim.map());
    // Without this folder no job can be recorded, as on a full disk.
    std::fs::remove_dir(folder.path().join("state/jobs")).unwrap();
    let (status, out, err) = daemon.run(&["off"]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("off, read back"), "{out}");
    assert!(err.contains("the job is not on record"), "{err}");
    // As long as the daemon lives, a later client gets the same output.
    let (status, later, err) = daemon.run(&["follow", "1"]);
    assert_eq!((status, later), (0, out), "{err}");
    assert!(err.contains("the job is not on record"), "{err}");
    // Once the folder exists again, the daemon records the job.
    std::fs::create_dir(folder.path().join("state/jobs")).unwrap();
    assert_eq!(daemon.run(&["info"]).0, 0);
    let events = folder.path().join("state/jobs/1.events");
    while !events.exists() {}
    // The daemon knows the end of a job even if the output of the job has been removed.
    std::fs::remove_file(events).unwrap();
    // The daemon also has the output in memory for a moment after it has written the file.
    let (status, mut out, mut err) = daemon.run(&["follow", "1"]);
    for _ in 0..500 {
        if out.is_empty() {
            break;
        }
        (_, out, err) = daemon.run(&["follow", "1"]);
    }
    assert_eq!((status, out.as_str()), (0, ""), "{err}");
    assert!(
        err.contains("the output of this job is not on record"),
        "{err}"
    );
}

#[test]
fn a_client_is_told_that_its_daemon_has_gone() {
    let sim = slow("1");
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &sim.map());
    let host = daemon.host();
    let mut client = daemon.client(&["tune", "--out", "killed"]);
    let client = client.stderr(std::process::Stdio::piped()).spawn().unwrap();
    wait_for_tones(&sim);
    drop(daemon);
    let ended = client.wait_with_output().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(3), "{err}");
    assert!(err.contains("follow 1"), "{err}");
    let (status, _, err) = run(&["--host", &host, "off"]);
    assert_eq!(status, 4, "{err}");
    assert!(err.contains("no daemon at"), "{err}");
}

#[test]
fn a_second_daemon_is_refused() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "4"]);
    let folder = tempfile::tempdir().unwrap();
    let _first = Daemon::start(folder.path(), &sim.map());
    let (socket, state) = (
        folder.path().join("control.sock"),
        folder.path().join("state"),
    );
    let second = |socket: &std::path::Path, state: &std::path::Path| {
        let mut second = twotone(&["serve", "--map", &sim.map(), "--listen", "127.0.0.1:0"]);
        second.arg("--socket").arg(socket).arg("--state").arg(state);
        let ended = second.output().unwrap();
        (
            ended.status.code(),
            String::from_utf8(ended.stderr).unwrap(),
        )
    };
    let (status, err) = second(&folder.path().join("other.sock"), &state);
    assert_eq!(status, Some(2), "{err}");
    assert!(err.contains("another daemon uses the folder"), "{err}");
    let (status, err) = second(&socket, &folder.path().join("other"));
    assert_eq!(status, Some(2), "{err}");
    assert!(err.contains("another daemon takes commands"), "{err}");
}
