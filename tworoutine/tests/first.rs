//! Overview of the crate: each way to call a function, in each kind of runtime.
#![cfg_attr(
    not(feature = "fibers"),
    allow(unused, reason = "most of it needs fibers")
)]

use std::time::Duration;

use tworoutine::offload;
use tworoutine::prelude::*;
#[cfg(feature = "fibers")]
use tworoutine::{spawn, spawn_local};

#[tworoutine]
async fn slowly<T: Clone>(x: &T, times: usize) -> Result<Vec<T>, std::num::ParseIntError> {
    let mut all = Vec::new();
    for _ in 0..times {
        tokio::time::sleep(Duration::from_millis(1)).await;
        all.push(x.clone());
    }
    let _: i32 = "1".parse()?;
    Ok(all)
}

#[test]
fn plain_thread() {
    assert_eq!(slowly(&1, 3).wait().unwrap(), [1, 1, 1]);
}

#[cfg(feature = "fibers")]
#[tworoutine::test]
async fn context() {
    assert_eq!(slowly(&1, 2).wait().unwrap(), slowly(&1, 2).await.unwrap());
    let beside = spawn_local(async { slowly(&'x', 1).wait().unwrap().len() });
    let elsewhere = spawn(async { slowly(&'x', 2).wait().unwrap().len() });
    assert_eq!(beside.await.unwrap() + elsewhere.wait().unwrap(), 3);
    assert_eq!(offload(|| 6 * 7).wait(), 42);
    let caught = spawn(async { panic!("on purpose") });
    assert_eq!(caught.await.unwrap_err().message(), Some("on purpose"));
}

#[tokio::test(flavor = "multi_thread")]
async fn worker() {
    let task = tokio::spawn(async { slowly(&1, 3).wait().unwrap().len() });
    assert_eq!(task.await.unwrap(), 3);
    assert_eq!(offload(|| 6 * 7).await, 42);
}

#[cfg(feature = "fibers")]
#[tworoutine::test(start_paused = true)]
async fn virtual_time() {
    let start = tokio::time::Instant::now();
    let limit = slowly(&1, 60_000).wait_timeout(Duration::from_secs(30));
    assert!(limit.is_err());
    assert_eq!(start.elapsed().as_secs(), 30);
    let work = offload(|| std::thread::sleep(Duration::from_millis(20)));
    tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .unwrap();
    spawn(async { slowly(&1, 1).wait() })
        .await
        .unwrap()
        .unwrap();
}
