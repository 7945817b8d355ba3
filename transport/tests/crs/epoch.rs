//! The epoch of a board (a period in which it keeps its settings): reboots, and events that are not
//! reboots. A batch is a list of operations.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_refused_batch_is_no_reboot() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    let last = ChannelId::new(u16::try_from(CHANNELS).unwrap()).unwrap();
    board.run(&set(1, 0.1)).await.unwrap();
    // The batch would change the frequency of the last channel. This frequency is the marker, by
    // which the client detects a reboot. The board refuses the batch.
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
    // If the board executes the batch, the new frequency becomes the marker.
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
    let error = board.run(&set(1, 0.2)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.board()),
        (ErrorKind::EpochChanged, Some("b1")),
        "{error}"
    );
    // The request was sent before the board restarted.
    assert_eq!(error.certainty(), Certainty::Unknown);
    // The next batch for module 2 reports the reboot as well. A batch that only reads is valid in
    // any epoch.
    board.run(&read(2)).await.unwrap();
    let error = board.run(&set(2, 0.3)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.certainty()),
        (ErrorKind::EpochChanged, Certainty::NotExecuted)
    );
    assert!(error.to_string().contains("module 1 channel"), "{error}");
    let after = board.description().epoch;
    assert_ne!(after, before);
    // No caller has used module 3, so no caller has to learn of the reboot there.
    for number in [1, 2, 3] {
        board.run(&set(number, 0.0)).await.unwrap();
        idle().await;
        board.run(&set(number, 0.0)).await.unwrap();
    }
    assert_eq!(board.description().epoch, after, "one reboot is one epoch");
    assert_eq!(scripted.setting("amplitude", 2, 1), Some(0.0));
    assert!(!scripted.executed("set_amplitude").contains(&0.3));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_epoch_is_not_spent_on_what_only_reads() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    scripted.change("amplitude", 1, 1, Some(0.3));
    idle().await;
    let mut clock = Batch::new();
    let time = clock.read_clock();
    let replies = board.run(&clock).await.unwrap();
    assert_eq!(replies.get(time).day, 1);
    board.run(&read(1)).await.unwrap();
    let mut acquire = Batch::new();
    acquire.acquire_mean(module(1), Acquire::new(1));
    let error = board.run(&acquire).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::EpochChanged, "{error}");
    board.run(&acquire).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_epoch_is_not_told_to_one_who_has_left() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    scripted.change("amplitude", 1, 1, Some(0.0));
    idle().await;
    // The reading that detects the reboot takes longer than its caller waits.
    scripted.script([Next::Slow(Duration::from_secs(1))]);
    let left = timeout(Duration::from_millis(100), board.run(&set(1, 0.2))).await;
    assert!(left.is_err());
    sleep(Duration::from_secs(2)).await;
    // Two callers wait, the second in the queue behind the first. Only the first gets the error.
    let (one, other) = (set(1, 0.3), set(1, 0.4));
    let (one, other) = tokio::join!(board.run(&one), board.run(&other));
    assert_eq!(one.unwrap_err().kind(), ErrorKind::EpochChanged);
    other.unwrap();
    assert_eq!(scripted.executed("set_amplitude"), [0.1, 0.4]);
}

#[tokio::test(start_paused = true)]
async fn settings_queued_in_one_epoch_are_not_sent_in_the_next() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    scripted.change("amplitude", 1, 1, Some(0.0));
    idle().await;
    let (one, other, reads) = (set(1, 0.3), set(1, 0.4), read(1));
    let all = tokio::join!(board.run(&one), board.run(&other), board.run(&reads));
    assert_eq!(all.0.unwrap_err().kind(), ErrorKind::EpochChanged);
    assert_eq!(all.1.unwrap_err().kind(), ErrorKind::EpochChanged);
    all.2.unwrap();
    assert_eq!(scripted.executed("set_amplitude"), [0.1]);
}

#[tokio::test(start_paused = true)]
async fn lost_settings_are_waited_for_in_the_next_epoch_too() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&set(1, 0.1)).await.unwrap();
    board.run(&read(2)).await.unwrap();
    scripted.script([Next::Slow(Duration::from_secs(3))]);
    board.run(&set(2, 0.1)).await.unwrap();
    // The client gives the request up after 10 s, and the board executes it after 12 s.
    scripted.script([Next::Slow(Duration::from_secs(12))]);
    let error = board.run(&set(2, 0.2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    // In the meantime another program sets module 1.
    scripted.change("amplitude", 1, 1, Some(0.0));
    board.run(&read(1)).await.unwrap();
    let error = board.run(&set(2, 0.0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::EpochChanged, "{error}");
    board.run(&set(2, 0.0)).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(
        scripted.executed("set_amplitude"),
        [0.1, 0.1, 0.0, 0.2, 0.0]
    );
}

#[tokio::test(start_paused = true)]
async fn phases_belong_to_the_epoch_in_which_they_are_in_the_queue() {
    let scripted = Scripted::default();
    let board = connect(&scripted).await;
    board.run(&read(1)).await.unwrap();
    let mut before = Batch::new();
    let (first, second) = (
        before.set_nco(module(1), Hertz(1e9)),
        before.read_nco(module(1)),
    );
    let mut after = Batch::new();
    let third = after.set_nco(module(1), Hertz(2e9));
    scripted.script([Next::Slow(Duration::from_secs(1))]);
    // The second batch is written while the first one is under way.
    let (one, other) = tokio::join!(board.run(&before), board.run(&after));
    let (one, other) = (one.unwrap(), other.unwrap());
    let epochs = [
        one.get(first).phase_epoch.0,
        one.get(second).phase_epoch.0,
        other.get(third).phase_epoch.0,
    ];
    assert_eq!(epochs, [1, 1, 2]);
    // After a reboot, the module has a new phase reference.
    scripted.change("nco", 1, 0, None);
    idle().await;
    let replies = board.run(&read(1)).await.unwrap();
    let mut batch = read(1);
    let nco = batch.read_nco(module(1));
    drop(replies);
    assert_eq!(board.run(&batch).await.unwrap().get(nco).phase_epoch.0, 3);
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
