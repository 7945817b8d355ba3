//! Loopback addresses: each board has one of its own.
//!
//! Clients tell the multicast packets of two boards apart by their source
//! address alone, so boards must not share one, however many farms run on
//! the machine. All of 127.0.0.0/8 is the loopback interface on Linux.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// The first address handed out. 127.0.0.1 is left to everybody else.
const FIRST: u32 = 2;

/// Host parts 0 and 255 are skipped: they look like network and broadcast
/// addresses to people and to some tools.
const HOSTS_IN_BLOCK: u32 = 254;

/// Blocks (the third byte of the address) before the numbering starts again.
const BLOCKS: u32 = 256;

/// The UDP port at which an address is held, and from which its board's
/// packets come. One board can hold it, in whatever process; the system lets
/// go of it when the process ends. It is below the ports that systems hand
/// out, and not one that receivers of a stream listen on.
const CLAIM_PORT: u16 = 9874;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The next address that no board of this machine has, and the socket that
/// holds it.
pub(crate) fn claim() -> io::Result<(Ipv4Addr, UdpSocket)> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..HOSTS_IN_BLOCK * BLOCKS {
        let address = nth(NEXT.fetch_add(1, Ordering::Relaxed));
        match UdpSocket::bind(SocketAddr::from((address, CLAIM_PORT))) {
            Ok(socket) => return Ok((address, socket)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
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
    fn an_address_that_is_held_is_not_handed_out() {
        let (first, _held) = claim().unwrap();
        // As another process would, starting over from the first address.
        let next = NEXT.swap(0, Ordering::Relaxed);
        let (second, _also) = claim().unwrap();
        NEXT.fetch_max(next, Ordering::Relaxed);
        assert_ne!(first, second);
    }
}
