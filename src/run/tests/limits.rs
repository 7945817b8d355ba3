//! Tests of the limits that are enforced for every change of a setting. A *batch* is a list of
//! operations, sent to a board as one request. The *comb* is the sum of all tones of a module.

use std::slice;

use twotone_hal::{Acquire, Batch, BoardHandle, Dbm, ErrorKind, Hertz, ToneFields, ToneUpdate};

use super::board::{Fake, channel, module, tone};
use crate::run::{Journal, Limits, ModuleLimits};

const LIMITS: ModuleLimits = ModuleLimits {
    f_min: Some(Hertz(0.9e9)),
    f_max: Some(Hertz(1.1e9)),
    // The full scale of the fake board is 0 dBm, so these limits of power are amplitudes of 0.1 and
    // 0.15.
    max_tone: Some(Dbm(-20.0)),
    max_total: Some(Dbm(-16.478_174_818_886_377)),
    crest: 5.5,
};

async fn limited(fake: &Fake, limits: ModuleLimits) -> BoardHandle {
    let journal = Journal::start(fake.handle(), module(), ToneFields::AMPLITUDE);
    BoardHandle::new(Limits::new(journal.await.unwrap(), limits))
}

/// Runs batches one after the other, and returns the result of the last one. Asserts that all
/// others succeed, and that no part of the last one is sent if it is refused.
async fn check(limits: ModuleLimits, batches: &[Batch]) -> Result<(), (ErrorKind, String)> {
    let fake = Fake::new("b");
    let board = limited(&fake, limits).await;
    let (last, before) = batches.split_last().unwrap();
    for batch in before {
        board.run(batch).await.unwrap();
    }
    let sent = fake.operations();
    board.run(last).await.map(drop).map_err(|error| {
        assert_eq!(fake.operations(), sent, "a refused batch was sent: {error}");
        assert_eq!(error.board(), Some("b"), "{error}");
        assert_eq!(error.executed(), Some(0), "{error}");
        (error.kind(), error.message().to_owned())
    })
}

fn batch(add: impl FnOnce(&mut Batch)) -> Batch {
    let mut batch = Batch::new();
    add(&mut batch);
    batch
}

fn tones(updates: &[ToneUpdate]) -> Batch {
    batch(|batch| {
        batch.set_tones(module(), updates.iter().copied());
    })
}

fn refused(message: &str) -> Result<(), (ErrorKind, String)> {
    Err((ErrorKind::Limit, message.to_owned()))
}

#[tworoutine::test(start_paused = true)]
async fn one_tone_has_its_limit() {
    let at = |amplitude| [tones(&[tone(3, 1.0, amplitude)])];
    assert_eq!(check(LIMITS, &at(0.1)).await, Ok(()));
    assert_eq!(check(LIMITS, &at(-0.1)).await, Ok(()));
    let message = "channel 3: -19.91 dBm asked, -20.00 dBm allowed for one tone";
    assert_eq!(check(LIMITS, &at(0.101)).await, refused(message));
    assert_eq!(check(LIMITS, &at(-0.101)).await, refused(message));
    let unlimited = ModuleLimits::default();
    assert_eq!(check(unlimited, &at(1.0)).await, Ok(()));
    for wrong in [1.1, f64::NAN, f64::INFINITY] {
        let error = check(unlimited, &at(wrong)).await.unwrap_err();
        assert_eq!(error.0, ErrorKind::InvalidArgument, "{wrong}");
    }
    let nowhere = [tones(&[tone(3, f64::NAN, 0.1)])];
    let error = check(unlimited, &nowhere).await.unwrap_err();
    assert_eq!(error.0, ErrorKind::InvalidArgument);
    let beyond = [tones(&[tone(9, 1.0, 0.1)])];
    let error = check(unlimited, &beyond).await.unwrap_err();
    assert_eq!(
        error,
        (
            ErrorKind::InvalidArgument,
            "channel 9 is past the 8 of module 1".into()
        )
    );
}

