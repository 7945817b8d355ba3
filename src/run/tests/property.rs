//! Property test with one fault of a board, of any kind, at any operation of an algorithm. A
//! *batch* is a list of operations, sent to a board as one request. The run ends by its deadline.
//! The tones are in the safe state that the run declares, or their channels are listed in the
//! outcome. The other boards are not affected.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use twotone_hal::{
    Acquire, Batch, BoardHandle, Complex64, Hertz, ModuleId, Result, ToneFields, ToneUpdate,
};

use super::board::{CHANNELS, Fake, Fault, channel, module, tone};
use crate::run::{HardwareState, Outcome, Runner, SafeState, Target};

const DEADLINE: Duration = Duration::from_secs(120);
/// Delay of a late batch. It is longer than the time after which the client of the board gives up a
/// request. It is equal to the time for which, according to the runner, the board may still execute
/// a lost request.
const LATE: Duration = Duration::from_secs(8);
const FOR_EVER: Duration = Duration::from_secs(100_000);

/// A time that is longer than the longest run.
const SUSPENDED: Duration = Duration::from_secs(1000);

const FAULTS: [Fault; 13] = [
    Fault::Refuse,
    Fault::RefuseInSilence,
    Fault::LoseAnswer,
    Fault::Break,
    Fault::Late(Duration::from_millis(100)),
    Fault::Late(LATE),
    Fault::Dead(Duration::from_secs(20)),
    Fault::Dead(FOR_EVER),
    Fault::Reboot,
    Fault::Lie,
    Fault::Nan,
    Fault::Panic,
    Fault::Suspended(SUSPENDED),
];

/// Runs a small tune: sets the NCO, makes three steps of a sweep, sets the final tones, reads them
/// back and measures them.
async fn tune(board: BoardHandle, module: ModuleId) -> Result<Vec<Complex64>> {
    let mut measured = Vec::new();
    board.nco().set(module, Hertz(1.2e9)).await?;
    board.tones().clear(module).await?;
    for step in 0..3 {
        let mut batch = Batch::new();
        batch.set_tones(
            module,
            (1..=4).map(|n| tone(n, f64::from(10 * n + step), 0.05)),
        );
        let means = batch.acquire_mean(module, Acquire::new(10));
        measured.extend_from_slice(board.run(&batch).await?.get(means).mean);
    }
    let mut batch = Batch::new();
    batch.set_tone(module, ToneUpdate::new(channel(4)).amplitude(0.0));
    batch.set_tones(module, (1..=3).map(|n| tone(n, f64::from(10 * n), 0.08)));
    batch.read_tones(module, channel(1), CHANNELS, ToneFields::ALL);
    let means = batch.acquire_mean(module, Acquire::new(10));
    measured.extend_from_slice(board.run(&batch).await?.get(means).mean);
    Ok(measured)
}

/// Makes three boards, with tones 2 and 6 on before the run.
fn farm() -> Vec<Fake> {
    let fakes: Vec<_> = ["a", "bb", "ccc"].map(Fake::new).into();
    for fake in &fakes {
        fake.set(tone(2, 33.0, 0.02));
        fake.set(tone(6, 44.0, 0.03));
    }
    fakes
}

async fn run(fakes: &[Fake], safe_state: SafeState) -> Vec<Outcome<Vec<Complex64>>> {
    let target = |fake: &Fake| Target::new(fake.handle(), module()).safe_state(safe_state);
    Runner::new()
        .deadline(DEADLINE)
        .request_life(LATE)
        .keep_on_success()
        .run(fakes.iter().map(target).collect(), tune)
        .await
}

