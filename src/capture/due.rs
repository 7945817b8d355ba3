//! Comparison of the samples that should have come from a module (that are due) with the samples
//! that were received or counted as lost.
//!
//! The length of a capture is measured by the clock of this computer. If the process was stopped
//! during the capture, or a stream ended early, samples may be missing without a gap in the
//! sequence numbers.

use std::time::Duration;

use twotone_hal::Coverage;

/// Fraction by which a board's clock may run slower than this computer's. This fraction of the
/// samples does not count as missing.
const SLOWEST: f64 = 200e-6;
/// Tolerated delay between the beginning of the first stream and that of another stream, as a
/// fraction of the length of the capture.
const LATE_PART: f64 = 0.1;
/// Tolerated delay between the beginning of the first stream and that of another stream in a short
/// capture.
const LATE: Duration = Duration::from_millis(100);

/// Returns the number of samples that are due in `due_s` seconds, at the rates of the stream, and
/// the number of these that are missing. A few missing samples count as none: clocks differ,
/// packets may still be on their way, and the receiver holds packets back for up to `hold` to put
/// them in order.
pub(super) fn shortfall(covered: &Coverage, due_s: f64, hold: Duration) -> (u64, u64) {
    let missing_s = due_s - covered.seconds();
    let missing = (missing_s / covered.period_s()).round() as i64;
    let tolerated = hold.as_secs_f64() + 16.0 * covered.period_s() + SLOWEST * due_s;
    let due = covered.samples().saturating_add_signed(missing);
    match missing_s > tolerated {
        true => (due, missing.unsigned_abs()),
        false => (due, 0),
    }
}

/// Returns the time in seconds for which samples are due from a stream that began `late` after the
/// first stream, in a capture of the length `asked`. A short delay `late` is subtracted from
/// `asked`, because joining the streams takes time. The longest delay that is subtracted is a tenth
/// of `asked`, but at least 0.1 s and at most 1 s.
pub(super) fn due_s(asked: Duration, late: Duration) -> f64 {
    let asked_s = asked.as_secs_f64();
    let tolerated_s = LATE.as_secs_f64().max(LATE_PART * asked_s);
    let late_s = late.as_secs_f64();
    match late_s <= tolerated_s.min(1.0) {
        true => (asked_s - late_s).max(0.0),
        false => asked_s,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_millis(50);

    fn covered(rates: &[(f64, u64)]) -> Coverage {
        let mut covered = Coverage::new();
        for (rate_hz, positions) in rates {
            covered.change(*rate_hz);
            covered.add(*positions);
        }
        covered
    }

    #[test]
    fn samples_that_are_due_and_not_there_are_counted_at_any_rate() {
        for (rates, due_s, expected) in [
            (&[(500.0, 1500)][..], 3.0, (1500, 0)),
            // More samples than were due have come.
            (&[(500.0, 1600)], 3.0, (1500, 0)),
            // The samples of the last 50 ms (the time `HOLD`), and 16 more, may still be on their
            // way.
            (&[(500.0, 1460)], 3.0, (1500, 0)),
            (&[(500.0, 1440)], 3.0, (1500, 60)),
            (&[(500.0, 500)], 3.0, (1500, 1000)),
            (&[(38_000.0, 35_000)], 1.0, (38_000, 3000)),
            (&[(38_000.0, 37_000)], 1.0, (38_000, 0)),
            // A short capture.
            (&[(500.0, 40)], 0.2, (100, 60)),
            // During a day, one clock is slower by 150 parts in a million, and the next by 300.
            (&[(500.0, 43_193_520)], 86_400.0, (43_200_000, 0)),
            (&[(500.0, 43_187_040)], 86_400.0, (43_200_000, 12_960)),
            // The stream has had two rates. The missing samples are counted at the second rate.
            (&[(500.0, 500), (1000.0, 1000)], 3.0, (2500, 1000)),
            (&[(500.0, 500), (1000.0, 2000)], 3.0, (2500, 0)),
        ] {
            let found = shortfall(&covered(rates), due_s, HOLD);
            assert_eq!(found, expected, "{rates:?} of {due_s} s");
        }
    }

    #[test]
    fn a_late_beginning_is_tolerated_up_to_a_tenth_and_a_second() {
        for (asked_s, late_s, due) in [
            (10.0, 0.0, 10.0),
            (10.0, 0.9, 9.1),
            (10.0, 1.1, 10.0),
            (1.0, 0.1, 0.9),
            (1.0, 0.2, 1.0),
            (3600.0, 1.5, 3600.0),
            (0.05, 0.08, 0.0),
        ] {
            let of = Duration::from_secs_f64;
            let found = due_s(of(asked_s), of(late_s));
            assert!((found - due).abs() < 1e-9, "{asked_s} {late_s}: {found}");
        }
    }
}