#[tworoutine::test(start_paused = true)]
async fn all_tones_together_have_theirs_at_every_point_of_a_batch() {
    let two = tones(&[tone(1, 1.0, 0.1), tone(2, 2.0, 0.1)]);
    assert_eq!(check(LIMITS, slice::from_ref(&two)).await, Ok(()));
    let message = "channel 3: -15.23 dBm asked, -16.48 dBm allowed for all tones together";
    let third = tones(&[tone(3, 3.0, 0.1)]);
    assert_eq!(check(LIMITS, &[two.clone(), third]).await, refused(message));

    // A batch may lower one tone and then raise another. It may not do this in the other order.
    let lower = ToneUpdate::new(channel(1)).amplitude(0.0);
    let raise = tone(3, 3.0, 0.1);
    assert_eq!(
        check(LIMITS, &[two.clone(), tones(&[lower, raise])]).await,
        Ok(())
    );
    let wrong = check(LIMITS, &[two.clone(), tones(&[raise, lower])]).await;
    assert_eq!(wrong, refused(message));
    // Too much power between two operations of a batch is refused too.
    let moment = batch(|batch| {
        batch.set_tone(module(), raise);
        batch.clear_tones(module());
    });
    assert_eq!(
        check(LIMITS, &[two.clone(), moment]).await,
        refused(message)
    );
    let cleared = batch(|batch| {
        batch.clear_tones(module());
        batch.set_tones(module(), [raise, tone(4, 4.0, 0.1)]);
    });
    assert_eq!(check(LIMITS, &[two, cleared]).await, Ok(()));
}

