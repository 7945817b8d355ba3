//! Tests of the state in which a run leaves a module. After the algorithm of the run, the clean-up
//! brings the module to its safe state: off, the state before the run (`Previous`), or the present
//! state (`Hold`).

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use twotone_hal::{Acquire, Batch, BoardHandle, Error, ErrorKind, Hertz, ModuleId, Result};

use super::board::{Fake, Fault, module, tone};
use super::runner::{SECOND, fail, fakes, hang, list, only, runner, succeed, targets, two_tones};
use crate::run::{HardwareState, SafeState, Target};

#[tworoutine::test(start_paused = true)]
async fn success_without_keep_leaves_the_safe_state() {
    let fakes = fakes(&["b"]);
    let outcome = only(runner().run(targets(&fakes), succeed).await);
    assert!(outcome.is_well());
    assert_eq!(outcome.hardware, HardwareState::AsDeclared);
    assert_eq!(fakes[0].on(), [0u16; 0]);
}

#[tworoutine::test(start_paused = true)]
async fn every_end_but_success_is_cleaned_up() {
    async fn panics(board: BoardHandle, module: ModuleId) -> Result<()> {
        two_tones(&board, module).await?;
        panic!("index out of bounds: {}", board.name());
    }
    let fake = Fake::new("b");
    let run = runner().keep_on_success();
    let target = || vec![Target::new(fake.handle(), module())];
    let cases = [
        (
            only(run.run(target(), fail).await),
            ErrorKind::Protocol,
            "no resonance found",
        ),
        (
            only(run.run(target(), hang).await),
            ErrorKind::Timeout,
            "not done in its share",
        ),
        (
            only(run.run(target(), panics).await),
            ErrorKind::Panicked,
            "index out of bounds: b",
        ),
    ];
    for (outcome, kind, message) in cases {
        let error = outcome.result.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(message), "{error}");
        assert_eq!(error.board(), Some("b"), "{error}");
        assert_eq!(outcome.hardware, HardwareState::AsDeclared, "{error}");
        assert!(outcome.elapsed <= 100 * SECOND, "{error}");
        let writes = fake.log();
        assert!(
            writes.iter().any(|op| op.starts_with("clear")),
            "{error}: {writes:?}"
        );
        assert_eq!(fake.on(), [0u16; 0], "{error}");
    }
}

#[tworoutine::test(start_paused = true)]
async fn giving_up_the_clean_up_says_what_is_left() {
    let fakes = fakes(&["dies"]);
    let (cancel, abandon) = (CancellationToken::new(), CancellationToken::new());
    let run = runner().cancel(cancel.clone()).abandon(abandon.clone());
    let run = run.run(targets(&fakes), hang);
    let began = Instant::now();
    let (outcomes, ()) = tokio::join!(run, async {
        sleep(SECOND).await;
        fakes[0].fail(0, Fault::Dead(1000 * SECOND));
        cancel.cancel();
        sleep(SECOND).await;
        abandon.cancel();
    });
    assert_eq!(began.elapsed(), 2 * SECOND);
    let outcome = only(outcomes);
    // The clean-up was given up after it had sent the request that clears the tones, so the tones
    // may be off by now.
    assert_eq!(
        outcome.hardware.unknown(),
        list(&[1, 3]),
        "{:?}",
        outcome.hardware
    );
    assert_eq!(fakes[0].on(), [1, 3]);
}

#[tworoutine::test(start_paused = true)]
async fn channels_that_cannot_be_reached_are_listed() {
    let fakes = fakes(&["dies", "b"]);
    let outcomes = runner()
        .run(targets(&fakes), {
            let fake = fakes[0].clone();
            move |board, module| {
                let fake = fake.clone();
                async move {
                    two_tones(&board, module).await?;
                    if board.name() == "dies" {
                        fake.fail(0, Fault::Dead(1000 * SECOND));
                    }
                    board.samples().mean(module, Acquire::new(10)).await
                }
            }
        })
        .await;
    assert!(outcomes[1].is_well());
    assert!(outcomes[0].elapsed <= 100 * SECOND);
    let HardwareState::Left {
        left_on,
        unknown,
        not_restored,
        nco: None,
        reason,
    } = &outcomes[0].hardware
    else {
        panic!("{:?}", outcomes[0].hardware);
    };
    assert!(left_on.is_empty() && not_restored.is_empty());
    assert_eq!(*unknown, list(&[1, 3]));
    assert_eq!(reason.kind, Some(ErrorKind::Timeout), "{reason}");
    assert_eq!(fakes[0].on(), [1, 3]);
}

