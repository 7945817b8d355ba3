//! A CRS board over byte streams in memory, under virtual time: order, cancel, loss, reboot.

mod scripted;

use std::time::Duration;

use scripted::{CHANNELS, Next, Scripted};
use tokio::time::{Instant, sleep, timeout};
use twotone_hal::{
    Acquire, Batch, Board, Certainty, ChannelId, Error, ErrorKind, Hertz, ModuleId, ToneUpdate,
};
use twotone_transport::{ConnectOptions, Connector, CrsBoard};

async fn connect(board: &Scripted) -> CrsBoard {
    connect_with(board, ConnectOptions::new()).await.unwrap()
}

async fn connect_with(board: &Scripted, options: ConnectOptions) -> Result<CrsBoard, Error> {
    CrsBoard::connect_over("b1", board.connector(), options).await
}

fn module(number: u8) -> ModuleId {
    ModuleId::new(number).unwrap()
}

fn set(number: u8, amplitude: f64) -> Batch {
    let mut batch = Batch::new();
    let channel = ChannelId::new(1).unwrap();
    batch.set_tone(
        module(number),
        ToneUpdate::new(channel).amplitude(amplitude),
    );
    batch
}

fn read(number: u8) -> Batch {
    let mut batch = Batch::new();
    batch.read_nco(module(number));
    batch
}

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
    // Settling samples, then those asked for; fields that are not set are not sent.
    assert_eq!(scripted.executed("get_samples")[1..], [7.0, 3.0, 7.0, 2.0]);
    assert!(scripted.executed("set_phase").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_out_of_range_is_never_sent() {
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
    // The caller gives up; the board does it all the same.
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
async fn a_lost_reading_is_asked_again() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    let mut batch = Batch::new();
    let mean = batch.acquire_mean(module(1), Acquire::new(2));
    scripted.script([Next::CloseInAnswer]);
    let replies = board.run(&batch).await.unwrap();
    assert_eq!(replies.get(mean).mean.len(), CHANNELS);
    // Twice is once too often for good luck: the second loss is told.
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
    // The longest batch seen says how long a lost one may take to land.
    board.run(&set(1, 0.1)).await.unwrap();
    scripted.script([Next::Slow(Duration::from_millis(400))]);
    board.run(&set(1, 0.15)).await.unwrap();
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
    assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.0]);
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
        let told = (error.kind(), error.certainty());
        assert_eq!(
            told,
            (ErrorKind::ConnectionLost, Certainty::Unknown),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_is_no_reboot() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    let last = ChannelId::new(u16::try_from(CHANNELS).unwrap()).unwrap();
    board.run(&set(1, 0.1)).await.unwrap();
    // It would move the last channel, whose frequency is the marker, and is not run.
    let mut batch = Batch::new();
    batch.set_tone(
        module(1),
        ToneUpdate::new(last).offset(Hertz(3e6)).amplitude(0.1),
    );
    let refusal = "{\"error\":{\"message\":\"MemoryError\"}}".to_owned();
    scripted.script([Next::Say(200, "application/json", refusal)]);
    let error = board.run(&batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    sleep(Duration::from_secs(5)).await;
    board.run(&set(1, 0.0)).await.unwrap();
    // Moved for good, it is the new marker.
    board.run(&batch).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    board.run(&set(1, 0.0)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reboot_is_a_new_epoch_and_an_error_on_every_module() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    for number in [1, 2] {
        board.run(&set(number, 0.1)).await.unwrap();
    }
    let before = board.description().epoch;
    scripted.script([Next::Reboot]);
    let error = board.run(&read(1)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.board()),
        (ErrorKind::EpochChanged, Some("b1")),
        "{error}"
    );
    assert_ne!(board.description().epoch, before);
    // Module 2 finds out when its own connection, idle too long, is opened again.
    sleep(Duration::from_secs(5)).await;
    let error = board.run(&set(2, 0.3)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.certainty()),
        (ErrorKind::EpochChanged, Certainty::NotExecuted)
    );
    let after = board.description().epoch;
    for number in [1, 2] {
        board.run(&set(number, 0.0)).await.unwrap();
    }
    assert_eq!(board.description().epoch, after, "one reboot is one epoch");
    assert!(!scripted.executed("set_amplitude").contains(&0.3));
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
async fn a_tone_that_is_on_is_left_where_it_is_when_a_board_is_taken_over() {
    let scripted = Scripted::default();
    let last = ChannelId::new(u16::try_from(CHANNELS).unwrap()).unwrap();
    let mut batch = Batch::new();
    batch.set_tone(
        module(1),
        ToneUpdate::new(last).offset(Hertz(-2e6)).amplitude(0.1),
    );
    connect(&scripted).await.run(&batch).await.unwrap();
    let again = connect(&scripted).await;
    let tones = again
        .handle()
        .tones()
        .read(module(1), last, 1)
        .await
        .unwrap();
    assert_eq!(
        (tones[0].offset, tones[0].amplitude),
        (Some(Hertz(-2e6)), Some(0.1))
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_no_board_is_told_by_name_operation_and_cause() {
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
        let told = format!("{next:?}");
        scripted.script([next]);
        let options = ConnectOptions::new().answer_limit(8000);
        let began = Instant::now();
        let error = connect_with(&scripted, options).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.board()),
            (kind, Some("b1")),
            "{told}: {error}"
        );
        let text = error.to_string();
        assert!(
            text.contains("connect") && text.contains(words),
            "{told}: {text}"
        );
        assert!(began.elapsed() < Duration::from_secs(11), "{told}");
    }
    let gone = Scripted::default();
    gone.0.lock().unwrap().gone = true;
    let error = connect_with(&gone, ConnectOptions::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
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

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_wrong_shape_is_an_error_and_not_data() {
    let element = |text: &str| format!("[{{\"result\":null}},{{\"result\":{text}}}]");
    for text in [
        "{\"i\":[[1.0,2.0]],\"q\":[[1.0]]}",
        "{\"i\":[],\"q\":[]}",
        "{\"i\":[[NaN,1.0]],\"q\":[[1.0,1.0]]}",
        "{\"i\":\"a\",\"q\":[[1.0,1.0]]}",
        "42",
        "{}",
    ] {
        let scripted = Scripted::default();
        let board = connect(&scripted).await;
        board.run(&set(1, 0.1)).await.unwrap();
        scripted.script([Next::Say(200, "application/json", element(text))]);
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
    // Its first call took effect, its second did not.
    assert_eq!(error.certainty(), Certainty::Unknown);
    assert!(error.to_string().contains("ValueError: no good"), "{error}");
    assert!(!error.to_string().contains("Traceback"), "{error}");
}
