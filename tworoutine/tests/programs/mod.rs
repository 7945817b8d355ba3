//! Programs as data, and their execution. A program consists of nested waits, joins, selects,
//! cancels and panics.

use std::future::{Future, pending};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

use futures::FutureExt;
use futures::future::{Either, join_all, select};
use tworoutine::prelude::*;
use tworoutine::{context, wait_all};

/// A program whose value does not depend on the order of events.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Awaits event number n.
    Await(usize),
    /// Waits for event number n.
    Wait(usize),
    /// Programs that run one after the other.
    Seq(Vec<Self>),
    /// Programs that run as branches of one context (a future with a stack of its own).
    Join(Vec<Self>),
    /// A program in an async block, for which the caller waits.
    Nest(Box<Self>),
    /// A program that runs as its own context and is awaited.
    Context(Box<Self>),
    /// Programs that run as contexts at the same time and are waited for.
    All(Vec<Self>),
    /// A context that runs the first program and then never ends. It is cancelled when the second
    /// program ends.
    Cancel(Box<Self>, Box<Self>),
    /// A context that runs a program and then panics. The panic is caught outside the context.
    Panic(Box<Self>),
}

pub(crate) type Value = u64;
pub(crate) type Event = Pin<Box<dyn Future<Output = ()>>>;
pub(crate) type Run = Pin<Box<dyn Future<Output = Value>>>;

/// Environment of a program: its events, and the kind of its waits.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) event: Rc<dyn Fn(usize) -> Event>,
    /// True if the program waits with `.wait()`. False if it uses `.await` instead, to find the
    /// value that is right.
    pub(crate) waits: bool,
    /// Number of test values that stacks and futures hold. It must be zero in the end.
    pub(crate) held: Arc<AtomicIsize>,
}

struct Held(Arc<AtomicIsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn mix(values: impl IntoIterator<Item = Value>) -> Value {
    values.into_iter().fold(17, |sum, value| {
        sum.wrapping_mul(31).wrapping_add(value + 1)
    })
}

impl World {
    fn hold(&self) -> Held {
        self.held.fetch_add(1, Ordering::SeqCst);
        Held(self.held.clone())
    }

    /// Waits for a future with `.wait()`, or awaits it if `waits` is false.
    async fn wait(&self, run: Run) -> Value {
        let _held = self.hold();
        if self.waits { run.wait() } else { run.await }
    }

    /// Makes a future a context, or leaves it as it is if `waits` is false.
    fn context(&self, run: Run) -> Run {
        if self.waits {
            Box::pin(context(run))
        } else {
            run
        }
    }

    fn event(&self, number: usize) -> Run {
        let event = (self.event)(number);
        Box::pin(async move {
            event.await;
            number as Value
        })
    }

    pub(crate) fn run(&self, op: &Op) -> Run {
        let (world, op) = (self.clone(), op.clone());
        Box::pin(async move {
            let _held = world.hold();
            let runs = |ops: &[Op]| ops.iter().map(|op| world.run(op)).collect::<Vec<_>>();
            match &op {
                Op::Await(number) => world.event(*number).await,
                Op::Wait(number) => world.wait(world.event(*number)).await,
                Op::Seq(ops) => {
                    let mut values = Vec::new();
                    for op in ops {
                        values.push(world.run(op).await);
                    }
                    mix(values)
                }
                Op::Join(ops) => mix(join_all(runs(ops)).await),
                Op::Nest(op) => world.wait(world.run(op)).await,
                Op::Context(op) => world.context(world.run(op)).await,
                Op::All(ops) if world.waits => mix(wait_all(runs(ops))),
                Op::All(ops) => mix(join_all(runs(ops)).await),
                Op::Cancel(lost, op) => {
                    let (lost, inner) = (world.run(lost), world.clone());
                    let lost = world.context(Box::pin(async move {
                        let _held = inner.hold();
                        lost.await;
                        inner.wait(Box::pin(pending())).await
                    }));
                    match select(lost, world.context(world.run(op))).await {
                        Either::Left(_) => unreachable!("the first context never ends"),
                        Either::Right((value, _lost)) => value + 1,
                    }
                }
                Op::Panic(op) => {
                    let op = world.run(op);
                    let panics = world.context(Box::pin(async move {
                        op.await;
                        std::panic::resume_unwind(Box::new("on purpose"))
                    }));
                    let caught = AssertUnwindSafe(panics).catch_unwind().await;
                    assert_eq!(
                        *caught.unwrap_err().downcast::<&str>().unwrap(),
                        "on purpose"
                    );
                    99
                }
            }
        })
    }
}
