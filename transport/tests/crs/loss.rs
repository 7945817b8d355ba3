//! Connections that are lost or cannot be made.

use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_lost_reading_is_asked_again() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    let mut batch = Batch::new();
    let mean = batch.acquire_mean(module(1), Acquire::new(2));
    scripted.script([Next::CloseInAnswer]);
    let replies = board.run(&batch).await.unwrap();
    assert_eq!(replies.get(mean).mean.len(), CHANNELS);
    // A request whose answer is lost is repeated only once, so the second loss is reported.
    let good = [
        Next::CloseInAnswer,
        Next::Slow(Duration::ZERO),
        Next::CloseInAnswer,
    ];
    scripted.script(good);
    let error = board.run(&batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost);
}

#[tokio::test(start_paused = true)]
async fn lost_settings_are_repeated_in_their_place_once_the_board_is_at_rest() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    scripted.script([Next::Slow(Duration::from_millis(400))]);
    board.run(&set(1, 0.15)).await.unwrap();
    // The connection is lost, and the board executes the request 350 ms later.
    scripted.script([Next::LandLate(Duration::from_millis(350))]);
    board.run(&set(1, 0.2)).await.unwrap();
    board.run(&set(1, 0.0)).await.unwrap();
    let order = scripted.executed("set_amplitude");
    assert_eq!(
        order,
        [0.1, 0.15, 0.2, 0.2, 0.0],
        "a late setting came after the clean-up"
    );
}

#[tokio::test(start_paused = true)]
async fn a_module_can_be_switched_off_after_a_setting_that_hung() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    scripted.script([Next::Hang]);
    let error = board.run(&set(1, 0.2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    board.run(&set(1, 0.0)).await.unwrap();
    // The tone is switched off at once, and again when the earlier request can no longer arrive.
    assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.0, 0.0]);
}

#[tokio::test(start_paused = true)]
async fn a_board_that_never_finishes_an_answer_is_a_lost_connection() {
    for timeout in [1, 10] {
        let scripted = Scripted::default();
        let options = ConnectOptions::new().request_timeout(Duration::from_secs(timeout));
        let board = connect_with(&scripted, options).await.unwrap();
        board.run(&set(1, 0.1)).await.unwrap();
        scripted.script((0..10_000).map(|_| Next::CloseInAnswer));
        let error = board.run(&set(1, 0.2)).await.unwrap_err();
        let outcome = (error.kind(), error.certainty());
        assert_eq!(
            outcome,
            (ErrorKind::ConnectionLost, Certainty::Unknown),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_before_the_server_does_it() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&read(1)).await.unwrap();
    let before = scripted.connections();
    sleep(Duration::from_millis(3900)).await;
    board.run(&read(1)).await.unwrap();
    assert_eq!(scripted.connections(), before);
    sleep(Duration::from_millis(4100)).await;
    board.run(&read(1)).await.unwrap();
    assert_eq!(scripted.connections(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_never_made_ends_at_its_own_deadline() {
    let never = Connector::new("never:80", || async {
        std::future::pending::<std::io::Result<tokio::io::DuplexStream>>().await
    });
    let began = Instant::now();
    let error = CrsBoard::connect_over("b1", never, ConnectOptions::new())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.board()),
        (ErrorKind::Unreachable, Some("b1")),
        "{error}"
    );
    assert_eq!(error.certainty(), Certainty::NotExecuted);
    assert!(
        began.elapsed() < Duration::from_millis(2100),
        "{:?}",
        began.elapsed()
    );
}
