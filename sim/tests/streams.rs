//! Tests of the readout stream (the decimated samples) of simulated boards, as a receiver on this
//! computer gets it.

mod client;
mod listener;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::json;
use twotone_sim::{Farm, FarmBuilder, Streaming, TimeMode};
use twotone_wire::crs::{GROUP, PacketLength, ReadoutHeader, ReadoutPacket, StampSource};

use client::Client;
use listener::Listener;

/// A multicast group for this test only. A join of the usual group would start the streams of other
/// farms (groups of simulated boards).
fn own_group() -> Ipv4Addr {
    let pid = std::process::id();
    Ipv4Addr::new(239, 192, 1 + (pid >> 8 & 0x3f) as u8, pid as u8)
}

fn start(builder: FarmBuilder, listener: &Listener) -> Farm {
    builder
        .stream_port(listener.port())
        .start_blocking()
        .unwrap()
}

fn headers(listener: &mut Listener, n: usize) -> Vec<ReadoutHeader> {
    let header = |_| {
        let (_, bytes) = listener.receive();
        ReadoutHeader::parse(&ReadoutPacket::new(&bytes).unwrap())
    };
    (0..n).map(header).collect()
}

/// Returns the sequence numbers of each module.
fn numbers(headers: &[ReadoutHeader]) -> BTreeMap<u8, Vec<u32>> {
    let mut numbers: BTreeMap<u8, Vec<u32>> = BTreeMap::new();
    for header in headers {
        let of_module = numbers.entry(header.module).or_default();
        of_module.push(header.sequence);
    }
    numbers
}

/// Returns the parts of a second in a stamp since the first day of its year.
fn parts(header: &ReadoutHeader) -> u64 {
    let stamp = header.stamp;
    assert_eq!(
        stamp.second_of_day,
        stamp.hour * 3600 + stamp.minute * 60 + stamp.second
    );
    let day = u64::from(stamp.day - 1) * 86_400;
    (day + u64::from(stamp.second_of_day)) * 156_250_000 + u64::from(stamp.part)
}

#[test]
fn a_board_sends_a_packet_for_each_module_and_sample() {
    let mut listener = Listener::new(GROUP);
    let farm = start(Farm::builder().detectors(0), &listener);
    let board = &farm.boards()[0];
    listener.join(board.ip());
    let packets = headers(&mut listener, 400);
    for header in &packets {
        assert_eq!(
            header.serial.to_string(),
            board.serial().trim_start_matches('0')
        );
        assert_eq!((header.modules, header.stage), (4, 6));
        assert_eq!(header.length, PacketLength::Long);
        assert!(header.stamp.is_recent());
        assert_eq!(header.stamp.source(), StampSource::Test);
        assert!(!header.overrange && !header.overvoltage);
        // A sample takes 64 ticks, and a tick has 4096 parts of the second. The number of a packet
        // is that of its sample.
        assert_eq!(parts(header), u64::from(header.sequence) * 64 * 4096);
    }
    let numbers = numbers(&packets);
    assert_eq!(numbers.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3]);
    for (module, numbers) in numbers {
        let wanted: Vec<u32> = (numbers[0]..).take(numbers.len()).collect();
        assert_eq!(numbers, wanted, "module {module}");
        assert!(numbers.len() >= 90, "module {module}: {}", numbers.len());
    }
}

#[test]
fn boards_send_to_their_own_listeners_alone() {
    let mut first = Listener::new(GROUP);
    let farm = start(Farm::builder().boards(3).detectors(0), &first);
    first.join(farm.boards()[1].ip());
    for _ in 0..200 {
        let (source, bytes) = first.receive();
        assert_eq!(source, farm.boards()[1].ip());
        assert_eq!(ReadoutPacket::new(&bytes).unwrap().serial(), 2);
    }
    // The other boards have no listeners and do not send.
    for silent in [0, 2] {
        let counters = farm.boards()[silent].stream_counters("readout");
        assert!(counters.iter().all(|module| module.made == 0));
    }
}

