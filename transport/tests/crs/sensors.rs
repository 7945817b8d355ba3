//! The separate connection on which sensors are read.

use tokio::time::Instant;

use super::unknown::{sensors, talkative};
use super::*;

/// Returns the readings that have a value, and the time that they took.
async fn values(board: &CrsBoard) -> (usize, Duration) {
    let began = Instant::now();
    let readings = sensors(board).await;
    let values = readings.iter().filter(|one| one.value.is_some()).count();
    (values, began.elapsed())
}

const SOON: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn sensors_are_read_on_one_connection() {
    let scripted = talkative();
    let board = connect(&scripted).await;
    let before = scripted.connections();
    for _ in 0..60 {
        let (values, took) = values(&board).await;
        assert!(values == 3 && took < SOON, "{values} in {took:?}");
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(scripted.connections() - before, 1);
    // The connection is closed when it is idle, like the connections of modules.
    idle().await;
    for _ in 0..3 {
        assert_eq!(values(&board).await.0, 3);
    }
    assert_eq!(scripted.connections() - before, 2);
}

#[tokio::test(start_paused = true)]
async fn a_sensor_that_hung_keeps_no_later_reading() {
    let scripted = talkative();
    let board = connect(&scripted).await;
    assert_eq!(values(&board).await.0, 3);
    let hang = |is_so: bool| scripted.0.lock().unwrap().hangs_on = is_so.then_some("T2");
    hang(true);
    assert_eq!(values(&board).await.0, 2);
    hang(false);
    let before = scripted.connections();
    for _ in 0..20 {
        let (values, took) = values(&board).await;
        assert!(values == 3 && took < SOON, "{values} in {took:?}");
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(scripted.connections() - before, 1);
    // A caller that gives up leaves a request without an answer, so the next reading needs a new
    // connection.
    hang(true);
    for _ in 0..3 {
        let given_up = timeout(Duration::from_millis(500), sensors(&board));
        assert!(given_up.await.is_err());
    }
    hang(false);
    let before = scripted.connections();
    for _ in 0..20 {
        let (values, took) = values(&board).await;
        assert!(values == 3 && took < SOON, "{values} in {took:?}");
    }
    assert_eq!(scripted.connections() - before, 1);
}

#[tokio::test(start_paused = true)]
async fn readings_at_the_same_time_do_not_wait_for_each_other() {
    let scripted = talkative();
    let board = connect(&scripted).await;
    scripted.script([Next::Hang]);
    let (first, second) = tokio::join!(values(&board), async {
        sleep(Duration::from_millis(1)).await;
        values(&board).await
    });
    assert_eq!((first.0, second.0), (3, 3));
    assert!(second.1 < SOON, "{second:?}");
    let before = scripted.connections();
    for _ in 0..20 {
        assert_eq!(values(&board).await.0, 3);
    }
    assert!(scripted.connections() - before <= 1);
}
