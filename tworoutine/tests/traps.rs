//! Tests of difficult cases. Each test fails if the code that handles its case is removed.
#![cfg(feature = "fibers")]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::channel::oneshot;
use futures::join;
use tokio::time::{Instant, sleep, timeout};
use tworoutine::prelude::*;
use tworoutine::{WaitError, context, no_suspend, offload, spawn, spawn_local, try_wait, wait_all};

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[tworoutine]
async fn pause(milliseconds: u64) {
    sleep(ms(milliseconds)).await;
}

// Lost wake-ups. In each of these tests, two branches share a context (a future with a stack of its
// own). One branch is woken while a wait of the other branch has suspended the context. Nothing
// wakes the context after that.

/// Returns a channel whose value arrives after some milliseconds.
fn later(milliseconds: u64) -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    spawn_local(async move {
        pause(milliseconds).await;
        let _ = sender.send(());
    });
    receiver
}

/// Runs a program with a timeout, and checks the time that it takes. After a lost wake-up, the
/// timeout would poll the program again, and the time would be longer.
async fn ends_after(milliseconds: u64, program: impl Future<Output = ()>) {
    let start = Instant::now();
    timeout(ms(1000), program).await.expect("a wake was lost");
    assert_eq!(start.elapsed(), ms(milliseconds), "a wake was lost");
}

#[tworoutine::test(start_paused = true)]
async fn a_wake_of_the_top_future_during_a_wait_is_not_lost() {
    let program = context(async {
        let (beside, _) = join!(later(10), async { pause(20).wait() });
        beside.unwrap();
    });
    ends_after(20, program).await;
}

#[tworoutine::test(start_paused = true)]
async fn a_wake_of_an_outer_wait_during_an_inner_one_is_not_lost() {
    let program = context(async {
        let outer = async {
            let (beside, _) = join!(later(10), async { pause(20).wait() });
            beside.unwrap();
        };
        outer.wait();
    });
    ends_after(20, program).await;
}

#[tworoutine::test(start_paused = true)]
async fn wakes_at_two_depths_are_not_lost() {
    // When the inner wait ends, the outer wait polls its future again, and so finds that its own
    // branch is ready. The outermost future must be polled again too.
    let program = context(async {
        let outer = async {
            let (beside, _) = join!(later(10), async { pause(20).wait() });
            beside.unwrap();
        };
        let (beside, _) = join!(later(15), async { outer.wait() });
        beside.unwrap();
    });
    ends_after(20, program).await;
}

// Changes of the waker that the executor passes.

#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Future that is ready when its flag is set. It keeps the waker of its latest poll.
#[derive(Clone, Default)]
struct Gate(Rc<RefCell<(bool, Option<Waker>)>>);

