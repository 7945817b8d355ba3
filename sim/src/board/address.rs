//! Loopback addresses of simulated boards.
//!
//! Clients distinguish the multicast packets of two boards only by the source address. So all
//! boards on a machine need different addresses, even if they belong to different farms (groups of
//! simulated boards). On Linux, all of 127.0.0.0/8 is on the loopback interface.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Number of the first address. 127.0.0.1 is left to other programs.
const FIRST: u32 = 2;

/// Number of addresses in a block of 256. Addresses with the last byte 0 or 255 are left out,
/// because people and some tools take them for network and broadcast addresses.
const HOSTS_IN_BLOCK: u32 = 254;

/// Number of blocks (values of the third byte) before the numbering starts again.
const BLOCKS: u32 = 256;

/// UDP port that reserves an address, and from which the packets of the board come. At each
/// address, only one board of the machine can bind this port, and the system frees the port when
/// the process ends. The port is below the range of automatically assigned ports, and no receiver
/// of a stream uses it.
const CLAIM_PORT: u16 = 9874;

/// Choice of the address of a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The first free address after those that this process has tried before. It is the same in
    /// every run if no other process uses it.
    First,
    /// A free address that probably no other farm has used before. So clients that are left over
    /// from another farm do not connect to this board.
    Fresh,
}

/// Numbers of the addresses at which the next searches begin: `NEXT_FIRST` is for
/// [`Choice::First`], and `NEXT_FRESH` for [`Choice::Fresh`].
static NEXT_FIRST: AtomicU32 = AtomicU32::new(0);
static NEXT_FRESH: LazyLock<AtomicU32> = LazyLock::new(|| {
    // Each process begins in a different block. Block 0 is left to `Choice::First`.
    let block = 1 + std::process::id() % (BLOCKS - 2);
    AtomicU32::new(block * HOSTS_IN_BLOCK)
});

/// Reserves the next address that no board of this machine has. The address is reserved as long as
/// the returned socket is open.
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
        // The search begins at the first address, as it does in another process.
        NEXT_FIRST.store(0, Ordering::Relaxed);
        let (second, _also) = claim(Choice::First).unwrap();
        assert_ne!(first, second);
        let (fresh, _too) = claim(Choice::Fresh).unwrap();
        assert_ne!(fresh.octets()[2], 0, "{fresh}");
    }
}
