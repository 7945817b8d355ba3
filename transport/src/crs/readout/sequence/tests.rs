//! Tests of the sequencer, which puts the packets of a stream in order by their sequence numbers.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Sink that records the sequence numbers of delivered packets. The number of a copy is the
/// sequence number of its packet.
#[derive(Default)]
struct Numbers {
    at_hand: u32,
    delivered: Vec<(u32, u64)>,
}

impl Sink for Numbers {
    fn keep(&mut self) -> u32 {
        self.at_hand
    }

    fn deliver(&mut self, place: Place, lost_before: u64) {
        let (Place::Given(packet) | Place::Kept(packet)) = place;
        self.delivered.push((packet, lost_before));
    }
}

fn patience(window: u32) -> Patience {
    let hold = Duration::from_millis(50);
    Patience { window, hold }
}

/// Offers packets, each given by its time in milliseconds and its sequence number. Returns the
/// delivered packets, and the counters at the time `until`.
fn run(window: u32, packets: &[(u64, u32)], until: u64) -> (Vec<(u32, u64)>, ModuleCounters) {
    let mut sequencer = Sequencer::new(patience(window));
    let mut sink = Numbers::default();
    for &(at, sequence) in packets {
        let now = Duration::from_millis(at);
        sequencer.expire(now, &mut sink);
        sink.at_hand = sequence;
        sequencer.offer(sequence, sequence, now, &mut sink);
        consistent(&sequencer);
    }
    sequencer.expire(Duration::from_millis(until), &mut sink);
    (sink.delivered, consistent(&sequencer))
}

fn consistent(sequencer: &Sequencer) -> ModuleCounters {
    let counters = sequencer.counters();
    assert_eq!(
        counters.received + counters.lost,
        counters.expected,
        "{counters:?}"
    );
    assert!(
        counters.late <= counters.lost && counters.gaps <= counters.lost,
        "{counters:?}"
    );
    assert_eq!(sequencer.due().is_some(), counters.held > 0);
    counters
}

/// Counters in the order received, lost, gaps, late, duplicate, stale, restarts, held.
type Counts = (u64, u64, u64, u64, u64, u64, u64, u32);

fn counts(c: ModuleCounters) -> Counts {
    (
        c.received,
        c.lost,
        c.gaps,
        c.late,
        c.duplicate,
        c.stale,
        c.restarts,
        c.held,
    )
}

#[track_caller]
fn check(arrivals: &[u32], delivered: &[(u32, u64)], expected: Counts) {
    let packets: Vec<_> = arrivals.iter().map(|sequence| (0, *sequence)).collect();
    let (found, counters) = run(4, &packets, 0);
    assert_eq!(
        (&found[..], counts(counters)),
        (delivered, expected),
        "{arrivals:?}"
    );
}

#[test]
fn packets_come_out_in_order() {
    let max = u32::MAX;
    check(&[], &[], (0, 0, 0, 0, 0, 0, 0, 0));
    check(
        &[7, 8, 9],
        &[(7, 0), (8, 0), (9, 0)],
        (3, 0, 0, 0, 0, 0, 0, 0),
    );
    // Packets that were swapped by less than the window of 4.
    check(
        &[7, 9, 10, 8],
        &[(7, 0), (8, 0), (9, 0), (10, 0)],
        (4, 0, 0, 0, 0, 0, 0, 0),
    );
    // A missing packet does not count as lost while later packets wait for it.
    check(&[7, 9, 10, 11], &[(7, 0)], (1, 0, 0, 0, 0, 0, 0, 3));
    // Packet 12 is the fourth after the missing packet 8, so packet 8 counts as lost. If it comes
    // after that, it is late, and if it comes again, it is a duplicate.
    let in_order = [(7, 0), (9, 1), (10, 0), (11, 0), (12, 0)];
    check(&[7, 9, 10, 11, 12], &in_order, (5, 1, 1, 0, 0, 0, 0, 0));
    check(
        &[7, 9, 10, 11, 12, 8, 8],
        &in_order,
        (5, 1, 1, 1, 1, 0, 0, 0),
    );
    // A duplicate of a packet that was delivered, and one of a packet that waits.
    check(&[7, 7, 9, 9], &[(7, 0)], (1, 0, 0, 0, 2, 0, 0, 1));
    // Two gaps, and then one gap whose packets count as lost in two steps.
    check(
        &[0, 2, 4, 7, 8],
        &[(0, 0), (2, 1), (4, 1)],
        (3, 2, 2, 0, 0, 0, 0, 2),
    );
    check(&[0, 5, 6], &[(0, 0)], (1, 2, 1, 0, 0, 0, 0, 2));
    check(
        &[0, 5, 6, 8],
        &[(0, 0), (5, 4), (6, 0)],
        (3, 4, 1, 0, 0, 0, 0, 1),
    );
    // A long gap, and packets of the gap that come late: 999,990 is known to be missing, and 5 is
    // too far back to be known.
    check(&[0, 1_000_000], &[(0, 0)], (1, 999_996, 1, 0, 0, 0, 0, 1));
    check(
        &[0, 1_000_000, 999_990],
        &[(0, 0)],
        (1, 999_996, 1, 1, 0, 0, 0, 1),
    );
    check(
        &[0, 1_000_000, 5],
        &[(0, 0)],
        (1, 999_996, 1, 0, 0, 1, 0, 1),
    );
    // Sequence numbers that wrap.
    check(
        &[max - 1, 0, max, 1],
        &[(max - 1, 0), (max, 0), (0, 0), (1, 0)],
        (4, 0, 0, 0, 0, 0, 0, 0),
    );
    // Packets from before the first one.
    check(
        &[7, 6, 5, 4, 3, 8],
        &[(7, 0), (8, 0)],
        (2, 0, 0, 0, 0, 4, 0, 0),
    );
}

