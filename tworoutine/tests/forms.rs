//! Tests of every form of function that the attribute `#[tworoutine]` accepts. Only the return type
//! of a function changes.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use tworoutine::prelude::*;
use tworoutine::{BoxTworoutine, Tworoutine};

fn assert_send<T: Send>(value: T) -> T {
    value
}

struct Board {
    gain: f64,
}

struct Params<'a> {
    scale: &'a [f64],
}

/// A function with two elided lifetimes, `?`, and a `Send` future.
#[tworoutine]
pub async fn measure(board: &Board, params: &Params<'_>) -> Result<Vec<f64>, std::io::Error> {
    tokio::task::yield_now().await;
    if params.scale.is_empty() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let _: usize = "1".parse().map_err(std::io::Error::other)?;
    Ok(params.scale.iter().map(|s| s * board.gain).collect())
}

#[test]
fn two_elided_lifetimes() {
    let (board, scale) = (Board { gain: 2.0 }, [1.0, 2.0]);
    let params = Params { scale: &scale };
    let call = assert_send(measure(&board, &params));
    assert_eq!(call.wait().unwrap(), [2.0, 4.0]);
    assert!(measure(&board, &Params { scale: &[] }).wait().is_err());
}

#[tworoutine]
async fn generic<'a, T, const N: usize>(items: &'a [T; N], start: T) -> (&'a T, T)
where
    T: Clone + PartialOrd + Debug,
{
    (
        items
            .iter()
            .find(|item| **item > start)
            .unwrap_or(&items[0]),
        start,
    )
}

#[tworoutine]
async fn any_argument(items: impl Iterator<Item = u32>, f: impl Fn(u32) -> u32) -> u32 {
    items.map(f).sum()
}

#[tworoutine]
async fn any_output(upto: u32) -> impl Iterator<Item = u32> {
    0..upto
}

#[tworoutine]
async fn patterns((a, b): (u32, u32), mut c: u32, _: u32, [d, ..]: [u32; 3]) -> u32 {
    c += 1;
    a + b + c + d
}

#[tworoutine]
async fn unit() {}

#[tworoutine]
async fn early(x: Option<u32>) -> Option<u32> {
    let x = x?;
    if x > 3 {
        return None;
    }
    Some(x)
}

#[tworoutine]
async fn forever(stop: bool) -> std::convert::Infallible {
    loop {
        assert!(!stop, "stopped");
        tokio::task::yield_now().await;
    }
}

#[test]
fn free_functions() {
    assert_eq!(generic(&[1, 5], 3).wait(), (&5, 3));
    assert_eq!(any_argument([1, 2].into_iter(), |x| x + 1).wait(), 5);
    assert_eq!(any_output(3).wait().sum::<u32>(), 3);
    assert_eq!(patterns((1, 2), 3, 4, [5, 6, 7]).wait(), 12);
    unit().wait();
    assert_eq!(
        (
            early(Some(1)).wait(),
            early(Some(4)).wait(),
            early(None).wait()
        ),
        (Some(1), None, None)
    );
    assert!(std::panic::catch_unwind(|| forever(true).wait()).is_err());
}

impl Board {
    #[tworoutine]
    async fn new(gain: f64) -> Self {
        Self { gain }
    }

    #[tworoutine]
    async fn gain(&self) -> &f64 {
        &self.gain
    }

    #[tworoutine]
    async fn double(&mut self) -> &mut Self {
        self.gain *= 2.0;
        self
    }

    #[tworoutine]
    async fn consume(mut self) -> f64 {
        self.gain += 1.0;
        self.gain
    }

    #[tworoutine]
    async fn shared(self: Arc<Self>, other: &Self) -> f64 {
        self.gain + other.gain
    }
}

#[test]
fn inherent_methods() {
    let mut board = Board::new(1.0).wait();
    assert_eq!(board.double().wait().gain, 2.0);
    assert_eq!(*board.gain().wait(), 2.0);
    assert_eq!(Arc::new(Board { gain: 1.0 }).shared(&board).wait(), 3.0);
    assert_eq!(board.consume().wait(), 3.0);
}

#[tworoutine]
trait Plain {
    async fn name(&self) -> String;

    async fn greeting(&self, to: &str) -> String {
        format!("{} greets {to}", self.name().await)
    }

    fn not_async(&self) -> u32 {
        1
    }
}

#[tworoutine]
impl Plain for Board {
    async fn name(&self) -> String {
        format!("board {}", self.gain)
    }
}

trait Sendable {
    #[tworoutine(Send)]
    async fn answer(&self, x: u32) -> u32;
}

impl Sendable for Board {
    #[tworoutine(Send)]
    async fn answer(&self, x: u32) -> u32 {
        tokio::task::yield_now().await;
        x + 1
    }
}

fn spawnable<T: Sendable + Sync>(of: &T) -> impl Future<Output = u32> + Send {
    assert_send(of.answer(1))
}

#[tworoutine(dyn, Send)]
trait Instrument: Sync {
    async fn read(&self, names: &[&str], offset: f64) -> Vec<f64>;

    async fn longest<'a>(&'a self, a: &'a str, _b: &str) -> &'a str {
        a
    }

    async fn first(&self) -> f64 {
        self.read(&["x"], 0.5).await[0]
    }
}

#[tworoutine(dyn, Send)]
impl Instrument for Board {
    async fn read(&self, names: &[&str], offset: f64) -> Vec<f64> {
        names.iter().map(|_| self.gain + offset).collect()
    }
}

/// A trait in which a method has its own options.
#[tworoutine]
trait Mixed {
    async fn plain(&self) -> u32 {
        1
    }

    #[tworoutine(Send)]
    async fn sendable(&self) -> u32;
}

#[tworoutine]
impl Mixed for Board {
    #[tworoutine(Send)]
    async fn sendable(&self) -> u32 {
        2
    }
}

fn sendable<T: Mixed>(of: &T) -> impl Future<Output = u32> + Send {
    assert_send(of.sendable())
}

trait Local {
    #[tworoutine(dyn)]
    async fn shared(&self, cell: &Cell<u32>) -> u32;
}

impl Local for Board {
    #[tworoutine(dyn)]
    async fn shared(&self, cell: &Cell<u32>) -> u32 {
        tokio::task::yield_now().await;
        cell.get()
    }
}

#[test]
fn trait_methods() {
    let board = Board { gain: 1.5 };
    assert_eq!(board.greeting("you").wait(), "board 1.5 greets you");
    assert_eq!(board.not_async(), 1);
    assert_eq!(spawnable(&board).wait(), 2);
    assert_eq!(board.plain().wait() + sendable(&board).wait(), 3);
    let instruments: Vec<Box<dyn Instrument>> = vec![Box::new(board)];
    assert_eq!(instruments[0].read(&["a", "b"], 1.0).wait(), [2.5, 2.5]);
    assert_eq!(instruments[0].longest("long", "x").wait(), "long");
    assert_eq!(assert_send(instruments[0].first()).wait(), 2.0);
    let local: &dyn Local = &Board { gain: 0.0 };
    assert_eq!(local.shared(&Cell::new(4)).wait(), 4);
}

#[tworoutine(dyn, Send)]
async fn factorial(n: u64) -> u64 {
    if n == 0 {
        1
    } else {
        n * factorial(n - 1).await
    }
}

#[test]
fn boxed_functions_call_themselves() {
    let call: BoxTworoutine<'_, u64> = factorial(5);
    assert_eq!(call.wait(), 120);
}

async fn apply(f: impl AsyncFn(u32) -> Option<u32>) -> u32 {
    f(1).await.unwrap_or(0) + f(2).await.unwrap_or(0)
}

async fn as_async_fn(x: u32) -> Option<u32> {
    early(Some(x)).await
}

#[test]
fn tworoutines_are_futures() {
    let early_of = |x| early(Some(x));
    assert_eq!(apply(early_of).wait(), 3);
    assert_eq!(apply(as_async_fn).wait(), 3);
    let joined = async { futures::join!(early(Some(1)), early(Some(2))) };
    assert_eq!(joined.wait(), (Some(1), Some(2)));
    assert_eq!(tworoutine::spawn(early(Some(1))).wait().unwrap(), Some(1));
    let inner: Pin<Box<dyn Future<Output = Option<u32>>>> = Box::pin(early(Some(1)).into_inner());
    assert_eq!(inner.into_future().wait(), Some(1));
    assert_eq!(Tworoutine::new(std::future::ready(3)).wait(), 3);
}

/// The same functions without the attribute. The functions with the attribute must behave in the
/// same way.
mod bare {
    pub(crate) async fn sums(xs: &[f64; 8], y: f64) -> f64 {
        let mut sum = y;
        for x in xs {
            tokio::task::yield_now().await;
            sum += x;
        }
        sum
    }

    pub(crate) async fn drops(
        _a: super::Noisy,
        _: super::Noisy,
        (_c, _): (super::Noisy, super::Noisy),
    ) {
        tokio::task::yield_now().await;
        super::note("end");
    }
}

#[tworoutine]
async fn sums(xs: &[f64; 8], y: f64) -> f64 {
    let mut sum = y;
    for x in xs {
        tokio::task::yield_now().await;
        sum += x;
    }
    sum
}

#[tworoutine]
async fn drops(_a: Noisy, _: Noisy, (_c, _): (Noisy, Noisy)) {
    tokio::task::yield_now().await;
    note("end");
}

thread_local! {
    static NOTES: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

fn note(what: &'static str) {
    NOTES.with_borrow_mut(|notes| notes.push(what));
}

/// A value that records its drop.
struct Noisy(&'static str);

impl Drop for Noisy {
    fn drop(&mut self) {
        note(self.0);
    }
}

#[test]
fn no_larger_than_the_bare_future() {
    assert_eq!(
        size_of_val(&sums(&[0.0; 8], 1.0)),
        size_of_val(&bare::sums(&[0.0; 8], 1.0))
    );
    let n = Noisy;
    let (wrapped, plain) = (
        drops(n("a"), n("b"), (n("c"), n("d"))),
        bare::drops(n("a"), n("b"), (n("c"), n("d"))),
    );
    assert_eq!(size_of_val(&wrapped), size_of_val(&plain));
    assert_eq!(
        sums(&[1.0; 8], 1.0).wait(),
        bare::sums(&[1.0; 8], 1.0).wait()
    );
}

#[test]
fn arguments_live_as_long_as_the_call() {
    let n = Noisy;
    drops(n("a"), n("b"), (n("c"), n("d"))).wait();
    let wrapped = NOTES.take();
    bare::drops(n("a"), n("b"), (n("c"), n("d"))).wait();
    let plain = NOTES.take();
    assert_eq!(wrapped, plain);
    assert_eq!(wrapped[0], "end");
    drop(drops(n("a"), n("b"), (n("c"), n("d"))));
    let unpolled = NOTES.take();
    drop(bare::drops(n("a"), n("b"), (n("c"), n("d"))));
    assert_eq!(unpolled, NOTES.take());
}
