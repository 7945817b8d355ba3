//! Transient failures, after which operations that only read are repeated.

use tokio::time::Instant;

use super::*;

/// Returns a batch (a list of operations) with two steps. Each step sets an amplitude and acquires
/// samples.
fn two_steps() -> (Batch, [twotone_hal::Ticket<twotone_hal::AcquireMean>; 2]) {
    let mut batch = set(1, 0.1);
    let first = batch.acquire_mean(module(1), Acquire::new(2));
    batch.set_tones(module(1), [tone(1).amplitude(0.2)]);
    let second = batch.acquire_mean(module(1), Acquire::new(2));
    (batch, [first, second])
}

/// Connects to a board, and runs a first batch so that the connection has been verified.
async fn ready() -> (Scripted, CrsBoard) {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&read(1)).await.unwrap();
    (scripted, board)
}

/// Returns the settings and acquisitions since the call at index `from`, in order.
fn order(scripted: &Scripted, from: usize) -> Vec<(String, f64)> {
    let state = scripted.0.lock().unwrap();
    let calls = state.calls[from..].iter();
    let calls = calls.filter(|call| ["set_amplitude", "get_samples"].contains(&call.0.as_str()));
    calls.map(|call| (call.0.clone(), call.3)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_refused_acquisition_is_repeated_and_its_settings_are_not() {
    // The refused call takes the samples to discard or the samples to return, in the first step or
    // in the second.
    for good in 0..4 {
        let (scripted, board) = ready().await;
        let (batch, tickets) = two_steps();
        let before = scripted.calls();
        // Number of calls that succeed before one is refused.
        scripted.0.lock().unwrap().refuse_after("get_samples", good);
        let replies = board.run(&batch).await.unwrap();
        assert_eq!(replies.repeats(), 1, "{good}");
        for ticket in tickets {
            assert_eq!(replies.get(ticket).mean.len(), CHANNELS, "{good}");
        }
        let order = order(&scripted, before);
        let sets: Vec<_> = order
            .iter()
            .filter(|one| one.0 == "set_amplitude")
            .collect();
        assert_eq!(sets.len(), 2, "{good}: {order:?}");
        // The samples of each step are taken after its own setting.
        let whole = [7.0, 2.0];
        let steps: Vec<_> = order.split(|one| one.0 == "set_amplitude").collect();
        for step in &steps[1..] {
            let taken: Vec<f64> = step.iter().map(|one| one.1).collect();
            assert!(taken.ends_with(&whole), "{good}: {order:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lasting_refusal_is_an_error_with_the_number_of_repeats() {
    let (scripted, board) = ready().await;
    let (batch, _) = two_steps();
    scripted.0.lock().unwrap().refusals = vec![("get_samples", None, usize::MAX)];
    let error = board.run(&batch).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.executed(), error.repeats()),
        (ErrorKind::Rejected, Some(1), 2),
        "{error}"
    );
    assert!(error.to_string().contains("(asked 3 times)"), "{error}");
    assert_eq!(scripted.executed("set_amplitude"), [0.1]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_setting_is_not_sent_again() {
    let (scripted, board) = ready().await;
    scripted.0.lock().unwrap().refusals = vec![("set_amplitude", None, 1)];
    let error = board.run(&set(1, 0.1)).await.unwrap_err();
    assert_eq!((error.kind(), error.repeats()), (ErrorKind::Rejected, 0));
    assert!(scripted.executed("set_amplitude").is_empty());
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_asked_again_without_what_was_set_before() {
    let (scripted, board) = ready().await;
    let mut batch = set(1, 0.1);
    let mean = batch.acquire_mean(module(1), Acquire::new(2).unsettled());
    let nonsense = "[{\"result\":null},{\"result\":{\"i\":[[1]],\"q\":[[1]]}}]";
    scripted.script([Next::Garble(nonsense.to_owned())]);
    let replies = board.run(&batch).await.unwrap();
    assert_eq!(replies.get(mean).mean.len(), CHANNELS);
    assert_eq!(replies.repeats(), 1);
    assert_eq!(scripted.executed("set_amplitude"), [0.1]);
}

#[tokio::test(start_paused = true)]
async fn a_setting_that_is_read_as_no_number_is_read_again() {
    let (scripted, board) = ready().await;
    for bad in ["NaN", "Infinity", "-Infinity"] {
        let mut batch = Batch::new();
        let nco = batch.read_nco(module(1));
        scripted.script([Next::Garble(format!("[{{\"result\":{bad}}}]"))]);
        let replies = board.run(&batch).await.unwrap();
        assert!(replies.get(nco).frequency.0.is_finite(), "{bad}");
        assert_eq!(replies.repeats(), 1, "{bad}");
        scripted.script((0..3).map(|_| Next::Garble(format!("[{{\"result\":{bad}}}]"))));
        let error = board.run(&batch).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn nonsense_before_a_setting_has_all_of_it_repeated_in_its_place() {
    for other_behind in [false, true] {
        let (scripted, board) = ready().await;
        let (batch, tickets) = two_steps();
        scripted.script([Next::Garble("[42".to_owned())]);
        let other = set(1, 0.5);
        if other_behind {
            // The other batch is next in the order, so the settings must not be sent once more.
            let (outcome, other) = tokio::join!(board.run(&batch), board.run(&other));
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Protocol);
            other.unwrap();
            assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.2, 0.5]);
        } else {
            let replies = board.run(&batch).await.unwrap();
            assert_eq!(replies.get(tickets[1]).mean.len(), CHANNELS);
            assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.2, 0.1, 0.2]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_is_not_answered_in_time_is_asked_once_more() {
    for (hangs, is_well) in [(1, true), (2, false)] {
        let (scripted, board) = ready().await;
        scripted.script((0..hangs).map(|_| Next::Hang));
        let began = Instant::now();
        let outcome = board.run(&read(1)).await;
        assert!(began.elapsed() < Duration::from_secs(21), "{hangs}");
        match outcome {
            Ok(replies) => assert_eq!((replies.repeats(), is_well), (1, true)),
            Err(error) => {
                assert_eq!(
                    (error.kind(), is_well),
                    (ErrorKind::Timeout, false),
                    "{error}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_not_answered_in_time_is_repeated_in_its_place() {
    let (scripted, board) = ready().await;
    let (batch, tickets) = two_steps();
    scripted.script([Next::Hang]);
    let replies = board.run(&batch).await.unwrap();
    assert_eq!(replies.get(tickets[1]).mean.len(), CHANNELS);
    assert_eq!(replies.repeats(), 1);
    // After the deadline of the first batch, another batch is sent, so the first one is not sent
    // again.
    scripted.script([Next::Hang]);
    let other = set(1, 0.5);
    let (first, second) = tokio::join!(board.run(&batch), async {
        sleep(Duration::from_secs(9)).await;
        board.run(&other).await
    });
    assert_eq!(first.unwrap_err().kind(), ErrorKind::Timeout);
    second.unwrap();
    assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.2, 0.5]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_fails_when_it_is_sent_again_may_have_been_executed_before() {
    let nonsense = || Next::Garble("[42".to_owned());
    let late = || Next::Slow(Duration::from_secs(14));
    type Fails = fn(&Scripted);
    let set_is_refused: Fails = |scripted| {
        scripted.0.lock().unwrap().refusals = vec![("set_amplitude", None, 1)];
    };
    let nothing_can_be_read: Fails = |scripted| {
        scripted.0.lock().unwrap().refusals = vec![("get_frequency", None, usize::MAX)];
    };
    let is_unreachable: Fails = |scripted| scripted.0.lock().unwrap().unreachable = true;
    let has_restarted: Fails = |scripted| scripted.forget();
    let samples_are_refused: Fails = |scripted| {
        let mut state = scripted.0.lock().unwrap();
        state.refusals = vec![("get_samples", None, usize::MAX)];
    };
    for (first, then, kind) in [
        (nonsense(), set_is_refused, ErrorKind::Rejected),
        (nonsense(), samples_are_refused, ErrorKind::Rejected),
        (late(), nothing_can_be_read, ErrorKind::Rejected),
        (late(), is_unreachable, ErrorKind::Unreachable),
        (late(), has_restarted, ErrorKind::EpochChanged),
    ] {
        let (scripted, board) = ready().await;
        let steps = two_steps().0;
        let case = format!("{first:?} {kind:?}");
        let is_nonsense = matches!(first, Next::Garble(_));
        scripted.script([first]);
        let (outcome, ()) = tokio::join!(board.run(&steps), async {
            // An invalid answer arrives at once, and the request is repeated after 50 ms.
            sleep(Duration::from_millis(if is_nonsense { 20 } else { 5000 })).await;
            then(&scripted);
        });
        let error = outcome.unwrap_err();
        assert_eq!(
            (error.kind(), error.certainty(), error.executed()),
            (kind, Certainty::Unknown, Some(0)),
            "{case}: {error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_setting_that_is_refused_when_it_is_sent_again_may_have_been_executed() {
    let (scripted, board) = ready().await;
    scripted.script([Next::CloseInAnswer]);
    scripted.0.lock().unwrap().refuse_after("set_amplitude", 1);
    let error = board.run(&set(1, 0.1)).await.unwrap_err();
    assert_eq!(scripted.executed("set_amplitude"), [0.1]);
    assert_eq!(
        (error.kind(), error.certainty(), error.executed()),
        (ErrorKind::Rejected, Certainty::Unknown, Some(0)),
        "{error}"
    );
    assert_eq!(error.repeats(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_board_is_not_at_rest_while_a_lost_acquisition_may_take() {
    let (scripted, board) = ready().await;
    // At decimation stage 6 the board takes 596 samples a second, so the acquisition takes 5 s. The
    // connection is lost at once. The board executes the setting of the same request after the
    // samples.
    let mut steps = Batch::new();
    steps.acquire_mean(module(1), Acquire::new(2_980).unsettled());
    steps.set_tones(module(1), [tone(1).amplitude(0.2)]);
    scripted.script([Next::LandLate(Duration::from_secs(4))]);
    board.run(&steps).await.unwrap();
    board.run(&set(1, 0.0)).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(scripted.executed("set_amplitude"), [0.2, 0.2, 0.0]);
}

#[tokio::test(start_paused = true)]
async fn settings_behind_a_refused_reading_keep_their_place() {
    for other_behind in [false, true] {
        let (scripted, board) = ready().await;
        let (batch, tickets) = two_steps();
        scripted.0.lock().unwrap().refusals = vec![("get_samples", None, 1)];
        if other_behind {
            let off = set(1, 0.0);
            let (outcome, off) = tokio::join!(board.run(&batch), board.run(&off));
            let error = outcome.unwrap_err();
            assert_eq!(
                (error.kind(), error.certainty(), error.executed()),
                (ErrorKind::Rejected, Certainty::NotExecuted, Some(1)),
                "{error}"
            );
            off.unwrap();
            assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.0]);
        } else {
            let replies = board.run(&batch).await.unwrap();
            assert_eq!(replies.get(tickets[1]).mean.len(), CHANNELS);
            assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.2]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_setting_waits_for_a_reading_that_is_refused_once() {
    for what in ["get_frequency", "get_amplitude"] {
        let scripted = Scripted::default();
        let board = connect(&scripted).await;
        scripted.0.lock().unwrap().refusals = vec![(what, None, 1)];
        let replies = board.run(&set(1, 0.1)).await.unwrap();
        assert_eq!(replies.repeats(), 1, "{what}");
        assert_eq!(scripted.executed("set_amplitude"), [0.1], "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn tones_go_off_where_nothing_can_be_read_back_and_none_goes_on() {
    for (refused, hangs_on) in [
        (Some("get_frequency"), None),
        (Some("get_amplitude"), None),
        (None, Some("get_frequency")),
        (None, Some("get_amplitude")),
    ] {
        let case = format!("{refused:?} {hangs_on:?}");
        let scripted = Scripted::default();
        scripted.change("amplitude", 1, 1, Some(0.3));
        let board = connect(&scripted).await;
        {
            let mut state = scripted.0.lock().unwrap();
            state.refusals = refused
                .map(|one| (one, None, usize::MAX))
                .into_iter()
                .collect();
            state.hangs_on = hangs_on;
        }
        let mut clear = Batch::new();
        clear.clear_tones(module(1));
        let mut on_again = clear.clone();
        on_again.set_tones(module(1), [tone(1).amplitude(0.2)]);
        for mut lights in [
            set(1, 0.1),
            on_again,
            batch(1, [tone(1).offset(Hertz(1e6))]),
        ] {
            lights.set_nco(module(1), Hertz(1e9));
            board.run(&lights).await.unwrap_err();
        }
        assert_eq!(scripted.setting("amplitude", 1, 1), Some(0.3), "{case}");
        let began = Instant::now();
        for dark in [set(1, 0.0), clear] {
            board.run(&dark).await.unwrap();
        }
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{case}: {:?}",
            began.elapsed()
        );
        assert_eq!(scripted.executed("set_amplitude"), [0.0], "{case}");
        assert_eq!(scripted.executed("clear_channels").len(), 1, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_not_executed_after_a_refusal_is_written_as_for_the_first_time() {
    let (scripted, board) = ready().await;
    let home = scripted.setting("frequency", 1, 8).unwrap();
    assert!(home > 1e6);
    // The batch switches the last channel on at the frequency of the NCO. Before that, its
    // frequency is the marker, by which the client detects a restart.
    let mut batch = read(1);
    batch.acquire_mean(module(1), Acquire::new(2));
    batch.set_tones(module(1), [tone(8).amplitude(0.1)]);
    scripted.0.lock().unwrap().refusals = vec![("get_samples", None, 1)];
    board.run(&batch).await.unwrap();
    assert_eq!(scripted.setting("frequency", 1, 8), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_bad_sample_is_a_bad_mean_of_its_channel_alone() {
    let rows = |bad: &str, of: usize| {
        let row = |at: usize| {
            if at < of {
                format!("[1.0,{bad}]")
            } else {
                "[1.0,3.0]".into()
            }
        };
        let rows: Vec<String> = (0..CHANNELS).map(row).collect();
        format!("[{}]", rows.join(","))
    };
    // The last value makes a row too long.
    for bad in [
        "NaN",
        "Infinity",
        "-Infinity",
        "null",
        "1e300",
        "-1e10",
        "\"n/a\"",
        "true",
        "[2.0]",
        "{}",
        "3.0,3.0",
    ] {
        for of in [1, CHANNELS - 1, CHANNELS] {
            for part in ["i", "q"] {
                let (scripted, board) = ready().await;
                let (good, bad) = (rows("3.0", 0), rows(bad, of));
                let (i, q) = if part == "i" {
                    (&bad, &good)
                } else {
                    (&good, &bad)
                };
                let answer = format!("[{{\"result\":{{\"i\":{i},\"q\":{q}}}}}]");
                scripted.script((0..3).map(|_| Next::Garble(answer.clone())));
                let mut batch = Batch::new();
                let mean = batch.acquire_mean(module(1), Acquire::new(2).unsettled());
                match board.run(&batch).await {
                    Ok(replies) => {
                        let view = replies.get(mean);
                        assert!(of < CHANNELS, "{bad}");
                        for (at, (z, scatter)) in view.mean.iter().zip(view.scatter).enumerate() {
                            let is_bad = z.re.is_nan() && z.im.is_nan() && scatter.is_nan();
                            assert_eq!(is_bad, at < of, "{bad} {part} {at}: {z} {scatter}");
                            assert!(is_bad || z.re == 2.0);
                        }
                    }
                    Err(error) => {
                        assert_eq!(of, CHANNELS, "{bad}: {error}");
                        assert_eq!(error.kind(), ErrorKind::Protocol);
                    }
                }
            }
        }
    }
}
