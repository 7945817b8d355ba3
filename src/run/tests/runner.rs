//! Tests of the runner, which runs an algorithm on the modules of many boards. They test its
//! outcomes, the ends of algorithms, and the clean-up of modules afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use twotone_hal::{BoardHandle, Dbm, Error, ErrorKind, ModuleId, Result, ToneUpdate};

use super::board::{Fake, Fault, channel, module, tone};
use crate::record::Failure;
use crate::run::{Channels, HardwareState, ModuleLimits, Outcome, Runner, Target};

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn fakes(names: &[&str]) -> Vec<Fake> {
    names.iter().map(|name| Fake::new(name)).collect()
}

pub(super) fn targets(fakes: &[Fake]) -> Vec<Target> {
    fakes
        .iter()
        .map(|fake| Target::new(fake.handle(), module()))
        .collect()
}

pub(super) fn runner() -> Runner {
    Runner::new().deadline(100 * SECOND)
}

/// Switches two tones on, as the first part of an algorithm.
pub(super) async fn two_tones(board: &BoardHandle, module: ModuleId) -> Result<()> {
    board
        .tones()
        .set(module, [tone(1, 1.0, 0.1), tone(3, 2.0, 0.1)])
        .await
}

pub(super) async fn succeed(board: BoardHandle, module: ModuleId) -> Result<String> {
    two_tones(&board, module).await?;
    Ok(board.name().to_owned())
}

pub(super) async fn fail(board: BoardHandle, module: ModuleId) -> Result<()> {
    two_tones(&board, module).await?;
    Err(Error::new(ErrorKind::Protocol, "no resonance found"))
}

pub(super) async fn hang(board: BoardHandle, module: ModuleId) -> Result<()> {
    two_tones(&board, module).await?;
    std::future::pending().await
}

pub(super) fn only<T>(outcomes: Vec<Outcome<T>>) -> Outcome<T> {
    assert_eq!(outcomes.len(), 1);
    outcomes.into_iter().next().unwrap()
}

pub(super) fn list(numbers: &[u16]) -> Channels {
    numbers.iter().map(|number| channel(*number)).collect()
}

#[tworoutine::test(start_paused = true)]
async fn outcomes_come_in_the_order_of_the_targets() {
    let fakes = fakes(&["slow", "b", "c"]);
    let outcomes = runner()
        .keep_on_success()
        .run(targets(&fakes), |board, module| async move {
            if board.name() == "slow" {
                sleep(SECOND).await;
            }
            succeed(board, module).await
        })
        .await;
    let names: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.result.as_deref())
        .collect();
    assert!(
        matches!(names[..], [Ok("slow"), Ok("b"), Ok("c")]),
        "{names:?}"
    );
    assert!(outcomes[0].elapsed >= SECOND && outcomes[1].elapsed < SECOND);
    for (outcome, fake) in outcomes.iter().zip(&fakes) {
        assert_eq!(outcome.hardware, HardwareState::Kept);
        assert!(outcome.is_well());
        assert_eq!(fake.on(), [1, 3]);
    }
}

#[tworoutine::test(start_paused = true)]
async fn a_target_that_hangs_takes_no_other_down() {
    let fakes = fakes(&["hangs", "b", "c"]);
    for concurrency in [1, 2, 3] {
        let outcomes = runner()
            .concurrency(concurrency)
            .run(targets(&fakes), |board, module| async move {
                match board.name() {
                    "hangs" => hang(board, module).await.map(|()| String::new()),
                    _ => succeed(board, module).await,
                }
            })
            .await;
        assert_eq!(
            outcomes[0].result.as_ref().unwrap_err().kind(),
            ErrorKind::Timeout
        );
        assert_eq!(
            outcomes[1].result.as_deref().unwrap(),
            "b",
            "{concurrency} at once"
        );
        assert_eq!(
            outcomes[2].result.as_deref().unwrap(),
            "c",
            "{concurrency} at once"
        );
    }
}

#[tworoutine::test(start_paused = true)]
async fn no_more_run_at_once_than_allowed() {
    static NOW: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let fakes = fakes(&["a", "b", "c", "d", "e"]);
    let outcomes = runner()
        .concurrency(2)
        .run(targets(&fakes), |_, _| async {
            MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(SECOND).await;
            NOW.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, Error>(())
        })
        .await;
    assert!(outcomes.iter().all(Outcome::is_well));
    assert_eq!(MOST.load(Ordering::SeqCst), 2);
}

