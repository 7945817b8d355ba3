//! Whether the thread is destroying its thread-locals.
//!
//! Code on a fiber that is unwound then could meet thread-locals that are gone already.

use std::cell::Cell;

thread_local! {
    static EXITING: Cell<bool> = const { Cell::new(false) };
    static SENTINEL: Sentinel = const { Sentinel(Cell::new(false)) };
}

/// Tells of the end of the thread by being dropped.
struct Sentinel(Cell<bool>);

impl Drop for Sentinel {
    fn drop(&mut self) {
        EXITING.set(true);
    }
}

/// Whether thread-locals of this thread are being destroyed.
pub(crate) fn now() -> bool {
    EXITING.get()
}

/// Sees to it that [`now`] will be known on this thread.
#[inline]
pub(crate) fn watch() {
    let watched = SENTINEL.try_with(|sentinel| sentinel.0.replace(true));
    match watched {
        Ok(true) => {}
        Ok(false) => first_of_all::arrange(),
        Err(_) => EXITING.set(true),
    }
}

/// Where the C library runs the latest callback first, one that is registered after Rust's own
/// comes before the destructor of any Rust thread-local, whenever that was made.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod first_of_all {
    use std::ffi::c_void;
    use std::ptr;

    unsafe extern "C" {
        static __dso_handle: u8;
        fn __cxa_thread_atexit_impl(
            callback: unsafe extern "C" fn(*mut c_void),
            argument: *mut c_void,
            library: *mut c_void,
        ) -> i32;
    }

    unsafe extern "C" fn callback(_: *mut c_void) {
        super::EXITING.set(true);
    }

    /// Call it when a thread-local with a destructor exists on this thread, so that Rust has
    /// registered its own callback.
    pub(super) fn arrange() {
        // SAFETY: the function is in every glibc that Rust supports. The callback touches nothing
        // but a thread-local without destructor, and the handle keeps the code loaded until then.
        unsafe {
            let library = (&raw const __dso_handle).cast_mut().cast();
            __cxa_thread_atexit_impl(callback, ptr::null_mut(), library);
        }
    }
}

/// Elsewhere the sentinel alone must do: it is dropped before any thread-local that was made before
/// the thread's first context.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod first_of_all {
    pub(super) fn arrange() {}
}
