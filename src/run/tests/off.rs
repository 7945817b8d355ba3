//! Tests of the switch-off of all tones, on fake boards with faults.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use twotone_hal::ErrorKind;

use super::board::{CHANNELS, Fake, Fault, channel, module, tone};
use super::runner::succeed;
use crate::run::{Channels, HardwareState, Runner, Target};

const SECOND: Duration = Duration::from_secs(1);

fn lit(name: &str) -> Fake {
    let fake = Fake::new(name);
    fake.set(tone(2, 1.0, 0.1));
    fake.set(tone(6, 2.0, 0.2));
    fake
}

fn target(fake: &Fake) -> Target {
    Target::new(fake.handle(), module())
}

#[tworoutine::test(start_paused = true)]
async fn all_tones_go_off_and_are_read_back() {
    let fakes = [lit("a"), lit("b")];
    let outcomes = Runner::new().off(fakes.iter().map(target).collect()).await;
    for (outcome, fake) in outcomes.iter().zip(&fakes) {
        assert!(outcome.is_well(), "{outcome:?}");
        assert_eq!(outcome.hardware, HardwareState::AsDeclared);
        assert_eq!(fake.on(), [0u16; 0]);
        let log = fake.log();
        assert!(
            log.iter().any(|op| op.starts_with("read 8 tones")),
            "{log:?}"
        );
    }
}

#[tworoutine::test(start_paused = true)]
async fn a_board_that_says_off_and_is_not_is_asked_again() {
    let fake = lit("b").with(1, Fault::Lie);
    let outcome = &Runner::new().off(vec![target(&fake)]).await[0];
    assert!(outcome.is_well(), "{outcome:?}");
    assert_eq!(fake.on(), [0u16; 0]);
}

#[tworoutine::test(start_paused = true)]
async fn a_board_that_comes_back_in_time_is_switched_off() {
    for at in [0, 1, 2] {
        let fake = lit("b").with(at, Fault::Dead(20 * SECOND));
        let outcome = &Runner::new()
            .deadline(60 * SECOND)
            .off(vec![target(&fake)])
            .await[0];
        assert!(outcome.is_well(), "dead at {at}: {outcome:?}");
        assert_eq!(fake.on(), [0u16; 0]);
    }
}

#[tworoutine::test(start_paused = true)]
async fn one_that_does_not_is_not_said_to_be_off() {
    // The board stops answering before it has sent its description, or after.
    let every: Channels = (1..=CHANNELS).map(channel).collect();
    for (at, unknown) in [(0, Channels::All), (1, every)] {
        let dead = lit("dead").with(at, Fault::Dead(1000 * SECOND));
        let well = lit("well");
        let targets = vec![target(&dead), target(&well)];
        let outcomes = Runner::new().deadline(60 * SECOND).off(targets).await;
        assert!(outcomes[1].is_well());
        let outcome = &outcomes[0];
        assert_eq!(
            outcome.result.as_ref().unwrap_err().kind(),
            ErrorKind::Timeout,
            "at {at}"
        );
        assert_eq!(
            outcome.hardware.unknown(),
            unknown,
            "{:?}",
            outcome.hardware
        );
        assert!(outcome.elapsed <= 60 * SECOND, "{:?}", outcome.elapsed);
        assert_eq!(dead.on(), [2, 6]);
    }
}

#[tworoutine::test(start_paused = true)]
async fn an_nco_that_cannot_be_read_hides_no_tone_that_is_off() {
    for fault in [Fault::Refuse, Fault::Nan, Fault::Dead(600 * SECOND)] {
        let fake = lit("b").always(fault, "read the NCO");
        let outcome = &Runner::new().off(vec![target(&fake)]).await[0];
        assert!(outcome.is_well(), "{fault:?}: {outcome:?}");
        assert!(fake.on().is_empty());
    }
}

#[tworoutine::test(start_paused = true)]
async fn tones_that_cannot_be_cleared_together_are_switched_off_one_by_one() {
    for fault in [Fault::Refuse, Fault::RefuseInSilence, Fault::Lie] {
        let fake = lit("b").always(fault, "clear");
        let outcome = &Runner::new().off(vec![target(&fake)]).await[0];
        assert!(outcome.is_well(), "{fault:?}: {outcome:?}");
        assert_eq!(fake.on(), [0u16; 0], "{fault:?}");
    }
    // This board refuses to set tones, but it can clear them. The switch-off begins without knowing
    // which tones are on.
    let fake = lit("b").always(Fault::Refuse, "set");
    let outcome = &Runner::new().off(vec![target(&fake)]).await[0];
    assert!(outcome.is_well(), "{outcome:?}");
}

