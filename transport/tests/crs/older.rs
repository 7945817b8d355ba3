//! Boards whose servers lack abilities of newer ones.

use twotone_transport::TuberClient;
use twotone_wire::tuber::{BatchWriter, Format, Value};

use super::scripted::Formats;
use super::*;

fn of(formats: Formats) -> Scripted {
    let scripted = Scripted::default();
    let mut state = scripted.0.lock().unwrap();
    state.formats = formats;
    state.dac_scale = Some(1.0);
    drop(state);
    scripted
}

/// Takes the formats of the requests since the last call.
fn asked_in(scripted: &Scripted) -> Vec<Format> {
    std::mem::take(&mut scripted.0.lock().unwrap().asked_in)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_reads_only_json_is_asked_in_json() {
    use Format::{Cbor, Json};
    // The questions about the board, those that failed once more, one sample, and the NCOs of both
    // banks. An older server refuses the second request, and one of the two that confirm it.
    for (formats, connecting, later, lacks) in [
        (Formats::Both, &[Json, Cbor, Cbor, Cbor][..], Cbor, None),
        (
            Formats::Json,
            &[Json; 4],
            Json,
            Some("does not answer in it"),
        ),
        (
            Formats::CborAnswers(200),
            &[Json, Cbor, Json, Cbor, Json, Json, Json],
            Json,
            Some("does not read it"),
        ),
        (
            Formats::CborAnswers(500),
            &[Json, Cbor, Json, Cbor, Json, Json, Json],
            Json,
            Some("does not read it"),
        ),
    ] {
        let scripted = of(formats);
        let board = connect(&scripted).await;
        assert_eq!(asked_in(&scripted), connecting, "{formats:?}");
        let found = board.description().lacks;
        assert_eq!(found.len(), usize::from(lacks.is_some()), "{found:?}");
        assert!(
            found.iter().all(|one| one.contains(lacks.unwrap())),
            "{found:?}"
        );

        let mut batch = set(1, 0.1);
        let ticket = batch.acquire_mean(module(1), Acquire::new(3));
        let replies = board.run(&batch).await.unwrap();
        assert_eq!(replies.get(ticket).mean.len(), CHANNELS);
        // The settings are read back first, in JSON.
        assert_eq!(asked_in(&scripted).last(), Some(&later), "{formats:?}");
        assert_eq!(scripted.executed("set_amplitude"), [0.1]);
        let mut batch = Batch::new();
        let ticket = batch.read_housekeeping();
        let replies = board.run(&batch).await.unwrap();
        assert_eq!(replies.get(ticket).len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn one_refusal_of_a_whole_request_is_not_taken_for_a_format() {
    let scripted = of(Formats::Both);
    let connected = connect(&scripted).await;
    drop(connected);
    let client = TuberClient::over(scripted.connector(), ConnectOptions::new());
    let call = |batch: &mut BatchWriter| {
        let call = batch.call("Dfmux", "set_amplitude").arg(0.5);
        call.kwarg("channel", 1).kwarg("module", 1);
    };
    client.call(call).await.unwrap();
    asked_in(&scripted);
    scripted.0.lock().unwrap().refused_as_a_whole = 1;
    // The server has executed this call, and it is not sent again.
    let error = client.call(call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
    client.call(call).await.unwrap();
    use Format::{Cbor, Json};
    assert_eq!(asked_in(&scripted), [Cbor, Json, Cbor, Cbor]);
    assert_eq!(scripted.executed("set_amplitude"), [0.5; 3]);
}

/// An answer that is too large, compressed or a web page does not show that the request was
/// refused.
#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_is_not_taken_for_a_refusal() {
    let scripted = of(Formats::Both);
    let client = TuberClient::over(
        scripted.connector(),
        ConnectOptions::new().answer_limit(8000),
    );
    let call = |batch: &mut BatchWriter| {
        batch.call("Dfmux", "get_decimation");
    };
    client.call(call).await.unwrap();
    let (json, html) = ("application/json", "text/html");
    for (media_type, body, words) in [
        (json, " ".repeat(9000), "larger than 8000 bytes"),
        (html, "<html>Log in</html>".to_owned(), "a web page"),
    ] {
        let before = scripted.requests();
        scripted.script([Next::Say(200, media_type, body)]);
        let error = client.call(call).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(scripted.requests() - before, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_of_any_server_asks_an_older_one_in_json() {
    for status in [200, 500] {
        any_server_is_asked_in_json(status).await;
    }
}

async fn any_server_is_asked_in_json(status: u16) {
    use Format::{Cbor, Json};
    let scripted = of(Formats::CborAnswers(status));
    let client = TuberClient::over(scripted.connector(), ConnectOptions::new());
    let write = |batch: &mut BatchWriter| {
        for amplitude in [0.1, 0.2] {
            let call = batch.call("Dfmux", "set_amplitude").arg(amplitude);
            call.kwarg("channel", 1).kwarg("module", 1);
        }
    };
    for _ in 0..3 {
        let replies = client.batch(false, write).await.unwrap();
        let nothing = |reply: &twotone_transport::Reply| reply.result == Ok(Value::Null);
        assert!(replies.iter().all(nothing), "{replies:?}");
    }
    assert_eq!(asked_in(&scripted), [Json, Cbor, Json, Cbor, Json, Json]);
    assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.2].repeat(3));
}