/// Compares the state of the tones in `outcome` with the true tones of the board.
fn check_tones(outcome: &Outcome<Vec<Complex64>>, fake: &Fake, safe_state: SafeState, when: &str) {
    let (on, hardware) = (fake.on(), &outcome.hardware);
    let declared: &[u16] = match (hardware, safe_state) {
        _ if outcome.result.is_ok() => &[1, 2, 3],
        (HardwareState::Untouched, _) | (_, SafeState::Previous) => &[2, 6],
        _ => &[],
    };
    for number in 1..=CHANNELS {
        let (is, should) = (on.contains(&number), declared.contains(&number));
        let (left_on, unknown) = (hardware.left_on(), hardware.unknown());
        if left_on.contains(channel(number)) {
            assert!(
                is,
                "{when}: channel {number} is off, and listed as left on: {hardware}"
            );
        }
        let listed = [left_on, unknown, hardware.not_restored()]
            .iter()
            .any(|list| list.contains(channel(number)));
        assert!(
            is == should || listed,
            "{when}: channel {number} is {is}, should be {should}, and is not listed: {hardware}"
        );
    }
    if matches!(hardware, HardwareState::AsDeclared) && safe_state == SafeState::Previous {
        let (nco, tones) = fake.settings();
        let offset = |number| {
            let tone = tones.iter().find(|tone| tone.channel == channel(number));
            tone.and_then(|tone| tone.offset)
        };
        let found = (nco, offset(2), offset(6));
        let before = (1e9, Some(Hertz(33e6)), Some(Hertz(44e6)));
        assert_eq!(found, before, "{when}");
    }
}

async fn one_fault_anywhere(safe_state: SafeState) {
    let fakes = farm();
    let without = run(&fakes, safe_state).await;
    assert!(without.iter().all(Outcome::is_well), "{without:?}");
    let operations = fakes[1].operations();
    let result = |outcome: &Outcome<Vec<Complex64>>| format!("{:?}", outcome.result);

    for fault in FAULTS {
        // A run without a fault has `operations` operations. Faults at a few later operations hit
        // the clean-up.
        for at in 0..operations + 4 {
            let when = format!("{safe_state}: {fault:?} at operation {at} of {operations}");
            let fakes = farm();
            let faulty = fakes[1].clone().with(at, fault);
            let lost = match fault {
                Fault::Suspended(time) => time,
                _ => Duration::ZERO,
            };
            let began = Instant::now();
            let outcomes = run(&fakes, safe_state).await;
            assert!(
                began.elapsed() <= DEADLINE + lost,
                "{when}: took {:?}",
                began.elapsed()
            );

            for other in [0, 2] {
                let (with, without) = (&outcomes[other], &without[other]);
                assert_eq!(result(with), result(without), "{when}");
                assert_eq!(with.hardware, without.hardware, "{when}");
            }

            // After this time, the board has executed every late batch.
            sleep(Duration::from_secs(60)).await;
            check_tones(&outcomes[1], &faulty, safe_state, &when);
            // Two reboots cannot be mended. If settings are lost before they were read, nobody
            // knows them. If they are lost after the algorithm has finished, they are not set
            // again.
            let unread = at < 3 && safe_state == SafeState::Previous;
            let lost = fault == Fault::Reboot && (unread || outcomes[1].result.is_ok());
            if let Fault::Suspended(_) = fault {
                assert_eq!(result(&outcomes[1]), result(&without[1]), "{when}");
            }
            let hopeless = fault == Fault::Dead(FOR_EVER) || fault == Fault::Lie || lost;
            assert!(
                hopeless || outcomes[1].hardware.is_settled(),
                "{when}: {:?}",
                outcomes[1]
            );
            if let Ok(measured) = &outcomes[1].result {
                let measured: std::result::Result<_, twotone_hal::Error> = Ok(measured);
                let lie = fault == Fault::Lie;
                assert!(
                    lie || format!("{measured:?}") == result(&without[1]),
                    "{when}"
                );
            }

            faulty.revive();
            let off = Runner::new()
                .off(vec![Target::new(faulty.handle(), module())])
                .await;
            assert!(off[0].is_well(), "{when}: {:?}", off[0]);
            assert_eq!(faulty.on(), [0u16; 0], "{when}");
            let again = run(std::slice::from_ref(&faulty), safe_state).await;
            assert_eq!(result(&again[0]), result(&without[1]), "{when}");
        }
    }
}

#[tworoutine::test(start_paused = true)]
async fn one_fault_anywhere_with_all_off() {
    one_fault_anywhere(SafeState::Off).await;
}

#[tworoutine::test(start_paused = true)]
async fn one_fault_anywhere_with_the_previous_settings() {
    one_fault_anywhere(SafeState::Previous).await;
}
