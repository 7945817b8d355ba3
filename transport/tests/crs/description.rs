//! Description of a board after the board has changed.

use twotone_hal::Dbm;
use twotone_wire::tuber::Value;

use super::*;

/// Returns the numbers of samples that one acquisition discards and returns.
async fn acquired(scripted: &Scripted, board: &CrsBoard) -> Vec<f64> {
    let before = scripted.executed("get_samples").len();
    let mut batch = Batch::new();
    batch.acquire_mean(module(1), Acquire::new(3));
    board.run(&batch).await.unwrap();
    scripted.executed("get_samples")[before..].to_vec()
}

#[tokio::test(start_paused = true)]
async fn a_board_that_restarts_as_another_is_described_anew() {
    let scripted = Scripted::default();
    scripted.0.lock().unwrap().dac_scale = Some(-3.5);
    let board = connect(&scripted).await;
    board
        .run(&batch(1, [tone(6).amplitude(0.1)]))
        .await
        .unwrap();
    let first = board.description();
    assert_eq!(first.modules[0].power_scale().unwrap(), Dbm(-5.0));
    assert_eq!(first.modules[0].settle_samples, 7);
    assert_eq!(acquired(&scripted, &board).await, [7.0, 3.0]);

    {
        let mut state = scripted.0.lock().unwrap();
        state.dac_scale = Some(0.5);
        state.stage = 0;
        state.channels = 4;
    }
    scripted.script([Next::Reboot]);
    let error = board.run(&set(1, 0.2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::EpochChanged, "{error}");

    let mut describe = Batch::new();
    let ticket = describe.describe();
    let replies = board.run(&describe).await.unwrap();
    let now = replies.get(ticket);
    assert!(now.epoch > first.epoch);
    let (now, was) = (&now.modules[0], &first.modules[0]);
    assert_eq!(now.power_scale().unwrap(), Dbm(-1.0));
    assert_eq!(now.channels, 4);
    assert!((now.sample_rate.0 / was.sample_rate.0 - 64.0).abs() < 1e-12);
    let settle = f64::from(now.settle_samples);
    assert_eq!(acquired(&scripted, &board).await, [settle, 3.0]);
    let error = board.run(&batch(1, [tone(6).amplitude(0.1)])).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn a_reading_finds_the_board_as_it_is_now() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    scripted.0.lock().unwrap().stage = 0;
    scripted.script([Next::Reboot]);
    // An algorithm begins with such a batch (a list of operations). The description and the
    // settings must be of the same epoch, a period in which the board keeps its settings.
    let mut session = Batch::new();
    let (described, nco) = (session.describe(), session.read_nco(module(1)));
    let replies = board.run(&session).await.unwrap();
    assert_eq!(replies.get(described).epoch.0, 1);
    assert_ne!(replies.get(described).modules[0].settle_samples, 7);
    assert_eq!(replies.get(nco).frequency, Hertz(0.0));
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_out_to_a_board_that_does_not_say_what_it_has_become() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    scripted.script([Next::Reboot]);
    board.run(&set(1, 0.2)).await.unwrap_err();
    let html = || Next::Say(500, "text/plain", "starting".to_owned());
    scripted.script([html(), html(), html()]);
    let error = board.run(&set(1, 0.3)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.certainty(), error.executed()),
        (ErrorKind::Protocol, Certainty::NotExecuted, Some(0)),
        "{error}"
    );
    board.run(&set(1, 0.4)).await.unwrap();
    assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.4]);
}

#[tokio::test(start_paused = true)]
async fn a_scale_that_the_board_does_not_say_is_no_scale() {
    let scripted = Scripted::default();
    for scale in [None, Some(f64::INFINITY)] {
        scripted.0.lock().unwrap().dac_scale = scale;
        let board = connect(&scripted).await;
        let description = board.description();
        let module = &description.modules[0];
        assert!(module.full_scale.is_none(), "{:?}", module.full_scale);
        let error = module.power_scale().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        // Amplitudes are fractions of full scale, so they are the same for any full scale.
        board.run(&set(1, 0.1)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_board_is_asked_who_it_is_only_where_it_has_an_answer() {
    for (answers, serial) in [
        ([].as_slice(), ""),
        (&[("get_serial", "0042")], "0042"),
        (&[("serial_number", "7")], "7"),
        (&[("get_hostname", "rfmux0043.local")], "0043"),
        (&[("get_hostname", "rfmux.local")], ""),
        (&[("get_hostname", "rfmux\u{1b}[2J.local")], ""),
        (
            &[("HOSTNAME", "crs-lab"), ("get_board_serial", " 0044 ")],
            "0044",
        ),
        (&[("hostname", "crs-lab"), ("get_uptime", "3 s")], ""),
    ] {
        let scripted = Scripted::default();
        let said = answers.iter();
        let said = said.map(|(name, text)| (*name, Value::Str((*text).to_owned())));
        scripted.0.lock().unwrap().answers = said.collect();
        let board = connect(&scripted).await;
        assert_eq!(board.description().serial, serial, "{answers:?}");
        let state = scripted.0.lock().unwrap();
        let known = ["UNITS", "TARGET", "TEMPERATURE_SENSOR", "RAIL"];
        let unknown = state.calls.iter().filter(|(name, ..)| {
            let described = answers.iter().any(|(answers, _)| answers == name);
            !described && name.to_lowercase().contains("serial") && !known.contains(&name.as_str())
        });
        assert_eq!(unknown.count(), 0, "{:?}", state.calls);
    }
}
