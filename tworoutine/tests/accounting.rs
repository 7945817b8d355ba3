//! Test of the numbers of contexts (futures that can wait on stacks of their own) and of stacks.
//! There is only one test, because the numbers are those of the whole process.
#![cfg(feature = "fibers")]

use std::future::pending;
use std::rc::Rc;

use tokio::sync::Notify;
use tworoutine::prelude::*;
use tworoutine::{block_on, spawn_local, stats};

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn contexts_and_stacks() {
    let config = tworoutine::Config::new()
        .stack_size(256 << 10)
        .idle_stacks(100);
    config.clone().apply().unwrap();
    assert_eq!(config.apply(), Err(tworoutine::AlreadyRunning));

    // Contexts that only await share a stack. A context has a stack of its own only while it waits
    // with `wait()`.
    block_on(async {
        let gate = Rc::new(Notify::new());
        let start = |waits: bool| {
            let gate = gate.clone();
            spawn_local(async move {
                let opened = gate.notified();
                if waits { opened.wait() } else { opened.await }
            })
        };
        let before = stats();
        let mut tasks: Vec<_> = (0..1000).map(|_| start(false)).collect();
        until(|| stats().contexts == before.contexts + 1000).await;
        tokio::task::yield_now().await;
        assert_eq!(stats().suspended, before.suspended);
        assert!(stats().stacks <= before.stacks + 2, "{:?}", stats());

        tasks.extend((0..1000).map(|_| start(true)));
        until(|| stats().suspended == before.suspended + 1000).await;
        assert!(
            stats().stacks >= 1000 && stats().stacks <= before.stacks + 1002,
            "{:?}",
            stats()
        );

        gate.notify_waiters();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(stats().suspended, before.suspended);
        assert_eq!(stats().contexts, before.contexts);
        // The process keeps the configured number of idle stacks, and each thread keeps a few.
        assert!(stats().stacks <= 100 + 66, "{:?}", stats());
    });
    assert_eq!((stats().contexts, stats().suspended), (0, 0));

    // The stacks of cancelled contexts and of ended threads are reused too.
    for _ in 0..20 {
        let thread = std::thread::spawn(|| {
            block_on(async {
                for _ in 0..50 {
                    drop(spawn_local(async { pending::<()>().wait() }));
                }
                tokio::task::yield_now().await;
            });
        });
        thread.join().unwrap();
        assert_eq!((stats().contexts, stats().suspended), (0, 0));
        assert!(stats().stacks <= 100 + 66, "{:?}", stats());
    }

    // Stacks have the configured size: this code would overflow the 2 MiB that threads have by
    // default.
    let size = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let here = &maps as *const _ as usize;
        let range = |line: &str| {
            let (from, to) = line.split_whitespace().next()?.split_once('-')?;
            let parse = |text| usize::from_str_radix(text, 16).ok();
            Some(parse(from)?..parse(to)?)
        };
        maps.lines()
            .filter_map(range)
            .find(|range| range.contains(&here))
            .unwrap()
            .len()
    };
    let on_context = block_on(async { size() });
    assert!(
        (256 << 10..=(256 << 10) + 8192).contains(&on_context),
        "{on_context}"
    );
}
