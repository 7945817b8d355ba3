//! Effects of faults on the packets of a simulated board, compared with the numbers that the board
//! has counted.
//!
//! Each fault acts on some packets near the beginning of a stream. The receiver gets all packets,
//! because a board sends only after a receiver has joined the stream.

mod listener;

use std::collections::BTreeSet;

use twotone_sim::fault::{
    ClockDate, ClockLateSecond, ClockStep, ClockStop, Fault, PacketCorrupt, PacketDuplicate,
    PacketLoss, PacketReorder, StaleStamps, WrongSerial,
};
use twotone_sim::{Farm, PacketCounters};
use twotone_wire::crs::{GROUP, ReadoutHeader, ReadoutPacket, Stamp};

use listener::Listener;

/// Rate of the samples at the default decimation, in Hz.
const RATE_HZ: f64 = 625e6 / 256.0 / 64.0 / 64.0;

/// Index of the first packet of a module on which a fault acts. `COUNT` is the number of these
/// packets.
const FIRST: u64 = 5;
const COUNT: u64 = 200;

/// Number of packets of four modules to receive. It is larger than the number of packets on which a
/// fault acts, even if some are lost.
const RECEIVED: usize = 1200;

/// The board's counters of its first module, the headers of the packets of this module, and the
/// number of datagrams of all modules that are not valid packets.
fn received(fault: impl Into<Fault>) -> (PacketCounters, Vec<ReadoutHeader>, u64) {
    let mut listener = Listener::new(GROUP);
    let builder = Farm::builder().detectors(0).stream_port(listener.port());
    let fault = fault.into().during(FIRST, COUNT);
    let farm = builder.fault(0, fault).start_blocking().unwrap();
    let board = &farm.boards()[0];
    listener.join(board.ip());
    let mut headers = Vec::new();
    let mut spoilt = 0;
    for _ in 0..RECEIVED {
        let (_, bytes) = listener.receive();
        match ReadoutPacket::new(&bytes) {
            Ok(packet) => headers.push(ReadoutHeader::parse(&packet)),
            Err(_) => spoilt += 1,
        }
    }
    headers.retain(|header| header.module == 0);
    let counters = board.stream_counters("readout");
    let counted = counters[0];
    assert!(counted.made > FIRST + COUNT + 10, "{counted:?}");
    assert_eq!((counted.unsent, counted.skipped), (0, 0));
    let all = counters.iter().map(|module| module.spoilt);
    assert_eq!(spoilt, all.sum::<u64>());
    (counted, headers, spoilt)
}

/// Returns the differences of consecutive sequence numbers.
fn steps(headers: &[ReadoutHeader]) -> Vec<i64> {
    let pairs = headers.windows(2);
    pairs
        .map(|pair| i64::from(pair[1].sequence) - i64::from(pair[0].sequence))
        .collect()
}

#[test]
fn lost_packets_are_missing() {
    let (counted, headers, _) = received(PacketLoss { rate: 0.1, seed: 1 });
    let missing: i64 = steps(&headers).iter().map(|step| step - 1).sum();
    assert!(counted.lost > 5, "{counted:?}");
    assert_eq!(missing as u64, counted.lost);
    // All packets are lost.
    let (counted, headers, _) = received(PacketLoss { rate: 1.0, seed: 1 });
    assert_eq!(counted.lost, COUNT);
    let gap = steps(&headers).into_iter().max().unwrap();
    assert_eq!(gap as u64, COUNT + 1);
}

#[test]
fn doubled_packets_come_twice() {
    let (counted, headers, _) = received(PacketDuplicate { rate: 0.1, seed: 1 });
    let again = steps(&headers).iter().filter(|step| **step == 0).count();
    assert!(counted.doubled > 5, "{counted:?}");
    assert_eq!(again as u64, counted.doubled);
    assert!(steps(&headers).iter().all(|step| (0..=1).contains(step)));
}

