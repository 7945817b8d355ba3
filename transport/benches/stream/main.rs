//! Number of packets per second that a receiver of sample streams takes, compared with a bare loop
//! around `recvmmsg` that only counts packets. The receiver checks the packets, puts them in order
//! and decodes their headers. In the rows of the result that are named `every sample`, it also
//! reads every sample. The receiver and the loop alternate many times, with the same sending
//! process.
//!
//! * `backlog`: the sender fills the kernel's buffer. Then the time is measured until the buffer is
//!   empty. The sender does nothing meanwhile, so this is the rate of the receiving side alone.
//! * `window`: the sender sends as fast as the receiver takes. So that nothing is lost, it is never
//!   ahead by more than a fixed number of packets, the window. Two processes run on two cores; the
//!   slower one sets the pace.
//!
//! If `TWOTONE_PYTHON` names a Python interpreter with rfmux (control software for CRS boards), the
//! C++ receiver of rfmux empties the same backlog, in alternation with the others.

mod bare;
mod rfmux;
mod sender;

use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use serde_json::json;
use tokio::runtime::Runtime;
use twotone_hal::{Complex64, ModuleId, ReceiveOptions};
use twotone_transport::readout::{Receiver, Source, Take};
use twotone_wire::crs::{PacketLength, STEPS_PER_COUNT};

use sender::Child;

const BOARDS: u8 = 4;
const MODULES: u8 = 4;
const PORT: u16 = 29_790;
const ROUNDS: usize = 15;
const BURSTS: usize = 20;
/// Number of packets in a round with a window, and the size of the window in packets.
const STREAMED: usize = 40_000;
const WINDOW: usize = 256;
/// Smallest accepted ratio of a receiver's rate to the rate of the bare loop.
const LEAST_RATIO: f64 = 0.8;
const PATIENT: Duration = Duration::from_secs(10);

fn sources() -> Vec<Source> {
    let board = |n| Source::new(Ipv4Addr::new(127, 0, 77, n), 7700 + u16::from(n));
    (1..=BOARDS).map(board).collect()
}

/// Multicast group that the packets are sent to. No other run of this benchmark uses it at the same
/// time.
static GROUP: OnceLock<Ipv4Addr> = OnceLock::new();

/// Returns the multicast group of the benchmark whose main process has the id `process`.
fn group_of(process: u32) -> Ipv4Addr {
    let [_, high, middle, low] = process.to_be_bytes();
    Ipv4Addr::new(239, 200 + high % 50, middle, low)
}

fn group() -> Ipv4Addr {
    *GROUP.get_or_init(|| group_of(std::process::id()))
}

fn options() -> ReceiveOptions {
    ReceiveOptions::new().group(group()).port(PORT)
}

/// A receiver of packets.
trait Taker {
    /// Takes the packets that have come, and returns their number.
    async fn take(&mut self) -> usize;
}

/// Use of each packet that the receiver returns.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    /// The packet is counted: its header is decoded, and its samples are not read.
    Head,
    /// All samples are read as the integers in the packet, and combined into one number.
    Decode,
    /// All samples are converted to readout counts and summed for each channel.
    Sum,
}

struct Ours {
    receiver: Receiver,
    of: Use,
    sums: Vec<Complex64>,
}

impl Ours {
    fn open(of: Use) -> Self {
        let receiver = Receiver::open_here(&sources(), &options()).expect("a receiver");
        let sums = vec![Complex64::ZERO; PacketLength::Long.channels()];
        Self { receiver, of, sums }
    }
}

impl Taker for Ours {
    async fn take(&mut self) -> usize {
        let frames = self.receiver.recv(PATIENT).await.expect("packets");
        let count = frames.len();
        let frames = frames.filter(|_| self.of != Use::Head);
        for frame in frames {
            let samples = frame.packet.samples();
            match self.of {
                Use::Head => {}
                Use::Decode => {
                    let all = samples.fold(0, |all, (i, q)| all ^ i ^ q);
                    std::hint::black_box(all);
                }
                Use::Sum => {
                    for (sum, (i, q)) in self.sums.iter_mut().zip(samples) {
                        sum.re += f64::from(i) / STEPS_PER_COUNT;
                        sum.im += f64::from(q) / STEPS_PER_COUNT;
                    }
                }
            }
        }
        assert!(
            count > 0,
            "packets were lost: {:?}",
            self.receiver.counters()
        );
        count
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let counters = self.receiver.counters();
        let modules = counters.boards.iter().flat_map(|board| &board.modules);
        let lost: u64 = modules.map(|(_, module)| module.lost).sum();
        assert_eq!((lost, counters.kernel_drops), (0, 0), "nothing may be lost");
        assert!(self.sums.iter().all(|sum| sum.is_finite()));
    }
}

