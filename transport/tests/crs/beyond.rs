//! Values out of the described ranges: a value that the board had before can be restored.

use twotone_wire::tuber::Value;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_value_out_of_range_may_be_set_only_if_it_was_read_back() {
    let scripted = Scripted::default();
    {
        let mut state = scripted.0.lock().unwrap();
        // The board is in a Nyquist zone that does not contain 0, although its NCO is at 0.
        state.answers.insert("get_nyquist_zone", Value::Int(2));
    }
    let board = connect(&scripted).await;
    let handle = board.handle();
    let set = async |hz: f64| handle.nco().set(module(1), Hertz(hz)).await.map(drop);
    let refused = set(0.0).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{refused}");

    assert_eq!(handle.nco().read(module(1)).await.unwrap().frequency.0, 0.0);
    set(4.25e9).await.unwrap();
    assert!(set(1.0).await.is_err());
    set(0.0).await.unwrap();
    // Only the module whose NCO was at 0 accepts this frequency.
    let other = handle.nco().set(module(2), Hertz(0.0)).await;
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
