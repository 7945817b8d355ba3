//! Tests of the runtimes that drive futures during a `wait()`, and of calls of `wait()` that must
//! not block other tasks.
#![cfg_attr(
    not(feature = "fibers"),
    allow(unused, reason = "most of it needs fibers")
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tworoutine::prelude::*;
use tworoutine::{no_suspend, spawn, spawn_local, wait_all};

/// Starts a task that sends back the bytes that it receives, and returns a connection to it. Both
/// ends belong to the caller's runtime.
async fn echo() -> std::io::Result<TcpStream> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    let (mut other, _) = listener.accept().await?;
    tokio::spawn(async move {
        let (mut from, mut to) = other.split();
        tokio::io::copy(&mut from, &mut to).await
    });
    Ok(stream)
}

#[tworoutine]
async fn round_trip(stream: &mut TcpStream, word: &[u8; 4]) -> std::io::Result<bool> {
    let mut back = [0; 4];
    stream.write_all(word).await?;
    stream.read_exact(&mut back).await?;
    Ok(back == *word)
}

#[test]
fn a_socket_of_a_plain_thread_works_from_everywhere() {
    let mut stream = echo().wait().unwrap();
    assert!(round_trip(&mut stream, b"here").wait().unwrap());
    std::thread::scope(|scope| {
        let there = scope.spawn(|| round_trip(&mut stream, b"away").wait().unwrap());
        assert!(there.join().unwrap());
    });
    let inside = tworoutine::block_on(async {
        let awaited = round_trip(&mut stream, b"loop").await.unwrap();
        #[cfg(feature = "fibers")]
        return awaited && round_trip(&mut stream, b"ctxt").wait().unwrap();
        #[cfg(not(feature = "fibers"))]
        awaited
    });
    assert!(inside);
    let task = spawn(async move { round_trip(&mut stream, b"pool").await.unwrap() });
    assert!(task.wait().unwrap());
}

#[tworoutine::test]
async fn a_socket_of_the_process_wide_runtime_outlives_the_local_runtime() {
    let mut stream = tworoutine::runtime().spawn(echo()).await.unwrap().unwrap();
    let later = std::thread::spawn(move || round_trip(&mut stream, b"late").wait().unwrap());
    assert!(later.join().unwrap());
}

#[test]
fn a_socket_of_a_runtime_that_has_ended_fails() {
    let mut timer = None;
    tworoutine::block_on(async { timer = Some(Box::pin(sleep(PAUSE))) });
    let late = catch_unwind(AssertUnwindSafe(|| timer.unwrap().wait()));
    assert!(late.is_err());
    let mut stream = tworoutine::block_on(async { echo().await.unwrap() });
    assert!(round_trip(&mut stream, b"dead").wait().is_err());
}

const PAUSE: Duration = Duration::from_millis(10);

#[test]
fn the_default_pool_is_never_used_up() {
    // Without the limit on blocked waits, tokio deadlocks here: each wait needs a thread, and there
    // are 512 threads.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tasks: Vec<_> = (0..2000)
        .map(|_| runtime.spawn(async { async { sleep(PAUSE * 10).await }.wait() }))
        .collect();
    let (mut done, mut refused) = (0, 0);
    for task in tasks {
        match task.wait() {
            Ok(()) => done += 1,
            Err(error) => {
                let message = *error.into_panic().downcast::<String>().unwrap();
                assert!(message.contains("480 waits already block"), "{message}");
                refused += 1;
            }
        }
    }
    assert!(done >= 480, "{done} done, {refused} refused");
}

#[test]
fn a_wait_on_a_worker_cannot_be_cancelled() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let (began, ended) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let (begins, ends) = (began.clone(), Arc::clone(&ended));
    let task = tworoutine::runtime().spawn(async move {
        begins.store(true, Ordering::SeqCst);
        receiver.wait().unwrap();
        AtomicBool::store(&ends, true, Ordering::SeqCst);
    });
    while !began.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    task.abort();
    std::thread::sleep(PAUSE);
    assert!(!task.is_finished());
    sender.send(()).unwrap();
    let _ = task.wait();
    assert!(ended.load(Ordering::SeqCst), "the wait was cancelled");
}

#[cfg(feature = "fibers")]
#[tworoutine::test(start_paused = true)]
async fn a_wait_for_a_sibling_branch_never_returns_and_in_wait_all_it_does() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let branches = tworoutine::context(async {
        let waits = async { receiver.wait().unwrap() };
        let sends = async { sender.send(()).unwrap() };
        futures::join!(waits, sends);
    });
    assert!(branches.wait_timeout(Duration::from_secs(3600)).is_err());

    let (sender, receiver) = tokio::sync::oneshot::channel();
    let waits: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async { receiver.wait().unwrap() });
    let sends = Box::pin(async { sender.send(()).unwrap() });
    wait_all([waits, sends]);
}

#[cfg(feature = "fibers")]
#[tworoutine::test]
async fn a_guard_is_kept_during_a_wait() {
    let mutex = Arc::new(Mutex::new(0));
    let holder = mutex.clone();
    let holds = spawn_local(async move {
        let mut guard = holder.lock().unwrap();
        tokio::task::yield_now().wait();
        *guard += 1;
    });
    tokio::task::yield_now().await;
    assert!(
        mutex.try_lock().is_err(),
        "other tasks of the thread did not run during the wait"
    );
    holds.await.unwrap();

    // Inside `no_suspend` the wait panics instead.
    let holder = mutex.clone();
    let refused = spawn_local(async move {
        no_suspend(|| {
            let _guard = holder.lock().unwrap();
            tokio::task::yield_now().wait();
        });
    });
    let error = refused.await.unwrap_err();
    assert!(error.message().unwrap().contains("no_suspend"), "{error}");
    assert!(
        mutex.is_poisoned(),
        "the wait panicked after the guard was dropped"
    );
}
