//! Test in which simulated boards and their clients come and go for a while. Connections are cut,
//! refused, ignored and left open, boards restart, and clients are killed. At the end, neither the
//! simulator nor this process holds more resources than at the beginning.
//!
//! The test takes some seconds, or as long as `cargo xtask soak --minutes N` says.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use tokio::time::Instant;
use twotone::prelude::*;
use twotone::transport::ConnectOptions;

use super::holds::{Holds, gives_back, wait_until};
use super::process::{SimProcess, twotone, write};

const BOARDS: usize = 4;

/// Duration of the faults, if [`MINUTES`] is not set.
const SHORT: Duration = Duration::from_secs(6);

/// Environment variable with the duration of the faults, in minutes.
const MINUTES: &str = "TWOTONE_SOAK_MINUTES";

/// Faults of a round, one after the other. Each has the shares of the round after which it begins
/// and ends.
const ROUND: [(&str, f64, f64); 6] = [
    ("kind = \"refuse\"", 0.05, 0.2),
    ("kind = \"black-hole\"", 0.3, 0.5),
    ("kind = \"hang\"\nmethod = \"get_samples\"", 0.55, 0.7),
    ("kind = \"close-mid-answer\"", 0.72, 0.8),
    ("kind = \"huge-answer\"\nbytes = 100_000_000", 0.82, 0.9),
    ("kind = \"reboot\"\ndown_ms = 50", 0.92, 0.95),
];

/// Makes a script (a file of faults) with rounds of faults. In every second round all boards have
/// the faults, and in the other rounds only every other board.
fn script(lasting: Duration) -> String {
    // A script can only have a limited number of faults, so a long script has long rounds.
    let round_s = (lasting.as_secs_f64() / 500.0).max(2.0);
    let rounds = (lasting.as_secs_f64() / round_s).ceil() as usize;
    let mut text = String::new();
    for round in 0..rounds {
        let boards = ["", "boards = [\"crs0001\", \"crs0003\"]\n"][round % 2];
        for (fault, from, to) in ROUND {
            let (from_s, for_s) = ((round as f64 + from) * round_s, (to - from) * round_s);
            write!(
                text,
                "[[fault]]\n{fault}\n{boards}from_s = {from_s:.3}\nfor_s = {for_s:.3}\n"
            )
            .unwrap();
        }
    }
    text
}

/// Connects to the boards of a map (a list of boards) and reads samples of each, if possible.
/// Returns the number of boards that gave samples.
fn measure(map: &HardwareMap) -> usize {
    let options = ConnectOptions::new().request_timeout(Duration::from_millis(500));
    let array = Array::connect_with(map, &options, BOARDS).wait();
    let outcomes = Runner::new()
        .deadline(Duration::from_secs(2))
        .request_life(Duration::from_millis(100))
        .run(array.targets(), |board, module| async move {
            board.samples().mean(module, Acquire::new(10)).await
        })
        .wait();
    outcomes
        .iter()
        .filter(|outcome| outcome.result.is_ok())
        .count()
}

/// Sends requests to the boards, and closes the connections without waiting for the answers.
fn cut(map: &HardwareMap) {
    let request = b"POST /tuber HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    let clients = map.boards().iter().map(|board| {
        let mut client = TcpStream::connect(board.address().to_string()).ok()?;
        client.write_all(request).ok()?;
        Some(client)
    });
    drop(clients.collect::<Vec<_>>());
}

/// Starts a program and kills it while it talks to the boards.
fn kill(map: &str) {
    let mut client = twotone(&["info", map])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    client.kill().unwrap();
    client.wait().unwrap();
}

fn own_tasks() -> usize {
    tworoutine::runtime().metrics().num_alive_tasks()
}

/// Resources that the simulator and this process hold when nothing is under way.
struct Quiet {
    /// Number of async tasks of this process.
    tasks: usize,
    own: Holds,
    simulator: Holds,
}

/// Measures boards without faults, and returns the resources that both processes hold afterwards.
/// By then everything exists that is made only once, such as the runtimes that drive connections.
fn begin_with(boards: &str) -> Quiet {
    let tasks = own_tasks();
    let sim = SimProcess::start(&["--boards", boards, "--detectors", "2"]);
    let descriptors = sim.descriptors();
    let map = HardwareMap::load(sim.map()).unwrap();
    let answered = measure(&map);
    kill(&sim.map());
    assert_eq!(answered, BOARDS);
    wait_until("tasks stay of sound boards", || own_tasks() <= tasks);
    let is_quiet = || sim.descriptors() <= descriptors;
    wait_until("sound boards keep descriptors", is_quiet);
    let simulator = Holds::of(sim.id());
    drop(sim);
    Quiet {
        tasks,
        own: Holds::of(std::process::id()),
        simulator,
    }
}

#[test]
fn a_farm_that_comes_and_goes_leaves_nothing_behind() {
    let _alone = super::alone();
    if !gives_back("comes_and_goes::a_farm_that_comes_and_goes_leaves_nothing_behind") {
        return;
    }
    let minutes = std::env::var(MINUTES).ok();
    let lasting = minutes.map_or(SHORT, |minutes| {
        Duration::from_secs_f64(60.0 * minutes.parse::<f64>().expect("a number of minutes"))
    });
    let folder = tempfile::tempdir().unwrap();
    let faults = write(folder.path(), "faults.toml", &script(lasting));
    let boards = BOARDS.to_string();
    let began = begin_with(&boards);
    let sim = SimProcess::start(&["--boards", &boards, "--detectors", "2", "--faults", &faults]);
    let map = HardwareMap::load(sim.map()).unwrap();
    // A long script takes memory from the start, so the memory of the simulator is measured again.
    let simulator = began.simulator.with_memory_of(Holds::of(sim.id()));

    let begin = Instant::now();
    let (mut rounds, mut answered) = (0, 0);
    while begin.elapsed() < lasting {
        answered += measure(&map);
        cut(&map);
        kill(&sim.map());
        rounds += 1;
    }
    println!("{rounds} rounds, {answered} of {} answers", rounds * BOARDS);
    wait_until("the boards are well again", || measure(&map) == BOARDS);
    wait_until("tasks stay", || own_tasks() <= began.tasks);
    drop(folder);
    let simulator_then = simulator.waited_for("the simulator", sim.id());
    drop(sim);
    let own = began.own.waited_for("this process", std::process::id());
    println!("simulator: {simulator:?}\n    then {simulator_then:?}");
    println!("this process: {:?}\n    then {own:?}", began.own);
    // If the faults had no effect, the test would succeed without this check.
    assert!(answered < rounds * BOARDS, "no fault was met");
}
