//! Servers that close each connection after its first answer.

use super::*;

const WAYS: [Closing; 5] = [
    Closing::Announced,
    Closing::Http10,
    Closing::Silent,
    Closing::Late(Duration::from_millis(3)),
    Closing::Late(Duration::from_millis(100)),
];

fn closing(how: Closing) -> Scripted {
    let scripted = Scripted::default();
    scripted.0.lock().unwrap().closing = Some(how);
    scripted
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closes_behind_each_answer_can_be_worked_with() {
    for how in WAYS {
        let scripted = closing(how);
        let board = connect(&scripted).await;
        for amplitude in [0.1, 0.2, 0.3] {
            let mut both = set(1, amplitude);
            let mean = both.acquire_mean(module(1), Acquire::new(2));
            let replies = board.run(&both).await.unwrap();
            assert_eq!(replies.get(mean).mean.len(), CHANNELS, "{how:?}");
        }
        board.run(&read(1)).await.unwrap();
        board.run(&set(2, 0.1)).await.unwrap();
        let mut clear = Batch::new();
        clear.clear_tones(module(1));
        board.run(&clear).await.unwrap();
        let set = scripted.executed("set_amplitude");
        assert_eq!(set, [0.1, 0.2, 0.3, 0.1], "{how:?}: each once, in order");
        assert_eq!(scripted.setting("amplitude", 1, 1), None, "{how:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn its_state_is_looked_at_before_each_request_at_a_bounded_price() {
    for how in WAYS {
        let scripted = closing(how);
        scripted.0.lock().unwrap().channels = 64;
        let board = connect(&scripted).await;
        let tones = || (1..=50).map(|channel| tone(channel).offset(Hertz(1e6)).amplitude(0.01));
        board.run(&batch(1, tones())).await.unwrap();
        // After the first requests, the client knows how the server ends its connections.
        board.run(&set(1, 0.02)).await.unwrap();
        for step in 0..4 {
            let before = (scripted.calls(), scripted.requests());
            board.run(&set(1, 0.02)).await.unwrap();
            let requests = scripted.requests() - before.1;
            assert_eq!(requests, 2, "{how:?} {step}: the reading, then the request");
            let calls = scripted.calls() - before.0;
            assert!(calls <= 67 + 1, "{how:?} {step}: {calls} calls");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_board_that_restarts_behind_such_a_server_is_found_out() {
    for how in WAYS {
        let scripted = closing(how);
        let board = connect(&scripted).await;
        for amplitude in [0.1, 0.2] {
            board.run(&set(1, amplitude)).await.unwrap();
        }
        scripted.forget();
        let error = board.run(&set(1, 0.3)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::EpochChanged, "{how:?}: {error}");
        assert_eq!(error.certainty(), Certainty::NotExecuted, "{how:?}");
        board.run(&set(1, 0.4)).await.unwrap();
        let set = scripted.executed("set_amplitude");
        assert_eq!(set, [0.1, 0.2, 0.4], "{how:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_verification_is_repeated() {
    let scripted = closing(Closing::Announced);
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    // If connecting takes this long, the board may have restarted in the meantime.
    scripted.0.lock().unwrap().connecting = Duration::from_millis(1100);
    let error = board.run(&set(1, 0.2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
    assert_eq!(error.certainty(), Certainty::NotExecuted);
    assert_eq!(scripted.executed("set_amplitude"), [0.1]);
    scripted.0.lock().unwrap().connecting = Duration::from_millis(900);
    board.run(&set(1, 0.2)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_keeps_its_connections_again_is_found_out() {
    for how in WAYS {
        let scripted = closing(how);
        let board = connect(&scripted).await;
        for amplitude in [0.1, 0.2] {
            board.run(&set(1, amplitude)).await.unwrap();
        }
        scripted.0.lock().unwrap().closing = None;
        board.run(&set(1, 0.3)).await.unwrap();
        sleep(Duration::from_secs(2)).await;
        board.run(&set(1, 0.4)).await.unwrap();
        let before = (scripted.connections(), scripted.requests());
        for amplitude in [0.5, 0.6] {
            board.run(&set(1, amplitude)).await.unwrap();
        }
        let cost = (
            scripted.connections() - before.0,
            scripted.requests() - before.1,
        );
        assert_eq!(cost, (0, 2), "{how:?}");
    }
}