#[tworoutine::test(start_paused = true)]
async fn a_tone_that_was_on_before_the_run_counts() {
    let fake = Fake::new("b");
    fake.set(tone(7, 5.0, 0.14));
    let board = limited(&fake, LIMITS).await;
    let error = board.run(&tones(&[tone(1, 1.0, 0.09)])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    // Tone 7 is above the limit of one tone. It may be lowered nevertheless.
    board.run(&tones(&[tone(7, 5.0, 0.12)])).await.unwrap();
    board.run(&tones(&[tone(1, 1.0, 0.09)])).await.unwrap();
    assert_eq!(fake.on(), [1, 7]);
    // The answer is lost, so tone 7 may be on with an amplitude of 0.12, or off. If it is off, an
    // amplitude of 0.11 raises it, so this is refused.
    fake.fail(0, super::board::Fault::LoseAnswer);
    board.run(&tones(&[tone(7, 5.0, 0.0)])).await.unwrap_err();
    let error = board.run(&tones(&[tone(7, 5.0, 0.11)])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[tworoutine::test(start_paused = true)]
async fn a_tone_that_may_be_on_counts() {
    let fake = Fake::new("b");
    let board = limited(&fake, LIMITS).await;
    fake.fail(0, super::board::Fault::LoseAnswer);
    let louder = [tone(1, 1.0, 0.1), tone(2, 1.0, 0.1)];
    board.run(&tones(&louder)).await.unwrap_err();
    let error = board.run(&tones(&[tone(3, 1.0, 0.1)])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    let mut clear = Batch::new();
    clear.clear_tones(module());
    board.run(&clear).await.unwrap();
    board.run(&tones(&[tone(3, 1.0, 0.1)])).await.unwrap();
    assert_eq!(fake.on(), [3]);
}

#[tworoutine::test(start_paused = true)]
async fn a_comb_has_headroom() {
    let free = ModuleLimits::default();
    let comb = |amplitude| {
        let all = [1, 2, 3, 4, 5, 6, 7, 8].map(|n| tone(n, f64::from(n), amplitude));
        [tones(&all)]
    };
    // The peak of eight tones of amplitude a is 5.5 sqrt(8 a^2 / 2), or the sum 8 a of the
    // amplitudes if that is smaller.
    assert_eq!(check(free, &comb(0.125)).await, Ok(()));
    let message = "channel 8: the comb would peak at 1.008 of full scale; scale all amplitudes by \
                   0.992 or less, or use fewer tones";
    assert_eq!(check(free, &comb(0.126)).await, refused(message));
    let tight = ModuleLimits { crest: 4.0, ..free };
    assert_eq!(check(tight, &comb(0.126)).await, refused(message));
    let tighter = ModuleLimits { crest: 3.0, ..free };
    assert_eq!(check(tighter, &comb(0.126)).await, Ok(()));
}

#[tworoutine::test(start_paused = true)]
async fn tones_stay_in_their_range_wherever_the_comb_rests() {
    let at = |mhz| tones(&[tone(1, mhz, 0.05)]);
    assert_eq!(check(LIMITS, &[at(100.0)]).await, Ok(()));
    assert_eq!(check(LIMITS, &[at(-100.0)]).await, Ok(()));
    let high =
        refused("channel 1: 1101000000 Hz asked, and the map allows no higher than 1100000000 Hz");
    let low =
        refused("channel 1: 899000000 Hz asked, and the map allows no lower than 900000000 Hz");
    assert_eq!(check(LIMITS, &[at(101.0)]).await, high);
    assert_eq!(check(LIMITS, &[at(-101.0)]).await, low);
    // A batch must not measure a tone out of its range, even if the tone is back in range at the
    // end of the batch.
    let back = batch(|batch| {
        batch.set_tone(module(), tone(1, 101.0, 0.05));
        batch.acquire_mean(module(), Acquire::new(10));
        batch.set_tone(module(), tone(1, 100.0, 0.05));
    });
    assert_eq!(check(LIMITS, &[back]).await, high);
    // The frequency of a tone that is off is not limited. It is checked when the tone is switched
    // on.
    let off = tones(&[tone(1, 101.0, 0.0)]);
    let on = tones(&[ToneUpdate::new(channel(1)).amplitude(0.05)]);
    assert_eq!(check(LIMITS, &[off, on]).await, high);

    // The offset of channel 2 was never set in this run. It is known only if all settings are read
    // back.
    let alone = tones(&[ToneUpdate::new(channel(2)).amplitude(0.05)]);
    let nowhere = refused(
        "channel 2 is to carry a tone, and its offset from the NCO is not known: it was not set in this run, and the board does not report it. So its place in the range of the map cannot be checked; set its offset in the same batch",
    );
    assert_eq!(check(LIMITS, slice::from_ref(&alone)).await, nowhere);
    assert_eq!(check(ModuleLimits::default(), &[alone]).await, Ok(()));

    // The NCO may move first, and the offsets after it, in one batch or in two. A measurement in
    // between is refused, because the tones would be out of range.
    let nco = batch(|batch| {
        batch.set_nco(module(), Hertz(1.05e9));
    });
    let measure = batch(|batch| {
        batch.acquire_mean(module(), Acquire::new(10));
    });
    let both = batch(|batch| {
        batch.set_nco(module(), Hertz(1.05e9));
        batch.set_tone(module(), tone(1, 50.0, 0.05));
        batch.acquire_mean(module(), Acquire::new(10));
    });
    assert_eq!(check(LIMITS, &[at(90.0), both]).await, Ok(()));
    assert_eq!(
        check(LIMITS, &[at(90.0), nco.clone(), at(50.0), measure.clone()]).await,
        Ok(())
    );
    let beyond =
        refused("channel 1: 1140000000 Hz asked, and the map allows no higher than 1100000000 Hz");
    assert_eq!(
        check(LIMITS, &[at(90.0), nco.clone(), measure]).await,
        beyond
    );
    assert_eq!(check(LIMITS, &[nco, at(90.0)]).await, beyond);
}

#[tworoutine::test(start_paused = true)]
async fn two_batches_at_once_do_not_slip_through_together() {
    let fake = Fake::new("b");
    let board = limited(&fake, LIMITS).await;
    let set = |number| {
        let board = board.clone();
        async move { board.run(&tones(&[tone(number, 1.0, 0.1)])).await.is_ok() }
    };
    let well = tokio::join!(set(1), set(2), set(3));
    assert_eq!(well, (true, true, false));
    assert_eq!(fake.on(), [1, 2]);
}

#[test]
fn limits_are_read_and_misspelt_ones_refused() {
    let read: ModuleLimits = serde_json::from_str(r#"{"max_tone": -40.0}"#).unwrap();
    assert_eq!((read.max_tone, read.crest), (Some(Dbm(-40.0)), 5.5));
    assert!(serde_json::from_str::<ModuleLimits>(r#"{"max_tones": -40.0}"#).is_err());
}

/// A tone may be out of its range between two settings, but not while a batch waits.
#[tworoutine::test(start_paused = true)]
async fn a_tone_is_in_its_range_while_the_batch_waits() {
    let around = |waits: bool| {
        [batch(|batch| {
            batch.set_tone(module(), tone(3, 150.0, 0.01));
            if waits {
                batch.wait(module(), std::time::Duration::from_secs(600));
            }
            batch.set_tone(module(), tone(3, 50.0, 0.01));
        })]
    };
    assert_eq!(check(LIMITS, &around(false)).await, Ok(()));
    let (kind, message) = check(LIMITS, &around(true)).await.unwrap_err();
    assert_eq!(kind, ErrorKind::Limit, "{message}");
    assert!(message.contains("no higher than"), "{message}");
}
