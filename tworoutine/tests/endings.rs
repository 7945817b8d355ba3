//! Tests of crashes of a process and of ends of threads, which only another process can observe.
//! Each test starts itself again as a child process. An environment variable marks the process as a
//! child.
#![cfg(feature = "fibers")]

use std::cell::RefCell;
use std::future::{Future, pending};
use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use tworoutine::prelude::*;
use tworoutine::{block_on, context, spawn_local};

const ROLE: &str = "TWOROUTINE_TEST_ROLE";

/// Runs `role`, if this process is the child. In the parent, starts the child and returns its
/// output.
fn ending_of(test: &str, role: impl FnOnce()) -> Option<(Output, String)> {
    if std::env::var(ROLE).is_ok_and(|role| role == test) {
        role();
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, test)
        .env(
            "RUST_BACKTRACE",
            if test.contains("backtrace") {
                "full"
            } else {
                "0"
            },
        )
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Some((output, text))
}

struct WaitsInDrop;

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        pending::<()>().wait();
    }
}

#[test]
fn a_wait_in_drop_while_unwinding_is_explained() {
    let test = "a_wait_in_drop_while_unwinding_is_explained";
    let role = || {
        block_on(async {
            let _waits = WaitsInDrop;
            panic!("on purpose");
        })
    };
    if let Some((output, text)) = ending_of(test, role) {
        assert!(!output.status.success());
        assert!(
            text.contains("do not wait in a Drop") && text.contains("try_wait"),
            "{text}"
        );
    }
}

#[test]
fn a_wait_in_drop_while_unwinding_on_a_plain_thread_is_explained() {
    let test = "a_wait_in_drop_while_unwinding_on_a_plain_thread_is_explained";
    let role = || {
        let _waits = WaitsInDrop;
        panic!("on purpose");
    };
    if let Some((output, text)) = ending_of(test, role) {
        assert!(!output.status.success());
        assert!(text.contains("do not wait in a Drop"), "{text}");
    }
}

#[test]
fn a_wait_in_drop_while_cancelled_is_explained() {
    let test = "a_wait_in_drop_while_cancelled_is_explained";
    let role = || {
        block_on(async {
            let waiting = spawn_local(async {
                let _waits = WaitsInDrop;
                pending::<()>().wait();
            });
            tokio::task::yield_now().await;
            waiting.abort();
            let _ = waiting.await;
        })
    };
    if let Some((output, text)) = ending_of(test, role) {
        assert!(!output.status.success());
        assert!(text.contains("do not wait in a Drop"), "{text}");
    }
}

/// Runs `code` after `levels` levels of recursion.
#[inline(never)]
fn deep(levels: u32, code: &dyn Fn()) -> u32 {
    let frame = std::hint::black_box([levels; 64]);
    if levels == 0 {
        code();
        return 0;
    }
    deep(levels - 1, code) + std::hint::black_box(frame)[1]
}

#[test]
fn the_stack_has_room_for_a_panic_with_its_backtrace() {
    let test = "the_stack_has_room_for_a_panic_with_its_backtrace";
    let role = || {
        block_on(context(async {
            // Half of the stack is already used, as by a deep parser in a debug build.
            deep(1500, &|| panic!("deep down"));
        }))
    };
    if let Some((output, text)) = ending_of(test, role) {
        assert_eq!(output.status.code(), Some(101), "{text}");
        assert!(
            text.contains("deep down") && text.contains("stack backtrace"),
            "{text}"
        );
    }
}

#[test]
fn an_overflow_hits_the_guard_page() {
    let test = "an_overflow_hits_the_guard_page";
    let role = || {
        block_on(async {
            // The stacks of other contexts (futures with stacks of their own) lie below this stack.
            for _ in 0..64 {
                drop(spawn_local(async { pending::<()>().wait() }));
            }
            tokio::task::yield_now().await;
            spawn_local(async { deep(u32::MAX, &|| ()) })
                .await
                .map(drop)
                .unwrap();
        })
    };
    if let Some((output, text)) = ending_of(test, role) {
        const SIGSEGV: i32 = 11;
        const SIGABRT: i32 = 6;
        let signal = output.status.signal();
        assert!(
            matches!(signal, Some(SIGSEGV | SIGABRT)),
            "{:?} {text}",
            output.status
        );
    }
}

#[test]
fn more_contexts_than_the_kernel_has_mappings_for_are_refused() {
    let test = "more_contexts_than_the_kernel_has_mappings_for_are_refused";
    let setting = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    let mappings: usize = setting.trim().parse().unwrap();
    if mappings > 100_000 {
        eprintln!("not tried: vm.max_map_count is {mappings}, which would take too much memory");
        return;
    }
    let role = || {
        block_on(async {
            let count = mappings / 2 + 200;
            let tasks: Vec<_> = (0..count)
                .map(|_| spawn_local(async { pending::<()>().wait() }))
                .collect();
            let mut refused = 0;
            while tworoutine::stats().suspended + refused < count {
                tokio::task::yield_now().await;
                refused = tasks.iter().filter(|task| task.is_finished()).count();
            }
            // The crate leaves enough memory mappings for everything else, so the contexts that
            // wait still work.
            std::thread::spawn(|| vec![0_u8; 1 << 22].len())
                .join()
                .unwrap();
            let suspended = tworoutine::stats().suspended;
            assert!(suspended > mappings * 9 / 20, "only {suspended} could wait");
            let mut messages = 0;
            for task in tasks {
                if task.is_finished() {
                    let error = task.await.unwrap_err();
                    assert!(
                        error.message().unwrap().contains("vm.max_map_count"),
                        "{error}"
                    );
                    messages += 1;
                } else {
                    task.abort();
                    assert!(task.await.unwrap_err().is_cancelled());
                }
            }
            assert_eq!(messages, refused);
            println!("refused {refused}");
        })
    };
    if let Some((output, text)) = ending_of(test, role) {
        let end: String = text
            .chars()
            .rev()
            .take(2000)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        assert!(output.status.success(), "{:?} {end}", output.status);
        assert!(String::from_utf8_lossy(&output.stdout).contains("refused "));
    }
}