#[test]
fn sending_begins_with_a_join_and_ends_with_the_leave() {
    let mut listener = Listener::new(GROUP);
    let farm = start(Farm::builder().detectors(0), &listener);
    let board = &farm.boards()[0];
    let made = || {
        let counters = board.stream_counters("readout");
        counters.iter().map(|module| module.made).sum::<u64>()
    };
    assert_eq!(made(), 0);
    let mut last = 0;
    for _ in 0..2 {
        listener.join(board.ip());
        let round = headers(&mut listener, 20);
        let mut numbers = round.iter().map(|header| header.sequence);
        // The sequence numbers have advanced with time since the previous join.
        assert!(numbers.clone().all(|number| number >= last), "{last}");
        last = numbers.by_ref().max().unwrap();
        listener.leave(board.ip());
        let stopped = (0..200).any(|_| {
            while listener.receive_within(Duration::from_millis(1)).is_some() {}
            let before = made();
            // Ready when no more packets arrive.
            let silent = listener
                .receive_within(Duration::from_millis(100))
                .is_none();
            silent && made() == before
        });
        assert!(stopped, "it still sends");
    }
}

#[test]
fn a_listener_to_any_source_hears_all() {
    let group = own_group();
    let mut listener = Listener::new(group);
    let farm = start(
        Farm::builder()
            .boards(2)
            .detectors(0)
            .stream_group(group)
            .streaming(Streaming::WhenAnyJoined),
        &listener,
    );
    listener.join_any();
    let mut heard: BTreeMap<Ipv4Addr, u64> = BTreeMap::new();
    let all = |heard: &BTreeMap<Ipv4Addr, u64>| {
        heard.len() == 2 && heard.values().all(|count| *count > 20)
    };
    while !all(&heard) {
        *heard.entry(listener.receive().0).or_default() += 1;
    }
    for board in farm.boards() {
        assert!(heard.contains_key(&board.ip()));
    }
}

#[test]
fn a_listener_to_any_source_does_not_wake_boards_that_heed_sources() {
    let group = own_group();
    let mut listener = Listener::new(group);
    let farm = start(Farm::builder().detectors(0).stream_group(group), &listener);
    listener.join_any();
    // The wait is three times as long as a board takes to notice a join.
    assert!(
        listener
            .receive_within(Duration::from_millis(750))
            .is_none()
    );
    assert_eq!(farm.boards()[0].stream_counters("readout")[0].made, 0);
}

#[test]
fn a_board_is_told_to_send_always_or_never() {
    for streaming in [Streaming::Always, Streaming::Never] {
        let mut listener = Listener::new(GROUP);
        let farm = start(Farm::builder().detectors(0).streaming(streaming), &listener);
        let board = &farm.boards()[0];
        let mut client = Client::connect(board.address());
        if streaming == Streaming::Always {
            while board.stream_counters("readout")[0].made == 0 {
                client.ok("get_timestamp", json!([]), json!({}));
            }
            listener.join(board.ip());
            headers(&mut listener, 10);
        } else {
            listener.join(board.ip());
            // The wait is three times as long as a board takes to notice a join.
            assert!(
                listener
                    .receive_within(Duration::from_millis(750))
                    .is_none()
            );
        }
    }
}

#[test]
fn the_stream_follows_decimation_length_and_modules() {
    let mut listener = Listener::new(GROUP);
    let farm = start(Farm::builder().detectors(0), &listener);
    let board = &farm.boards()[0];
    let mut client = Client::connect(board.address());
    listener.join(board.ip());
    let mut last: BTreeMap<u8, ReadoutHeader> = BTreeMap::new();
    let modes = [
        (6, false, vec![1, 2, 3, 4]),
        (4, false, vec![2]),
        (2, true, vec![1, 3]),
    ];
    for (stage, short, modules) in modes {
        let kwargs = json!({"stage": stage, "short": short, "module": modules});
        client.ok("set_decimation", json!([]), kwargs);
        let like = |header: &ReadoutHeader| {
            header.stage == stage && (header.length == PacketLength::Short) == short
        };
        let mut seen = 0;
        while seen < 100 {
            let header = headers(&mut listener, 1)[0];
            if let Some(before) = last.insert(header.module, header) {
                let step = header.sequence.wrapping_sub(before.sequence);
                if before.stage == header.stage {
                    // A module that did not stream for some time has still counted its samples.
                    let ticks = (parts(&header) - parts(&before)) / 4096;
                    assert_eq!(ticks, u64::from(step) << header.stage);
                } else {
                    // Between the two packets, there are some samples at the old stage and some at
                    // the new stage.
                    let ticks = (parts(&header) - parts(&before)) / 4096;
                    let (most, least) = (
                        (ticks >> header.stage.min(before.stage)) + 1,
                        ticks >> header.stage.max(before.stage),
                    );
                    assert!(
                        (least.max(1)..=most).contains(&u64::from(step)),
                        "{step} {ticks}"
                    );
                }
            }
            if !like(&header) {
                assert_eq!(seen, 0, "the old mode after the new one: {header:?}");
                continue;
            }
            seen += 1;
            assert_eq!(usize::from(header.modules), modules.len());
            assert!(modules.contains(&(header.module + 1)), "{header:?}");
        }
    }
}

