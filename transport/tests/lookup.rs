//! Look-ups of host names on a system that allows few threads. Each test runs itself again as a
//! child process under resource limits.
#![cfg(target_os = "linux")]

use std::process::Command;

use futures::future::join_all;
use twotone_transport::look_up;

const IS_CHILD: &str = "TWOTONE_TEST_LOOKS_UP";

/// Looks up names one after the other, and then many at the same time.
fn looks_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async {
        for port in 1..300 {
            let found = look_up("localhost", port).await.unwrap();
            assert_eq!(found[0].port(), port);
        }
        for found in join_all((1..300).map(|port| look_up("localhost", port))).await {
            assert!(!found.unwrap().is_empty());
        }
    });
}

#[test]
fn one_thread_is_enough() {
    if std::env::var_os(IS_CHILD).is_some() {
        return looks_up();
    }
    // The stack of a thread is so large that the memory limit bounds the number of threads. One of
    // them is the thread of the test.
    let stack_kib: u64 = 4 << 20;
    let limits = format!(
        "ulimit -v {}; export RUST_MIN_STACK={}; exec \"$@\"",
        2 * stack_kib + stack_kib / 2,
        stack_kib << 10
    );
    let output = Command::new("timeout")
        .args(["60", "sh", "-c", &limits, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "one_thread_is_enough", "--test-threads=1"])
        .env(IS_CHILD, "1")
        .output()
        .unwrap();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
}
