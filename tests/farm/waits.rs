//! Tests of waits for an amount of time on the clock of a simulated board. They take the caller
//! next to no time.

use std::time::Duration;

use tworoutine::Wait;
use twotone::hal::{Batch, BoardTime, ErrorKind, Hertz, ModuleId, ToneUpdate};
use twotone::sim::Farm;

use super::connect;

/// Returns the seconds from one time of a board to a later one, which may be after midnight.
fn seconds_between(earlier: &BoardTime, later: &BoardTime) -> f64 {
    (later.second_of_day - earlier.second_of_day).rem_euclid(86_400.0)
}

#[test]
fn a_wait_lets_the_time_of_the_board_pass_between_two_operations() {
    let farm = Farm::builder().detectors(2).start_blocking().unwrap();
    let board = connect(&farm).targets().remove(0).board;
    let channel = twotone::hal::ChannelId::FIRST;
    // The first wait is rounded up to one sample, the second is longer than one acquisition can be,
    // and the third is no whole number of samples.
    for wait in [
        Duration::from_millis(1),
        Duration::from_secs(150),
        Duration::from_millis(1234),
    ] {
        let mut batch = Batch::new();
        batch.set_tone(
            ModuleId::FIRST,
            ToneUpdate::tone(channel, Hertz(1e6), 0.001),
        );
        let before = batch.read_clock();
        batch.wait(ModuleId::FIRST, wait);
        let after = batch.read_clock();
        let replies = board.run(&batch).wait().unwrap();
        let passed = seconds_between(replies.get(before), replies.get(after));
        let asked = wait.as_secs_f64();
        // The last sample may not be complete when the time is read. A long wait is several
        // requests, and each of them takes a little time of its own.
        assert!(
            passed > asked - 0.01 && passed < 1.03 * asked + 0.1,
            "{passed} of {asked}"
        );
    }
}

#[test]
fn a_wait_that_would_hold_a_connection_for_ever_is_refused() {
    let farm = Farm::builder().detectors(2).start_blocking().unwrap();
    let board = connect(&farm).targets().remove(0).board;
    for wait in [Duration::from_secs(601), Duration::MAX] {
        let error = board
            .clock()
            .wait(ModuleId::FIRST, wait)
            .wait()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    let nothing = board.clock().wait(ModuleId::FIRST, Duration::ZERO).wait();
    nothing.unwrap();
}
