//! Counters of the requests to a simulated board and of the answers, for benchmarks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start of the [`Farm`](crate::Farm) or since their last reset. A reboot does
/// not reset them.
///
/// Calls of `Sim`, an object that only simulated boards have, and requests that use no other object
/// are not counted, so that reading the counters does not change them.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counters {
    /// Number of HTTP requests that were answered.
    pub requests: u64,
    /// Number of calls of methods. Calls that failed are included; calls that were not executed,
    /// because an earlier call in the same request failed, are not.
    pub calls: u64,
    /// Number of bytes in the bodies of requests.
    pub bytes_in: u64,
    /// Number of bytes in the bodies of answers.
    pub bytes_out: u64,
    /// Number of calls of each method that was called.
    pub by_method: BTreeMap<String, u64>,
}

/// Atomic counters from which [`Counters`] is made.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Names of the methods, in the order of `by_method`.
    methods: &'static [&'static str],
    requests: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    by_method: Box<[AtomicU64]>,
}

impl Tally {
    pub(crate) fn new(methods: &'static [&'static str]) -> Self {
        Self {
            methods,
            requests: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            by_method: methods.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(crate) fn request(&self, bytes_in: usize, bytes_out: usize) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes_in as u64, Ordering::Relaxed);
        self.bytes_out
            .fetch_add(bytes_out as u64, Ordering::Relaxed);
    }

    pub(crate) fn call(&self, method: usize) {
        if let Some(slot) = self.by_method.get(method) {
            slot.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn reset(&self) {
        for counter in [&self.requests, &self.bytes_in, &self.bytes_out] {
            counter.store(0, Ordering::Relaxed);
        }
        for counter in &self.by_method {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// Returns the present values. Methods that were never called are left out.
    pub(crate) fn read(&self) -> Counters {
        let by_method: BTreeMap<String, u64> = self
            .methods
            .iter()
            .zip(&self.by_method)
            .map(|(name, count)| (String::from(*name), count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect();
        Counters {
            requests: self.requests.load(Ordering::Relaxed),
            calls: by_method.values().sum(),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            by_method,
        }
    }
}
