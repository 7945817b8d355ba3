//! Answers that are not valid, and the messages of errors.

use tokio::time::Instant;
use twotone_hal::ReceiveOptions;
use twotone_transport::{SampleSource, TuberClient};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_a_board_is_an_error_with_name_operation_and_cause() {
    let html = || "<html>It works!</html>".to_owned();
    let json = "application/json";
    for (next, kind, words) in [
        (
            Next::Say(200, "text/html", html()),
            ErrorKind::Protocol,
            "neither JSON nor CBOR",
        ),
        (
            Next::Say(404, "text/html", html()),
            ErrorKind::Protocol,
            "HTTP 404",
        ),
        (
            Next::Say(500, "text/plain", html()),
            ErrorKind::Protocol,
            "HTTP 500",
        ),
        (
            Next::Say(200, json, "[42".to_owned()),
            ErrorKind::Protocol,
            "cannot be read",
        ),
        (
            Next::Say(200, json, "{\"result\": 1}".to_owned()),
            ErrorKind::Protocol,
            "cannot be read",
        ),
        (
            Next::Say(200, json, " ".repeat(9000)),
            ErrorKind::Protocol,
            "larger than 8000 bytes",
        ),
        (Next::Hang, ErrorKind::Timeout, "deadline"),
    ] {
        let scripted = Scripted::default();
        let case = format!("{next:?}");
        // A request that only reads is repeated, and then split into parts. Only failures that
        // persist are reported.
        scripted.script((0..64).map(|_| next.clone()));
        let options = ConnectOptions::new().answer_limit(8000);
        let began = Instant::now();
        let error = connect_with(&scripted, options).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.board()),
            (kind, Some("b1")),
            "{case}: {error}"
        );
        let text = error.chain().to_string();
        assert!(
            text.contains("connect") && text.contains(words),
            "{case}: {text}"
        );
        assert!(began.elapsed() < Duration::from_secs(11), "{case}");
    }
    let unreachable = Scripted::default();
    unreachable.0.lock().unwrap().unreachable = true;
    let error = connect_with(&unreachable, ConnectOptions::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_before_a_board_is_an_error_with_a_remedy() {
    let raw = |status: &str, headers: &str, body: &[u8]| {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
        [head.as_bytes(), body].concat()
    };
    let json = "Content-Type: application/json\r\n";
    let gzip = b"\x1f\x8b\x08\x00\x00";
    for (answer, words) in [
        (
            raw("200 OK", &format!("{json}Content-Encoding: br\r\n"), b"x"),
            "br-compressed",
        ),
        (
            raw("200 OK", json, gzip),
            "gzip-compressed, which was not asked for",
        ),
        (
            raw("302 Found", "Location: /login\r\n", b""),
            "redirects, to /login",
        ),
        (raw("407 X", "", b""), "it wants a login"),
        (
            raw("502 Bad Gateway", "", b""),
            "the board behind it does not",
        ),
        (
            raw(
                "200 OK",
                "Content-Type: text/html; charset=utf-8\r\n",
                b"<p>",
            ),
            "a web page",
        ),
    ] {
        let scripted = Scripted::default();
        scripted.script((0..3).map(|_| Next::Raw(answer.clone())));
        let error = connect_with(&scripted, ConnectOptions::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(
            error.chain().to_string().contains(words),
            "{words}: {error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_wrong_shape_is_an_error_and_not_data() {
    let element = |text: &str| format!("[{{\"result\":null}},{{\"result\":{text}}}]");
    for text in [
        "{\"i\":[[1.0,2.0]],\"q\":[[1.0]]}",
        "{\"i\":[],\"q\":[]}",
        // In turn: one row for each sample, the right number of rows with too few samples, too
        // many axes, and too few axes.
        "{\"i\":[[1,2,3],[4,5,6]],\"q\":[[1,2,3],[4,5,6]]}",
        "{\"i\":[[1],[2]],\"q\":[[1],[2]]}",
        "{\"i\":[[[1,2]]],\"q\":[[[1,2]]]}",
        "{\"i\":[[1,2],[3,4]],\"q\":[1,2,3,4]}",
        "{\"i\":[1,2,3,4],\"q\":[1,2,3,4]}",
        "{\"i\":[[NaN,1.0]],\"q\":[[1.0,1.0]]}",
        "{\"i\":\"a\",\"q\":[[1.0,1.0]]}",
        "42",
        "{}",
    ] {
        let scripted = Scripted::default();
        let board = connect(&scripted).await;
        board.run(&set(1, 0.1)).await.unwrap();
        let nonsense = || Next::Say(200, "application/json", element(text));
        scripted.script((0..3).map(|_| nonsense()));
        let mut batch = Batch::new();
        batch.acquire_mean(module(1), Acquire::new(2));
        let error = board.run(&batch).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{text}: {error}");
        assert_eq!(
            error.operation(),
            Some("acquire 2 samples on module 1"),
            "{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_asked_for_alone_comes_alone() {
    for (text, is_good) in [
        ("{\"i\":[1,2],\"q\":[3,4]}", true),
        ("{\"i\":[[1,2]],\"q\":[[3,4]]}", true),
        ("{\"i\":[[1,2],[5,6]],\"q\":[[3,4],[7,8]]}", false),
    ] {
        let scripted = Scripted::default();
        let board = connect(&scripted).await;
        board.run(&set(1, 0.1)).await.unwrap();
        let element = format!("[{{\"result\":null}},{{\"result\":{text}}}]");
        let say = || Next::Say(200, "application/json", element.clone());
        scripted.script((0..3).map(|_| say()));
        let mut batch = Batch::new();
        let ticket = batch.acquire_mean(module(1), Acquire::new(2).first_channels(1));
        match board.run(&batch).await {
            Ok(replies) => {
                assert!(is_good, "{text}");
                let mean = &replies.get(ticket).mean;
                assert_eq!((mean.len(), mean[0].re, mean[0].im), (1, 1.5, 3.5));
            }
            Err(error) => {
                assert!(!is_good, "{text}: {error}");
                assert_eq!(error.kind(), ErrorKind::Protocol, "{text}: {error}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_no_header_can_hold_is_an_error() {
    let board = Scripted::default();
    let odd = board.connector_as("b\nrd:80");
    let error = CrsBoard::connect_over("b1", odd, ConnectOptions::new()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(
        error.chain().to_string().contains("no HTTP with b\\nrd"),
        "{error}"
    );
}

#[tokio::test]
async fn a_name_that_is_not_found_is_told_with_its_cause() {
    let board = Scripted::default();
    let stream = SampleSource::Stream(ReceiveOptions::new());
    let options = ConnectOptions::new().samples(stream).serial(1);
    // A host name without a port is not looked up.
    let board = CrsBoard::connect_over("b1", board.connector_as("nowhere"), options);
    let board = board.await.unwrap();
    let mut batch = Batch::new();
    batch.acquire_mean(module(1), Acquire::new(2));
    let error = board.run(&batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert_eq!(error.certainty(), Certainty::NotExecuted);
    let message = error.chain().to_string();
    assert!(message.contains("invalid socket address"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn any_duration_will_do() {
    let scripted = Scripted::default();
    let mut options = ConnectOptions::new();
    options.connect_timeout = Duration::MAX;
    options.request_timeout = Duration::MAX;
    options.idle_timeout = Duration::MAX;
    let board = connect_with(&scripted, options.clone()).await.unwrap();
    board.run(&set(1, 0.1)).await.unwrap();
    // The request is sent once more, with a new deadline.
    scripted.script([Next::Close]);
    let mut batch = set(1, 0.2);
    let ticket = batch.acquire_mean(module(1), Acquire::new(2));
    let replies = board.run(&batch).await.unwrap();
    assert_eq!(replies.get(ticket).mean.len(), CHANNELS);
    let client = TuberClient::over(scripted.connector(), options);
    let call = client.call(|calls| {
        calls.call("Dfmux", "get_decimation");
    });
    assert_eq!(call.await.unwrap().as_f64(), Some(6.0));
}

#[tokio::test(start_paused = true)]
async fn an_error_in_mid_batch_says_how_far_it_came() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    let mut batch = set(1, 0.2);
    let channel = ChannelId::new(2).unwrap();
    batch.set_tone(
        module(1),
        ToneUpdate::new(channel).offset(Hertz(1.0)).amplitude(0.1),
    );
    let answer = "[{\"result\":null},{\"result\":null},{\"error\":{\"message\":\"Traceback\\n  x\\n\
                  ValueError: no good\\n\"}}]";
    scripted.script([Next::Say(200, "application/json", answer.to_owned())]);
    let error = board.run(&batch).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.executed()),
        (ErrorKind::Rejected, Some(1))
    );
    // The second operation has two calls, of which the first took effect and the second did not.
    assert_eq!(error.certainty(), Certainty::Unknown);
    assert!(
        error.chain().to_string().contains("ValueError: no good"),
        "{error}"
    );
    assert!(!error.chain().to_string().contains("Traceback"), "{error}");
}