impl Taker for bare::Loop {
    async fn take(&mut self) -> usize {
        self.receive()
    }
}

/// Wall time and CPU time of this thread for a number of packets.
#[derive(Clone, Copy)]
struct Cost {
    packets: usize,
    wall: Duration,
    cpu: Duration,
}

impl Cost {
    fn per_second(self) -> f64 {
        self.packets as f64 / self.wall.as_secs_f64()
    }

    fn cpu_ns(self) -> f64 {
        self.cpu.as_secs_f64() * 1e9 / self.packets as f64
    }
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures the time that passes"
)]
async fn timed(run: impl Future<Output = usize>) -> Cost {
    let (began, cpu_began) = (Instant::now(), cpu());
    let packets = run.await;
    Cost {
        packets,
        wall: began.elapsed(),
        cpu: cpu() - cpu_began,
    }
}

/// Measures how fast the kernel's buffer is emptied, over many rounds.
async fn backlog(child: &mut Child, packets: usize, taker: &mut impl Taker, costs: &mut Vec<Cost>) {
    for _ in 0..BURSTS {
        child.burst(packets);
        let cost = timed(async {
            let mut taken = 0;
            while taken < packets {
                taken += taker.take().await;
            }
            taken
        });
        costs.push(cost.await);
    }
}

/// Measures the rate at which `taker` takes packets while the sender sends them.
async fn window(child: &mut Child, taker: &mut impl Taker) -> Cost {
    child.stream(STREAMED, WINDOW);
    let cost = timed(async {
        let mut taken = 0;
        while taken < STREAMED {
            taken += taker.take().await;
            child.acknowledge(taken);
        }
        taken
    })
    .await;
    child.done();
    cost
}

/// As `backlog`, but the receiver returns blocks of consecutive samples of every module.
async fn blocks(child: &mut Child, packets: usize, costs: &mut Vec<Cost>) {
    const SAMPLES: usize = 16;
    let mut receiver = Receiver::open_here(&sources(), &options()).expect("a receiver");
    let module = |n| ModuleId::new(n).expect("modules count from 1");
    let mut take = Take::new(SAMPLES);
    for source in sources() {
        for n in 1..=MODULES {
            take = take.of(source, module(n));
        }
    }
    let of_block = SAMPLES * usize::from(BOARDS) * usize::from(MODULES);
    let takes = (packets / of_block).max(1);
    for _ in 0..BURSTS {
        child.burst(takes * of_block);
        let cost = timed(async {
            for _ in 0..takes {
                let blocks = receiver.take(&take, PATIENT).await.expect("blocks");
                for block in blocks {
                    std::hint::black_box(block.streams());
                }
            }
            takes * of_block
        });
        costs.push(cost.await);
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct Row {
    name: String,
    unit: &'static str,
    value: f64,
    peer: Option<f64>,
    peer_name: &'static str,
    limit: Option<f64>,
}

/// Name of the bare loop, to which most rows compare a receiver.
const BARE: &str = "bare recvmmsg loop";

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.peer.map(|peer| self.value / peer)
    }

    fn pass(&self) -> Option<bool> {
        self.limit
            .map(|limit| self.ratio().is_some_and(|ratio| ratio >= limit))
    }
}

fn compared(rows: &mut Vec<Row>, name: &str, ours: &[Cost], bare: &[Cost]) {
    let rate = |costs: &[Cost]| median(costs.iter().map(|cost| cost.per_second()));
    let cpu = |costs: &[Cost]| median(costs.iter().map(|cost| cost.cpu_ns()));
    let (value, peer) = (rate(ours), rate(bare));
    let bytes = PacketLength::Long.bytes() as f64;
    let mut row = |what: &str, unit, value, peer, limit| {
        rows.push(Row {
            name: format!("{name}: {what}"),
            unit,
            value,
            peer: Some(peer),
            peer_name: BARE,
            limit,
        });
    };
    row(
        "packets received and decoded",
        "packets/s",
        value,
        peer,
        Some(LEAST_RATIO),
    );
    row(
        "bytes received and decoded",
        "bytes/s",
        value * bytes,
        peer * bytes,
        None,
    );
    row(
        "processor time of the receiving thread",
        "ns/packet",
        cpu(ours),
        cpu(bare),
        None,
    );
}

