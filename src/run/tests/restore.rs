//! Tests of the return of a module, at the end of a run, to its settings before the run. This
//! happens if its safe state is `Previous`, or if the run only measures. If the board refuses some
//! of the settings, the others are restored.

use twotone_hal::{BoardHandle, Hertz, ModuleId, Radians, Result};

use super::board::{Fake, Fault, module, tone};
use super::runner::{SECOND, list, only, runner, two_tones};
use crate::run::{Ending, HardwareState, Runner, SafeState, Target};

/// Moves the NCO and switches eight tones on, as a sweep does.
async fn measure(board: BoardHandle, module: ModuleId) -> Result<()> {
    board.nco().set(module, Hertz(1.5e9)).await?;
    let comb = (1..=8).map(|number| {
        let tone = tone(number, f64::from(number), 0.05);
        tone.phase(Radians(0.3)).rotation(Radians(0.4))
    });
    board.tones().set(module, comb).await
}

/// Makes a board with two tones on, and one that was set and is off.
fn observing() -> Fake {
    let fake = Fake::new("b");
    fake.set(tone(2, 20.0, 0.1));
    fake.set(tone(5, 50.0, 0.2));
    fake.set(tone(7, 70.0, 0.0));
    fake
}

async fn run(run: Runner, fake: &Fake, safe_state: SafeState) -> HardwareState {
    let target = Target::new(fake.handle(), module()).safe_state(safe_state);
    only(run.run(vec![target], measure).await).hardware
}

#[tworoutine::test(start_paused = true)]
async fn a_measurement_leaves_what_it_found_or_nothing() {
    for (safe_state, on) in [
        (SafeState::Off, vec![]),
        (SafeState::Previous, vec![2, 5]),
        (SafeState::Hold, vec![2, 5]),
    ] {
        let fake = observing();
        let before = fake.settings();
        let hardware = run(runner().leave_as_found(), &fake, safe_state).await;
        assert_eq!(hardware, HardwareState::AsDeclared, "{safe_state}");
        assert_eq!(fake.on(), on, "{safe_state}");
        if safe_state != SafeState::Off {
            let after = fake.settings();
            assert_eq!(after.0, before.0, "{safe_state}");
            for tone in before.1 {
                // A phase or a rotation that was never set before the run is set to 0.
                let tone = twotone_hal::ToneState {
                    phase: Some(Radians(0.0)),
                    rotation: Some(Radians(0.0)),
                    ..tone
                };
                assert!(after.1.contains(&tone), "{safe_state}: {tone:?} {after:?}");
            }
        }
    }
    // With the safe state `hold`, the tones of the algorithm stay on, even if the runner is not
    // told to keep them.
    for (ending, on) in [(Ending::SafeState, 8), (Ending::Kept, 8)] {
        let fake = observing();
        let runner = match ending {
            Ending::Kept => runner().keep_on_success(),
            _ => runner(),
        };
        run(runner, &fake, SafeState::Hold).await;
        assert_eq!(fake.on().len(), on, "{ending:?}");
    }
}

#[tworoutine::test(start_paused = true)]
async fn an_nco_that_is_refused_keeps_no_tone_on() {
    let fake = observing().always(Fault::Refuse, "set the NCO of module 1 to 1000000000");
    let hardware = run(runner(), &fake, SafeState::Previous).await;
    let HardwareState::Left {
        left_on,
        unknown,
        not_restored,
        nco,
        reason,
    } = hardware
    else {
        panic!("{hardware:?}");
    };
    assert!(
        left_on.is_empty() && unknown.is_empty(),
        "{left_on} {unknown}"
    );
    assert_eq!(not_restored, list(&[2, 5]));
    let nco = nco.unwrap();
    assert!(nco.ends_with("was at 1000000000 Hz"), "{nco}");
    assert!(
        reason
            .message
            .contains("the NCO cannot be put back to 1000000000"),
        "{reason}"
    );
    assert_eq!(fake.on(), [0u16; 0]);
}

#[tworoutine::test(start_paused = true)]
async fn an_nco_that_is_elsewhere_is_told_though_no_tone_was_on() {
    let fake = Fake::new("b").always(Fault::Refuse, "set the NCO of module 1 to 1000000000");
    let hardware = run(runner(), &fake, SafeState::Previous).await;
    assert!(!hardware.is_settled(), "{hardware:?}");
    assert!(
        hardware.to_string().contains("the NCO cannot be put back"),
        "{hardware}"
    );
    assert_eq!(fake.on(), [0u16; 0]);
    // The board answers that it has moved the NCO, but the NCO stays where it is.
    let fake = Fake::new("b").always(Fault::Lie, "set the NCO of module 1 to 1000000000");
    let hardware = run(runner(), &fake, SafeState::Previous).await;
    let told = "the NCO is at 1500000000 Hz and was at 1000000000 Hz before";
    assert!(hardware.to_string().contains(told), "{hardware}");
    // With `off` as the safe state, the NCO need not be put back.
    let fake = Fake::new("b").always(Fault::Refuse, "set the NCO of module 1 to 1000000000");
    let hardware = run(runner(), &fake, SafeState::Off).await;
    assert_eq!(hardware, HardwareState::AsDeclared);
}

#[tworoutine::test(start_paused = true)]
async fn a_tone_that_is_refused_keeps_no_other_from_coming_back() {
    for (refused, back) in [(vec![5], vec![2]), (vec![2], vec![5]), (vec![2, 5], vec![])] {
        let fake = observing();
        let refusing = fake.clone();
        let channels = refused.clone();
        let target = Target::new(fake.handle(), module()).safe_state(SafeState::Previous);
        let runner = runner().run(vec![target], move |board, module| {
            let (fake, channels) = (refusing.clone(), channels.clone());
            async move {
                let done = two_tones(&board, module).await;
                measure(board, module).await?;
                fake.refuse_tones_of(&channels);
                done
            }
        });
        let hardware = only(runner.await).hardware;
        assert_eq!(fake.on(), back, "{hardware:?}");
        assert_eq!(hardware.not_restored(), list(&refused), "{hardware:?}");
        assert!(hardware.left_on().is_empty() && hardware.unknown().is_empty());
        let told = format!("channel {} cannot be put back", refused[0]);
        assert!(hardware.to_string().contains(&told), "{hardware}");
        assert_eq!(fake.settings().0, 1e9);
    }
}

#[tworoutine::test(start_paused = true)]
async fn a_setting_that_hangs_uses_up_a_part_of_the_time() {
    let fake = observing().always(Fault::Refuse, "set the NCO of module 1 to 1000000000");
    let hanging = fake.clone();
    let target = Target::new(fake.handle(), module()).safe_state(SafeState::Previous);
    let run = runner().run(vec![target], move |board, module| {
        let fake = hanging.clone();
        async move {
            let measured = measure(board, module).await;
            // The first request of the clean-up switches the tones off, and the board refuses its
            // second operation, the setting of the NCO. The next request only switches tones off.
            fake.fail(2, Fault::Dead(10 * SECOND));
            measured
        }
    });
    let hardware = only(run.await).hardware;
    assert_eq!(fake.on(), [0u16; 0], "{hardware:?}");
    assert!(hardware.left_on().is_empty(), "{hardware:?}");
}