#[tworoutine::test(start_paused = true)]
async fn a_module_has_one_run_at_a_time() {
    let fakes = fakes(&["b"]);
    let board = fakes[0].handle();
    let target = || Target::new(board.clone(), module());
    let slow = |_: BoardHandle, _: ModuleId| async {
        sleep(SECOND).await;
        Ok::<_, Error>(())
    };
    let (first, second) = tokio::join!(
        runner().run(vec![target()], slow),
        runner().run(vec![target()], slow)
    );
    assert!(only(first).is_well());
    let second = only(second);
    let error = second.result.unwrap_err();
    assert!(
        error.message().contains("another run has this module"),
        "{error}"
    );
    assert_eq!(second.hardware, HardwareState::Untouched);
    // The first run has ended, so the module is free for another run.
    assert!(only(runner().run(vec![target()], slow).await).is_well());
    // The same module twice in one list is an error for any concurrency.
    let twice = runner()
        .concurrency(1)
        .run(vec![target(), target()], slow)
        .await;
    assert!(twice[0].is_well());
    assert_eq!(
        twice[1].result.as_ref().unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
}

#[tworoutine::test(start_paused = true)]
async fn a_cancel_ends_every_algorithm_and_cleans_up() {
    let fakes = fakes(&["a", "b", "waits"]);
    let token = CancellationToken::new();
    let began = Instant::now();
    let run = runner()
        .concurrency(2)
        .cancel(token.clone())
        .run(targets(&fakes), hang);
    let (outcomes, ()) = tokio::join!(run, async {
        sleep(SECOND).await;
        assert_eq!(fakes[0].on(), [1, 3]);
        token.cancel();
    });
    assert!(began.elapsed() < 2 * SECOND, "{:?}", began.elapsed());
    for outcome in &outcomes {
        assert_eq!(
            outcome.result.as_ref().unwrap_err().kind(),
            ErrorKind::Cancelled
        );
    }
    assert_eq!(outcomes[0].hardware, HardwareState::AsDeclared);
    assert_eq!(outcomes[1].hardware, HardwareState::AsDeclared);
    assert_eq!(outcomes[2].hardware, HardwareState::Untouched);
    assert!(fakes.iter().all(|fake| fake.on().is_empty()));
    assert_eq!(fakes[2].operations(), 0);
}

#[tworoutine::test(start_paused = true)]
async fn limits_hold_for_the_algorithm() {
    let fake = Fake::new("b");
    let limits = ModuleLimits {
        max_tone: Some(Dbm(-30.0)),
        ..ModuleLimits::default()
    };
    let target = vec![Target::new(fake.handle(), module()).limits(limits)];
    let outcome = only(runner().run(target, fail).await);
    let error = outcome.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert_eq!(
        error.to_string(),
        "board b: set 2 tones on module 1: limit exceeded: channel 1: -20.00 dBm asked, -30.00 \
         dBm allowed for one tone"
    );
    assert_eq!(fake.most(), 0.0);
    assert_eq!(outcome.hardware, HardwareState::Untouched);
}

#[tworoutine::test(start_paused = true)]
async fn a_handle_that_was_kept_reaches_nothing_after_the_run() {
    let fake = Fake::new("b");
    let kept = Arc::new(std::sync::Mutex::new(None));
    let outcome = only(
        runner()
            .run(vec![Target::new(fake.handle(), module())], {
                let kept = kept.clone();
                move |board, module| {
                    *kept.lock().unwrap() = Some(board.clone());
                    // A task of the algorithm continues to use the board after the algorithm has
                    // ended.
                    let stray = board.clone();
                    let _unwatched = tworoutine::spawn(async move {
                        loop {
                            let _ = stray.tones().set(module, [tone(8, 1.0, 0.1)]).await;
                            sleep(Duration::from_millis(1)).await;
                        }
                    });
                    fail(board, module)
                }
            })
            .await,
    );
    assert_eq!(outcome.hardware, HardwareState::AsDeclared);
    sleep(10 * SECOND).await;
    assert_eq!(fake.on(), [0u16; 0]);
    let kept = kept.lock().unwrap().take().unwrap();
    let update = ToneUpdate::new(channel(1)).amplitude(0.1);
    let error = kept.tones().set(module(), [update]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn works_from_a_plain_thread() {
    let fakes = fakes(&["a", "b"]);
    let outcomes = runner().run(targets(&fakes), succeed).wait();
    assert!(outcomes.iter().all(Outcome::is_well), "{outcomes:?}");
    let outcomes = runner()
        .run(targets(&fakes), |board, module| async move {
            tworoutine::wait(two_tones(&board, module))?;
            panic!("as it was told");
            #[allow(unreachable_code, reason = "the type of the closure needs a value")]
            Ok::<_, Error>(())
        })
        .wait();
    for (outcome, fake) in outcomes.iter().zip(&fakes) {
        assert_eq!(
            outcome.result.as_ref().unwrap_err().kind(),
            ErrorKind::Panicked
        );
        assert_eq!(outcome.hardware, HardwareState::AsDeclared);
        assert_eq!(fake.on(), [0u16; 0]);
    }
}

#[test]
fn channels_are_told_and_stored() {
    let some = list(&[1, 2, 3, 5, 9, 10]);
    assert_eq!(some.to_string(), "channels 1-3, 5, 9-10");
    assert_eq!(list(&[7]).to_string(), "channel 7");
    assert_eq!(Channels::default().to_string(), "no channel");
    for (channels, written) in [(some, "[1,2,3,5,9,10]"), (Channels::All, "\"all\"")] {
        assert_eq!(serde_json::to_string(&channels).unwrap(), written);
        assert_eq!(serde_json::from_str::<Channels>(written).unwrap(), channels);
    }
    let left = HardwareState::Left {
        left_on: list(&[4]),
        unknown: Channels::All,
        not_restored: Channels::default(),
        nco: None,
        reason: Failure::of_kind(ErrorKind::Timeout, "no answer"),
    };
    assert_eq!(
        left.to_string(),
        "left on: channel 4; unknown: all channels; timed out: no answer"
    );
    let written = serde_json::to_string(&left).unwrap();
    assert_eq!(
        written,
        r#"{"state":"left","left_on":[4],"unknown":"all","not_restored":[],"reason":{"kind":"timeout","certainty":null,"operation":null,"message":"no answer"}}"#
    );
    assert_eq!(
        serde_json::from_str::<HardwareState>(&written).unwrap(),
        left
    );
    // Versions before format 2 wrote a sentence in place of the failure.
    let sentence = r#"{"state":"left","left_on":[],"unknown":[],"not_restored":[],"reason":"x"}"#;
    let read: HardwareState = serde_json::from_str(sentence).unwrap();
    let HardwareState::Left { reason, .. } = read else {
        panic!("{read:?}");
    };
    assert_eq!(reason, Failure::of_words("x"));
}

/// Error type of a caller of the runner.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{found} resonances")]
struct TooFew {
    found: usize,
}

/// If an algorithm ends with an error of its caller's type, the outcome contains this error, with
/// its value.
#[tworoutine::test(start_paused = true)]
async fn an_error_of_the_caller_comes_back_out_of_the_outcome() {
    let fakes = fakes(&["b1"]);
    let outcomes = runner()
        .run(targets(&fakes), |board, module| async move {
            two_tones(&board, module).await?;
            let error = Error::new(ErrorKind::Rejected, "not tuned");
            Err::<(), _>(error.caused_by(TooFew { found: 3 }))
        })
        .await;
    let error = only(outcomes).result.unwrap_err();
    assert_eq!(error.board(), Some("b1"));
    assert_eq!(error.source_as(), Some(&TooFew { found: 3 }));
    let own = error.into_source().unwrap().downcast::<TooFew>().unwrap();
    assert_eq!(*own, TooFew { found: 3 });
}

/// Runs on two boards. The second run lasts until `happens` was called on the first board.
async fn one_after_the_other(happens: impl FnOnce(&Fake)) -> (Vec<Fake>, Vec<Outcome<String>>) {
    one_after_the_other_of(runner().keep_on_success(), happens).await
}

async fn one_after_the_other_of(
    runner: Runner,
    happens: impl FnOnce(&Fake),
) -> (Vec<Fake>, Vec<Outcome<String>>) {
    let fakes = fakes(&["first", "second"]);
    let go = CancellationToken::new();
    let run = runner.run(targets(&fakes), {
        let go = go.clone();
        move |board, module| {
            let go = go.clone();
            async move {
                if board.name() == "second" {
                    go.cancelled().await;
                }
                succeed(board, module).await
            }
        }
    });
    let meanwhile = async {
        sleep(SECOND).await;
        happens(&fakes[0]);
        go.cancel();
    };
    let (outcomes, ()) = tokio::join!(run, meanwhile);
    (fakes, outcomes)
}

#[tworoutine::test(start_paused = true)]
async fn kept_modules_are_read_back_when_the_last_module_has_ended() {
    let (_, outcomes) = one_after_the_other(|_| {}).await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.hardware == HardwareState::Kept)
    );

    // First, the board restarts while the second run lasts. Next, another program sets a tone in
    // this time.
    let (_, outcomes) = one_after_the_other(Fake::forget).await;
    assert_eq!(
        outcomes[0].hardware.not_restored(),
        list(&[1, 3]),
        "{outcomes:?}"
    );
    assert!(!outcomes[0].is_well() && outcomes[0].result.is_ok());
    assert_eq!(outcomes[1].hardware, HardwareState::Kept);

    let (_, outcomes) = one_after_the_other(|fake| fake.set(tone(3, 2.0, 0.7))).await;
    assert_eq!(outcomes[0].hardware.left_on(), list(&[3]), "{outcomes:?}");

    // A change of another setting than the amplitude is noticed too, and so is a change of the NCO.
    let (_, outcomes) = one_after_the_other(|fake| fake.set(tone(3, 2.5, 0.1))).await;
    assert_eq!(outcomes[0].hardware.left_on(), list(&[3]), "{outcomes:?}");
    let (_, outcomes) = one_after_the_other(|fake| fake.move_nco(1.1e9)).await;
    let HardwareState::Left { nco: Some(nco), .. } = &outcomes[0].hardware else {
        panic!("{outcomes:?}");
    };
    assert!(nco.contains("1100000000"), "{nco}");

    // The board does not answer any more, so its tones may still be on.
    let (_, outcomes) = one_after_the_other(|fake| {
        fake.fail(0, Fault::Dead(1000 * SECOND));
    })
    .await;
    assert_eq!(
        outcomes[0].hardware.unknown(),
        list(&[1, 3]),
        "{outcomes:?}"
    );
}

#[tworoutine::test(start_paused = true)]
async fn the_last_reading_keeps_to_the_deadline_and_hears_a_cancel() {
    // In the first case the run is not cancelled. In the second case it is cancelled after 20 s.
    for (after, longest) in [(1000 * SECOND, 100 * SECOND), (20 * SECOND, 27 * SECOND)] {
        let cancel = CancellationToken::new();
        let began = Instant::now();
        let run = runner().keep_on_success().cancel(cancel.clone());
        let outcomes = async {
            let (_, outcomes) = one_after_the_other_of(run, |fake| {
                fake.fail(0, Fault::Dead(1000 * SECOND));
            })
            .await;
            (outcomes, began.elapsed())
        };
        let ended = async {
            sleep(after).await;
            cancel.cancel();
        };
        let ((outcomes, took), ()) = tokio::join!(outcomes, ended);
        assert!(took > longest / 2 && took <= longest, "{took:?}");
        assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
        assert_eq!(outcomes[0].hardware.unknown(), list(&[1, 3]));
    }
}

#[tworoutine::test(start_paused = true)]
async fn giving_up_is_immediate_while_an_algorithm_cannot_be_ended() {
    let fakes = fakes(&["b"]);
    let (cancel, abandon) = (CancellationToken::new(), CancellationToken::new());
    let run = runner().cancel(cancel.clone()).abandon(abandon.clone());
    let run = run.run(targets(&fakes), |board, module| async move {
        two_tones(&board, module).await?;
        // The fake board executes this batch to its end, even if the future that waits for it is
        // dropped.
        let mut slow = twotone_hal::Batch::new();
        slow.read_nco(module);
        board.run(&slow).await?;
        Ok::<_, Error>(())
    });
    fakes[0].fail(3, Fault::Dead(1000 * SECOND));
    let began = Instant::now();
    let (outcomes, ()) = tokio::join!(run, async {
        sleep(SECOND).await;
        cancel.cancel();
        sleep(SECOND / 10).await;
        abandon.cancel();
    });
    assert!(began.elapsed() < 2 * SECOND, "{:?}", began.elapsed());
    assert!(outcomes[0].result.is_err());
}