fn measure(runtime: &Runtime) -> (Vec<Row>, serde_json::Value) {
    let mut child = Child::start();
    let mut peer = rfmux::Peer::start();
    let buffers = runtime.block_on(async { Ours::open(Use::Head).receiver.buffers() });
    // A packet takes about twice its length in the kernel's buffer, which may hold twice the
    // granted size. So `granted / length` packets fit, and a burst of half as many leaves room to
    // spare.
    let burst = (buffers.granted / PacketLength::Long.bytes() / 2).clamp(16, 1024);
    let mut costs: [Vec<Cost>; 9] = Default::default();
    let [
        heads,
        decoded,
        bare,
        heads_window,
        decoded_window,
        bare_window,
        summed,
        taken,
        theirs,
    ] = &mut costs;
    for round in 0..=ROUNDS {
        // The receivers change their order from round to round. The first round only warms up and
        // is not counted.
        for turn in 0..3 {
            runtime.block_on(async {
                let (of, costs, costs_window) = match (round + turn) % 3 {
                    0 => (Use::Head, &mut *heads, &mut *heads_window),
                    1 => (Use::Decode, &mut *decoded, &mut *decoded_window),
                    _ => {
                        let mut taker = bare::Loop::open();
                        backlog(&mut child, burst, &mut taker, bare).await;
                        bare_window.push(window(&mut child, &mut taker).await);
                        return;
                    }
                };
                let mut taker = Ours::open(of);
                backlog(&mut child, burst, &mut taker, costs).await;
                costs_window.push(window(&mut child, &mut taker).await);
            });
        }
        if let Some(peer) = &mut peer {
            peer.open();
            for _ in 0..BURSTS {
                child.burst(burst);
                theirs.push(peer.drain(burst));
            }
            peer.close();
        }
        runtime.block_on(async {
            let mut taker = Ours::open(Use::Sum);
            backlog(&mut child, burst, &mut taker, summed).await;
            drop(taker);
            blocks(&mut child, burst, taken).await;
        });
        if round == 0 {
            let ours = [&mut *heads, decoded, heads_window, decoded_window];
            let others = [&mut *bare, bare_window, summed, taken, theirs];
            for costs in ours.into_iter().chain(others) {
                costs.clear();
            }
        }
    }
    let mut rows = Vec::new();
    compared(&mut rows, "backlog, headers", heads, bare);
    compared(&mut rows, "backlog, every sample", decoded, bare);
    compared(&mut rows, "window, headers", heads_window, bare_window);
    compared(
        &mut rows,
        "window, every sample",
        decoded_window,
        bare_window,
    );
    if !theirs.is_empty() {
        let rate = |costs: &[Cost]| median(costs.iter().map(|cost| cost.per_second()));
        rows.push(Row {
            name: "backlog, every sample: packets received and decoded, beside rfmux".to_owned(),
            unit: "packets/s",
            value: rate(decoded),
            peer: Some(rate(theirs)),
            peer_name: "rfmux 1.7.0, in C++",
            limit: None,
        });
    }
    for (what, costs) in [
        ("backlog: all samples to counts and summed up", &*summed),
        (
            "backlog: in blocks, all samples to counts by channel",
            taken,
        ),
    ] {
        rows.push(Row {
            name: what.to_owned(),
            unit: "packets/s",
            value: median(costs.iter().map(|cost| cost.per_second())),
            peer: None,
            peer_name: BARE,
            limit: None,
        });
    }
    let conditions = json!({
        "boards": BOARDS, "modules": MODULES, "bytes_per_packet": PacketLength::Long.bytes(),
        "rounds": ROUNDS, "bursts_per_round": BURSTS,
        "statistic": "median of all bursts or windows, in turn with the bare loop",
        "backlog_packets": burst, "window_packets": WINDOW, "packets_lost": 0,
        "receive_buffer_bytes": buffers.granted, "sender": "another process, over loopback",
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "cores_kept_awake": false, "ratio": "ours over the bare loop's",
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
    });
    (rows, conditions)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.any(|argument| argument == sender::ARGUMENT) {
        GROUP.get_or_init(|| group_of(std::os::unix::process::parent_id()));
        return sender::run();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let (rows, conditions) = measure(&runtime.expect("a runtime"));
    if std::env::args().any(|argument| argument == "--json") {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "name": row.name, "value": row.value, "unit": row.unit,
                    "peer": row.peer.map(|_| row.peer_name), "peer_value": row.peer,
                    "ratio": row.ratio(), "limit": row.limit, "pass": row.pass(),
                })
            })
            .collect();
        println!(
            "{}",
            json!({"bench": "stream", "conditions": conditions, "rows": rows})
        );
        return;
    }
    println!("{conditions}");
    println!("{:>14} {:>14} {:>6}", "ours", "peer's", "ratio");
    for row in rows {
        let or_nothing = |value: Option<f64>, digits| {
            value.map_or_else(String::new, |value| format!("{value:.digits$}"))
        };
        let verdict = row
            .pass()
            .map_or("", |pass| if pass { "pass" } else { "FAIL" });
        println!(
            "{:>14.0} {:>14} {:>6}  {:<10} {} {verdict}",
            row.value,
            or_nothing(row.peer, 0),
            or_nothing(row.ratio(), 3),
            row.unit,
            row.name
        );
    }
}
