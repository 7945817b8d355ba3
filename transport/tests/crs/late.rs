//! Requests that reach the board after their connection was lost.

use tokio::time::Instant;

use super::*;

/// Delays from zero to just below the longest time for which a lost request can still arrive.
const LATE: [Duration; 6] = [
    Duration::from_millis(20),
    Duration::from_millis(251),
    Duration::from_millis(600),
    Duration::from_millis(1500),
    Duration::from_secs(3),
    Duration::from_millis(4900),
];

/// Returns a board on which tone 1 is on. The next request that sets something reaches it late.
async fn board(scripted: &Scripted, late: Duration, options: ConnectOptions) -> CrsBoard {
    let board = connect_with(scripted, options).await.unwrap();
    board.run(&set(1, 0.1)).await.unwrap();
    scripted.script([Next::LandLate(late)]);
    board
}

fn mean() -> Batch {
    let mut batch = Batch::new();
    batch.acquire_mean(module(1), Acquire::new(2));
    batch
}

#[tokio::test(start_paused = true)]
async fn settings_after_lost_ones_are_sent_when_those_can_no_longer_arrive() {
    for late in LATE {
        let scripted = Scripted::default();
        let board = board(&scripted, late, ConnectOptions::new()).await;
        let began = Instant::now();
        board.run(&set(1, 0.2)).await.unwrap();
        assert!(began.elapsed() >= Duration::from_secs(5), "{late:?}");
        board.run(&set(1, 0.3)).await.unwrap();
        let order = scripted.executed("set_amplitude");
        assert_eq!(order, [0.1, 0.2, 0.2, 0.3], "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_measured_before_lost_settings_have_landed() {
    for late in LATE {
        let scripted = Scripted::default();
        let board = board(&scripted, late, ConnectOptions::new()).await;
        // The caller gives the request up, so that it is not sent again.
        let lost = timeout(Duration::from_millis(10), board.run(&set(1, 0.2))).await;
        assert!(lost.is_err(), "{late:?}");
        let began = Instant::now();
        board.run(&mean()).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(4900), "{late:?}");
        assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.2], "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tones_go_off_at_once_and_again_when_nothing_can_follow() {
    let clear = || {
        let mut batch = Batch::new();
        batch.clear_tones(module(1));
        batch
    };
    for late in LATE {
        let scripted = Scripted::default();
        let board = board(&scripted, late, ConnectOptions::new()).await;
        let lost = timeout(Duration::from_millis(10), board.run(&set(1, 0.2))).await;
        assert!(lost.is_err(), "{late:?}");
        let off = async { board.run(&clear()).await };
        let look = async {
            sleep(Duration::from_millis(5)).await;
            scripted.setting("amplitude", 1, 1)
        };
        let (off, soon) = tokio::join!(off, look);
        off.unwrap();
        assert_eq!(soon, None, "{late:?}: off long before the request lands");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.2], "{late:?}");
        assert_eq!(scripted.setting("amplitude", 1, 1), None, "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn settings_that_would_have_to_wait_past_their_deadline_are_unknown() {
    let scripted = Scripted::default();
    let options = ConnectOptions::new()
        .request_life(Duration::from_secs(30))
        .request_timeout(Duration::from_secs(8));
    let board = board(&scripted, Duration::from_secs(25), options).await;
    let began = Instant::now();
    let error = board.run(&set(1, 0.2)).await.unwrap_err();
    assert_eq!(error.certainty(), Certainty::Unknown, "{error}");
    let error = board.run(&set(1, 0.3)).await.unwrap_err();
    let outcome = (error.kind(), error.certainty());
    assert_eq!(
        outcome,
        (ErrorKind::Timeout, Certainty::NotExecuted),
        "{error}"
    );
    assert!(error.message().contains("may still reach it"), "{error}");
    // The request switches the tones off, but this is not reported as certain.
    let error = board.run(&set(1, 0.0)).await.unwrap_err();
    assert_eq!(error.certainty(), Certainty::Unknown, "{error}");
    assert_eq!(scripted.setting("amplitude", 1, 1), Some(0.0));
    assert!(began.elapsed() < Duration::from_secs(1));
    sleep(Duration::from_secs(30)).await;
    board.run(&set(1, 0.0)).await.unwrap();
    let order = scripted.executed("set_amplitude");
    assert_eq!(order, [0.1, 0.0, 0.2, 0.0]);
}

#[tokio::test(start_paused = true)]
async fn the_time_is_a_parameter() {
    let scripted = Scripted::default();
    let options = ConnectOptions::new().request_life(Duration::from_secs(1));
    let board = board(&scripted, Duration::from_millis(900), options).await;
    let began = Instant::now();
    board.run(&set(1, 0.2)).await.unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(2));
    assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.2, 0.2]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_reading_delays_nothing() {
    let scripted = Scripted::default();
    let board = board(&scripted, Duration::from_secs(3), ConnectOptions::new()).await;
    let began = Instant::now();
    board.run(&mean()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_board_that_was_slow_once_is_waited_for_no_longer() {
    let scripted = Scripted::default();
    let board = connect_with(&scripted, ConnectOptions::new())
        .await
        .unwrap();
    board.run(&set(1, 0.1)).await.unwrap();
    scripted.script([Next::Slow(Duration::from_secs(9))]);
    board.run(&set(1, 0.2)).await.unwrap();
    scripted.script([Next::LandLate(Duration::from_millis(600))]);
    let began = Instant::now();
    board.run(&set(1, 0.3)).await.unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(5), "{took:?}");
    assert!(took < Duration::from_secs(7), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_marker_is_waited_for_too() {
    for late in LATE {
        let scripted = Scripted::default();
        let board = connect_with(&scripted, ConnectOptions::new())
            .await
            .unwrap();
        // The client first reads settings and then sets the marker, by which it detects a restart.
        // The second of these requests is lost.
        scripted.script([Next::Slow(Duration::ZERO), Next::LandLate(late)]);
        board.run(&set(1, 0.1)).await.unwrap();
        let last = batch(1, [tone(8).offset(Hertz(1e6))]);
        board.run(&last).await.unwrap();
        sleep(Duration::from_secs(10)).await;
        let offset = scripted.setting("frequency", 1, 8);
        assert_eq!(offset, Some(1e6), "{late:?}: nothing lands after it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_switch_off_is_not_cut_off_by_the_end_of_the_wait() {
    let scripted = Scripted::default();
    let late = Duration::from_millis(600);
    let board = board(&scripted, late, ConnectOptions::new()).await;
    let lost = timeout(Duration::from_millis(10), board.run(&set(1, 0.2))).await;
    assert!(lost.is_err());
    sleep(Duration::from_millis(4700)).await;
    scripted.script([Next::Slow(Duration::from_millis(500))]);
    let began = Instant::now();
    board.run(&set(1, 0.0)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(scripted.setting("amplitude", 1, 1), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_marker_that_a_switch_off_has_set_anew_shows_no_other_program() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    let mut batch = set(1, 0.1);
    batch.set_nco(module(1), Hertz(1.2e9));
    board.run(&batch).await.unwrap();
    scripted.script([Next::Reboot]);
    let mut clear = Batch::new();
    clear.clear_tones(module(1));
    let error = board.run(&clear).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::EpochChanged, "{error}");
    let text = error.chain().to_string();
    assert!(text.contains("the board has restarted, or"), "{text}");
    assert!(!text.contains("the latter"), "{text}");
}
