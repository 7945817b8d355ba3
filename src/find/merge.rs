//! Merging of the signs of boards.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use twotone_transport::{Sighting, Way};

use super::FoundBoard;
use crate::map::{BoardKind, Host, same_serial};

/// Signs that are believed to be those of one board.
#[derive(Debug, Default)]
struct Merged {
    serial: Option<String>,
    addresses: BTreeSet<Ipv4Addr>,
    sightings: Vec<Sighting>,
}

impl From<Sighting> for Merged {
    fn from(sighting: Sighting) -> Self {
        Self {
            serial: sighting.serial.clone(),
            addresses: sighting.addresses.iter().copied().collect(),
            sightings: vec![sighting],
        }
    }
}

/// Merges the signs of boards of a kind.
///
/// Signs with a common address and with the same serial number, or without one, are those of one
/// board. A sign without a serial number belongs to every board that has one of its addresses, and
/// a sign without an address to every board with its serial number.
pub(super) fn merge(kind: BoardKind, mut sightings: Vec<Sighting>) -> Vec<FoundBoard> {
    // The serial number is spelt as in the first sign. A packet has only its value.
    sightings.sort_by_key(|sighting| match sighting.way {
        Way::Mdns => 0,
        Way::Beacon => 1,
        _ => 2,
    });
    let (whole, without_address): (Vec<_>, Vec<_>) = sightings
        .into_iter()
        .partition(|sighting| !sighting.addresses.is_empty());
    let mut merged: Vec<_> = whole.into_iter().map(Merged::from).collect();
    let mut of_serial: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
    for (place, board) in merged.iter().enumerate() {
        let serial = board.serial.as_deref().map(same_serial);
        of_serial.entry(serial).or_default().push(place);
    }
    for same in of_serial.values() {
        join_those_that_meet(&mut merged, same);
    }
    merged.retain(|board| !board.sightings.is_empty());
    let (mut boards, without_serial): (Vec<_>, Vec<_>) =
        merged.into_iter().partition(|board| board.serial.is_some());
    let mut index = Index::default();
    for (place, board) in boards.iter().enumerate() {
        index.add(place, board);
    }
    let without_address = without_address.into_iter().map(Merged::from);
    for part in without_serial.into_iter().chain(without_address) {
        let owners = index.owners(&part);
        if owners.is_empty() {
            index.add(boards.len(), &part);
            boards.push(part);
            continue;
        }
        for place in owners {
            index.add(place, &part);
            boards[place].addresses.extend(&part.addresses);
            boards[place].sightings.extend_from_slice(&part.sightings);
        }
    }
    boards.sort_by_cached_key(|board| (board.order(), board.addresses.clone()));
    let conflicts = conflicts(&boards);
    let found = boards.into_iter().zip(conflicts);
    found
        .map(|(board, conflicts)| board.found(kind, conflicts))
        .collect()
}

/// Joins the boards at these places, which have one serial number or none, if they have a common
/// address, directly or through others. The joined ones have no signs left.
fn join_those_that_meet(boards: &mut [Merged], same: &[usize]) {
    let mut at: BTreeMap<Ipv4Addr, usize> = BTreeMap::new();
    for &place in same {
        let mut joined = std::mem::take(&mut boards[place]);
        let met: BTreeSet<usize> = joined
            .addresses
            .iter()
            .filter_map(|address| at.get(address).copied())
            .collect();
        let Some(&first) = met.first() else {
            at.extend(joined.addresses.iter().map(|address| (*address, place)));
            boards[place] = joined;
            continue;
        };
        for &other in met.iter().skip(1) {
            let mut other = std::mem::take(&mut boards[other]);
            joined.addresses.append(&mut other.addresses);
            joined.sightings.append(&mut other.sightings);
        }
        at.extend(joined.addresses.iter().map(|address| (*address, first)));
        boards[first].addresses.append(&mut joined.addresses);
        boards[first].sightings.append(&mut joined.sightings);
    }
}

/// Places of boards by their serial numbers, addresses and names.
#[derive(Debug, Default)]
struct Index {
    serials: BTreeMap<String, BTreeSet<usize>>,
    addresses: BTreeMap<Ipv4Addr, BTreeSet<usize>>,
    hosts: BTreeMap<String, BTreeSet<usize>>,
}

impl Index {
    fn add(&mut self, place: usize, board: &Merged) {
        if let Some(serial) = &board.serial {
            let serial = same_serial(serial);
            self.serials.entry(serial).or_default().insert(place);
        }
        for address in &board.addresses {
            self.addresses.entry(*address).or_default().insert(place);
        }
        for host in board.hosts() {
            self.hosts.entry(host.clone()).or_default().insert(place);
        }
    }

    /// Places of the boards that signs without a serial number or without an address can be of.
    fn owners(&self, part: &Merged) -> BTreeSet<usize> {
        let of = |found: Option<&BTreeSet<usize>>| found.cloned().unwrap_or_default();
        if let Some(serial) = &part.serial {
            return of(self.serials.get(&same_serial(serial)));
        }
        if part.addresses.is_empty() {
            let hosts = part.hosts();
            return hosts.flat_map(|host| of(self.hosts.get(host))).collect();
        }
        let addresses = part.addresses.iter();
        addresses
            .flat_map(|address| of(self.addresses.get(address)))
            .collect()
    }
}