impl Gate {
    fn open(&self) {
        let waker = {
            let mut state = self.0.borrow_mut();
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Future for Gate {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.borrow_mut();
        if state.0 {
            return Poll::Ready(());
        }
        state.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[test]
fn the_waker_may_change_while_a_context_waits() {
    let (first, second, third) = (Gate::default(), Gate::default(), Gate::default());
    let gates = (first.clone(), second.clone(), third.clone());
    let mut program = pin!(context(async move {
        gates.0.wait();
        // This stack frame polls with the waker that it got first, although the executor changes
        // the waker twice.
        let mut inner = Box::pin(gates.2);
        poll_fn(move |cx| {
            gates.1.clone().wait();
            inner.as_mut().poll(cx)
        })
        .await;
    }));
    let mut poll = |expect_ready: bool| {
        let count = Arc::new(CountingWaker::default());
        let waker = Waker::from(count.clone());
        let polled = program.as_mut().poll(&mut Context::from_waker(&waker));
        assert_eq!(polled.is_ready(), expect_ready);
        // The executor drops its own waker when the poll returns.
        drop(waker);
        count
    };
    poll(false);
    let latest = poll(false);
    first.open();
    assert_eq!(latest.0.load(Ordering::SeqCst), 1, "an old waker was woken");
    poll(false);
    let latest = poll(false);
    second.open();
    assert_eq!(latest.0.load(Ordering::SeqCst), 1, "an old waker was woken");
    let latest = poll(false);
    third.open();
    assert_eq!(latest.0.load(Ordering::SeqCst), 1, "an old waker was woken");
    poll(true);
}

#[test]
fn a_frame_keeps_the_waker_that_it_began_with() {
    let gate = Gate::default();
    let gate_inside = gate.clone();
    let mut program = pin!(context(poll_fn(move |cx| {
        let before: *const Waker = cx.waker();
        let (data, vtable) = (cx.waker().data(), cx.waker().vtable());
        gate_inside.clone().wait();
        assert_eq!(before, cx.waker() as *const Waker);
        assert_eq!(
            (data, vtable),
            (cx.waker().data(), cx.waker().vtable()),
            "it changed"
        );
        cx.waker().wake_by_ref();
        Poll::Ready(())
    })));
    let first = Arc::new(CountingWaker::default());
    let mut poll = |count: &Arc<CountingWaker>| {
        let waker = Waker::from(count.clone());
        program.as_mut().poll(&mut Context::from_waker(&waker))
    };
    assert!(poll(&first).is_pending());
    assert!(
        Arc::strong_count(&first) > 1,
        "the waker of a living frame was dropped"
    );
    gate.open();
    assert!(poll(&Arc::new(CountingWaker::default())).is_ready());
    assert_eq!(
        first.0.load(Ordering::SeqCst),
        2,
        "the frame's waker is not the one it began with"
    );
}

// Cancellation.

/// A value that counts its drops.
struct Dropped(Rc<Cell<u32>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[tworoutine::test]
async fn a_cancelled_wait_unwinds_the_stack_around_it() {
    let drops = Rc::new(Cell::new(0));
    let (a, b) = (Dropped(drops.clone()), Dropped(drops.clone()));
    let waiting = spawn_local(async move {
        let _a = a;
        let outer = async move {
            let _b = b;
            pending::<()>().wait();
        };
        outer.wait();
    });
    tokio::task::yield_now().await;
    assert_eq!(drops.get(), 0);
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert_eq!(drops.get(), 2);
}

#[tworoutine::test]
async fn a_cancelled_wait_that_is_caught_is_thrown_again() {
    let caught = Rc::new(Cell::new(0));
    let count = caught.clone();
    let waiting = spawn_local(async move {
        for _ in 0..3 {
            let thrown = catch_unwind(AssertUnwindSafe(|| pending::<()>().wait())).unwrap_err();
            // The payload shows that the context is cancelled. It is not the message of a panic.
            assert!(!thrown.is::<String>() && !thrown.is::<&str>());
            // Even a future that is ready is not polled any more.
            let thrown = catch_unwind(|| ready(1).wait()).unwrap_err();
            assert!(!thrown.is::<String>() && !thrown.is::<&str>());
            count.set(count.get() + 1);
        }
        // Code may also go on to an await while it is cancelled. The future of that await is not
        // polled again.
        sleep(Duration::from_secs(3600)).await;
    });
    tokio::task::yield_now().await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert_eq!(caught.get(), 3);
}

#[tworoutine::test]
async fn a_panic_passes_through_a_wait() {
    let inner = spawn_local(async {
        let caught = catch_unwind(|| async { panic!("inner") }.wait());
        assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "inner");
        // The context still works.
        pause(1).wait();
        panic!("outer")
    });
    let error = inner.await.map(|(): ()| ()).unwrap_err();
    assert_eq!(error.message(), Some("outer"));
    assert!(!std::thread::panicking());
}

// Branches of one context.

#[tworoutine::test(start_paused = true)]
async fn branches_of_a_join_share_a_context_and_wait_all_does_not() {
    let start = Instant::now();
    join!(async { pause(30).wait() }, async { pause(30).wait() });
    assert_eq!(start.elapsed(), ms(60));
    let start = Instant::now();
    wait_all([30, 20].map(|time| async move { pause(time).wait() }));
    assert_eq!(start.elapsed(), ms(30));
}

// Deadlines.

#[tworoutine::test(start_paused = true)]
async fn a_deadline_goes_around_a_context() {
    let start = Instant::now();
    assert!(timeout(ms(50), async { pause(300).wait() }).await.is_ok());
    assert_eq!(start.elapsed(), ms(300));
    let start = Instant::now();
    assert!(
        timeout(ms(50), context(async { pause(300).wait() }))
            .await
            .is_err()
    );
    assert_eq!(start.elapsed(), ms(50));
}

#[tworoutine::test(start_paused = true)]
async fn wait_timeout_reaches_into_waits_inside() {
    let start = Instant::now();
    let drops = Rc::new(Cell::new(0));
    let held = Dropped(drops.clone());
    let call = async {
        let _held = held;
        pause(300).wait();
    };
    assert!(call.wait_timeout(ms(50)).is_err());
    assert_eq!((start.elapsed(), drops.get()), (ms(50), 1));
    assert!(pause(10).wait_timeout(ms(50)).is_ok());
}

#[test]
fn wait_timeout_reaches_into_waits_inside_on_a_plain_thread_and_on_a_worker() {
    let never = || async { pending::<()>().wait() };
    assert!(never().wait_timeout(ms(20)).is_err());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let task = runtime.spawn(async move { never().wait_timeout(ms(20)).is_err() });
    assert!(runtime.block_on(task).unwrap());
}

// Scopes in the middle of which a wait must not suspend the context.

#[tworoutine::test]
async fn no_suspend_forbids_suspension() {
    let refused = catch_unwind(|| no_suspend(|| pause(1).wait())).unwrap_err();
    assert!(refused.downcast::<String>().unwrap().contains("no_suspend"));
    assert_eq!(no_suspend(|| try_wait(pause(1))), Err(WaitError::NoSuspend));
    assert_eq!(no_suspend(|| ready(1).wait()), 1);
    no_suspend(|| context(async {}).wait());
    // After the scope, waits work again.
    pause(1).wait();
}

// Virtual time.

#[tworoutine::test(start_paused = true)]
async fn virtual_time_stands_still_for_an_offload() {
    let work = || offload(|| std::thread::sleep(ms(30)));
    assert!(timeout(Duration::from_secs(60), work()).await.is_ok());
    assert!(work().wait_timeout(Duration::from_secs(60)).is_ok());
}

#[tworoutine::test(start_paused = true)]
async fn virtual_time_holds_for_spawn() {
    let start = Instant::now();
    let thread = std::thread::current().id();
    let task = spawn(async move {
        pause(3_600_000).wait();
        std::thread::current().id() == thread
    });
    assert!(task.await.unwrap());
    assert_eq!(start.elapsed(), ms(3_600_000));
}

#[tworoutine::test(start_paused = true)]
async fn virtual_time_has_no_process_wide_runtime() {
    let refused = catch_unwind(|| tworoutine::runtime().clone()).unwrap_err();
    assert!(refused.downcast::<&str>().unwrap().contains("paused clock"));
    let inside = offload(|| catch_unwind(|| tworoutine::runtime().clone()).is_err());
    assert!(inside.await);
}

#[tworoutine::test]
async fn real_time_has_the_process_wide_runtime() {
    tworoutine::runtime().spawn(async {}).await.unwrap();
}

// Arguments of functions under the attribute.

#[test]
fn arguments_are_evaluated_before_a_runtime_is_entered() {
    let early = catch_unwind(|| sleep(ms(1)).wait());
    assert!(
        early.is_err(),
        "then the documentation of `wait` can be simplified"
    );
    async { sleep(ms(1)).await }.wait();
}
