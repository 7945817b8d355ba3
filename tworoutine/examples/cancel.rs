//! Shows what happens if a context (a future with a stack of its own) is dropped while it waits:
//! its stack is unwound from the wait, so its values are dropped. In a program built with `panic =
//! "abort"` no stack can be unwound, so the context is leaked.
//!
//! The second part shows that `wait_timeout` also ends a wait inside the future.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tworoutine::prelude::*;
use tworoutine::{block_on, spawn_local};

/// A value that records its drop.
struct Held(Rc<Cell<bool>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

fn main() {
    let dropped = Rc::new(Cell::new(false));
    let held = Held(dropped.clone());
    block_on(async {
        let waiting = spawn_local(async move {
            let _held = held;
            pending::<()>().wait();
        });
        tokio::task::yield_now().await;
        waiting.abort();
        println!("cancelled: {}", waiting.await.is_err());
        println!("unwound: {}", dropped.get());

        let start = Instant::now();
        let inner = async { async { tokio::time::sleep(Duration::from_millis(200)).await }.wait() };
        let in_time = inner.wait_timeout(Duration::from_millis(20)).is_ok();
        let early = start.elapsed() < Duration::from_millis(150);
        println!("in time: {in_time}, limit ended the inner wait: {early}");
    });
}