#[test]
fn late_packets_come_after_later_ones_and_none_is_lost() {
    let fault = PacketReorder {
        rate: 0.1,
        depth: 3,
        seed: 1,
    };
    let (counted, mut headers, _) = received(fault);
    let mut highest = 0;
    let overtaken = headers.iter().filter(|header| {
        highest = highest.max(header.sequence);
        header.sequence < highest
    });
    let overtaken = overtaken.count() as u64;
    // Two consecutive packets that are both late may still be in order.
    assert!(counted.late > 5, "{counted:?}");
    assert!(
        (counted.late / 2..=counted.late).contains(&overtaken),
        "{overtaken} {counted:?}"
    );
    let least = steps(&headers).into_iter().min().unwrap();
    assert!((-3..0).contains(&least), "{least}");
    headers.sort_by_key(|header| header.sequence);
    assert!(steps(&headers).iter().all(|step| *step == 1));
}

#[test]
fn spoilt_packets_are_none() {
    let (counted, headers, spoilt) = received(PacketCorrupt { rate: 0.1, seed: 1 });
    assert!(counted.spoilt > 5 && spoilt > counted.spoilt, "{counted:?}");
    let missing: i64 = steps(&headers).iter().map(|step| step - 1).sum();
    assert_eq!(missing as u64, counted.spoilt);
}

#[test]
fn stale_stamps_and_foreign_serial_numbers_are_on_their_packets_alone() {
    let (counted, headers, _) = received(StaleStamps {});
    assert_eq!(counted.stale, COUNT);
    let first = headers[0].sequence;
    let acted: BTreeSet<u32> = (first + FIRST as u32..).take(COUNT as usize).collect();
    for header in &headers {
        let stale = acted.contains(&header.sequence);
        assert_eq!(header.stamp.is_recent(), !stale, "{header:?}");
    }
    let day = 366;
    let second_of = |stamp: &Stamp| {
        let whole = stamp.hour * 3600 + stamp.minute * 60 + stamp.second;
        f64::from(whole) + f64::from(stamp.part) / f64::from(Stamp::PARTS_PER_SECOND)
    };
    for fault in [
        Fault::from(ClockStep { seconds: 3600.0 }),
        ClockStop {}.into(),
        ClockDate {
            day: Some(day),
            year: Some(0),
        }
        .into(),
        // The stamps are late by a whole second, so every stamp is wrong.
        ClockLateSecond { late_ms: 1000 }.into(),
    ] {
        let (counted, headers, _) = received(fault.clone());
        assert_eq!(counted.misdated, COUNT);
        let first = headers[0];
        for header in &headers {
            let after = header.sequence - first.sequence;
            let acted = (FIRST..FIRST + COUNT).contains(&u64::from(after));
            let stamp = &header.stamp;
            assert!(stamp.is_recent());
            let since = second_of(stamp) - second_of(&first.stamp);
            let off = since - f64::from(after) / RATE_HZ;
            let expected = match &fault {
                Fault::ClockStep(_) if acted => 3600.0,
                Fault::ClockLateSecond(_) if acted => -1.0,
                Fault::ClockStop(_) if acted => (FIRST as f64 - f64::from(after)) / RATE_HZ,
                _ => 0.0,
            };
            let off = (off - expected + 43_200.0).rem_euclid(86_400.0) - 43_200.0;
            assert!(off.abs() < 1e-6, "{fault:?}: {header:?}");
            let is_dated = acted && matches!(fault, Fault::ClockDate(_));
            assert_eq!((stamp.year, stamp.day) == (0, day), is_dated, "{header:?}");
        }
    }
    let (counted, headers, _) = received(WrongSerial { serial: 77 });
    assert_eq!(counted.foreign, COUNT);
    let first = headers[0].sequence;
    let acted: BTreeSet<u32> = (first + FIRST as u32..).take(COUNT as usize).collect();
    for header in &headers {
        let serial = if acted.contains(&header.sequence) {
            77
        } else {
            1
        };
        assert_eq!(header.serial, serial, "{header:?}");
    }
}
