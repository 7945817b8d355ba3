//! Reading settings back after a new connection: the last settings of this client, and the marker,
//! a setting that the client makes only to detect a restart. A batch is a list of operations.

use super::*;

/// Returns a board with 8 channels, on which channels 1 and 2, the NCO and two phases are set.
async fn set_up(scripted: &Scripted) -> CrsBoard {
    let board = connect(scripted).await;
    let mut batch = Batch::new();
    batch.set_nco(module(1), Hertz(1e9));
    batch.set_tones(
        module(1),
        [
            tone(1)
                .offset(Hertz(-2e6))
                .amplitude(0.1)
                .phase(Radians::from_degrees(30.0)),
            tone(2)
                .offset(Hertz(3e6))
                .amplitude(0.004)
                .rotation(Radians::from_degrees(-90.0)),
        ],
    );
    board.run(&batch).await.unwrap();
    board
}

/// Way in which the connection ends before the board is read back.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Idle,
    Lost,
}

async fn end(scripted: &Scripted, board: &CrsBoard, how: End) {
    match how {
        End::Idle => idle().await,
        End::Lost => {
            scripted.script([Next::Close]);
            board.run(&read(1)).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_board_with_its_marker_is_another_where_a_setting_is_another() {
    let restarted = ": the board has restarted, or another program has set it";
    for (what, channel, to, expected) in [
        (
            "amplitude",
            2,
            Some(0.0),
            "channel 2: amplitude is 0, was set to 0.004",
        ),
        (
            "amplitude",
            2,
            Some(0.005),
            "channel 2: amplitude is 0.005, was set to 0.004",
        ),
        (
            "amplitude",
            1,
            None,
            "channel 1: amplitude is not set, was set to 0.1",
        ),
        (
            "frequency",
            1,
            Some(1e6),
            "channel 1: offset is 1000000 Hz, was set to -2000000 Hz",
        ),
        (
            "phase",
            1,
            Some(0.0),
            "channel 1: phase is 0 degrees, was set to 30",
        ),
        (
            "rotation",
            2,
            None,
            "channel 2: rotation is not set, was set to -90 degrees",
        ),
        ("nco", 0, Some(0.0), "NCO is 0 Hz, was set to 1000000000 Hz"),
        ("frequency", 8, None, "channel 8: offset is not set, was"),
    ] {
        for how in [End::Idle, End::Lost] {
            let scripted = Scripted::default();
            let board = set_up(&scripted).await;
            scripted.change(what, 1, channel, to);
            end(&scripted, &board, how).await;
            let error = board.run(&set(1, 0.2)).await.unwrap_err();
            let text = error.to_string();
            assert_eq!(error.kind(), ErrorKind::EpochChanged, "{text}");
            let expected = format!("module 1 {expected}");
            assert!(text.contains(&expected), "{how:?}: {expected}: {text}");
            assert!(text.contains(restarted), "{text}");
            let is_other = text.contains("the latter: a restart would have taken the marker");
            // The last channel carries the marker.
            assert_eq!(is_other, channel != 8, "{text}");
            assert!(text.contains("stop it or let it end") || is_other, "{text}");
            assert!(!scripted.executed("set_amplitude").contains(&0.2));
            // The change is reported only once. After that, batches succeed on any connection.
            board.run(&set(1, 0.3)).await.unwrap();
            end(&scripted, &board, how).await;
            board.run(&set(1, 0.3)).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_board_that_lost_everything_says_how_much() {
    let scripted = Scripted::default();
    let board = set_up(&scripted).await;
    scripted.script([Next::Reboot]);
    let error = board.run(&set(1, 0.2)).await.unwrap_err().to_string();
    assert!(error.contains("NCO is not set"), "{error}");
    assert!(error.contains("was set to 1000000000 Hz"), "{error}");
    assert!(
        error.contains("(8 of 8 settings read back differ)"),
        "{error}"
    );
    assert!(
        error.contains("the former: nothing of what was set is left"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_setting_that_may_be_one_of_two_is_told_as_both() {
    let scripted = Scripted::default();
    let board = set_up(&scripted).await;
    scripted.change("amplitude", 1, 1, Some(0.5));
    scripted.script([Next::Close]);
    let error = board.run(&set(1, 0.2)).await.unwrap_err().to_string();
    let expected = "channel 1: amplitude is 0.5, was set to 0.1 or 0.2:";
    assert!(error.contains(expected), "{error}");
}

#[tokio::test(start_paused = true)]
async fn boards_round_and_are_the_same() {
    let scripted = Scripted::default();
    let board = set_up(&scripted).await;
    for how in [End::Idle, End::Lost] {
        scripted.change("amplitude", 1, 2, Some(0.004_007));
        scripted.change("frequency", 1, 2, Some(3e6 - 0.28));
        scripted.change("rotation", 1, 2, Some(270.001));
        end(&scripted, &board, how).await;
        board.run(&set(1, 0.2)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_batch_that_failed_midway_either_value_is_right() {
    let failed = "[{\"result\":null},{\"error\":{\"message\":\"ValueError: no\"}}]";
    for how in [End::Idle, End::Lost] {
        for (found, is_right) in [(0.1, true), (0.2, true), (0.3, false), (0.0, false)] {
            let scripted = Scripted::default();
            let board = set_up(&scripted).await;
            let say = Next::Say(200, "application/json", failed.to_owned());
            scripted.script([say]);
            let both = batch(1, [tone(1).amplitude(0.2), tone(2).amplitude(0.3)]);
            board.run(&both).await.unwrap_err();
            scripted.change("amplitude", 1, 1, Some(found));
            end(&scripted, &board, how).await;
            let outcome = board.run(&batch(1, [tone(2).amplitude(0.01)])).await;
            assert_eq!(outcome.is_ok(), is_right, "{how:?} {found}");
            if is_right {
                // The value that was read is the expected one from now on.
                scripted.change("amplitude", 1, 1, Some(0.3 - found));
                end(&scripted, &board, how).await;
                let error = board.run(&set(1, 0.0)).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::EpochChanged, "{error}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_caller_left_may_or_may_not_be_in_effect() {
    for (found, is_right) in [(0.1, true), (0.2, true), (0.3, false)] {
        let scripted = Scripted::default();
        let board = set_up(&scripted).await;
        scripted.script([Next::Slow(Duration::from_secs(1))]);
        let left = timeout(Duration::from_millis(100), board.run(&set(1, 0.2))).await;
        assert!(left.is_err());
        idle().await;
        scripted.change("amplitude", 1, 1, Some(found));
        idle().await;
        let outcome = board.run(&batch(1, [tone(2).amplitude(0.01)])).await;
        assert_eq!(outcome.is_ok(), is_right, "{found}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cleared_module_must_stay_dark_where_it_was_lit() {
    let scripted = Scripted::default();
    let board = set_up(&scripted).await;
    let mut clear = Batch::new();
    clear.clear_tones(module(1));
    board.run(&clear).await.unwrap();
    end(&scripted, &board, End::Lost).await;
    board.run(&read(1)).await.unwrap();
    scripted.change("amplitude", 1, 2, Some(0.01));
    end(&scripted, &board, End::Lost).await;
    let error = board.run(&set(1, 0.0)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("channel 2: amplitude is 0.01, was set to 0:"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn after_an_idle_connection_a_bounded_share_is_read_back_in_turn() {
    let scripted = Scripted::default();
    scripted.0.lock().unwrap().channels = 64;
    let board = connect(&scripted).await;
    let tones = |on: u16| {
        (1..=50).map(move |channel| {
            let amplitude = if channel <= on { 0.01 } else { 0.0 };
            tone(channel).offset(Hertz(1e6)).amplitude(amplitude)
        })
    };
    for on in [50, 10] {
        board.run(&batch(1, tones(on))).await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..10 {
            idle().await;
            let before = (scripted.calls(), scripted.requests());
            board.run(&read(1)).await.unwrap();
            assert_eq!(scripted.requests() - before.1, 2, "one round trip more");
            let read = scripted.channels_of("get_amplitude", before.0);
            assert!((13..=17).contains(&read.len()), "{read:?}");
            assert_eq!(read.last(), Some(&64), "the marker");
            assert!(scripted.calls() - before.0 <= 2 * 17 + 2, "{on}");
            if on == 10 {
                // Channels that are on are read each time. Channels that are off are read in turn.
                assert!((1..=10).all(|channel| read.contains(&channel)), "{read:?}");
            }
            seen.extend(read);
        }
        seen.sort_unstable();
        seen.dedup();
        let all: Vec<u64> = (1..=50).chain([64]).collect();
        assert_eq!(seen, all, "{on}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_connection_that_the_board_ended_everything_is_read_back() {
    let all: Vec<u64> = (1..=50).chain([64]).collect();
    for (next, pause) in [
        (Next::Close, 0),
        (Next::AnswerAndClose, 0),
        (Next::AnswerAndClose, 5),
    ] {
        let case = format!("{next:?} {pause}");
        let scripted = Scripted::default();
        scripted.0.lock().unwrap().channels = 64;
        let board = connect(&scripted).await;
        let tones = (1..=50).map(|channel| tone(channel).offset(Hertz(1e6)).amplitude(0.01));
        board.run(&batch(1, tones)).await.unwrap();
        let before = scripted.calls();
        scripted.script([next]);
        board.run(&read(1)).await.unwrap();
        sleep(Duration::from_secs(pause)).await;
        board.run(&read(1)).await.unwrap();
        let read = |method| scripted.channels_of(method, before);
        assert_eq!(read("get_amplitude"), all, "{case}");
        assert_eq!(read("get_frequency"), all, "{case}");
        // Everything is read back only once. This client closes the connection itself when it is
        // idle, so only a few channels are read back on the next one.
        idle().await;
        let before = scripted.calls();
        board.run(&crate::read(1)).await.unwrap();
        let read = scripted.channels_of("get_amplitude", before);
        assert!(read.len() <= 17, "{case}: {read:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_marker_is_nobodys_offset() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    let last = ChannelId::new(CHANNELS as u16).unwrap();
    let mut look = Batch::new();
    let ticket = look.read_tones(module(1), last, 1, twotone_hal::ToneFields::ALL);
    let mut clear = Batch::new();
    clear.clear_tones(module(1));
    for cleared in [false, true] {
        if cleared {
            board.run(&clear).await.unwrap();
        }
        assert!(
            scripted
                .setting("frequency", 1, 8)
                .is_none_or(|at| at > 1e6)
        );
        let replies = board.run(&look).await.unwrap();
        assert_eq!(replies.get(ticket)[0].offset, None);
        assert!(
            scripted
                .setting("frequency", 1, 8)
                .is_some_and(|at| at > 1e6)
        );
        // When the caller switches the channel on, its frequency is that of the NCO, because the
        // caller has set no offset.
        let mut on = batch(1, [tone(8).amplitude(0.1)]);
        let seen = on.read_tones(module(1), last, 1, twotone_hal::ToneFields::ALL);
        let replies = board.run(&on).await.unwrap();
        assert_eq!(scripted.setting("frequency", 1, 8), Some(0.0));
        let state = replies.get(seen)[0];
        assert_eq!(
            (state.offset, state.amplitude),
            (Some(Hertz(0.0)), Some(0.1))
        );
        idle().await;
        board
            .run(&batch(1, [tone(8).amplitude(0.2)]))
            .await
            .unwrap();
        assert_eq!(scripted.setting("frequency", 1, 8), Some(0.0));
    }
    // One batch that clears all channels and switches tones on again.
    let mut both = clear.clone();
    both.set_tones(module(1), [tone(8).amplitude(0.1), tone(8).amplitude(0.2)]);
    board.run(&both).await.unwrap();
    assert_eq!(scripted.setting("frequency", 1, 8), Some(0.0));
    // An offset that the caller has set is kept.
    let mut own = clear.clone();
    own.set_tones(
        module(1),
        [tone(8).offset(Hertz(5e6)), tone(8).amplitude(0.1)],
    );
    board.run(&own).await.unwrap();
    assert_eq!(scripted.setting("frequency", 1, 8), Some(5e6));
}