#[tworoutine::test(start_paused = true)]
async fn a_board_that_refuses_all_is_asked_until_the_time_is_over_and_tells_what_is_on() {
    let on: Channels = [2, 6].map(channel).into_iter().collect();
    for (fault, kind, words) in [
        (Fault::Refuse, ErrorKind::Rejected, ""),
        (Fault::Lie, ErrorKind::Protocol, "reads back other settings"),
    ] {
        let fake = lit("b").always(fault, "clear").always(fault, "set");
        let outcome = &Runner::new()
            .deadline(40 * SECOND)
            .off(vec![target(&fake)])
            .await[0];
        let error = outcome.result.as_ref().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(words), "{error}");
        assert_eq!(outcome.hardware.left_on(), on, "{:?}", outcome.hardware);
        assert!(outcome.hardware.unknown().is_empty());
        assert!(outcome.elapsed > 39 * SECOND && outcome.elapsed <= 40 * SECOND);
        let attempts = fake
            .log()
            .iter()
            .filter(|op| op.starts_with("clear"))
            .count();
        assert!(
            (10..60).contains(&attempts),
            "pauses grow to a second: {attempts}"
        );
    }
}

#[tworoutine::test(start_paused = true)]
async fn a_process_that_was_stopped_past_the_deadline_switches_off_all_the_same() {
    // The process is stopped while the board describes itself, is cleared, or is read back.
    for at in 0..3 {
        let fake = lit("b").with(at, Fault::Suspended(1000 * SECOND));
        let outcome = &Runner::new()
            .deadline(5 * SECOND)
            .off(vec![target(&fake)])
            .await[0];
        assert!(outcome.is_well(), "stopped at {at}: {outcome:?}");
        assert_eq!(fake.on(), [0u16; 0], "stopped at {at}");
    }
}

#[tworoutine::test(start_paused = true)]
async fn a_cancel_ends_it_at_once() {
    let token = CancellationToken::new();
    let fake = lit("b").with(1, Fault::Dead(1000 * SECOND));
    let off = Runner::new().cancel(token.clone()).off(vec![target(&fake)]);
    let began = tokio::time::Instant::now();
    let (outcomes, ()) = tokio::join!(off, async {
        tokio::time::sleep(SECOND).await;
        token.cancel();
    });
    assert_eq!(began.elapsed(), SECOND);
    assert_eq!(
        outcomes[0].result.as_ref().unwrap_err().kind(),
        ErrorKind::Cancelled
    );
    assert!(!outcomes[0].is_well());
}

#[tworoutine::test(start_paused = true)]
async fn channels_that_cannot_be_read_back_are_listed() {
    let all = || (1..=CHANNELS).map(channel).collect::<Channels>();
    for (fault, unknown) in [
        (Fault::Refuse, all()),
        // With the fault `Nan`, the fake board answers NaN for the first channel only.
        (Fault::Nan, [1].map(channel).into_iter().collect()),
    ] {
        let fake = lit("b").always(fault, "read");
        let outcome = &Runner::new()
            .deadline(5 * SECOND)
            .off(vec![target(&fake)])
            .await[0];
        assert!(outcome.result.is_err(), "{fault:?}");
        assert_eq!(outcome.hardware.unknown(), unknown, "{fault:?}");
        assert!(outcome.hardware.left_on().is_empty(), "{fault:?}");
        assert_eq!(fake.on(), [0u16; 0], "{fault:?}");
    }
}

#[tworoutine::test(start_paused = true)]
async fn a_board_that_was_taken_over_is_waited_for() {
    let life = 5 * SECOND;
    for taken_over in [false, true] {
        let fake = lit("b");
        let target = || vec![target(&fake).taken_over(taken_over)];
        let began = Instant::now();
        let off = Runner::new().request_life(life).off(target());
        // The board executes a late request of the program from which it was taken over, during the
        // switch-off.
        let other = async {
            sleep(2 * SECOND).await;
            if taken_over {
                fake.set(tone(6, 44.0, 0.03));
            }
        };
        let (outcomes, ()) = tokio::join!(off, other);
        assert!(outcomes[0].is_well(), "{:?}", outcomes[0]);
        assert_eq!(fake.on(), [0u16; 0]);
        assert_eq!(began.elapsed() >= life, taken_over);

        let began = Instant::now();
        let run = Runner::new().request_life(life).run(target(), succeed);
        assert!(run.await[0].is_well());
        assert_eq!(began.elapsed() >= life, taken_over);
    }
}
