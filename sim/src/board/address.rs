//! Loopback addresses: each board has one of its own.
//!
//! Clients tell the multicast packets of two boards apart by the source
//! address alone. No two boards of a machine may therefore share one, even if they are
//! in different farms. All of 127.0.0.0/8 is the loopback interface on Linux.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Number of the first address handed out. 127.0.0.1 is left to other programs.
const FIRST: u32 = 2;

/// Host parts 0 and 255 are skipped: they look like network and broadcast
/// addresses to people and to some tools.
const HOSTS_IN_BLOCK: u32 = 254;

/// Blocks (the third byte of the address) before the numbering starts again.
const BLOCKS: u32 = 256;

/// UDP port at which an address is held, and from which its board's packets
/// come. Only one board of the machine can hold an address. The system frees it
/// when the process ends. It is below the ports that systems assign by
/// themselves, and receivers of a stream do not listen on it.
const CLAIM_PORT: u16 = 9874;

/// Addresses that a board may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The first free addresses: the same in every run, if no other farm has them.
    First,
    /// Free addresses that most likely no other farm has used before, so that
    /// listeners left over from another farm do not take this board for theirs.
    Fresh,
}

/// The places in the numbering at which the search goes on.
static NEXT_FIRST: AtomicU32 = AtomicU32::new(0);
static NEXT_FRESH: LazyLock<AtomicU32> = LazyLock::new(|| {
    // Another block for each process. The lowest is left to `Choice::First`.
    let block = 1 + std::process::id() % (BLOCKS - 2);
    AtomicU32::new(block * HOSTS_IN_BLOCK)
});

/// The next address that no board of this machine has, and the socket that
/// holds it.
pub(crate) fn claim(choice: Choice) -> io::Result<(Ipv4Addr, UdpSocket)> {
    let next = match choice {
        Choice::First => &NEXT_FIRST,
        Choice::Fresh => &*NEXT_FRESH,
    };
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..HOSTS_IN_BLOCK * BLOCKS {
        let address = nth(next.fetch_add(1, Ordering::Relaxed));
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
        let (first, _held) = claim(Choice::First).unwrap();
        // As another process would, starting over from the first address.
        NEXT_FIRST.store(0, Ordering::Relaxed);
        let (second, _also) = claim(Choice::First).unwrap();
        assert_ne!(first, second);
        let (fresh, _too) = claim(Choice::Fresh).unwrap();
        assert_ne!(fresh.octets()[2], 0, "{fresh}");
    }
}
