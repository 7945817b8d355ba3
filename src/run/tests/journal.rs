//! Tests of the journal, which is the record of the settings that the channels of a module have, or
//! may have. It is compared with the true settings of a fake board.

use std::time::Duration;

use twotone_hal::{Acquire, Batch, BoardHandle, Hertz, ToneFields};

use super::board::{Fake, Fault, channel, module, tone};
use crate::run::Journal;

/// Returns a batch of six operations: it sets tones 1 and 2, measures, sets the NCO, clears the
/// tones, and sets tone 3.
fn batch() -> Batch {
    let mut batch = Batch::new();
    batch.set_tones(module(), [tone(1, 1.0, 0.1), tone(2, 2.0, 0.2)]);
    batch.acquire_mean(module(), Acquire::new(10));
    batch.set_tone(module(), tone(4, 1.0, 0.1));
    batch.set_nco(module(), Hertz(1.5e9));
    batch.clear_tones(module());
    batch.set_tone(module(), tone(3, 1.0, 0.1));
    batch
}

async fn start(fake: &Fake) -> (std::sync::Arc<Journal>, BoardHandle) {
    let journal = Journal::start(fake.handle(), module(), ToneFields::AMPLITUDE);
    let journal = journal.await.unwrap();
    let board: std::sync::Arc<dyn twotone_hal::Board> = journal.clone();
    (journal, board.into())
}

/// Asserts that every setting that is certain according to the journal is the true setting of the
/// board.
fn assert_true(journal: &Journal, fake: &Fake, when: &str) {
    let known = journal.snapshot();
    let (nco, tones) = fake.settings();
    if let Some(known) = known.nco {
        assert_eq!(known.0, nco, "{when}");
    }
    let listed: Vec<_> = known
        .tones
        .iter()
        .map(|tone| tone.channel.number())
        .collect();
    for on in fake.on() {
        assert!(
            listed.contains(&on),
            "{when}: channel {on} is on, and not in {known:?}"
        );
    }
    for tone in &known.tones {
        if !known.unknown.contains(&tone.channel) {
            let real = tones.iter().find(|real| real.channel == tone.channel);
            let real = real.map(|real| (real.amplitude, real.offset));
            assert_eq!(real, Some((tone.amplitude, tone.offset)), "{when}");
        }
    }
}

#[tworoutine::test(start_paused = true)]
async fn begins_with_what_is_set() {
    let fake = Fake::new("b");
    fake.set(tone(3, 7.0, 0.3));
    fake.set(tone(5, 8.0, 0.0));
    let (journal, _) = start(&fake).await;
    let known = journal.snapshot();
    assert_eq!(known.nco, Some(Hertz(1e9)));
    assert_eq!(known.unknown, []);
    assert_eq!(known.tones.len(), 1);
    assert_eq!(
        known.tones[0].offset,
        Some(Hertz(7e6)),
        "the offset of a tone that is on is read"
    );
    // The first reading consists of these operations: the description of the board, the amplitudes
    // and the NCO, and all settings of the one channel that is on.
    assert_eq!(fake.operations(), 5, "{:?}", fake.log());
}

#[tworoutine::test(start_paused = true)]
async fn knows_what_a_batch_has_set() {
    let fake = Fake::new("b");
    let (journal, board) = start(&fake).await;
    board.run(&batch()).await.unwrap();
    assert_true(&journal, &fake, "after success");
    let known = journal.snapshot();
    assert_eq!((known.nco, known.unknown), (Some(Hertz(1.5e9)), vec![]));
    assert_eq!(
        known
            .tones
            .iter()
            .map(|tone| tone.channel)
            .collect::<Vec<_>>(),
        [channel(3)]
    );
}

#[tworoutine::test(start_paused = true)]
async fn is_never_certain_of_what_is_not_so() {
    let faults = [
        Fault::Refuse,
        Fault::RefuseInSilence,
        Fault::LoseAnswer,
        Fault::Break,
        Fault::Late(Duration::from_secs(1)),
        Fault::Dead(Duration::from_secs(1)),
        Fault::Reboot,
    ];
    for fault in faults {
        for at in 0..6 {
            let fake = Fake::new("b");
            let (journal, board) = start(&fake).await;
            fake.fail(at, fault);
            board.run(&batch()).await.unwrap_err();
            let when = format!("{fault:?} at {at}");
            // The board may execute a late batch now or later. The journal must be right in both
            // cases.
            assert_true(&journal, &fake, &when);
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_true(&journal, &fake, &format!("{when}, later"));
        }
    }
}

#[tworoutine::test(start_paused = true)]
async fn is_exact_where_the_board_is() {
    let fake = Fake::new("b");
    let (journal, board) = start(&fake).await;
    fake.fail(2, Fault::Refuse);
    board.run(&batch()).await.unwrap_err();
    let known = journal.snapshot();
    assert_eq!(fake.on(), [1, 2]);
    assert_eq!(known.tones.len(), 2);
    assert_eq!((known.unknown, known.nco), (vec![], Some(Hertz(1e9))));
}

#[tworoutine::test(start_paused = true)]
async fn a_batch_whose_caller_went_away_is_in_doubt() {
    let fake = Fake::new("b");
    let (journal, board) = start(&fake).await;
    let mut set = Batch::new();
    set.set_tone(module(), tone(1, 1.0, 0.1));
    let gone = tokio::time::timeout(Duration::from_millis(1), board.run(&set)).await;
    assert!(gone.is_err());
    assert_eq!(journal.snapshot().unknown, [channel(1)]);
    // The board executes the next batch after the abandoned one. So the setting is certain again.
    let mut again = Batch::new();
    again.set_tone(module(), tone(1, 2.0, 0.2));
    board.run(&again).await.unwrap();
    assert_true(&journal, &fake, "after the next");
    assert_eq!(fake.amplitudes()[0], 0.2);
}

#[tworoutine::test(start_paused = true)]
async fn keeps_the_order_of_first_polls() {
    let fake = Fake::new("b");
    let (journal, board) = start(&fake).await;
    let set = |amplitude| {
        let board = board.clone();
        async move {
            let mut set = Batch::new();
            set.set_tone(module(), tone(1, 1.0, amplitude));
            board.run(&set).await.unwrap();
        }
    };
    tokio::join!(set(0.1), set(0.2), set(0.3));
    assert_eq!(fake.amplitudes()[0], 0.3);
    assert_true(&journal, &fake, "after three at once");
}

#[tworoutine::test(start_paused = true)]
async fn a_number_that_is_none_is_not_believed() {
    for at in [1, 2] {
        let fake = Fake::new("b").with(at, Fault::Nan);
        let started = Journal::start(fake.handle(), module(), ToneFields::ALL).await;
        let error = started.unwrap_err();
        assert_eq!(error.kind(), twotone_hal::ErrorKind::Protocol, "{error}");
    }
}