#[test]
fn modules_of_the_high_bank_count_from_0_too() {
    let mut listener = Listener::new(GROUP);
    let farm = start(Farm::builder().detectors(0), &listener);
    let board = &farm.boards()[0];
    let mut client = Client::connect(board.address());
    client.ok("set_analog_bank", json!([true]), json!({}));
    client.ok("set_decimation", json!([]), json!({"module": [5, 7]}));
    client.ok("set_timestamp_port", json!(["SMA"]), json!({}));
    listener.join(board.ip());
    for header in headers(&mut listener, 50) {
        assert!([0, 2].contains(&header.module), "{header:?}");
        assert_eq!(header.stamp.source(), StampSource::Sma);
    }
}

#[test]
fn sequence_numbers_wrap() {
    let mut listener = Listener::new(GROUP);
    let farm = start(
        Farm::builder()
            .detectors(0)
            .first_sequence(u32::MAX - 200)
            .streaming(Streaming::Always),
        &listener,
    );
    listener.join(farm.boards()[0].ip());
    let mut last = None;
    loop {
        let header = headers(&mut listener, 1)[0];
        if header.module != 1 {
            continue;
        }
        if let Some(last) = last.replace(header.sequence) {
            assert_eq!(header.sequence, u32::wrapping_add(last, 1));
            if header.sequence == 30 {
                return;
            }
        }
    }
}

#[test]
fn samples_stamped_after_a_setting_show_it() {
    let mut listener = Listener::new(GROUP);
    let farm = start(Farm::builder().detectors(0), &listener);
    let board = &farm.boards()[0];
    let mut client = Client::connect(board.address());
    // Each request advances the time of the board, even if less real time passes.
    for request in 0..100 {
        let at = json!({"channel": 1, "module": 1});
        client.ok("set_frequency", json!([1e6]), at.clone());
        client.ok("set_amplitude", json!([f64::from(request % 2) * 0.001]), at);
    }
    let answer = client.ok("get_timestamp", json!([]), json!({}));
    let part = |name: &str| answer[name].as_u64().unwrap();
    let board_time = (part("sbs"), part("ss"));
    assert!(
        board_time > (3, 0),
        "{board_time:?}: the requests took no time"
    );
    listener.join(board.ip());
    // Filters of decimation stage 6 have settled by the sixth sample.
    let settled_s = 6.0 / (625e6 / 256.0 / 64.0 / 64.0);
    let mut sizes = Vec::new();
    while sizes.len() < 50 {
        let (_, bytes) = listener.receive();
        let packet = ReadoutPacket::new(&bytes).unwrap();
        let stamp = packet.stamp();
        let since_s = f64::from(stamp.second_of_day) - board_time.0 as f64
            + (f64::from(stamp.part) - board_time.1 as f64) / 156.25e6;
        if packet.module() == 0 && since_s >= settled_s {
            // The stream has samples of the present time of the board, not of a later time.
            assert!(since_s < 5.0, "{since_s} s after the settings");
            let (i, q) = packet.samples().next().unwrap();
            sizes.push(f64::from(i).hypot(f64::from(q)) / 256.0);
        }
    }
    let last = sizes[49];
    assert!(last > 500.0, "{last} counts: no tone");
    for (sample, size) in sizes.iter().enumerate() {
        let off = (size / last - 1.0).abs();
        assert!(off < 0.01, "sample {sample}: {size} of {last} counts");
    }
}

