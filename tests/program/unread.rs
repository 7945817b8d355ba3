//! Tests of the program if nobody reads the terminal or the pipe to which it writes.
//!
//! The manifest (`manifest.json`) is the overview of the files that a command writes.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::limits::{Limit, twotone_under};
use super::process::{SimProcess, rest, run_json, signal_to, twotone};

/// Limits on the threads that the program can start: it gets all of them, only the one that drives
/// the connections, none, or only some of those that write.
const LIMITS: [Limit; 4] = [
    Limit::Files(1024),
    Limit::Threads(1),
    Limit::Threads(0),
    Limit::Memory(400_000),
];

/// Opens a terminal that nobody reads. Returns its two ends: that of the reader, and that of the
/// program.
fn terminal() -> (File, File) {
    let reader = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&reader).unwrap();
    unlockpt(&reader).unwrap();
    let name = ptsname(&reader, Vec::new()).unwrap();
    let end = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap());
    (File::from(reader), end.unwrap())
}

/// Fills a terminal or a pipe until it accepts no more.
fn fill(end: &File) {
    let flags = rustix::fs::fcntl_getfl(end).unwrap();
    let nonblocking = flags | rustix::fs::OFlags::NONBLOCK;
    rustix::fs::fcntl_setfl(end, nonblocking).unwrap();
    // Writes until the terminal accepts nothing for a while. A single failed write is not enough,
    // because at first the system moves a part of the text to other buffers.
    let wait = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: 200_000_000,
    };
    loop {
        while rustix::io::write(end, b".").is_ok() {}
        let room = &mut [PollFd::new(end, PollFlags::OUT)];
        if poll(room, Some(&wait)).unwrap() == 0 {
            break;
        }
    }
    rustix::fs::fcntl_setfl(end, flags).unwrap();
}

fn status(mut child: Child) -> Option<i32> {
    child.wait().unwrap().code()
}

#[test]
fn a_terminal_that_is_not_read_holds_up_no_tune() {
    let sim = SimProcess::start(&["--boards", "3", "--detectors", "24"]);
    for (run, limit) in LIMITS.into_iter().enumerate() {
        let verbosity = [&[][..], &["-vv"]][run % 2];
        let (_unread, terminal) = terminal();
        fill(&terminal);
        let folder = sim.text_path(&format!("run{run}"));
        let tune = twotone_under(limit, &["tune", &sim.map(), "--out", &folder])
            .args(verbosity)
            .stdout(Stdio::piped())
            .stderr(terminal)
            .spawn()
            .unwrap();
        assert_eq!(status(tune), Some(0), "{limit:?} {verbosity:?}");
        assert!(std::path::Path::new(&folder).join("manifest.json").exists());
    }
}

#[test]
fn an_interrupt_is_heard_though_nothing_is_read() {
    let sim = SimProcess::start(&["--boards", "2", "--detectors", "200", "--real-time"]);
    let (_unread, terminal) = terminal();
    fill(&terminal);
    let tune = twotone(&["tune", &sim.map(), "--out", &sim.text_path("run"), "-vv"])
        .stdout(Stdio::null())
        .stderr(terminal)
        .spawn()
        .unwrap();
    let map = twotone::map::HardwareMap::load(sim.map()).unwrap();
    while !super::interrupt::any_tone_on(&map) {}
    signal_to(&tune, Signal::INT);
    assert_eq!(status(tune), Some(130));
    assert!(!super::interrupt::any_tone_on(&map), "tones are left on");
}

#[test]
fn a_result_that_is_not_read_can_be_interrupted_and_is_told() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "8"]);
    for (run, limit) in LIMITS.into_iter().enumerate() {
        let (_unread, terminal) = terminal();
        fill(&terminal);
        let run = sim.path(&format!("run{run}"));
        let out = run.display().to_string();
        let mut tune = twotone_under(limit, &["tune", &sim.map(), "--out", &out])
            .stdout(terminal)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The program writes the manifest last. After that it only waits until its output can be
        // written.
        while !run.join("manifest.json").exists() {
            assert!(tune.try_wait().unwrap().is_none(), "it waits for no reader");
        }
        let mut said = tune.stderr.take();
        // Signals may have no effect while the program is not yet in its last wait.
        while tune.try_wait().unwrap().is_none() {
            signal_to(&tune, Signal::INT);
            std::thread::yield_now();
        }
        assert_eq!(status(tune), Some(3), "{limit:?}");
        let said = rest(said.take());
        assert!(
            said.contains("was not read to its end"),
            "{limit:?}: {said}"
        );
    }
}

#[test]
fn a_reader_that_is_gone_makes_no_success() {
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "8"]);
    for command in [&["info"][..], &["info", "--json"], &["off"], &["check"]] {
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let mut child = twotone(command)
            .arg(sim.map())
            .stdout(write)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = rest(child.stderr.take());
        assert_eq!(status(child), Some(3), "{command:?}: {said}");
        assert!(said.contains("standard output cannot be written"), "{said}");
    }
    let (status, report) = run_json(&["off", &sim.map()]);
    assert_eq!((status, &report["ok"]), (0, &true.into()));
}

#[test]
fn a_slow_reader_gets_all_of_it() {
    let (mut reader, terminal) = terminal();
    let mut help = twotone(&["completions", "bash"])
        .stdout(terminal)
        .spawn()
        .unwrap();
    let (mut text, mut buffer) = (Vec::new(), [0; 100]);
    while let Ok(got @ 1..) = reader.read(&mut buffer) {
        text.extend_from_slice(&buffer[..got]);
    }
    assert!(help.wait().unwrap().success());
    let whole = super::process::run(&["completions", "bash"]).1;
    let text = String::from_utf8(text).unwrap().replace("\r\n", "\n");
    assert_eq!(text, whole);
}
