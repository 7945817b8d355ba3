//! Search for the hosts of boards by multicast DNS.

use std::net::SocketAddrV4;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};
use twotone_hal::{Error, ErrorKind, Result};
use twotone_wire::mdns::{GROUP, LONGEST_MESSAGE, queries};

use super::browser::Browser;
use crate::Interface;
use crate::group::GroupSocket;

/// Time between two looks for questions that are due.
const LOOK: Duration = Duration::from_millis(100);

/// Asks on `interfaces` until `deadline`, and gives the answers to `browser`. It also asks for the
/// hosts that `hints` names.
///
/// # Errors
/// [`ErrorKind::Unreachable`] if the socket cannot be opened or used, or not on every interface.
/// `browser` has what was found nevertheless.
pub(crate) async fn browse(
    interfaces: &[Interface],
    port: u16,
    browser: &mut Browser,
    mut hints: UnboundedReceiver<String>,
    deadline: Instant,
) -> Result<()> {
    let failed = |error| {
        let why = format!("multicast DNS on UDP port {port} cannot be used");
        Error::new(ErrorKind::Unreachable, why).caused_by(error)
    };
    let at = SocketAddrV4::new(GROUP, port);
    let mut socket = GroupSocket::open(at, LONGEST_MESSAGE).map_err(failed)?;
    socket.join(interfaces);
    let began = Instant::now();
    while socket.has_joined() && Instant::now() < deadline {
        socket.send(&queries(&browser.due(began.elapsed()))).await;
        let mut look = pin!(sleep_until(deadline.min(Instant::now() + LOOK)));
        loop {
            tokio::select! {
                biased;
                () = &mut look => break,
                Some(name) = hints.recv() => browser.ask_for_host(&name),
                received = socket.receive() => {
                    let (datagram, from) = received.map_err(failed)?;
                    browser.take(datagram, from);
                }
            }
        }
    }
    socket.all_or("multicast DNS cannot be used")
}