impl Merged {
    /// Names in multicast DNS.
    fn hosts(&self) -> impl Iterator<Item = &String> {
        self.sightings.iter().filter_map(|one| one.host.as_ref())
    }

    /// Order of the boards: numbers first, then other serial numbers, then boards without one.
    fn order(&self) -> (u8, u64, String) {
        let Some(serial) = &self.serial else {
            return (2, 0, String::new());
        };
        match serial.parse::<u64>() {
            Ok(number) => (0, number, String::new()),
            Err(_) => (1, 0, same_serial(serial)),
        }
    }

    fn found(mut self, kind: BoardKind, mut conflicts: Vec<String>) -> FoundBoard {
        let crate_serial = self.agreed(
            &mut conflicts,
            "crates",
            |one: &String| same_serial(one),
            |one| one.crate_serial.clone(),
        );
        let slot = self.agreed(&mut conflicts, "slots", ToString::to_string, |one| one.slot);
        let port = self.agreed(&mut conflicts, "ports", ToString::to_string, |one| one.port);
        let port = port.unwrap_or(kind.family().default_port);
        let hosts: BTreeSet<_> = self.hosts().cloned().collect();
        let found_by: BTreeSet<Way> = self.sightings.iter().map(|one| one.way).collect();
        let services = self.sightings.iter_mut();
        let services: BTreeSet<_> = services.flat_map(|one| one.services.drain(..)).collect();
        // The first address of a sign is the one that it came from.
        let first = self.sightings.iter();
        let first = first.flat_map(|one| &one.addresses).next();
        FoundBoard {
            kind,
            serial: self.serial,
            crate_serial,
            slot,
            address: first.map(|address| Host::new(address.to_string(), port)),
            addresses: self.addresses.into_iter().collect(),
            mac: None,
            hosts: hosts.into_iter().collect(),
            services: services.into_iter().collect(),
            found_by: found_by.into_iter().collect(),
            firmware: None,
            said_serial: None,
            error: None,
            conflicts,
        }
    }

    /// The first value among the signs. Different values are a conflict.
    fn agreed<T: ToString + Clone>(
        &self,
        conflicts: &mut Vec<String>,
        what: &str,
        same: impl Fn(&T) -> String,
        value: impl Fn(&Sighting) -> Option<T>,
    ) -> Option<T> {
        let mut values: Vec<T> = Vec::new();
        for other in self.sightings.iter().filter_map(value) {
            if !values.iter().any(|value| same(value) == same(&other)) {
                values.push(other);
            }
        }
        if values.len() > 1 {
            let values: Vec<_> = values.iter().map(ToString::to_string).collect();
            conflicts.push(format!(
                "its signs name different {what}: {}",
                values.join(", ")
            ));
        }
        values.into_iter().next()
    }
}

/// Conflicts of each board with others: a serial number or an address that another board has too.
fn conflicts(boards: &[Merged]) -> Vec<Vec<String>> {
    let mut of_serial: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut of_address: BTreeMap<Ipv4Addr, Vec<usize>> = BTreeMap::new();
    for (place, board) in boards.iter().enumerate() {
        if let Some(serial) = &board.serial {
            of_serial
                .entry(same_serial(serial))
                .or_default()
                .push(place);
        }
        for address in &board.addresses {
            of_address.entry(*address).or_default().push(place);
        }
    }
    let mut conflicts = vec![Vec::new(); boards.len()];
    for same in of_serial.values().filter(|same| same.len() > 1) {
        let places = same.iter().flat_map(|place| &boards[*place].addresses);
        let places: Vec<_> = places.take(MOST_NAMED).map(ToString::to_string).collect();
        for place in same {
            let serial = boards[*place].serial.as_deref().unwrap_or_default();
            conflicts[*place].push(format!(
                "serial number {serial} is at {}: several boards have it, or one board has several \
                 addresses",
                places.join(" and ")
            ));
        }
    }
    for (address, same) in of_address.iter().filter(|(_, same)| same.len() > 1) {
        let serials = same.iter().map(|place| boards[*place].serial.as_deref());
        let serials = serials.map(|serial| serial.unwrap_or("no serial number"));
        let serials: Vec<_> = serials.take(MOST_NAMED).collect();
        for place in same {
            conflicts[*place].push(format!(
                "address {address} has several serial numbers: {}",
                serials.join(", ")
            ));
        }
    }
    conflicts
}

