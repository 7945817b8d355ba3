//! Knowledge if the thread is destroying its thread-locals.
//!
//! Code on a fiber that is unwound then could meet thread-locals that are gone already. They are
//! destroyed in the reverse order of their making, so a sentinel tells of it in time for every
//! context that is kept in an older one. New sentinels are posted as contexts are made.

use std::cell::Cell;

thread_local! {
    static EXITING: Cell<bool> = const { Cell::new(false) };
    /// Contexts made on this thread.
    static MADE: Cell<u32> = const { Cell::new(0) };
    static SENTINEL: Sentinel = const { Sentinel };
}

/// Tells of the end of the thread by being dropped.
struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {
        EXITING.set(true);
    }
}

/// True if thread-locals of this thread are being destroyed.
pub(crate) fn now() -> bool {
    EXITING.get()
}

/// Takes note of one more context, for [`now`] to be known in time.
#[inline]
pub(crate) fn watch() {
    let made = MADE.get().wrapping_add(1);
    MADE.set(made);
    // A post takes some bytes for as long as the thread lives.
    if made.is_power_of_two() || made.is_multiple_of(4096) {
        post();
    }
}

#[cold]
fn post() {
    if SENTINEL.try_with(|_| ()).is_err() {
        EXITING.set(true);
    }
    further::post();
}

/// Here Rust hands its destructors to the C library, and more of them can be given to it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod further {
    use std::ffi::c_void;
    use std::ptr;

    // SAFETY: both are declared as the C library and the linker define them.
    unsafe extern "C" {
        static __dso_handle: u8;
        fn __cxa_thread_atexit_impl(
            callback: unsafe extern "C" fn(*mut c_void),
            argument: *mut c_void,
            library: *mut c_void,
        ) -> i32;
    }

    // SAFETY: it is safe at any time and with anything. It is `unsafe` for the C library's type.
    unsafe extern "C" fn callback(_: *mut c_void) {
        super::EXITING.set(true);
    }

    pub(super) fn post() {
        // SAFETY: the function is in every glibc that Rust supports. The callback touches nothing
        // but a thread-local without destructor, and the handle keeps the code loaded until then.
        unsafe {
            let library = (&raw const __dso_handle).cast_mut().cast();
            __cxa_thread_atexit_impl(callback, ptr::null_mut(), library);
        }
    }
}

/// Elsewhere the first sentinel must do.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod further {
    pub(super) fn post() {}
}
