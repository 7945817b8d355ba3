//! Search for the hosts of boards by multicast DNS.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};
use twotone_hal::{Error, ErrorKind, Result};
use twotone_wire::mdns::queries;

use super::browser::{Browser, Host};
use super::socket::GroupSocket;
use crate::Interface;

/// Time between two looks for questions that are due.
const LOOK: Duration = Duration::from_millis(100);

/// Result of a search.
#[derive(Debug)]
pub(crate) struct Browsed {
    pub(crate) hosts: Vec<Host>,
    /// Number of datagrams that were refused.
    pub(crate) refused: u64,
    /// Number of records that were left out.
    pub(crate) left_out: u64,
    /// Interfaces on which nothing could be received.
    pub(crate) failed: Option<Error>,
}

/// Looks on `interfaces` for hosts whose names `is_board` accepts, until `deadline`. It also asks
/// for the hosts that `hints` names.
///
/// # Errors
/// [`ErrorKind::Unreachable`] if the socket cannot be opened or used.
pub(crate) async fn browse(
    interfaces: &[Interface],
    port: u16,
    mut browser: Browser,
    mut hints: UnboundedReceiver<String>,
    deadline: Instant,
) -> Result<Browsed> {
    let failed = |error| {
        let why = format!("multicast DNS on UDP port {port} cannot be used");
        Error::new(ErrorKind::Unreachable, why).caused_by(error)
    };
    let (mut socket, not_joined) = GroupSocket::open(interfaces, port).map_err(failed)?;
    let began = Instant::now();
    while Instant::now() < deadline {
        let due = browser.due(began.elapsed());
        socket.send(&queries(&due)).await.map_err(failed)?;
        let look = sleep_until(deadline.min(Instant::now() + LOOK));
        tokio::pin!(look);
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
    let failed = not_joined.into_iter().next().map(|(interface, error)| {
        let why = format!("multicast DNS cannot be received on {interface}");
        Error::new(ErrorKind::Unreachable, why).caused_by(error)
    });
    Ok(Browsed {
        refused: browser.refused,
        left_out: browser.left_out,
        hosts: browser.hosts(),
        failed,
    })
}
