//! Search for the boards of a farm, over the wire.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::pin::pin;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};
use twotone::find::{FindOptions, Found, FoundBoard, Interface, Way, find};
use twotone::map::HardwareMap;
use twotone::sim::{Farm, FarmBuilder, SimBoard, Streaming};
use twotone::transport::wire::mdns;

/// Ports of a test, so that farms of other tests are not found.
struct Bench {
    mdns_port: u16,
    stream: SocketAddrV4,
    beacons: SocketAddr,
}

impl Bench {
    fn new() -> Self {
        let free = || {
            let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            port.local_addr().unwrap()
        };
        let (mdns, stream, beacons) = (free(), free(), free());
        let [high, low] = stream.port().to_be_bytes();
        Self {
            mdns_port: mdns.port(),
            stream: SocketAddrV4::new(Ipv4Addr::new(239, 193, high, low), stream.port()),
            beacons,
        }
    }

    fn farm(&self, boards: usize) -> FarmBuilder {
        Farm::builder()
            .boards(boards)
            .detectors(4)
            .mdns(self.mdns_port)
            .stream_group(*self.stream.ip())
            .stream_port(self.stream.port())
            .streaming(Streaming::WhenAnyJoined)
    }

    fn options(&self) -> FindOptions {
        let mut options = FindOptions::default();
        options.within = Duration::from_millis(1500);
        options.interface = Some(Interface::named("127.0.0.1").unwrap());
        options.mdns_port = self.mdns_port;
        options.stream = Some(self.stream);
        options.beacons = Some(self.beacons);
        options
    }

    /// Searches. Sends datagrams from a socket once the search can receive them: to the group of
    /// multicast DNS, to that of the streams, and to the port of the beacons.
    async fn find_among(&self, datagrams: &[(Way, Vec<u8>)]) -> Found {
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        sockopt::set_ip_multicast_if(&sender, &Ipv4Addr::LOCALHOST).unwrap();
        let questions = self.questions();
        let sending = async {
            questions.readable().await.unwrap();
            let in_hex = |ip: Ipv4Addr| format!("{:08X}", u32::from_ne_bytes(ip.octets()));
            let beacons = format!(
                "{}:{:04X}",
                in_hex(Ipv4Addr::LOCALHOST),
                self.beacons.port()
            );
            let group = in_hex(*self.stream.ip());
            for (list, entry) in [("/proc/net/udp", beacons), ("/proc/net/igmp", group)] {
                while !fs::read_to_string(list).unwrap().contains(&entry) {
                    tokio::task::yield_now().await;
                }
            }
            for (way, bytes) in datagrams {
                let to = match way {
                    Way::Mdns => SocketAddr::from((mdns::GROUP, self.mdns_port)),
                    Way::Stream => self.stream.into(),
                    _ => self.beacons,
                };
                sender.send_to(bytes, to).unwrap();
            }
        };
        let options = self.options();
        let mut search = pin!(find(&options));
        tokio::select! {
            biased;
            found = &mut search => panic!("the search has ended before it could receive: {found:?}"),
            () = sending => {}
        }
        search.await
    }

    /// A socket that receives the questions of the search.
    fn questions(&self) -> tokio::net::UdpSocket {
        let questions = socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
        sockopt::set_socket_reuseaddr(&questions, true).unwrap();
        sockopt::set_socket_reuseport(&questions, true).unwrap();
        bind(&questions, &SocketAddrV4::new(mdns::GROUP, self.mdns_port)).unwrap();
        sockopt::set_ip_add_membership(&questions, &mdns::GROUP, &Ipv4Addr::LOCALHOST).unwrap();
        let questions = UdpSocket::from(questions);
        questions.set_nonblocking(true).unwrap();
        tokio::net::UdpSocket::from_std(questions).unwrap()
    }
}

fn serials(found: &Found) -> Vec<&str> {
    let serials = found.boards.iter().map(|board| board.serial.as_deref());
    serials.map(Option::unwrap_or_default).collect()
}

fn refused(found: &Found, way: Way) -> u64 {
    let ways = found.ways.iter().filter(|report| report.way == way);
    ways.map(|report| report.refused).sum()
}

/// True if the board is the simulated one.
fn is(found: &FoundBoard, board: &SimBoard) -> bool {
    found.address.as_ref().unwrap().to_string() == board.address().to_string()
        && found.addresses == [board.ip()]
        && found.hosts == [format!("rfmux{}.local", board.serial())]
}