// Tests of threads that end while a suspended context is in a thread-local.

type Kept = RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>;

thread_local! {
    static KEPT: Kept = const { RefCell::new(None) };
    static USED_IN_DROP: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

static DROPS: AtomicUsize = AtomicUsize::new(0);

struct UsesThreadLocal;

impl Drop for UsesThreadLocal {
    fn drop(&mut self) {
        DROPS.fetch_add(1, Ordering::SeqCst);
        USED_IN_DROP.with_borrow_mut(|used| used.push(1));
    }
}

/// Leaves a suspended context in a thread-local. If the stack of the context were unwound, another
/// thread-local would be used.
fn keep_suspended(others_first: bool) {
    if others_first {
        // The first context of a thread creates a thread-local of the crate, the sentinel, whose
        // destruction shows that the thread ends. Here that is before `KEPT` exists.
        futures::executor::block_on(context(async {}));
    }
    KEPT.with_borrow_mut(|kept| {
        let mut waiting: Pin<Box<dyn Future<Output = ()>>> = Box::pin(context(async {
            let _uses = UsesThreadLocal;
            // This thread-local is created after `KEPT`, so it is destroyed before `KEPT`.
            USED_IN_DROP.with_borrow_mut(|used| used.push(0));
            pending::<()>().wait();
        }));
        assert!(
            waiting
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        *kept = Some(waiting);
    });
}

#[test]
fn a_context_dropped_while_its_thread_ends_is_leaked() {
    let test = "a_context_dropped_while_its_thread_ends_is_leaked";
    let role = || {
        for others_first in [false, true] {
            std::thread::spawn(move || keep_suspended(others_first))
                .join()
                .unwrap();
        }
        assert_eq!(DROPS.load(Ordering::SeqCst), 0, "it was unwound");
    };
    if let Some((output, text)) = ending_of(test, role) {
        assert!(output.status.success(), "{:?} {text}", output.status);
    }
}

/// Value that waits when it is dropped at the end of its thread, and cancels the future of this
/// wait.
struct WaitsAtTheEnd;

impl Drop for WaitsAtTheEnd {
    fn drop(&mut self) {
        let borrowed = AtomicUsize::new(0);
        let waits = async {
            let _counts = Counts(&borrowed);
            pending::<()>().wait();
        };
        assert!(waits.wait_timeout(Duration::from_millis(5)).is_err());
        // A context that borrows must be dropped before the borrow ends. So the crate must not leak
        // it here.
        DROPS.fetch_add(borrowed.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

struct Counts<'a>(&'a AtomicUsize);

impl Drop for Counts<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

thread_local! {
    static AT_THE_END: WaitsAtTheEnd = const { WaitsAtTheEnd };
}

#[test]
fn a_borrowing_context_is_unwound_even_while_its_thread_ends() {
    let test = "a_borrowing_context_is_unwound_even_while_its_thread_ends";
    let role = || {
        let thread = std::thread::spawn(|| {
            // The first call creates tokio's thread-locals before `AT_THE_END`. The second call
            // creates the latest sentinel after it.
            block_on(async {});
            AT_THE_END.with(|_| ());
            block_on(async {});
        });
        thread.join().unwrap();
        assert_eq!(DROPS.load(Ordering::SeqCst), 1, "it was leaked");
    };
    if let Some((output, text)) = ending_of(test, role) {
        assert!(output.status.success(), "{:?} {text}", output.status);
    }
}

// Programs that are built with `panic = "abort"`.

#[test]
#[ignore = "builds the crate and its dependencies again; run it with --ignored"]
fn with_panic_abort_a_dropped_context_is_leaked() {
    let output_of = |panic: &str| {
        let output = Command::new(env!("CARGO"))
            .args(["run", "--offline", "--quiet", "--package", "tworoutine"])
            .args([
                "--example",
                "cancel",
                "--config",
                &format!("profile.dev.panic={panic:?}"),
            ])
            .env(
                "CARGO_TARGET_DIR",
                concat!(env!("CARGO_TARGET_TMPDIR"), "/abort"),
            )
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let (unwinds, aborts) = (output_of("unwind"), output_of("abort"));
    assert!(unwinds.contains("cancelled: true") && aborts.contains("cancelled: true"));
    assert!(unwinds.contains("unwound: true"), "{unwinds}");
    assert!(aborts.contains("unwound: false"), "{aborts}");
    assert!(
        unwinds.contains("in time: false, limit ended the inner wait: true"),
        "{unwinds}"
    );
    assert!(
        aborts.contains("limit ended the inner wait: false"),
        "{aborts}"
    );
}
