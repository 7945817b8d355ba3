//! Search for CRS boards: by their names in multicast DNS, by the packets of their readout stream,
//! and by the beacons in their boot window.

mod beacons;
mod streams;

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use twotone_hal::{Error, ErrorKind, Result};

use super::names;
use crate::find::{FindOptions, Finding, Searched, Sighting, Way};
use crate::mdns::{Browser, Host, browse};
use crate::{BoardPlace, CrsBoard, deadline};

/// Largest number of signs of each way that are kept. Further ones are left out and counted.
const MOST_SIGNS: usize = 4096;

/// Type of the service whose port is that of the control protocol. The public description of the
/// boards names no type, so that all types are asked for; this one is asked for at once.
const HTTP: &str = "_http._tcp.local";

/// Searches in every way at the same time. A way that fails keeps what it has found.
pub(super) fn find(options: &FindOptions) -> Finding {
    let options = Arc::new(options.clone());
    let deadline = deadline::within(options.within);
    let (hint, hints) = mpsc::unbounded_channel();
    let spawn = |search| AbortOnDropHandle::new(tworoutine::runtime().spawn(search));
    let mut ways = vec![(
        Way::Mdns,
        spawn(by_name(options.clone(), hints, deadline).boxed()),
    )];
    if options.streams {
        let (options, mut signs) = (options.clone(), Signs::new(Way::Stream, hint.clone()));
        let heard = async move {
            let ended = streams::listen(&options, &mut signs, deadline).await;
            signs.end(ended)
        };
        ways.push((Way::Stream, spawn(heard.boxed())));
    }
    let mut signs = Signs::new(Way::Beacon, hint);
    let heard = async move {
        let ended = beacons::listen(&options, &mut signs, deadline).await;
        signs.end(ended)
    };
    ways.push((Way::Beacon, spawn(heard.boxed())));
    Box::pin(async move {
        let mut searched = Vec::with_capacity(ways.len());
        for (way, search) in ways {
            searched.push(search.await.unwrap_or_else(|ended| Searched {
                error: Some(Error::new(ErrorKind::Panicked, ended.to_string())),
                ..Searched::new(way)
            }));
        }
        searched
    })
}

/// Searches by multicast DNS. `hints` are names of boards that were found otherwise.
async fn by_name(
    options: Arc<FindOptions>,
    hints: mpsc::UnboundedReceiver<String>,
    deadline: Instant,
) -> Searched {
    let mut browser = Browser::new(|name| names::board(name).is_some(), &[HTTP]);
    let ended = match options.interfaces() {
        Ok(all) => browse(&all, options.mdns_port, &mut browser, hints, deadline).await,
        Err(error) => Err(error),
    };
    Searched {
        refused: browser.refused,
        left_out: browser.left_out,
        sightings: browser
            .into_hosts()
            .into_iter()
            .filter_map(sighting)
            .collect(),
        error: ended.err(),
        ..Searched::new(Way::Mdns)
    }
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
    /// Receives the names that boards with the serial numbers in the signs have.
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
            && BoardPlace::is_serial(serial)
        {
            // The search by multicast DNS may have ended.
            let host = CrsBoard::host_of_serial(serial);
            drop(self.hint.send(host.name().to_owned()));
        }
        self.searched.sightings.push(sighting);
    }

    /// Ends the search, with what was found before an error.
    fn end(self, ended: Result<()>) -> Searched {
        Searched {
            error: ended.err(),
            ..self.searched
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};

    use tokio::task::yield_now;
    use twotone_wire::crs::boot::Beacon;

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
        assert_eq!(hints.try_recv().as_deref(), Ok("rfmux0042.local"));
        assert!(hints.try_recv().is_err());
    }

    #[test]
    fn what_was_found_before_an_error_is_kept() {
        let (hint, _hints) = mpsc::unbounded_channel();
        let mut signs = Signs::new(Way::Beacon, hint);
        signs.add(1, || Sighting::new(Way::Beacon, vec![Ipv4Addr::LOCALHOST]));
        let searched = signs.end(Err(Error::new(
            ErrorKind::Unreachable,
            "the network went down",
        )));
        assert_eq!(searched.sightings.len(), 1);
        assert!(searched.error.is_some());
    }

    #[tokio::test]
    async fn beacons_from_addresses_of_ipv4_are_heard_on_a_socket_of_ipv6() {
        let (hint, _hints) = mpsc::unbounded_channel();
        let mut signs = Signs::new(Way::Beacon, hint);
        let free = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        let at = free.local_addr().unwrap();
        drop(free);
        let options = FindOptions {
            beacons: Some(at),
            ..FindOptions::default()
        };
        let beacon = Beacon {
            version: 1,
            serial: "0042".to_owned(),
            crate_serial: None,
        };
        let board = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sending = async {
            // The search has opened its socket once it waits.
            yield_now().await;
            let to = (Ipv4Addr::LOCALHOST, at.port());
            board.send_to(&beacon.emit(), to).unwrap();
        };
        let deadline = Instant::now() + std::time::Duration::from_millis(300);
        let listening = beacons::listen(&options, &mut signs, deadline);
        tokio::join!(biased; listening, sending).0.unwrap();
        let found = &signs.searched.sightings;
        assert_eq!(found.len(), 1, "{:?}", signs.searched);
        assert_eq!(found[0].addresses, [Ipv4Addr::LOCALHOST]);
    }
}
