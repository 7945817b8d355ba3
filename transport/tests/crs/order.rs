//! The calls that a batch sends, and their order.

use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn many_operations_travel_in_one_request() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.0)).await.unwrap();
    let before = scripted.requests();
    let mut batch = Batch::new();
    let nco = batch.set_nco(module(1), Hertz(1e9));
    for number in 1..=4 {
        let tone = ToneUpdate::new(ChannelId::new(number).unwrap());
        batch.set_tone(module(1), tone.offset(Hertz(1e6)).amplitude(0.01));
    }
    let mean = batch.acquire_mean(module(1), Acquire::new(3).first_channels(4));
    let second = batch.acquire_samples(
        module(1),
        Acquire::new(2).channel(ChannelId::new(2).unwrap()),
    );
    let replies = board.run(&batch).await.unwrap();
    assert_eq!(scripted.requests() - before, 1);
    assert_eq!(replies.get(nco).frequency, Hertz(1e9));
    let means: Vec<f64> = replies.get(mean).mean.iter().map(|z| z.re).collect();
    assert_eq!(means, [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(replies.get(second).channel(0).len(), 2);
    // The samples that are discarded while filters settle are taken first, then the requested ones.
    // Fields that are not set are not sent.
    assert_eq!(scripted.executed("get_samples")[1..], [7.0, 3.0, 7.0, 2.0]);
    assert!(scripted.executed("set_phase").is_empty());
}

#[tokio::test(start_paused = true)]
async fn operations_out_of_range_are_never_sent() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    let before = scripted.requests();
    let last = u16::try_from(CHANNELS).unwrap();
    let mut batches = vec![set(1, 1.5), set(5, 0.1), set(1, f64::NAN)];
    let tone = |number| ToneUpdate::new(ChannelId::new(number).unwrap());
    macro_rules! wrong {
        () => {{
            batches.push(set(1, 0.1));
            batches.last_mut().unwrap()
        }};
    }
    wrong!().acquire_mean(module(1), Acquire::new(0));
    wrong!().acquire_mean(module(1), Acquire::new(1).first_channels(last + 1));
    wrong!().set_nco(module(1), Hertz(f64::NAN));
    wrong!().set_tone(module(1), tone(last + 1).amplitude(0.1));
    wrong!().set_tone(module(1), tone(1).offset(Hertz(251e6)));
    for batch in batches {
        let error = board.run(&batch).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert_eq!(
            (error.certainty(), error.executed()),
            (Certainty::NotExecuted, Some(0))
        );
        assert_eq!(error.board(), Some("b1"));
    }
    assert_eq!(scripted.requests(), before);
}

#[tokio::test(start_paused = true)]
async fn a_sent_batch_is_driven_to_its_answer_and_the_next_waits() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    scripted.script([Next::Slow(Duration::from_secs(1))]);
    // The caller drops the future, but the board still executes the batch.
    let given_up = timeout(Duration::from_millis(100), board.run(&set(1, 0.2))).await;
    assert!(given_up.is_err());
    let began = Instant::now();
    board.run(&set(1, 0.0)).await.unwrap();
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "it did not wait its turn"
    );
    assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.2, 0.0]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_not_sent_yet_is_not_sent() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    scripted.script([Next::Slow(Duration::from_secs(1))]);
    let (first, waiting) = (set(1, 0.2), set(1, 0.3));
    let (first, given_up) = tokio::join!(board.run(&first), async {
        sleep(Duration::from_millis(10)).await;
        timeout(Duration::from_millis(10), board.run(&waiting)).await
    });
    first.unwrap();
    assert!(given_up.is_err());
    board.run(&set(1, 0.4)).await.unwrap();
    assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.2, 0.4]);
}

#[tokio::test(start_paused = true)]
async fn other_modules_go_on_beside_one_that_hangs() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    board.run(&set(2, 0.1)).await.unwrap();
    scripted.script([Next::Hang]);
    let (hanging, other) = (set(1, 0.2), set(2, 0.2));
    let began = Instant::now();
    let (hanging, other) = tokio::join!(board.run(&hanging), async {
        sleep(Duration::from_millis(10)).await;
        let outcome = board.run(&other).await;
        (outcome, began.elapsed())
    });
    other.0.unwrap();
    assert!(other.1 < Duration::from_millis(50));
    let error = hanging.unwrap_err();
    assert_eq!(
        (error.kind(), error.certainty()),
        (ErrorKind::Timeout, Certainty::Unknown)
    );
    assert!(
        error
            .to_string()
            .starts_with("board b1: set 1 tones on module 1: timed out"),
        "{error}"
    );
    let took = began.elapsed();
    assert!(
        took >= Duration::from_secs(10) && took < Duration::from_millis(10_050),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_behind_one_that_hangs_keeps_its_own_deadline() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    scripted.script([Next::Hang]);
    let (hanging, behind) = (set(1, 0.2), set(1, 0.3));
    let (_, error) = tokio::join!(board.run(&hanging), board.run(&behind));
    let error = error.unwrap_err();
    assert_eq!(
        (error.kind(), error.certainty()),
        (ErrorKind::Timeout, Certainty::NotExecuted)
    );
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_not_known_is_refused_before_anything_is_sent() {
    use twotone_hal::Safety;

    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    for safety in [Safety::Read, Safety::AbsoluteSet, Safety::Once] {
        for about in [Some(module(1)), None] {
            let before = scripted.calls();
            let mut batch = set(1, 0.1);
            batch.unknown(about, safety);
            let error = board.run(&batch).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert_eq!(error.executed(), Some(0), "{error}");
            assert_eq!(error.certainty(), Certainty::NotExecuted, "{error}");
            assert_eq!(error.board(), Some("b1"), "{error}");
            assert_eq!(scripted.calls(), before, "{error}");
        }
    }
}
