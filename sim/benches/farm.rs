//! Costs of a farm, a group of simulated boards (`cargo bench -p twotone-sim`): the time to start
//! many boards, the memory that they need, and the processor time of boards that stream.
//!
//! No program reads the streams here, so the figures include only the sender and the delivery by
//! the kernel. With `-- --json`, the benchmark prints one JSON object.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_ip_add_source_membership;
use serde_json::{Value, json};
use twotone_sim::{Farm, Profile, SimBoard};
use twotone_wire::crs::GROUP;

/// Duration of the measurement of streams.
const SPAN: Duration = Duration::from_secs(5);

#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods, reason = "a benchmark lets time pass")]
fn pass(span: Duration) {
    std::thread::sleep(span);
}

/// Resident memory of this process, MB; 0 if the system does not report it.
fn resident_mb() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:"));
    let kb = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kb.unwrap_or(0.0) / 1024.0
}

/// Processor time of this process, s, with a resolution of 10 ms.
fn processor_s() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the process, in parentheses, may contain spaces.
    let fields = text.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

/// Sends calls to a board in one request. All of them must succeed.
fn run(board: &SimBoard, calls: &[Value]) {
    let body = Value::from(calls.to_vec()).to_string();
    let mut stream = TcpStream::connect(board.address()).expect("the board is up");
    let head = format!(
        "POST /tuber HTTP/1.1\r\nHost: sim\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(body.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(!answer.contains("\"error\""), "{answer}");
}

fn call(method: &str, args: &Value, kwargs: &Value) -> Value {
    json!({"object": "Dfmux", "method": method, "args": args, "kwargs": kwargs})
}

/// Sets a tone for each detector of a board.
fn tune(farm: &Farm, index: usize) {
    for module in &farm.truth().boards[index].modules {
        let number = module.module;
        let mut calls = vec![call(
            "set_nco_frequency",
            &json!([1.25e9]),
            &json!({"module": number}),
        )];
        for (channel, detector) in module.detectors.iter().enumerate() {
            let at = json!({"channel": channel + 1, "module": number});
            calls.push(call(
                "set_frequency",
                &json!([detector.fr_hz - 1.25e9]),
                &at,
            ));
            calls.push(call("set_amplitude", &json!([0.001]), &at));
        }
        run(&farm.boards()[index], &calls);
    }
}

fn start(boards: usize, detectors: usize) -> Vec<(String, f64, &'static str)> {
    let (before, begin) = (resident_mb(), now());
    let farm = Farm::builder()
        .boards(boards)
        .detectors(detectors)
        .start_blocking();
    let farm = farm.expect("a farm");
    let started = begin.elapsed().as_secs_f64() * 1e3;
    let idle = resident_mb() - before;
    for index in 0..boards {
        tune(&farm, index);
        let samples = call("get_samples", &json!([2]), &json!({"module": 1}));
        run(&farm.boards()[index], &[samples]);
    }
    let name = format!("{boards} boards of {detectors}");
    vec![
        (format!("{name}: start"), started, "ms"),
        (format!("{name}: memory when started"), idle, "MB"),
        (
            format!("{name}: memory when all are tuned"),
            resident_mb() - before,
            "MB",
        ),
    ]
}

fn stream(boards: usize, detectors: usize, profile: Profile) -> Vec<(String, f64, &'static str)> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let Ok(SocketAddr::V4(bound)) = socket.local_addr() else {
        return Vec::new();
    };
    let farm = Farm::builder()
        .boards(boards)
        .detectors(detectors)
        .profile(profile)
        .stream_port(bound.port())
        .start_blocking()
        .expect("a farm");
    for index in 0..boards {
        tune(&farm, index);
        let source = farm.boards()[index].ip();
        set_ip_add_source_membership(&socket, &GROUP, &Ipv4Addr::LOCALHOST, &source)
            .expect("a source");
    }
    pass(SPAN / 5);
    let counted = || {
        let boards = farm.boards().iter();
        let modules = boards.flat_map(|board| board.stream_counters("readout"));
        modules.fold((0, 0), |(made, skipped), module| {
            (made + module.made, skipped + module.skipped)
        })
    };
    let ((made, skipped), processor, begin) = (counted(), processor_s(), now());
    pass(SPAN);
    let span = begin.elapsed().as_secs_f64();
    let (made_then, skipped_then) = counted();
    let name = format!("{boards} boards of {detectors} ({profile}) stream");
    vec![
        (
            format!("{name}: packets a second"),
            (made_then - made) as f64 / span,
            "1/s",
        ),
        (
            format!("{name}: left out"),
            (skipped_then - skipped) as f64,
            "",
        ),
        (
            format!("{name}: processors"),
            (processor_s() - processor) / span,
            "",
        ),
    ]
}

fn main() {
    let mut rows = start(256, 256);
    for (boards, detectors, profile) in [
        (4, 0, Profile::Clean),
        (4, 64, Profile::Lab),
        (4, 256, Profile::Lab),
        (4, 1024, Profile::Lab),
    ] {
        rows.extend(stream(boards, detectors, profile));
    }
    if !std::env::args().any(|argument| argument == "--json") {
        for (name, value, unit) in &rows {
            println!("{name:<58} {value:>12.2} {unit}");
        }
        return;
    }
    let rows: Vec<Value> = rows
        .iter()
        .map(|(name, value, unit)| {
            json!({
                "name": name, "value": value, "unit": unit, "peer": null, "peer_value": null,
                "ratio": null, "limit": null, "pass": null,
            })
        })
        .collect();
    let conditions = json!({"statistic": "one run", "streams_s": SPAN.as_secs()});
    println!(
        "{}",
        json!({"bench": "farm", "conditions": conditions, "rows": rows})
    );
}
