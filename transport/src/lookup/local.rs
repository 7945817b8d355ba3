//! Look-ups of names that end in `.local`.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::Found;
use crate::mdns;

/// Time after which the network is asked for a name even if the system has not answered. A system
/// that asks a name server which cannot be reached takes several seconds.
const SYSTEM_FIRST: Duration = Duration::from_millis(200);

/// Addresses of a name that ends in `.local`: those that `system` finds, or those of multicast DNS,
/// whichever comes first. Multicast DNS begins when the system has failed, or after 0.2 s.
///
/// # Errors
/// The kind of the error of the system, with both errors in words.
pub(super) async fn look_up(name: &str, port: u16, system: impl Future<Output = Found>) -> Found {
    if let Some(found) = mdns::cached(name) {
        return Ok(with_port(&found, port));
    }
    let name = name.to_owned();
    let (failed, has_failed) = oneshot::channel::<()>();
    // The process-wide runtime has the timer, so that the caller needs no runtime of its own.
    let mut asking = AbortOnDropHandle::new(tworoutine::runtime().spawn(async move {
        drop(timeout(SYSTEM_FIRST, has_failed).await);
        mdns::resolve(&name).await
    }));
    let mut system = pin!(system);
    let (by_system, by_network) = tokio::select! {
        biased;
        by_system = &mut system => match by_system {
            Ok(found) => return Ok(found),
            Err(error) => {
                drop(failed);
                (error, asking.await.map_err(io::Error::other)?)
            }
        },
        by_network = &mut asking => match by_network.map_err(io::Error::other)? {
            Ok(found) => return Ok(with_port(&found, port)),
            Err(error) => match system.await {
                Ok(found) => return Ok(found),
                Err(by_system) => (by_system, Err(error)),
            },
        },
    };
    match by_network {
        Ok(found) => Ok(with_port(&found, port)),
        Err(error) => {
            let why = format!("{error}; the system says: {by_system}");
            Err(io::Error::new(by_system.kind(), why))
        }
    }
}

fn with_port(found: &[Ipv4Addr], port: u16) -> Vec<SocketAddr> {
    let found = found.iter();
    found.map(|ip| SocketAddr::from((*ip, port))).collect()
}
