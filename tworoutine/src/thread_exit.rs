//! Detection of the end of a thread, when its thread-locals are destroyed.
//!
//! A [context](crate::context()) that is stored in a thread-local is dropped when the thread ends.
//! If its stack were unwound at that time, code on the stack could use thread-locals that no longer
//! exist. So a context must be able to detect that its thread is ending.
//!
//! Thread-locals are destroyed in the reverse order of their creation. A sentinel is a thread-local
//! that sets a flag when it is destroyed. If a context is stored in a thread-local that is older
//! than a sentinel, the flag is therefore set before the context is dropped. New sentinels are
//! created from time to time as contexts are made, because a thread-local can be younger than the
//! first sentinel.

use std::cell::Cell;

thread_local! {
    static EXITING: Cell<bool> = const { Cell::new(false) };
    /// Number of contexts made on this thread.
    static MADE: Cell<u32> = const { Cell::new(0) };
    static SENTINEL: Sentinel = const { Sentinel };
}

/// Sets the flag `EXITING` when it is dropped.
struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {
        EXITING.set(true);
    }
}

/// True if a sentinel of this thread has been destroyed, which shows that the thread is ending.
pub(crate) fn in_progress() -> bool {
    EXITING.get()
}

/// Counts one more context, and creates a new sentinel at some of the counts.
#[inline]
pub(crate) fn count_context() {
    let made = MADE.get().wrapping_add(1);
    MADE.set(made);
    // Each sentinel takes some bytes until the thread ends, so a sentinel is not created for every
    // context.
    if made.is_power_of_two() || made.is_multiple_of(4096) {
        create();
    }
}

#[cold]
fn create() {
    if SENTINEL.try_with(|_| ()).is_err() {
        EXITING.set(true);
    }
    further_sentinels::create();
}

/// Further sentinels, on systems on which Rust registers destructors of thread-locals with the C
/// library. Each of these sentinels is only a registered destructor, without a thread-local. The C
/// library accepts any number of destructors.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod further_sentinels {
    use std::ffi::c_void;
    use std::ptr;

    // SAFETY: both items are declared as the C library and the linker define them.
    unsafe extern "C" {
        static __dso_handle: u8;
        fn __cxa_thread_atexit_impl(
            callback: unsafe extern "C" fn(*mut c_void),
            argument: *mut c_void,
            library: *mut c_void,
        ) -> i32;
    }

    /// Sets the flag `EXITING`.
    ///
    /// # Safety
    ///
    /// The function may be called at any time, with any argument. It is `unsafe` only because
    /// [`__cxa_thread_atexit_impl`] takes a function of this type.
    unsafe extern "C" fn callback(_: *mut c_void) {
        super::EXITING.set(true);
    }

    pub(super) fn create() {
        // SAFETY: the function is in every glibc that Rust supports. The callback uses nothing but
        // a thread-local that has no destructor, and so is never destroyed. The handle keeps the
        // code of the callback loaded until the callback has run.
        unsafe {
            let library = (&raw const __dso_handle).cast_mut().cast();
            __cxa_thread_atexit_impl(callback, ptr::null_mut(), library);
        }
    }
}

/// On other systems there are no further sentinels after the first one.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod further_sentinels {
    pub(super) fn create() {}
}