#[test]
fn a_board_that_restarts_is_followed() {
    let far = 5_000_000;
    // The numbers jump backwards, and forwards by more than the longest gap. The packet that waits
    // is delivered first.
    for begin in [0, far + (1 << 24) + 10] {
        let arrivals = [
            far,
            far + 2,
            begin,
            begin + 1,
            begin + 2,
            begin + 3,
            begin + 4,
        ];
        let delivered = [(far, 0), (far + 2, 1), (begin + 3, 0), (begin + 4, 0)];
        check(&arrivals, &delivered, (4, 1, 1, 0, 0, 3, 1, 0));
    }
    // Single packets with old numbers show no restart, however many they are.
    let arrivals: Vec<_> = (0..20).flat_map(|n| [far + n, n]).collect();
    let delivered: Vec<_> = (0..20).map(|n| (far + n, 0)).collect();
    check(&arrivals, &delivered, (20, 0, 0, 0, 0, 20, 0, 0));
}

#[test]
fn nothing_is_held_longer_than_the_patience() {
    let (delivered, counters) = run(8, &[(0, 1), (10, 3), (20, 4), (30, 6)], 59);
    assert_eq!(delivered, [(1, 0)]);
    assert_eq!(counters.held, 3);
    let (delivered, _) = run(8, &[(0, 1), (10, 3), (20, 4), (30, 6)], 60);
    assert_eq!(delivered, [(1, 0), (3, 1), (4, 0)]);
    let (delivered, counters) = run(8, &[(0, 1), (10, 3), (20, 4), (30, 6), (81, 5)], 90);
    assert_eq!(delivered, [(1, 0), (3, 1), (4, 0), (6, 1)]);
    assert_eq!(counts(counters), (4, 2, 2, 1, 0, 0, 0, 0));
}

#[test]
fn a_board_that_restarts_soon_is_followed_too() {
    for (was_at, unused) in [(500, 32), (900, 32), (1023, 32), (1500, 3)] {
        let packets: Vec<_> = (0..was_at).chain(0..was_at + 100).map(|n| (0, n)).collect();
        let (delivered, counters) = run(32, &packets, 0);
        let anew = (unused..was_at + 100).map(|n| (n, 0));
        let expected: Vec<_> = (0..was_at).map(|n| (n, 0)).chain(anew).collect();
        assert_eq!(delivered, expected, "{was_at}");
        assert_eq!((counters.restarts, counters.lost), (1, 0), "{was_at}");
        assert_eq!(counters.duplicate + counters.stale, u64::from(unused));
    }
    // Packets that come twice show no restart, and neither do many packets that come late.
    let twice: Vec<_> = (0..100).chain(68..150).map(|n| (0, n)).collect();
    let (_, counters) = run(32, &twice, 0);
    assert_eq!((counters.restarts, counters.duplicate), (0, 32));
    let outage = (0..100).chain(300..400).chain(100..300).chain(400..500);
    let late: Vec<_> = outage.map(|n| (0, n)).collect();
    let (_, counters) = run(32, &late, 0);
    assert_eq!((counters.restarts, counters.late), (0, 200));
}

