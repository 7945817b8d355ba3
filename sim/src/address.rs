//! Loopback addresses: each board has one of its own.
//!
//! Clients tell the multicast packets of two boards apart by their source
//! address alone, so boards must not share one, however many farms a process
//! starts. All of 127.0.0.0/8 is the loopback interface on Linux.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

/// The first address handed out. 127.0.0.1 is left to everybody else.
const FIRST: u32 = 2;

/// Host parts 0 and 255 are skipped: they look like network and broadcast
/// addresses to people and to some tools.
const HOSTS_IN_BLOCK: u32 = 254;

/// Blocks (the third byte of the address) before the numbering starts again.
const BLOCKS: u32 = 256;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The next address that no board of this process has had, until all
/// 65,000 have been used; then they are used again in the same order.
pub(crate) fn next() -> Ipv4Addr {
    nth(NEXT.fetch_add(1, Ordering::Relaxed))
}

fn nth(index: u32) -> Ipv4Addr {
    let index = (index + FIRST - 1) % (HOSTS_IN_BLOCK * BLOCKS);
    let block = index / HOSTS_IN_BLOCK;
    let host = 1 + index % HOSTS_IN_BLOCK;
    Ipv4Addr::new(127, 0, block as u8, host as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_run_on_into_the_next_block() {
        assert_eq!(nth(0), Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(nth(252), Ipv4Addr::new(127, 0, 0, 254));
        assert_eq!(nth(253), Ipv4Addr::new(127, 0, 1, 1));
    }

    #[test]
    fn two_calls_give_two_addresses() {
        assert_ne!(next(), next());
    }
}