/// Largest number of addresses or serial numbers that a sentence names.
const MOST_NAMED: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(way: Way, serial: &str, last: &[u8]) -> Sighting {
        let addresses = last.iter().map(|last| Ipv4Addr::new(10, 0, 0, *last));
        Sighting {
            serial: Some(serial.to_owned()).filter(|serial| !serial.is_empty()),
            ..Sighting::new(way, addresses.collect())
        }
    }

    fn named(host: &str, mut sighting: Sighting) -> Sighting {
        sighting.host = Some(host.to_owned());
        sighting
    }

    /// Merges signs in every rotation of their order. Returns the boards as text: serial number,
    /// last bytes of the addresses, ways and number of conflicts.
    fn check(sightings: &[Sighting], expected: &[&str]) -> Vec<FoundBoard> {
        let mut boards = Vec::new();
        for first in 0..sightings.len() {
            let mut rotated = sightings.to_vec();
            rotated.rotate_left(first);
            boards = merge(BoardKind::CRS, rotated);
            let shown = boards.iter().map(|board| {
                let last = board.addresses.iter();
                let last: Vec<_> = last.map(|ip| ip.octets()[3].to_string()).collect();
                let ways: Vec<_> = board.found_by.iter().map(ToString::to_string).collect();
                let serial = board.serial.as_deref().unwrap_or("-");
                let conflicts = board.conflicts.len();
                format!("{serial} {} {} {conflicts}", last.join(","), ways.join(","))
            });
            let shown: Vec<_> = shown.collect();
            assert_eq!(shown, expected, "from sign {first} on");
        }
        boards
    }

    use Way::{Beacon, Mdns, Stream};

    #[test]
    fn a_board_is_listed_once() {
        let boards = check(
            &[
                named("rfmux0042.local", at(Mdns, "0042", &[42])),
                named("slot3.crate011.local", at(Mdns, "", &[42])),
                at(Stream, "42", &[42]),
                at(Stream, "0007", &[7]),
                at(Beacon, "9", &[9]),
            ],
            &["0007 7 stream 0", "9 9 beacon 0", "0042 42 mdns,stream 0"],
        );
        assert_eq!(boards[2].hosts.len(), 2);
        assert_eq!(
            boards[2].address.as_ref().unwrap().to_string(),
            "10.0.0.42:80"
        );
    }

    #[test]
    fn two_boards_with_one_serial_number_are_told() {
        let boards = check(
            &[
                at(Mdns, "0042", &[1]),
                at(Stream, "42", &[2]),
                at(Beacon, "42", &[1]),
            ],
            &["0042 1 mdns,beacon 1", "42 2 stream 1"],
        );
        for board in &boards {
            let conflict = &board.conflicts[0];
            assert!(
                conflict.contains("is at 10.0.0.1 and 10.0.0.2"),
                "{conflict}"
            );
        }
    }

    #[test]
    fn one_address_with_two_serial_numbers_is_told() {
        let boards = check(
            &[
                at(Stream, "0001", &[1]),
                at(Stream, "0002", &[1]),
                at(Mdns, "", &[1]),
            ],
            &["0001 1 mdns,stream 1", "0002 1 mdns,stream 1"],
        );
        let conflict = &boards[0].conflicts[0];
        assert!(conflict.contains("10.0.0.1 has several serial numbers: 0001, 0002"));
    }

    #[test]
    fn signs_that_meet_in_a_third_one_are_those_of_one_board() {
        check(
            &[
                at(Mdns, "5", &[1]),
                at(Stream, "5", &[2]),
                at(Mdns, "5", &[1, 2]),
                at(Stream, "5", &[3]),
            ],
            &["5 1,2 mdns,stream 1", "5 3 stream 1"],
        );
    }

    #[test]
    fn signs_without_a_serial_number_that_meet_in_another_one_are_those_of_one_board() {
        check(
            &[
                at(Mdns, "", &[1]),
                at(Mdns, "", &[2]),
                at(Mdns, "", &[1, 2]),
                at(Mdns, "", &[3]),
            ],
            &["- 1,2 mdns 0", "- 3 mdns 0"],
        );
        check(
            &[
                at(Mdns, "", &[2]),
                at(Mdns, "", &[1, 2]),
                at(Beacon, "7", &[1]),
            ],
            &["7 1,2 mdns,beacon 0"],
        );
    }

    #[test]
    fn the_address_of_a_board_is_the_one_that_has_answered() {
        let boards = check(
            &[at(Mdns, "5", &[9, 1]), at(Stream, "5", &[1])],
            &["5 1,9 mdns,stream 0"],
        );
        assert_eq!(
            boards[0].address.as_ref().unwrap().to_string(),
            "10.0.0.9:80"
        );
    }

    #[test]
    fn incomplete_signs_are_kept() {
        check(
            &[
                named("rfmux0001.local", at(Mdns, "0001", &[])),
                at(Stream, "0001", &[1]),
                named("rfmux0002.local", at(Mdns, "0002", &[])),
                named("slot1.crate2.local", at(Mdns, "", &[9])),
                named("slot1.crate3.local", at(Mdns, "", &[])),
            ],
            &[
                "0001 1 mdns,stream 0",
                "0002  mdns 0",
                "-  mdns 0",
                "- 9 mdns 0",
            ],
        );
        let mut slot = at(Mdns, "", &[1]);
        slot.slot = Some(3);
        let mut beacon = at(Beacon, "1", &[1]);
        beacon.slot = Some(4);
        let boards = check(&[slot, beacon], &["1 1 mdns,beacon 1"]);
        assert_eq!(
            boards[0].conflicts[0],
            "its signs name different slots: 4, 3"
        );
    }
}
