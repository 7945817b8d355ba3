//! Search for CRS boards: by their names in multicast DNS, by the packets of their readout stream,
//! and by the beacons in their boot window.

mod beacons;
mod names;
mod streams;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use twotone_hal::{Error, ErrorKind, Result};

use crate::find::{FindOptions, Finding, Searched, Sighting, Way};
use crate::mdns::{Browsed, Browser, Host, browse};
use crate::{CrsBoard, deadline};

/// Largest number of signs of each way that are kept. Further ones are left out and counted.
const MOST_SIGNS: usize = 4096;

/// Type of the service whose port is that of the control protocol. The public description of the
/// boards names no type, so that all types are asked for; this one is asked for at once.
const HTTP: &str = "_http._tcp.local";

/// Searches in every way at the same time.
pub(super) fn find(options: &FindOptions) -> Finding {
    let options = Arc::new(options.clone());
    let deadline = deadline::within(options.within);
    let (hint, hints) = mpsc::unbounded_channel();
    let runtime = tworoutine::runtime();
    let by_name = runtime.spawn(by_name(Arc::clone(&options), hints, deadline));
    let mut ways = vec![(Way::Mdns, OnDrop(by_name))];
    if options.streams {
        let heard = streams::listen(Arc::clone(&options), hint.clone(), deadline);
        ways.push((Way::Stream, OnDrop(runtime.spawn(heard))));
    }
    let heard = beacons::listen(options, hint, deadline);
    ways.push((Way::Beacon, OnDrop(runtime.spawn(heard))));
    Box::pin(async move {
        let mut searched = Vec::with_capacity(ways.len());
        for (way, mut search) in ways {
            let ended = match (&mut search.0).await {
                Ok(ended) => ended,
                Err(ended) => Err(Error::new(ErrorKind::Panicked, ended.to_string())),
            };
            searched.push(ended.unwrap_or_else(|error| Searched {
                error: Some(error),
                ..Searched::new(way)
            }));
        }
        searched
    })
}

/// A search that ends when this value is dropped.
struct OnDrop(JoinHandle<Result<Searched>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Searches by multicast DNS. `hints` are serial numbers of boards that were found otherwise.
async fn by_name(
    options: Arc<FindOptions>,
    mut hints: mpsc::UnboundedReceiver<String>,
    deadline: Instant,
) -> Result<Searched> {
    let (name, names) = mpsc::unbounded_channel();
    let to_names = async move {
        while let Some(serial) = hints.recv().await {
            let host = CrsBoard::host_of_serial(&serial);
            if name.send(host.name().to_owned()).is_err() {
                return;
            }
        }
        // The search goes on without hints.
        std::future::pending().await
    };
    let interfaces = options.interfaces()?;
    let browser = Browser::new(|name| names::board(name).is_some(), &[HTTP]);
    let browsing = browse(&interfaces, options.mdns_port, browser, names, deadline);
    let browsed = tokio::select! {
        browsed = browsing => browsed?,
        () = to_names => return Ok(Searched::new(Way::Mdns)),
    };
    let Browsed {
        hosts,
        refused,
        left_out,
        failed,
    } = browsed;
    Ok(Searched {
        sightings: hosts.into_iter().filter_map(sighting).collect(),
        refused,
        left_out,
        error: failed,
        ..Searched::new(Way::Mdns)
    })
}

fn sighting(host: Host) -> Option<Sighting> {
    let board = names::board(host.name.as_str())?;
    let http = host
        .services
        .iter()
        .find(|service| service.name.ends_with(HTTP));
    Some(Sighting {
        serial: board.serial,
        crate_serial: board.crate_serial,
        slot: board.slot,
        host: Some(host.name.to_string()),
        port: http.map(|service| service.port).filter(|port| *port != 0),
        services: host.services,
        ..Sighting::new(Way::Mdns, host.addresses)
    })
}

/// Signs of one way, without repetitions.
#[derive(Debug)]
struct Signs<K> {
    known: BTreeSet<K>,
    searched: Searched,
    hint: mpsc::UnboundedSender<String>,
}

impl<K: Ord> Signs<K> {
    fn new(way: Way, hint: mpsc::UnboundedSender<String>) -> Self {
        Self {
            known: BTreeSet::new(),
            searched: Searched::new(way),
            hint,
        }
    }

    /// Adds a sign that `key` distinguishes from others, unless there are too many.
    fn add(&mut self, key: K, sighting: impl FnOnce() -> Sighting) {
        if self.known.contains(&key) {
            return;
        }
        if self.known.len() >= MOST_SIGNS {
            self.searched.left_out += 1;
            return;
        }
        self.known.insert(key);
        let sighting = sighting();
        if let Some(serial) = &sighting.serial
            && names::is_label(serial)
        {
            // The search by multicast DNS may have ended.
            drop(self.hint.send(serial.clone()));
        }
        self.searched.sightings.push(sighting);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn thousands_of_signs_take_limited_memory_and_are_counted() {
        let (hint, mut hints) = mpsc::unbounded_channel();
        let mut signs = Signs::new(Way::Stream, hint);
        for serial in (0..10_000_u16).chain(0..10_000) {
            signs.add(serial, || Sighting {
                serial: Some(format!("{serial:04}")),
                ..Sighting::new(Way::Stream, vec![Ipv4Addr::LOCALHOST])
            });
        }
        assert_eq!(signs.searched.sightings.len(), MOST_SIGNS);
        assert_eq!(signs.searched.left_out, 2 * (10_000 - MOST_SIGNS as u64));
        let mut hinted = 0;
        while hints.try_recv().is_ok() {
            hinted += 1;
        }
        assert_eq!(hinted, MOST_SIGNS);
    }

    #[test]
    fn a_serial_number_that_is_no_part_of_a_name_is_not_asked_for() {
        let (hint, mut hints) = mpsc::unbounded_channel();
        let mut signs = Signs::new(Way::Beacon, hint);
        for serial in ["\u{1b}[2J", "a.b", "", "0042"] {
            signs.add(serial, || Sighting {
                serial: Some(serial.to_owned()),
                ..Sighting::new(Way::Beacon, vec![Ipv4Addr::LOCALHOST])
            });
        }
        assert_eq!(hints.try_recv().as_deref(), Ok("0042"));
        assert!(hints.try_recv().is_err());
    }
}
