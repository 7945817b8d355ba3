//! Tests with arbitrary stamps.

use proptest::prelude::*;

use super::*;

/// A packet: the number of packets lost before it, the error of its clock, and a fault of one
/// field.
#[derive(Debug, Clone)]
struct Packet {
    lost: u64,
    /// Number of parts of a second by which the clock is ahead. `None` if the clock stands still.
    ahead: Option<i64>,
    field: Option<(usize, u32)>,
}

fn spacing() -> impl Strategy<Value = Spacing> {
    prop_oneof![
        (0..=7_u8).prop_map(Spacing::Stage),
        (100..=1000_u16).prop_map(Spacing::Samples),
    ]
}

fn packets() -> impl Strategy<Value = Vec<Packet>> {
    let ahead = prop_oneof![
        12 => Just(Some(0)),
        2 => Just(Some(-PARTS)),
        2 => Just(Some(3600 * PARTS)),
        1 => (-1_000_000..1_000_000_i64).prop_map(Some),
        1 => Just(None),
    ];
    let field = prop_oneof![9 => Just(None), 1 => (0..8_usize, any::<u32>()).prop_map(Some)];
    let lost = prop_oneof![20 => Just(0), 1 => 1..40_u64];
    // Packets come in runs with the same error, since a clock does not change with each packet.
    let run = (1..60_usize, lost, ahead, field).prop_map(|(count, lost, ahead, field)| {
        let one = |at| Packet {
            lost: if at == 0 { lost } else { 0 },
            ahead,
            field,
        };
        (0..count).map(one).collect::<Vec<_>>()
    });
    proptest::collection::vec(run, 1..12).prop_map(|runs| runs.concat())
}

proptest! {
    /// Each packet gets one time, or `None`. No two times of one line contradict each other,
    /// whatever the stamps are. A time with the origin `Stamp` is the time of its stamp.
    #[test]
    fn times_never_contradict_each_other(packets in packets(), spacing in spacing()) {
        let (period, start) = (spacing.period_parts(), noon());
        let (mut timeline, mut times) = (Timeline::new(), Vec::new());
        let (mut at, mut positions, mut stamps) = (0, Vec::new(), Vec::new());
        for packet in &packets {
            at += packet.lost as i64;
            let parts = packet.ahead.map_or(start, |ahead| start + at * period + ahead);
            let mut stamp = stamp(parts);
            if let Some((field, value)) = packet.field {
                let fields = [
                    &mut stamp.year, &mut stamp.day, &mut stamp.hour, &mut stamp.minute,
                    &mut stamp.second, &mut stamp.part, &mut stamp.control, &mut stamp.second_of_day,
                ];
                // Small values are in range more often.
                *fields[field] = if value % 2 == 0 { value } else { value % 59 };
            }
            let stamped = Stamped {
                sequence: at as u32,
                lost_before: packet.lost,
                spacing,
                stamp,
                received: None,
            };
            timeline.take(&stamped, &mut |time| times.push(time));
            positions.push(at);
            stamps.push(spacing.time_of(&stamp));
            at += 1;
        }
        timeline.settle(&mut |time| times.push(time));
        prop_assert_eq!(times.len(), packets.len());
        let found = timeline.findings();
        let count = |wanted: Option<TimeOrigin>| {
            times.iter().filter(|time| time.map(|time| time.origin) == wanted).count() as u64
        };
        prop_assert_eq!(found.timeless, count(None));
        prop_assert_eq!(found.reconstructed, count(Some(TimeOrigin::Sequence)));
        for (time, stamp) in times.iter().zip(&stamps) {
            if let Some(JudgedTime { time, origin: TimeOrigin::Stamp }) = time {
                prop_assert_eq!(Ok(*time), *stamp);
            }
        }
        // Each of the two times may differ from the line by the allowed distance of a stamp, and by
        // the corrections of the clock.
        let most = 2 * (line::jitter(period) + 2 * PARTS / 5000);
        for (pair, at) in times.windows(2).zip(positions.windows(2)) {
            if let [Some(one), Some(next)] = pair {
                let apart = next.time.parts() - one.time.parts();
                let off = apart - (at[1] - at[0]) * period;
                let is_leap = found.leap_seconds > 0;
                prop_assert!(off.abs() <= most || is_leap, "{off} at {at:?}: {pair:?}");
            }
        }
    }
}
