//! Tests of small programs of waits with every order of wake-ups. The executor of the tests polls a
//! program only after a wake-up.
#![cfg(feature = "fibers")]

mod programs;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tworoutine::context;

use programs::{Op, Run, Value, World};

/// Gates that the executor opens one by one. Each gate keeps only the waker of the last wait at it.
#[derive(Clone, Default)]
struct Gates(Rc<RefCell<Vec<Gate>>>);

/// State of a gate: true if it is open, and the waker of the wait at it.
type Gate = (bool, Option<Waker>);

impl Gates {
    fn new(count: usize) -> Self {
        Self(Rc::new(RefCell::new(vec![(false, None); count])))
    }

    fn pass(&self, number: usize) -> Pin<Box<dyn Future<Output = ()>>> {
        let gates = self.clone();
        Box::pin(poll_fn(move |cx| {
            let (open, waiting) = &mut gates.0.borrow_mut()[number];
            if *open {
                return Poll::Ready(());
            }
            *waiting = Some(cx.waker().clone());
            Poll::Pending
        }))
    }

    fn open(&self, number: usize) {
        let waiting = {
            let (open, waiting) = &mut self.0.borrow_mut()[number];
            *open = true;
            waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Next step of the executor.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Open(usize),
    Poll,
}

/// Execution of a program in steps. It holds the value of the program when the program has ended,
/// and a flag that wake-ups set.
struct Execution {
    program: Option<Run>,
    gates: Gates,
    woken: Arc<Woken>,
    fresh_wakers: bool,
    value: Option<Value>,
    held: Arc<AtomicIsize>,
}

impl Execution {
    fn new(op: &Op, count: usize, waits: bool, fresh_wakers: bool) -> Self {
        let (gates, held) = (Gates::new(count), Arc::default());
        let pass = gates.clone();
        let event = Rc::new(move |number| pass.pass(number));
        let world = World {
            event,
            waits,
            held: Arc::clone(&held),
        };
        let program: Run = if waits {
            Box::pin(context(world.run(op)))
        } else {
            world.run(op)
        };
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        Self {
            program: Some(program),
            gates,
            woken,
            fresh_wakers,
            value: None,
            held,
        }
    }

    fn is_woken(&self) -> bool {
        self.program.is_some() && self.woken.0.load(Ordering::SeqCst)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Open(number) => self.gates.open(number),
            Step::Poll => {
                let Some(program) = &mut self.program else {
                    return;
                };
                if self.fresh_wakers {
                    // An executor may pass another waker at each poll, and may ignore wake-ups of
                    // all but the latest one.
                    self.woken = Arc::default();
                }
                self.woken.0.store(false, Ordering::SeqCst);
                let waker = Waker::from(self.woken.clone());
                if let Poll::Ready(value) = program.as_mut().poll(&mut Context::from_waker(&waker))
                {
                    self.value = Some(value);
                    self.program = None;
                }
            }
        }
    }
}

/// Tries every sequence of steps that begins with the steps `done`.
fn every_order(op: &Op, count: usize, expected: Value, done: &mut Vec<Step>, tried: &mut u64) {
    for fresh_wakers in [false, true] {
        let mut execution = Execution::new(op, count, true, fresh_wakers);
        done.iter().for_each(|step| execution.step(*step));
        let opened = done.iter().filter(|step| **step != Step::Poll).count();
        if opened == count {
            *tried += 1;
            while execution.is_woken() {
                execution.step(Step::Poll);
            }
            assert_eq!(
                execution.value,
                Some(expected),
                "{op:?} after {done:?}: a wake was lost"
            );
        } else if done.len() % 2 == 1 {
            // Cancels the program at its current wait.
            execution.program = None;
        } else {
            continue;
        }
        assert_eq!(
            execution.held.load(Ordering::SeqCst),
            0,
            "{op:?} after {done:?}: a leak"
        );
        assert_eq!(
            tworoutine::stats().contexts,
            0,
            "{op:?} after {done:?}: a leak"
        );
    }
    let is_woken = {
        let mut execution = Execution::new(op, count, true, false);
        done.iter().for_each(|step| execution.step(*step));
        execution.is_woken()
    };
    let opens = (0..count)
        .map(Step::Open)
        .filter(|open| !done.contains(open));
    let poll = is_woken.then_some(Step::Poll);
    let steps: Vec<Step> = if opens.clone().next().is_none() {
        Vec::new()
    } else {
        opens.chain(poll).collect()
    };
    for step in steps {
        done.push(step);
        every_order(op, count, expected, done, tried);
        done.pop();
    }
}

/// Returns all programs whose operations are nested at most `depth` deep. They wait for `count`
/// events, the first of which has the number `first`.
fn programs(first: usize, count: usize, depth: usize) -> Vec<Op> {
    let mut all = Vec::new();
    if count == 1 {
        all.extend([Op::Await(first), Op::Wait(first)]);
    }
    if depth == 0 {
        return all;
    }
    for left in 1..count {
        let (firsts, seconds) = (
            programs(first, left, depth - 1),
            programs(first + left, count - left, depth - 1),
        );
        for a in &firsts {
            for b in &seconds {
                let (a, b) = (a.clone(), b.clone());
                all.push(Op::Join(vec![a.clone(), b.clone()]));
                // The same branches are also polled in the other order.
                all.push(Op::Join(vec![b.clone(), a.clone()]));
                all.push(Op::Seq(vec![a.clone(), b.clone()]));
                all.push(Op::All(vec![a.clone(), b.clone()]));
                all.push(Op::Cancel(Box::new(a), Box::new(b)));
            }
        }
    }
    if count > 1 {
        for op in programs(first, count, depth - 1) {
            if !matches!(op, Op::Nest(_)) {
                all.push(Op::Nest(Box::new(op.clone())));
            }
            all.push(Op::Context(Box::new(op.clone())));
            all.push(Op::Panic(Box::new(op)));
        }
    }
    all
}

#[test]
fn every_order_of_wake_ups_of_small_programs() {
    let (mut tried, mut number) = (0, 0);
    for (count, depth, every) in [(1, 1, 1), (2, 2, 1), (3, 2, 1), (3, 3, 31), (4, 3, 2999)] {
        for op in programs(0, count, depth).into_iter().step_by(every) {
            let mut reference = Execution::new(&op, count, false, false);
            (0..count).for_each(|gate| reference.step(Step::Open(gate)));
            while reference.is_woken() {
                reference.step(Step::Poll);
            }
            let expected = reference.value.expect("the reference ends");
            drop(reference);
            every_order(&op, count, expected, &mut Vec::new(), &mut tried);
            number += 1;
        }
    }
    println!("{number} programs, {tried} orders");
    assert!(
        number > 500 && tried > 50_000,
        "{number} programs, {tried} orders"
    );
}
