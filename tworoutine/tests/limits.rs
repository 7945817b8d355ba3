//! Tests of the crate if the system grants few threads or descriptors. Each test runs itself again
//! as a child process under limits.
#![cfg(target_os = "linux")]

use std::process::{Command, Output};
use std::time::Duration;

use tworoutine::prelude::*;
use tworoutine::{Threads, offload, runtime, spawn, start};

const ROLE: &str = "TWOROUTINE_TEST_ROLE";
/// Size of the stack of each thread, in KiB. It is so large that a limit on memory is a limit on
/// the number of threads. This works for any user and independently of other programs.
const STACK_KIB: u64 = 4 << 20;

/// Returns shell commands that limit a child to `count` threads besides that of the test.
fn threads(count: u64) -> String {
    format!(
        "ulimit -v {}; export RUST_MIN_STACK={}",
        count * STACK_KIB + STACK_KIB / 2,
        STACK_KIB << 10
    )
}

fn files(count: u64) -> String {
    format!("ulimit -n {count}")
}

/// Runs `role`, if this process is the child. In the parent, starts a child under each of the
/// limits and checks its output and exit status.
fn check<const N: usize>(
    test: &str,
    role: impl FnOnce(),
    cases: [(String, &str); N],
    is_right: fn(&Output, &str) -> bool,
) {
    if std::env::var(ROLE).is_ok_and(|role| role == test) {
        return role();
    }
    for (limits, words) in cases {
        let (output, text) = run(test, &limits);
        assert!(is_right(&output, &text), "{limits}: {text}");
        assert!(text.contains(words), "{limits}: {text}");
    }
}

fn run(test: &str, limits: &str) -> (Output, String) {
    let output = Command::new("timeout")
        .args(["60", "sh", "-c", &format!("{limits}; exec \"$@\""), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ROLE, test)
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output, String::from_utf8_lossy(&text).into_owned())
}

/// Uses each feature of the crate once.
fn everything() {
    let awaiting: Vec<_> = (0..20)
        .map(|number| {
            spawn(async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let deeper = spawn(async move { number + 1 });
                deeper.await.unwrap() + offload(move || number).await
            })
        })
        .collect();
    let sum: i32 = awaiting.into_iter().map(|one| one.wait().unwrap()).sum();
    assert_eq!(sum, 400);
    let task = runtime().spawn(async {
        tokio::task::yield_now().await;
        5
    });
    assert_eq!(task.wait().unwrap(), 5);
    // Only a context on a fiber (a stack of its own) can be suspended by a wait.
    #[cfg(feature = "fibers")]
    everything_that_waits_in_contexts();
}

#[cfg(feature = "fibers")]
fn everything_that_waits_in_contexts() {
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            spawn(async move {
                tokio::time::sleep(Duration::from_millis(5)).wait();
                let deeper = spawn(async move { number + 1 });
                deeper.wait().unwrap() + offload(move || number).wait()
            })
        })
        .collect();
    let sum: i32 = waiting.into_iter().map(|one| one.wait().unwrap()).sum();
    assert_eq!(sum, 400);
    let inside = offload(|| tworoutine::wait(async { spawn(async { 6 }).await.unwrap() }));
    assert_eq!(inside.wait(), 6);
    // Each outer computation occupies its thread until inner computations have ended, which need
    // threads too.
    let nested = |number: i32| {
        offload(move || {
            let (queues, queued) = std::sync::mpsc::channel();
            let context = spawn(async move {
                let mut inner = Box::pin(offload(move || number));
                let first = futures_util::poll!(&mut inner);
                let _ = queues.send(());
                match first {
                    std::task::Poll::Ready(number) => number,
                    std::task::Poll::Pending => inner.await,
                }
            });
            // A computation that runs on the thread of the contexts (futures with stacks of their
            // own) must not block them forever.
            if tokio::runtime::Handle::try_current().is_err() {
                queued.recv().unwrap();
            }
            context.wait().unwrap()
        })
    };
    let all = tworoutine::wait_all((0..8).map(nested));
    assert_eq!(all, (0..8).collect::<Vec<_>>());
}

