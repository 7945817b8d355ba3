//! Multicast DNS: addresses of names that end in `.local`, and the hosts of boards.

mod browse;
mod browser;
mod resolve;

use std::time::Duration;

pub(crate) use browse::browse;
pub(crate) use browser::{Browser, Host};
pub(crate) use resolve::{cached, forget, is_local, resolve};

/// Time between the first two queries for a name; it doubles with each further one (RFC 6762,
/// section 5.2).
const FIRST_INTERVAL: Duration = Duration::from_secs(1);
/// Largest number of addresses of a host.
const MOST_ADDRESSES: usize = 16;
