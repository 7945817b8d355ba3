//! Multicast DNS: addresses of names that end in `.local`, and the hosts of boards.

mod browse;
mod browser;
mod resolve;
mod socket;

pub(crate) use browse::{Browsed, browse};
pub(crate) use browser::{Browser, Host};
pub(crate) use resolve::{cached, forget, is_local, resolve};