#[tokio::test]
async fn every_board_is_found_once_in_all_its_ways_and_nothing_is_sent_to_it() {
    let bench = Bench::new();
    let farm = bench.farm(3).start().await.unwrap();
    let mut found = find(&bench.options()).await;
    assert!(found.is_sound(), "{found:?}");
    assert_eq!(serials(&found), ["0001", "0002", "0003"]);
    for (one, board) in found.boards.iter().zip(farm.boards()) {
        assert_eq!(one.found_by, [Way::Mdns, Way::Stream], "{one:?}");
        assert!(is(one, board), "{one:?}");
        assert_eq!(one.services.len(), 1);
        assert_eq!(
            (one.firmware.as_ref(), board.counters().requests),
            (None, 0)
        );
    }
    // What was said before is forgotten.
    found.boards[0].said_serial = Some("9".to_owned());
    let earlier = "it says serial number 9".to_owned();
    found.boards[0].conflicts.push(earlier);
    found.ask().await;
    for one in &found.boards {
        assert_eq!(one.firmware.as_deref(), Some("1.7.0-sim"), "{one:?}");
    }
    assert!(found.is_sound(), "{found:?}");
    let map = HardwareMap::parse(&found.map_toml(), "found").unwrap();
    for (entry, board) in map.boards().iter().zip(farm.boards()) {
        assert_eq!(entry.name, board.name());
        let port = board.address().port();
        assert_eq!(
            entry.address().to_string(),
            format!("rfmux{}.local:{port}", board.serial())
        );
    }
}

#[tokio::test]
async fn a_board_in_its_boot_window_is_found_by_its_beacon_alone() {
    let bench = Bench::new();
    let farm = bench
        .farm(1)
        .boot_window(Duration::from_secs(60), bench.beacons);
    let farm = farm.start().await.unwrap();
    let mut found = find(&bench.options()).await;
    found.ask().await;
    assert_eq!(serials(&found), ["0001"]);
    let board = &found.boards[0];
    assert_eq!(board.found_by, [Way::Beacon]);
    assert_eq!(board.addresses, [farm.boards()[0].ip()]);
    // Its boot loader was not asked.
    assert!(board.error.is_none() && found.is_sound(), "{board:?}");
}

#[tokio::test]
async fn two_boards_with_one_serial_number_are_both_listed_and_told() {
    let bench = Bench::new();
    let first = bench.farm(2).start().await.unwrap();
    let second = bench.farm(1).start().await.unwrap();
    let found = find(&bench.options()).await;
    assert_eq!(serials(&found), ["0001", "0001", "0002"]);
    assert!(!found.is_sound());
    let mut places = [&first.boards()[0], &second.boards()[0]];
    places.sort_by_key(|board| board.ip());
    for (one, board) in found.boards.iter().zip(places) {
        assert!(is(one, board), "{one:?}");
        let conflict = &one.conflicts[0];
        for board in places {
            assert!(conflict.contains(&board.ip().to_string()), "{conflict}");
        }
    }
    let map = HardwareMap::parse(&found.map_toml(), "found").unwrap();
    assert_eq!(map.boards().len(), 1);
}

#[tokio::test]
async fn what_hostile_programs_send_is_refused_and_counted() {
    let bench = Bench::new();
    let _farm = bench.farm(1).start().await.unwrap();
    let beacon = b"FWREQ/1\nSerial: \"\x1b[2J\"\n\n".to_vec();
    let loops = b"\0\0\x84\0\0\0\0\x01\0\0\0\0\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04\x0a\0\0\x01";
    let counts = b"\0\0\x84\0\0\0\xff\xff\xff\xff\xff\xff";
    let found = bench
        .find_among(&[
            (Way::Mdns, b"nonsense".to_vec()),
            (Way::Mdns, loops.to_vec()),
            (Way::Mdns, counts.to_vec()),
            (Way::Mdns, vec![0xff; 9000]),
            (Way::Stream, vec![0x4b; 1072]),
            (Way::Stream, Vec::new()),
            (Way::Beacon, b"FWREQ".to_vec()),
            (Way::Beacon, beacon),
        ])
        .await;
    for (way, count) in [(Way::Mdns, 4), (Way::Stream, 2), (Way::Beacon, 1)] {
        assert_eq!(refused(&found, way), count, "{:?}", found.ways);
    }
    assert_eq!(serials(&found), ["0001", "\u{1b}[2J"]);
    let toml = found.map_toml();
    assert_eq!(
        HardwareMap::parse(&toml, "found").unwrap().boards().len(),
        1
    );
    assert!(!toml.contains('\u{1b}'), "{toml:?}");
}

#[tokio::test]
async fn a_way_that_cannot_be_searched_is_told_and_the_others_are() {
    let bench = Bench::new();
    let _farm = bench.farm(1).start().await.unwrap();
    let _taken = UdpSocket::bind(bench.beacons).unwrap();
    let found = find(&bench.options()).await;
    assert_eq!(serials(&found), ["0001"]);
    assert!(!found.is_sound());
    let failed: Vec<_> = found
        .ways
        .iter()
        .filter(|way| way.error.is_some())
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].way, Way::Beacon);
    let error = failed[0].error.as_ref().unwrap().to_string();
    assert!(error.contains("wait for the other program"), "{error}");
}
