//! Test of a farm (a group of simulated boards) whose streams need more computation than any
//! computer can do. The test is alone in its file, because it checks the memory and the log of the
//! whole process.

mod client;

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Mutex;

use rustix::net::sockopt::{set_ip_add_source_membership, set_socket_recv_buffer_size};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use twotone_sim::{Farm, PacketCounters};
use twotone_wire::crs::GROUP;

use client::{Client, call};

/// Number of boards. Each has to send 76 000 packets of 128 channels per second.
const BOARDS: usize = 64;

/// Number of sources that a socket joins. The system allows ten.
const A_SOCKET: usize = 8;

/// Number of requests that are sent while the streams are behind.
const REQUESTS: usize = 60;

/// Largest memory in bytes after the last receiver has left. The allocator keeps this memory in
/// reserve.
const REST: f64 = 100e6;

/// Largest memory in bytes during the overload: stored samples (64 MB), models and buffers of the
/// boards, samples of calls.
const MOST: f64 = 250e6;

/// Log subscriber that counts the warnings of the simulator.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Warnings;

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target().starts_with("twotone_sim")
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        WARNINGS.lock().unwrap().push(text.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Returns the resident memory of this process in bytes.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<f64>().unwrap() * 1024.0
}

/// Joins the streams of all boards. Nothing reads the sockets, so the kernel discards the packets
/// when the buffers are full.
fn join(farm: &Farm, port: u16) -> Vec<UdpSocket> {
    let sockets = farm.boards().chunks(A_SOCKET).map(|boards| {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 1), port)).or_else(|_| {
            // Only the first socket is bound to the port. The others only hold joins.
            UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 1), 0))
        });
        let socket = socket.unwrap();
        set_socket_recv_buffer_size(&socket, 4096).unwrap();
        for board in boards {
            set_ip_add_source_membership(&socket, &GROUP, &Ipv4Addr::LOCALHOST, &board.ip())
                .unwrap();
        }
        socket
    });
    sockets.collect()
}

fn counters(farm: &Farm) -> Vec<Vec<PacketCounters>> {
    let boards = farm.boards().iter();
    boards
        .map(|board| board.stream_counters("readout")[..4].to_vec())
        .collect()
}

fn made(farm: &Farm) -> u64 {
    let all = counters(farm);
    all.iter().flatten().map(|module| module.made).sum()
}

#[test]
fn a_farm_that_cannot_keep_up_answers_shares_and_stays_small() {
    tracing::subscriber::set_global_default(Warnings).unwrap();
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = port.local_addr().unwrap().port();
    let farm = Farm::builder()
        .boards(BOARDS)
        .detectors(16)
        .stream_port(port);
    let farm = farm.start_blocking().unwrap();
    // Each request has a new connection, because a board closes idle connections.
    let client = |index: usize| Client::connect(farm.boards()[index].address());
    for index in 0..BOARDS {
        let kwargs = json!({"stage": 1, "short": true});
        client(index).ok("set_decimation", json!([]), kwargs);
    }
    let before = resident();
    assert!(WARNINGS.lock().unwrap().is_empty());
    let listeners = join(&farm, port);
    let mut most = before;
    let behind = |module: &PacketCounters| module.skipped > 0 && module.made > 0;
    while !counters(&farm).iter().flatten().all(behind) {
        // Requests make the boards store samples, because the samples before a new setting must be
        // kept.
        let at = json!({"channel": 1, "module": 1});
        for index in 0..BOARDS {
            client(index).ok("set_amplitude", json!([0.001]), at.clone());
        }
        most = most.max(resident());
    }

    // A request is answered before all streams have had a turn to send. So the streams usually send
    // little during a request.
    let mut meanwhile = Vec::new();
    for request in 0..REQUESTS {
        let mut client = client(request * 37 % BOARDS);
        let at = json!({"channel": 2, "module": 1 + request % 4});
        let before = made(&farm);
        client.json(&json!([
            call("set_frequency", json!([1e6]), at.clone()),
            call("set_amplitude", json!([0.001]), at.clone()),
            call("get_amplitude", json!([]), at),
        ]));
        meanwhile.push(made(&farm) - before);
        most = most.max(resident());
    }
    meanwhile.sort_unstable();
    let turn = 4 * 128 * BOARDS as u64;
    println!("packets meanwhile: {meanwhile:?}; a turn of all: {turn}");
    assert!(meanwhile[REQUESTS / 2] < turn / 8, "{meanwhile:?}");

    // All streams sent about the same number of packets. They differ by one turn and by the samples
    // that were stored for requests.
    let counted = counters(&farm);
    let shares = counted.iter().flatten().map(|module| module.made);
    let (least, largest) = (shares.clone().min().unwrap(), shares.max().unwrap());
    println!("packets of a module: {least} to {largest}");
    assert!(largest <= 4 * least, "{least} to {largest} packets");
    println!("memory: {:.1} to {:.1} MB", before / 1e6, most / 1e6);
    assert!(most - before < MOST, "{before} to {most} bytes");

    // After the overload, the farm works as before.
    drop(listeners);
    loop {
        let sent = made(&farm);
        // The boards look for joins each quarter of a second. Requests fill this time.
        for _ in 0..2000 {
            client(0).ok("get_decimation", json!([]), json!({}));
        }
        if made(&farm) == sent {
            break;
        }
    }
    println!("memory at the end: {:.1} MB", resident() / 1e6);
    assert!(resident() - before < REST, "{} bytes", resident());
    for index in 0..BOARDS {
        let mut client = client(index);
        let now = |client: &mut Client| client.ok("get_timestamp", json!([]), json!({}));
        // The streams are off, so the time of the board advances only with requests again.
        let (one, other) = (now(&mut client), now(&mut client));
        assert_eq!(one, other);
    }
    let warnings = WARNINGS.lock().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("cannot keep up") && warnings[0].contains("boards="),
        "{warnings:?}"
    );
}
