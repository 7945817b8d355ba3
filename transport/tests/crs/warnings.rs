//! Warnings that a board sends with its answers.

use super::*;

const WARNING: &str = "the NCO is in zone 4";

fn warning() -> Scripted {
    let scripted = Scripted::default();
    scripted.0.lock().unwrap().warnings = [("set_nco_frequency", WARNING)].into();
    scripted
}

fn set_nco(hz: f64) -> Batch {
    let mut batch = Batch::new();
    batch.set_nco(module(1), Hertz(hz));
    batch
}

#[tokio::test(start_paused = true)]
async fn the_replies_have_the_warnings_and_the_setting_is_made() {
    let scripted = warning();
    let board = connect(&scripted).await;
    let mut batch = set_nco(8e9);
    batch.set_tones(module(1), [tone(1).amplitude(0.1)]);
    batch.set_nco(module(2), Hertz(9e9));
    let replies = board.run(&batch).await.unwrap();
    assert_eq!(replies.warnings(), [WARNING, WARNING]);
    assert_eq!(scripted.setting("nco", 1, 0), Some(8e9));
    let replies = board.run(&set(1, 0.2)).await.unwrap();
    assert_eq!(replies.warnings(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_batch_has_the_warnings_before_it() {
    let scripted = warning();
    scripted.0.lock().unwrap().refusals = vec![("set_amplitude", None, usize::MAX)];
    let board = connect(&scripted).await;
    let mut batch = set_nco(8e9);
    batch.set_tones(module(1), [tone(1).amplitude(0.1)]);
    let error = board.run(&batch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
    assert_eq!(error.warnings(), [WARNING]);
}

#[tokio::test(start_paused = true)]
async fn a_warning_is_safe_to_show() {
    let scripted = Scripted::default();
    scripted.0.lock().unwrap().warnings = [("set_nco_frequency", " a\u{1b}[2Jb\n ")].into();
    let board = connect(&scripted).await;
    let replies = board.run(&set_nco(8e9)).await.unwrap();
    let [warning] = replies.warnings() else {
        panic!("{:?}", replies.warnings());
    };
    assert!(!warning.chars().any(char::is_control), "{warning:?}");
}