#[tworoutine::test(start_paused = true)]
async fn previous_settings_come_back() {
    let fake = Fake::new("b");
    fake.set(tone(1, 5.0, 0.2).phase(twotone_hal::Radians(0.3)));
    fake.set(tone(2, 6.0, 0.2));
    fake.set(tone(4, 7.0, 0.0));
    let before = fake.settings();
    let target = || vec![Target::new(fake.handle(), module()).safe_state(SafeState::Previous)];

    // Offsets, amplitudes and a tone that was off are restored.
    let outcome = only(runner().run(target(), fail).await);
    assert_eq!(
        outcome.hardware,
        HardwareState::AsDeclared,
        "{:?}",
        outcome.result
    );
    let after = fake.settings();
    assert_eq!(after.1[..2], before.1[..2]);
    assert_eq!((fake.on(), after.0), (vec![1, 2], before.0));
    let touched = fake
        .log()
        .iter()
        .filter(|op| op.starts_with("clear"))
        .count();
    assert_eq!(
        touched,
        0,
        "tones that the run did not touch went off: {:?}",
        fake.log()
    );
    assert!(
        fake.most() < 0.283,
        "power beyond both ends: {}",
        fake.most()
    );

    // The frequency of the NCO is restored too, and so are all tones that the run has cleared.
    let outcome = only(
        runner()
            .run(target(), |board, module| async move {
                let mut batch = Batch::new();
                batch.clear_tones(module);
                batch.set_nco(module, Hertz(1.3e9));
                batch.set_tone(module, tone(2, 9.0, 0.05));
                board.run(&batch).await?;
                Err::<(), _>(Error::new(ErrorKind::Protocol, "nothing found"))
            })
            .await,
    );
    assert_eq!(
        outcome.hardware,
        HardwareState::AsDeclared,
        "{:?}",
        outcome.result
    );
    let after = fake.settings();
    assert_eq!((after.0, &after.1[..2]), (before.0, &before.1[..2]));

    // After an algorithm that changes nothing, the clean-up sends nothing.
    let read = |board: BoardHandle, module| async move {
        board.nco().read(module).await?;
        Err::<(), _>(Error::new(ErrorKind::Protocol, "nothing found"))
    };
    let writes = || fake.log().iter().filter(|op| op.starts_with("set")).count();
    let sent = writes();
    let outcome = only(runner().run(target(), read).await);
    assert_eq!(
        (outcome.hardware, writes()),
        (HardwareState::Untouched, sent)
    );
}

#[tworoutine::test(start_paused = true)]
async fn hold_changes_nothing_and_reads_back_what_is_in_doubt() {
    let fake = Fake::new("b");
    let target = vec![Target::new(fake.handle(), module()).safe_state(SafeState::Hold)];
    let outcome = only(
        runner()
            .run(target, {
                let fake = fake.clone();
                move |board, module| {
                    let fake = fake.clone();
                    async move {
                        fake.fail(0, Fault::LoseAnswer);
                        two_tones(&board, module).await
                    }
                }
            })
            .await,
    );
    assert_eq!(
        outcome.result.unwrap_err().kind(),
        ErrorKind::ConnectionLost
    );
    assert_eq!(outcome.hardware, HardwareState::AsDeclared);
    assert_eq!(fake.on(), [1, 3]);
    let reads = fake
        .log()
        .iter()
        .filter(|op| op.starts_with("read 8 tones"))
        .count();
    assert_eq!(
        reads,
        3,
        "once at the start, twice after the loss: {:?}",
        fake.log()
    );
}

#[tworoutine::test(start_paused = true)]
async fn dropping_the_run_still_cleans_up() {
    let fakes = fakes(&["b"]);
    let run = runner().run(targets(&fakes), hang);
    let dropped = tokio::time::timeout(SECOND, run).await;
    assert!(dropped.is_err());
    assert_eq!(fakes[0].on(), [1, 3]);
    sleep(SECOND).await;
    assert_eq!(fakes[0].on(), [0u16; 0]);
}

#[tworoutine::test(start_paused = true)]
async fn a_clean_up_that_hangs_once_is_tried_again_in_time() {
    let fakes = [Fake::new("b").with(4, Fault::Late(1000 * SECOND))];
    // The clean-up has 3 s, which is less than the 5 s after which the board's client gives up a
    // request.
    let runner = runner().deadline(12 * SECOND).request_life(SECOND / 10);
    let outcome = only(runner.run(targets(&fakes), fail).await);
    assert_eq!(fakes[0].log()[4], "clear the tones of module 1");
    assert_eq!(outcome.hardware, HardwareState::AsDeclared);
    assert!(outcome.elapsed < 12 * SECOND);
    assert_eq!(fakes[0].on(), [0u16; 0]);
}

#[tworoutine::test(start_paused = true)]
async fn a_batch_that_was_repeated_may_still_be_on_its_way() {
    // Operation 3 is the setting that the algorithm makes. Its request is sent twice. The first of
    // the two is late, so the board executes the setting once more while the clean-up reads back.
    for late in [SECOND / 2, SECOND, 2 * SECOND] {
        let fakes = [Fake::new("b").with(3, Fault::Repeated(late))];
        let run = runner().request_life(3 * SECOND);
        let outcome = only(run.run(targets(&fakes), succeed).await);
        assert!(fakes[0].log()[3].starts_with("set"), "{:?}", fakes[0].log());
        sleep(10 * SECOND).await;
        assert_eq!(fakes[0].on(), [0u16; 0], "{late:?}: {:?}", outcome.hardware);
        assert_eq!(outcome.hardware, HardwareState::AsDeclared, "{late:?}");
    }
}