/// Reference implementation of a sequencer, which examines every position of the stream.
fn reference(window: i64, arrivals: &[i64]) -> (Vec<(u32, u64)>, Counts) {
    let (mut delivered, mut counts) = (Vec::new(), Counts::default());
    let mut rest = arrivals;
    while !rest.is_empty() {
        let (of_run, c, length) = reference_run(window, rest);
        delivered.extend(of_run);
        rest = &rest[length..];
        counts.0 += c.0;
        counts.1 += c.1;
        counts.2 += c.2;
        counts.3 += c.3;
        counts.4 += c.4;
        counts.5 += c.5;
        counts.6 += u64::from(!rest.is_empty());
        counts.7 += c.7;
    }
    (delivered, counts)
}

/// Reference implementation for the packets up to the next restart. Returns the delivered packets,
/// the counters, and the number of packets.
fn reference_run(window: i64, arrivals: &[i64]) -> (Vec<(u32, u64)>, Counts, usize) {
    let mut fate: BTreeMap<i64, bool> = BTreeMap::new();
    let mut came: BTreeSet<i64> = BTreeSet::new();
    let mut delivered = Vec::new();
    let (mut late, mut duplicate, mut stale) = (0, 0, 0);
    let first = arrivals[0];
    let mut newest = first;
    let mut row = (first, 0);
    let mut length = arrivals.len();
    for (at, &position) in arrivals.iter().enumerate() {
        let next = fate.keys().next_back().map_or(first, |last| last + 1);
        if position < next {
            let count = if row.0 == position { row.1 } else { 0 };
            let is_far = position < next - 1024;
            if is_far || position < first {
                stale += 1;
            } else if came.insert(position) {
                late += 1;
                row = (position + 1, count);
                continue;
            } else {
                duplicate += 1;
            }
            row = (position + 1, count + 1);
            if row.1 == if is_far { 4 } else { window.max(4) + 1 } {
                // The packet begins a new run, so it is not counted here. Packets that are still
                // missing are lost.
                stale -= u64::from(is_far || position < first);
                duplicate -= u64::from(!is_far && position >= first);
                for next in first..=newest {
                    fate.entry(next).or_insert(came.contains(&next));
                }
                length = at;
                break;
            }
            continue;
        }
        row = (i64::MIN, 0);
        if !came.insert(position) {
            duplicate += 1;
            continue;
        }
        newest = newest.max(position);
        for next in first..=newest {
            if fate.contains_key(&next) {
                continue;
            }
            let is_here = came.contains(&next);
            if !is_here && newest - next < window {
                break;
            }
            fate.insert(next, is_here);
        }
    }
    let (mut lost_before, mut lost, mut gaps) = (0, 0, 0);
    for (position, is_here) in &fate {
        if *is_here {
            delivered.push((*position as u32, lost_before));
            lost_before = 0;
        } else {
            gaps += u64::from(lost_before == 0);
            lost_before += 1;
            lost += 1;
        }
    }
    let received = delivered.len() as u64;
    let held = came.iter().filter(|position| !fate.contains_key(position));
    let held = held.count() as u32;
    let counts = (received, lost, gaps, late, duplicate, stale, 0, held);
    (delivered, counts, length)
}

/// Effect of a network on each packet: the number of times that it comes, and its delay.
fn network() -> impl Strategy<Value = Vec<(u8, u16)>> {
    let copies = prop_oneof![10 => Just(1_u8), 2 => Just(0), 1 => Just(2)];
    let delay = prop_oneof![6 => Just(0_u16), 3 => 1..8_u16, 1 => 8..80_u16];
    proptest::collection::vec((copies, delay), 0..400)
}

proptest! {
    #[test]
    fn as_a_plain_reference_does(
        start in prop_oneof![any::<u32>(), u32::MAX - 200..=u32::MAX],
        window in 1..40_u32,
        network in network(),
        restart in proptest::option::of((0..400_usize, 1..1200_i64)),
    ) {
        let mut arrivals = Vec::new();
        for (n, (copies, delay)) in network.iter().enumerate() {
            for copy in 0..usize::from(*copies) {
                arrivals.push((n + usize::from(*delay) * (copy + 1), n));
            }
        }
        arrivals.sort();
        let start = i64::from(start);
        let (begins, back) = restart.unwrap_or((usize::MAX, 0));
        let position = |n: usize| start + n as i64 - if n >= begins { back } else { 0 };
        let positions: Vec<_> = arrivals.iter().map(|(_, n)| position(*n)).collect();
        let packets: Vec<_> = positions.iter().map(|position| (0, *position as u32)).collect();
        let (delivered, counters) = run(window, &packets, 0);
        let (expected, counted) = reference(i64::from(window), &positions);
        prop_assert_eq!(delivered, expected);
        prop_assert_eq!(counts(counters), counted);
    }
}
