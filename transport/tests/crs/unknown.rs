//! Properties that a board does not report stay unknown and are reported as unknown. Everything
//! else works without them.

use tokio::time::Instant;
use twotone_hal::{Description, Reading};
use twotone_wire::tuber::Value;

use super::*;

fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

fn enumeration(names: &[&str]) -> Value {
    let names = names.iter().map(|name| ((*name).to_owned(), text(name)));
    Value::Map(names.collect())
}

/// Returns a board that answers all requests for its description.
pub(super) fn talkative() -> Scripted {
    let scripted = Scripted::default();
    let mut state = scripted.0.lock().unwrap();
    state.dac_scale = Some(-3.5);
    state.answers = [
        ("UNITS", enumeration(&["DEGREES"])),
        ("TARGET", enumeration(&["DAC", "ADC"])),
        ("TEMPERATURE_SENSOR", enumeration(&["T1", "T2", "T3"])),
        ("RAIL", enumeration(&[])),
        ("get_analog_bank", Value::Bool(false)),
        ("get_firmware_release", text("1.6")),
        ("get_motherboard_temperature", Value::Float(40.0)),
    ]
    .into();
    drop(state);
    scripted
}

async fn describe(scripted: &Scripted) -> Description {
    connect(scripted).await.description()
}

#[tokio::test(start_paused = true)]
async fn a_board_that_says_everything_leaves_no_doubt() {
    let scripted = talkative();
    // A board has two banks of four modules. Boards refuse calls for modules of the bank that is
    // not selected, and so does this one.
    scripted.0.lock().unwrap().refusals = [5, 6, 7, 8]
        .map(|module| ("get_dac_scale", Some(module), usize::MAX))
        .to_vec();
    let described = describe(&scripted).await;
    assert_eq!(scripted.requests(), 2, "round trips to connect");
    assert_eq!(described.doubts, Vec::<String>::new());
    assert_eq!(described.firmware, "1.6");
    assert_eq!(described.modules.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_fails_once_is_asked_again() {
    for question in [
        "get_decimation",
        "get_analog_bank",
        "get_firmware_release",
        "get_dac_scale",
        "TEMPERATURE_SENSOR",
        "get_samples",
    ] {
        let scripted = talkative();
        scripted.0.lock().unwrap().refusals = vec![(question, None, 1)];
        let described = describe(&scripted).await;
        assert_eq!(described.doubts, Vec::<String>::new(), "{question}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_answered_with_nonsense_once_is_asked_again_and_counted() {
    for question in [
        "get_decimation",
        "get_analog_bank",
        "get_firmware_release",
        "get_dac_scale",
        "UNITS",
        "TARGET",
        "TEMPERATURE_SENSOR",
        "RAIL",
    ] {
        for nonsense in [
            Value::Null,
            text("n/a"),
            Value::Float(f64::NAN),
            Value::Float(-1e300),
            Value::Array(vec![]),
        ] {
            // Any finite number can be the number of a firmware release.
            if nonsense == Value::Float(-1e300) && question == "get_firmware_release" {
                continue;
            }
            let scripted = talkative();
            let all = describe(&scripted).await;
            scripted.0.lock().unwrap().first_answers = [(question, nonsense.clone())].into();
            let board = connect(&scripted).await;
            let described = Description {
                epoch: all.epoch,
                ..board.description()
            };
            assert_eq!(described, all, "{question}: {nonsense:?}");
            let mut batch = Batch::new();
            let ticket = batch.describe();
            let replies = board.run(&batch).await.unwrap();
            assert_eq!(replies.get(ticket).doubts, Vec::<String>::new());
            assert_eq!(replies.repeats(), 1, "{question}: {nonsense:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_stays_open_is_a_doubt_and_no_default() {
    let is_any = |_: &Description| true;
    let rate_is_open = |described: &Description| {
        let module = &described.modules[0];
        // Settling takes at most 7 samples, whatever the rate.
        module.sample_rate.0.is_nan() && module.settle_samples == 7
    };
    let scale_is_open = |described: &Description| described.modules[0].power_scale().is_err();
    let no_firmware = |described: &Description| described.firmware.is_empty();
    type Check<'a> = &'a dyn Fn(&Description) -> bool;
    let odd = [Value::Null, text("?"), Value::Float(0.5), Value::Int(9)];
    for (question, words, check) in [
        (
            "get_decimation",
            "sample rate: ",
            &rate_is_open as Check<'_>,
        ),
        (
            "get_analog_bank",
            "modules: the board does not say which",
            &is_any,
        ),
        (
            "get_dac_scale",
            "modules 1, 2, 3, 4: the board does not say the scale",
            &scale_is_open,
        ),
        ("get_firmware_release", "firmware: ", &no_firmware),
        ("TEMPERATURE_SENSOR", "temperature sensors: ", &is_any),
    ] {
        // The board refuses these calls every time.
        let scripted = talkative();
        scripted.0.lock().unwrap().refusals = vec![(question, None, usize::MAX)];
        let described = describe(&scripted).await;
        let [doubt] = &described.doubts[..] else {
            panic!("{question}: {:?}", described.doubts);
        };
        assert!(
            doubt.contains(words) && doubt.contains("not now"),
            "{doubt}"
        );
        assert!(check(&described), "{question}");
        // The board answers with values of the wrong type. A number is a valid firmware release,
        // and 9 is a valid scale.
        for odd in &odd {
            let is_answer = match question {
                "get_firmware_release" => *odd != Value::Null,
                "get_dac_scale" => odd.as_f64().is_some(),
                _ => false,
            };
            let scripted = talkative();
            scripted
                .0
                .lock()
                .unwrap()
                .answers
                .insert(question, odd.clone());
            let described = describe(&scripted).await;
            let case = (question, odd, &described.doubts);
            assert_eq!(described.doubts.is_empty(), is_answer, "{case:?}");
            assert!(is_answer || check(&described), "{case:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_bank_that_answers_is_the_one_in_use() {
    let scripted = talkative();
    scripted.0.lock().unwrap().refusals = [1, 2, 3, 4]
        .map(|module| ("get_nco_frequency", Some(module), usize::MAX))
        .into_iter()
        .chain([("get_analog_bank", None, usize::MAX)])
        .collect();
    let board = connect(&scripted).await;
    let described = board.description();
    assert_eq!(described.modules[0].module, module(5));
    assert!(
        described.doubts[0].contains("5-8 are assumed"),
        "{described:?}"
    );
    // A call for a module of the other bank is refused because the module is not known to exist.
    let error = board.run(&set(1, 0.1)).await.unwrap_err();
    assert!(
        error.to_string().contains("which analog bank is in use"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn channels_are_counted_without_the_module_that_gives_no_samples() {
    for (channels, hangs) in [(4, false), (12, false), (4, true), (12, true)] {
        let scripted = talkative();
        {
            let mut state = scripted.0.lock().unwrap();
            state.channels = channels;
            if hangs {
                state.hangs_on = Some("\"get_samples\",\"args\":[1],\"kwargs\":{\"module\":1}");
            } else {
                state.refusals = vec![("get_samples", Some(1), usize::MAX)];
            }
        }
        let began = Instant::now();
        let board = connect(&scripted).await;
        let described = board.description();
        assert_eq!(usize::from(described.modules[1].channels), channels);
        assert_eq!(described.doubts, Vec::<String>::new());
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
        let began = Instant::now();
        board.run(&set(2, 0.1)).await.unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{:?}",
            began.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_board_without_samples_is_read_back_up_to_where_it_refuses() {
    for hangs in [false, true] {
        let scripted = talkative();
        {
            let mut state = scripted.0.lock().unwrap();
            (state.channels, state.refuses_channels) = (12, true);
            if hangs {
                state.hangs_on = Some("get_samples");
            } else {
                state.refusals = vec![("get_samples", None, usize::MAX)];
            }
        }
        let board = connect(&scripted).await;
        assert_eq!(board.description().modules[0].channels, 12, "{hangs}");
        // The operations with which a program switches the tones of a module off and checks that
        // they are.
        let mut off = Batch::new();
        off.clear_tones(module(1));
        let all = (ChannelId::FIRST, 12, twotone_hal::ToneFields::AMPLITUDE);
        let tones = off.read_tones(module(1), all.0, all.1, all.2);
        let replies = board.run(&off).await.unwrap();
        assert_eq!(replies.get(tones).len(), 12);
    }
    // The board reports nothing that shows its number of channels. The client assumes the largest
    // possible number and reports this.
    let scripted = talkative();
    let open = ["get_samples", "get_amplitude"];
    scripted.0.lock().unwrap().refusals = open.map(|one| (one, None, usize::MAX)).to_vec();
    let described = describe(&scripted).await;
    assert_eq!(described.modules[0].channels, 1024);
    assert!(
        described.doubts[0].contains("1024 are assumed"),
        "{described:?}"
    );
}

/// Returns the readings of the board's sensors.
pub(super) async fn sensors(board: &CrsBoard) -> Vec<Reading> {
    let mut batch = Batch::new();
    let ticket = batch.read_housekeeping();
    board.run(&batch).await.unwrap().get(ticket).to_vec()
}

#[tokio::test(start_paused = true)]
async fn a_sensor_that_cannot_be_read_hides_no_other() {
    for stops_at_errors in [false, true] {
        for (odd, words) in [
            (Value::Null, "nothing"),
            (text("n/a"), "n/a"),
            (Value::Bool(true), "true"),
            (Value::Array(vec![]), "a list"),
            (Value::Float(-300.0), "no sensor measures"),
            (Value::Float(1e308), "no sensor measures"),
        ] {
            let scripted = talkative();
            {
                let mut state = scripted.0.lock().unwrap();
                state.stops_at_errors = stops_at_errors;
                state.answers.insert("T2", odd.clone());
            }
            let board = connect(&scripted).await;
            let readings = sensors(&board).await;
            let values: Vec<_> = readings.iter().map(|one| one.value).collect();
            assert_eq!(values, [Some(40.0), None, Some(40.0)], "{odd:?}");
            let problem = readings[1].problem.as_deref().unwrap();
            assert!(problem.contains(words), "{problem}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_is_no_number_is_no_value() {
    for (odd, words) in [("NaN", "NaN"), ("Infinity", "inf"), ("-Infinity", "-inf")] {
        let scripted = talkative();
        let board = connect(&scripted).await;
        let say = |text: String| Next::Say(200, "application/json", text);
        let all = format!("[{{\"result\":{odd}}},{{\"result\":41.0}},{{\"result\":42.0}}]");
        let again = format!("[{{\"result\":{odd}}}]");
        scripted.script([say(all), say(again)]);
        let readings = sensors(&board).await;
        let values: Vec<_> = readings.iter().map(|one| one.value).collect();
        assert_eq!(values, [None, Some(41.0), Some(42.0)]);
        let problem = readings[0].problem.as_deref().unwrap();
        assert!(problem.ends_with(words), "{problem}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sensor_that_is_refused_is_asked_once_more_and_told() {
    for stops_at_errors in [false, true] {
        for (refused, values) in [
            (1, vec![Some(40.0), Some(40.0), Some(40.0)]),
            (usize::MAX, vec![None, None, None]),
        ] {
            let scripted = talkative();
            let board = connect(&scripted).await;
            {
                let mut state = scripted.0.lock().unwrap();
                state.stops_at_errors = stops_at_errors;
                state.refusals = vec![("get_motherboard_temperature", None, refused)];
            }
            let readings = sensors(&board).await;
            let found: Vec<_> = readings.iter().map(|one| one.value).collect();
            assert_eq!(found, values, "{refused}");
            let problems = readings.iter().filter_map(|one| one.problem.as_deref());
            assert!(problems.into_iter().all(|why| why.contains("not now")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_clock_and_the_sensors_need_no_module() {
    let scripted = talkative();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    scripted.0.lock().unwrap().hangs_on = Some("get_nco_frequency");
    let (hanging, clock) = (read(1), async {
        sleep(Duration::from_millis(10)).await;
        let began = Instant::now();
        let mut clock = Batch::new();
        clock.read_clock();
        board.run(&clock).await.unwrap();
        let readings = sensors(&board).await;
        assert_eq!(readings.len(), 3);
        began.elapsed()
    });
    let (error, took) = tokio::join!(board.run(&hanging), clock);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_is_read_as_far_as_it_goes() {
    let fields = |more: &[(&str, Value)]| {
        let whole = ["y", "d", "h", "m", "s", "ss"].map(|name| (name, Value::Int(1)));
        let all = whole.iter().chain(more);
        Value::Map(
            all.map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        )
    };
    let recent = 1i64 << 31;
    for (answers, source, alive) in [
        (fields(&[]), "", None),
        (
            fields(&[("source", text("SMA")), ("recent", Value::Bool(true))]),
            "SMA",
            Some(true),
        ),
        (
            fields(&[("source", Value::Int(2)), ("recent", Value::Int(0))]),
            "SMA",
            Some(false),
        ),
        (fields(&[("source", Value::Int(17))]), "17", None),
        (
            fields(&[("source", Value::Null), ("recent", Value::Null)]),
            "",
            None,
        ),
        // Older firmware reports the source and the recency only in the control word.
        (
            fields(&[("c", Value::Int(recent | 1 << 29))]),
            "TEST",
            Some(true),
        ),
        (fields(&[("c", Value::Int(5))]), "", None),
    ] {
        let scripted = talkative();
        scripted
            .0
            .lock()
            .unwrap()
            .answers
            .insert("get_timestamp", answers.clone());
        let board = connect(&scripted).await;
        let time = board.handle().clock().read().await.unwrap();
        assert_eq!(
            (time.source.as_str(), time.recent),
            (source, alive),
            "{answers:?}"
        );
        assert_eq!((time.year, time.day), (1, 1));
    }
    let day = |value: Value| {
        Value::Map(vec![
            ("y".to_owned(), Value::Int(1)),
            ("d".to_owned(), value),
        ])
    };
    for odd in [
        Value::Null,
        text("now"),
        Value::Map(vec![]),
        day(Value::Float(f64::NAN)),
        day(Value::Int(400)),
    ] {
        let scripted = talkative();
        scripted
            .0
            .lock()
            .unwrap()
            .answers
            .insert("get_timestamp", odd.clone());
        let board = connect(&scripted).await;
        let error = board.handle().clock().read().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{odd:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_hangs_keeps_no_other_from_being_answered() {
    for (hangs, doubt) in [
        ("get_firmware_release", "firmware"),
        ("get_decimation", "sample rate"),
        ("get_analog_bank", "modules"),
        ("TEMPERATURE_SENSOR", "temperature sensors"),
    ] {
        let scripted = talkative();
        scripted.0.lock().unwrap().hangs_on = Some(hangs);
        let board = connect(&scripted).await;
        let doubts = board.description().doubts;
        assert_eq!(doubts.len(), 1, "{hangs}: {doubts:?}");
        assert!(doubts[0].starts_with(doubt), "{hangs}: {doubts:?}");
        // The board can be used even so.
        board.run(&set(1, 0.1)).await.unwrap();
        assert_eq!(scripted.executed("set_amplitude"), [0.1], "{hangs}");
    }
}