fn succeeded(output: &Output, text: &str) -> bool {
    output.status.success() && !text.contains("panicked")
}

#[test]
fn everything_works_with_as_many_threads_as_there_are() {
    let role = || match start() {
        Ok(threads) => {
            everything();
            assert_eq!(start().unwrap(), threads);
            println!("started: {threads:?}");
        }
        Err(error) => println!("error: {error}"),
    };
    let cases = [
        ("true".to_owned(), "started: All"),
        (threads(0), "started: None"),
        (threads(1), "started: None"),
        (threads(2), "started: One"),
        (threads(3), "started: One"),
        // Depending on the number of cores, all threads or only one thread is started.
        (threads(4), "started: "),
        (threads(5), "started: "),
        (files(20), "started: One"),
        (
            files(5),
            "error: the system grants this process no more open files",
        ),
    ];
    let test = "everything_works_with_as_many_threads_as_there_are";
    check(test, role, cases, succeeded);
}

#[test]
fn the_first_use_names_the_limit_that_it_met() {
    let cases = [
        (threads(0), "(`ulimit -u`)"),
        (files(5), "(`ulimit -n`, or `LimitNOFILE=` of systemd)"),
    ];
    let test = "the_first_use_names_the_limit_that_it_met";
    check(test, everything, cases, |output, text| {
        output.status.code() == Some(101) && text.contains("tworoutine cannot start")
    });
}

/// Uses all features with at most `at_most` threads, and prints the number of threads that were
/// started.
fn with_at_most(at_most: Threads) {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let config = tworoutine::Config::new().threads(at_most);
    config.offload_threads(3).apply().unwrap();
    assert_eq!(start().unwrap(), at_most);
    everything();
    println!("more threads: {}.", threads() - before);
}

#[test]
fn a_setting_starts_no_thread() {
    let role = || with_at_most(Threads::None);
    let cases = [("true".to_owned(), "more threads: 0.")];
    check("a_setting_starts_no_thread", role, cases, succeeded);
}

#[test]
fn a_setting_starts_one_thread() {
    let role = || with_at_most(Threads::One);
    let cases = [("true".to_owned(), "more threads: 1.")];
    check("a_setting_starts_one_thread", role, cases, succeeded);
}

fn workers(count: &str) -> String {
    format!("export TOKIO_WORKER_THREADS='{count}'")
}

#[test]
fn the_variable_of_tokio_sets_the_workers() {
    let role = || match start() {
        Ok(threads) => {
            everything();
            let workers = runtime().metrics().num_workers();
            println!("started: {threads:?}, {workers} workers");
        }
        Err(error) => println!("error: {error}"),
    };
    let with = |limits: String, count| format!("{limits}; {}", workers(count));
    let wrong = "error: the environment variable TOKIO_WORKER_THREADS is set to ";
    let cases = [
        (workers("1"), "started: All, 1 workers"),
        (workers("5"), "started: All, 5 workers"),
        (with(threads(9), "30"), "started: One, 1 workers"),
        (workers("8193"), wrong),
        (workers("18446744073709551615"), wrong),
        (workers("0"), wrong),
        (workers(""), wrong),
        (workers("-3"), wrong),
        (workers("many"), wrong),
    ];
    let test = "the_variable_of_tokio_sets_the_workers";
    check(test, role, cases, succeeded);
}

#[test]
fn a_wrong_variable_is_named_by_the_first_use() {
    let cases = [(workers("two"), r#"TOKIO_WORKER_THREADS is set to "two""#)];
    let test = "a_wrong_variable_is_named_by_the_first_use";
    check(test, everything, cases, |output, text| {
        output.status.code() == Some(101) && text.contains("tworoutine cannot start")
    });
}
