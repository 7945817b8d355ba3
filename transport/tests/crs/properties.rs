//! Properties of boards: their values on the wire, and the epoch that begins with a change.

use twotone_hal::{Dbm, PropertyValue};
use twotone_wire::tuber::Value;

use super::*;

fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

/// Sets a property, and returns the value that was read back.
async fn set(
    board: &CrsBoard,
    module: Option<u8>,
    name: &'static str,
    value: impl Into<PropertyValue>,
) -> Result<Option<PropertyValue>, Error> {
    let mut batch = Batch::new();
    let module = module.map(|number| ModuleId::new(number).unwrap());
    let ticket = batch.set_property(module, name, value.into());
    let replies = board.run(&batch).await?;
    Ok(replies.get(ticket).cloned())
}

#[tokio::test(start_paused = true)]
async fn unknown_properties_and_values_are_refused_before_anything_is_sent() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    let requests = scripted.requests();
    for (module, name, value, kind, words) in [
        (
            None,
            "colour",
            "red".into(),
            ErrorKind::Unsupported,
            "no property `colour`",
        ),
        // A property of modules, and one of the board.
        (
            None,
            "dac_scale_dbm",
            1.0.into(),
            ErrorKind::Unsupported,
            "of the board",
        ),
        (
            Some(1),
            "analog_bank",
            "low".into(),
            ErrorKind::Unsupported,
            "of a module",
        ),
        (
            None,
            "analog_bank",
            "middle".into(),
            ErrorKind::InvalidArgument,
            "one of low, high",
        ),
        (
            Some(1),
            "dac_scale_dbm",
            40.0.into(),
            ErrorKind::InvalidArgument,
            "from -20 to 10 dBm",
        ),
        (
            Some(1),
            "adc_attenuator_db",
            1.5.into(),
            ErrorKind::InvalidArgument,
            "a whole number",
        ),
        (
            Some(7),
            "dac_scale_dbm",
            1.0.into(),
            ErrorKind::InvalidArgument,
            "no module 7",
        ),
    ] {
        let value: PropertyValue = value;
        let refused = set(&board, module, name, value).await.unwrap_err();
        assert_eq!(refused.kind(), kind, "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
    }
    assert_eq!(scripted.requests(), requests);
}

#[tokio::test(start_paused = true)]
async fn a_property_is_set_and_read_back_in_the_words_of_the_map() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    assert_eq!(
        set(&board, Some(2), "cable_length_m", 1.5).await.unwrap(),
        Some(1.5.into())
    );
    assert_eq!(scripted.setting("cable", 2, 0), Some(1.5));

    // The board has values of its own for the words.
    let names = [("SMA", "front"), ("BACKPLANE", "rear")];
    let names = names.map(|(name, value)| (name.to_owned(), text(value)));
    {
        let mut state = scripted.0.lock().unwrap();
        state.answers = [
            ("CLOCKSOURCE", Value::Map(names.to_vec())),
            ("get_clock_source", text("rear")),
            ("set_clock_source", Value::Null),
            ("get_analog_bank", Value::Bool(true)),
            ("set_analog_bank", Value::Null),
            // A value of the first argument.
            ("rear", Value::Null),
        ]
        .into();
    }
    let found = set(&board, None, "clock_source", "BACKPLANE")
        .await
        .unwrap();
    assert_eq!(found, Some("BACKPLANE".into()));
    let found = set(&board, None, "analog_bank", "high").await.unwrap();
    assert_eq!(found, Some("high".into()));

    let null = ("get_clock_source", Value::Null);
    scripted.0.lock().unwrap().answers.insert(null.0, null.1);
    assert_eq!(
        set(&board, None, "clock_source", "SMA").await.unwrap(),
        None
    );
    let odd = ("get_clock_source", Value::Int(3));
    scripted.0.lock().unwrap().answers.insert(odd.0, odd.1);
    let requests = scripted.requests();
    let error = set(&board, None, "clock_source", "SMA").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    // It is not set again, since another program may have set it in between, and the words are
    // known already.
    assert_eq!(scripted.requests(), requests + 1);
}

#[tokio::test(start_paused = true)]
async fn the_board_is_described_anew_after_a_change_of_its_scale() {
    let scripted = Scripted::default();
    scripted.0.lock().unwrap().dac_scale = Some(1.0);
    let board = connect(&scripted).await;
    board.run(&super::set(1, 0.1)).await.unwrap();
    let first = board.description();

    assert_eq!(
        set(&board, Some(1), "dac_scale_dbm", 7.0).await.unwrap(),
        Some(7.0.into())
    );
    let handle = board.handle();
    let now = handle.describe().await.unwrap();
    assert!(now.epoch > first.epoch);
    assert_eq!(now.modules[0].full_scale, Some(Dbm(5.5)));
    // What was set before counts on the old scale.
    let error = handle.run(&super::set(1, 0.2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::EpochChanged, "{error}");
    assert!(
        error
            .to_string()
            .contains("this program has set `dac_scale_dbm`"),
        "{error}"
    );
    handle.run(&super::set(1, 0.2)).await.unwrap();
    // A module that was not used before goes on.
    handle.run(&super::set(2, 0.2)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refused_property_changes_nothing() {
    let scripted = Scripted::default();
    scripted.0.lock().unwrap().dac_scale = Some(1.0);
    scripted.0.lock().unwrap().refusals = vec![("set_dac_scale", None, usize::MAX)];
    let board = connect(&scripted).await;
    let error = set(&board, Some(1), "dac_scale_dbm", 7.0)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.certainty()),
        (ErrorKind::Rejected, Certainty::NotExecuted)
    );
    assert_eq!(
        error.operation(),
        Some("set `dac_scale_dbm` of module 1 to 7")
    );
    assert_eq!(scripted.0.lock().unwrap().dac_scale, Some(1.0));
    assert_eq!(board.description().epoch, twotone_hal::Epoch(0));
    board.run(&super::set(1, 0.1)).await.unwrap();
}
