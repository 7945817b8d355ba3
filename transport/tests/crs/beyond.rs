//! Values out of the described ranges: a value that the board had before can be restored.

use twotone_wire::tuber::Value;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_value_out_of_range_may_be_set_only_if_it_was_read_back() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    let handle = board.handle();
    let set = async |hz: f64| handle.nco().set(module(1), Hertz(hz)).await.map(drop);
    let refused = set(12e9).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");

    // A board whose NCO was set beyond the range that this client knows.
    let answers = |hz: Option<f64>| {
        let answers = &mut scripted.0.lock().unwrap().answers;
        match hz {
            Some(hz) => answers.insert("get_nco_frequency", Value::Float(hz)),
            None => answers.remove("get_nco_frequency"),
        };
    };
    answers(Some(12e9));
    assert_eq!(
        handle.nco().read(module(1)).await.unwrap().frequency.0,
        12e9
    );
    answers(None);
    set(4.25e9).await.unwrap();
    assert!(set(12.1e9).await.is_err());
    set(12e9).await.unwrap();
    // Only the module whose NCO was there accepts this frequency.
    let other = handle.nco().set(module(2), Hertz(12e9)).await;
    assert_eq!(other.unwrap_err().kind(), ErrorKind::InvalidArgument);

    // The board has a tone that was set while the bandwidth was extended.
    let offset = |number, hz| tone(number).offset(Hertz(hz));
    let refused = handle.tones().set(module(1), [offset(3, 300e6)]).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
    scripted
        .0
        .lock()
        .unwrap()
        .answers
        .insert("get_frequency", Value::Float(300e6));
    let read = handle
        .tones()
        .read(module(1), ChannelId::new(3).unwrap(), 1)
        .await
        .unwrap();
    assert_eq!(read[0].offset, Some(Hertz(300e6)));
    scripted.0.lock().unwrap().answers.remove("get_frequency");
    handle
        .tones()
        .set(module(1), [offset(3, 300e6)])
        .await
        .unwrap();
    assert!(
        handle
            .tones()
            .set(module(1), [offset(3, 300.1e6)])
            .await
            .is_err()
    );
    let other = offset(4, 300e6);
    assert!(handle.tones().set(module(1), [other]).await.is_err());
}