#[test]
fn the_stream_and_the_control_protocol_show_the_same_samples() {
    let mut listener = Listener::new(GROUP);
    let farm = start(Farm::builder().detectors(20).seed(3), &listener);
    let board = &farm.boards()[0];
    let mut client = Client::connect(board.address());
    client.ok("set_nco_frequency", json!([1.25e9]), json!({"module": 1}));
    for channel in 1..=5 {
        let at = json!({"channel": channel, "module": 1});
        client.ok(
            "set_frequency",
            json!([f64::from(channel) * 1e6]),
            at.clone(),
        );
        client.ok("set_amplitude", json!([0.001]), at);
    }
    listener.join(board.ip());
    headers(&mut listener, 20);
    // The amplitude changes while the board streams. The samples of the call and those of the
    // stream both show how the filters settle.
    let at = json!({"channel": 3, "module": 1});
    let answers = client.json(&json!([
        client::call("set_amplitude", json!([0.002]), at.clone()),
        client::call("get_samples", json!([20]), at.clone()),
        client::call("get_samples", json!([4]), json!({"module": 1})),
    ]));
    let (one, all) = (&answers[1]["result"], &answers[2]["result"]);
    let numbers = |samples: &serde_json::Value| -> Vec<f64> {
        let values = samples.as_array().unwrap().iter();
        values.map(|value| value.as_f64().unwrap()).collect()
    };
    let (i, q, ts) = (numbers(&one["i"]), numbers(&one["q"]), numbers(&one["ts"]));
    let rate = 625e6 / 256.0 / 64.0 / 64.0;
    let number = |seconds: f64| (seconds * rate).round() as u32;
    let size = |k: usize| i[k].hypot(q[k]);
    assert!(
        (size(19) / size(0) - 2.0).abs() < 0.1,
        "{} {}",
        size(0),
        size(19)
    );
    // The second call takes samples that come after those of the first call.
    let (first, second) = (number(ts[0]), number(numbers(&all["ts"])[0]));
    assert!(second >= first + 20, "{first} {second}");
    let mut compared = 0;
    while compared < 24 {
        let (_, bytes) = listener.receive();
        let packet = ReadoutPacket::new(&bytes).unwrap();
        let number = packet.sequence();
        let within = |first: u32, n| (first..first + n).contains(&number);
        if packet.module() != 0 || !(within(first, 20) || within(second, 4)) {
            continue;
        }
        let streamed: Vec<(i32, i32)> = packet.samples().collect();
        let check = |channel: usize, i: f64, q: f64| {
            let (si, sq) = streamed[channel];
            let off = (f64::from(si) / 256.0 - i).hypot(f64::from(sq) / 256.0 - q);
            assert!(off <= 1.0 / 256.0, "channel {channel}: {off} counts");
        };
        if within(first, 20) {
            let k = (number - first) as usize;
            check(2, i[k], q[k]);
        } else {
            let k = (number - second) as usize;
            for channel in [0, 1, 2, 700, 1023] {
                let part = |axis: &str| all[axis][channel][k].as_f64().unwrap();
                check(channel, part("i"), part("q"));
            }
        }
        compared += 1;
    }
}

#[test]
fn stamps_are_those_of_the_boards_clock() {
    for time in [TimeMode::Accelerated, TimeMode::RealTime { call_us: 50 }] {
        let mut listener = Listener::new(GROUP);
        let farm = start(Farm::builder().detectors(0).time(time), &listener);
        let board = &farm.boards()[0];
        let mut client = Client::connect(board.address());
        let mut now = || {
            let stamp = client.ok("get_timestamp", json!([]), json!({}));
            let part = |name: &str| stamp[name].as_u64().unwrap();
            assert_eq!((part("y"), part("d")), (26, 1));
            part("sbs") * 156_250_000 + part("ss")
        };
        listener.join(board.ip());
        let sample = 64 * 4096;
        let before = now();
        let earliest = parts(&headers(&mut listener, 1)[0]);
        assert!(earliest + sample >= before, "{earliest} {before}");
        for _ in 0..20 {
            let latest = headers(&mut listener, 5).iter().map(parts).max().unwrap();
            let now = now();
            assert!(latest <= now, "a sample of {latest} at {now}");
        }
    }
}
