#![doc = include_str!("../README.md")]

mod all;
mod allowance;
mod blocked;
mod blocking;
mod config;
mod context;
mod cpu;
#[cfg(fibers)]
mod fiber;
mod headroom;
mod join;
mod local;
mod only_thread;
mod pool;
#[cfg(fibers)]
mod prefetch;
mod routine;
mod runtime;
mod spawn;
#[cfg(fibers)]
mod stack;
mod starting;
mod stats;
#[cfg(fibers)]
mod thread_exit;
mod try_out;
mod waiting;
#[cfg(fibers)]
mod wakers;

pub use all::wait_all;
pub use allowance::Allowance;
pub use config::{AlreadyRunning, Config, set_max_blocked_waits};
pub use context::{Context, context};
pub use cpu::offload;
pub use join::{JoinError, JoinHandle};
pub use local::block_on;
pub use routine::{BoxTworoutine, LocalBoxTworoutine, Tworoutine};
pub use runtime::runtime;
pub use spawn::{spawn, spawn_local};
pub use starting::{StartError, Threads, start};
pub use stats::{Stats, stats};
pub use tworoutine_macros::{main, test, tworoutine};
pub use waiting::{Elapsed, Wait, WaitError, no_suspend, try_wait, wait, wait_timeout};

/// Names that a program needs in scope to wait: the attribute `#[tworoutine]`, and the trait
/// [`Wait`], which adds `.wait()` to every future.
pub mod prelude {
    pub use crate::{Wait, tworoutine};
}

/// Items that the code of the macros uses. They are not part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::local::block_on_paused;
    pub use crate::routine::{BoxedForm, boxed};
}
