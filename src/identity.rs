//! Check that the board at an address is the one that the hardware map has there.
//!
//! Three signs identify a board: the serial number that it reports over its control protocol, the
//! serial number in its packets, and its hardware address in the network of this host. A missing
//! sign proves nothing. A sign that differs from the map proves that another board is at the
//! address.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;
use twotone_hal::ReceiveOptions;
use twotone_transport::look_up_ipv4;

use crate::family;
use crate::map::{BoardEntry, HardwareMap, Host, same_serial};

/// Longest time for listening to a board's stream. A board that streams sends a packet every few
/// milliseconds. The rest of the time is for the network to begin forwarding the packets.
const LISTEN: Duration = Duration::from_secs(1);

/// Identity of a board, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Name of the board in the map.
    #[serde(skip)]
    pub name: String,
    /// The conclusion from all signs.
    pub state: IdentityState,
    /// The reason for the conclusion, in words. For [`IdentityState::Another`], the reason names
    /// the difference.
    pub why: String,
    /// The serial number that the board reports over its control protocol, if any.
    pub said_serial: Option<String>,
    /// The serial numbers in the packets that came from the board's address. Empty if no packet
    /// came, or if this program did not listen.
    pub packet_serials: Vec<u32>,
    /// Hardware address of the board, if it is on a network to which this host is directly
    /// attached.
    pub mac: Option<String>,
}

/// Conclusion on the identity of a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityState {
    /// At least one sign agrees with the map, and no sign differs.
    Confirmed,
    /// No sign agrees with the map, and no sign differs.
    Unknown,
    /// At least one sign differs from the map.
    Another,
}

impl Identity {
    /// True if a sign differs from the map, so that the board is not the one in the map.
    pub fn is_another(&self) -> bool {
        self.state == IdentityState::Another
    }

    /// Returns a doubt about the board, in words, if its identity is unknown.
    pub fn doubt(&self) -> Option<String> {
        let unknown = self.state == IdentityState::Unknown;
        unknown.then(|| {
            let why = &self.why;
            format!("it is not known if it is the board of the map: {why}")
        })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            IdentityState::Confirmed => write!(f, "confirmed: {}", self.why),
            IdentityState::Unknown => write!(f, "unknown: {}", self.why),
            IdentityState::Another => f.write_str(&self.why),
        }
    }
}

/// Streams of boards that are being listened to.
#[derive(Debug)]
pub struct Listening(Vec<tworoutine::JoinHandle<Heard>>);

/// Serial numbers in the packets that came from the address of a board.
#[derive(Debug, Clone, Default)]
struct Heard {
    ip: Option<Ipv4Addr>,
    serials: Vec<u32>,
    /// Reason that the packets prove nothing about the board, if there is one.
    nothing: Option<String>,
}

impl Listening {
    /// Begins to listen, at the same time, to the streams of all boards whose serial number in
    /// `map` is one that packets can bear. It listens to each stream until the first packet comes,
    /// but for a second at most.
    pub fn begin(map: &HardwareMap) -> Self {
        Self::of(map, |entry| entry.serial_number().is_some())
    }

    /// As [`Listening::begin`], but for all boards. If a board has no serial number in the map, its
    /// packets prove nothing, but they tell people the serial number.
    pub fn to_all(map: &HardwareMap) -> Self {
        Self::of(map, |_| true)
    }

    /// Does not listen. Boards are then identified only by the serial numbers that they report, and
    /// by their hardware addresses.
    pub fn none(map: &HardwareMap) -> Self {
        Self::of(map, |_| false)
    }

    fn of(map: &HardwareMap, hears: fn(&BoardEntry) -> bool) -> Self {
        let listening = map.boards().iter().map(|entry| {
            let (entry, hears) = (entry.clone(), hears(entry));
            tworoutine::spawn(async move { listen(&entry, hears).await })
        });
        Self(listening.collect())
    }

    /// Returns the identities of the boards of `map`, in its order. `map` must be the one that was
    /// given to [`Listening::begin`], [`Listening::to_all`] or [`Listening::none`]. `said` returns
    /// the serial number that the board with a given name reports over its control protocol, if
    /// any.
    ///
    /// Call this method after the boards were connected: hardware addresses are known only then.
    pub async fn identities(
        self,
        map: &HardwareMap,
        said: impl Fn(&str) -> Option<String>,
    ) -> Vec<Identity> {
        let mut heard = Vec::with_capacity(self.0.len());
        for listening in self.0 {
            heard.push(listening.await.unwrap_or_else(|ended| Heard {
                nothing: Some(ended.to_string()),
                ..Heard::default()
            }));
        }
        let neighbours = neighbours_of_this_host();
        let boards = map.boards().iter().zip(&heard);
        boards
            .map(|(entry, found)| {
                let said = said(&entry.name).filter(|said| !said.is_empty());
                let mac = found.ip.and_then(|ip| neighbours.get(&ip).cloned());
                // Packets from an address that several boards of the map share may come from each
                // of them.
                let here = map.boards().iter().zip(&heard);
                let others = here.filter(|(other, at)| {
                    other.name != entry.name && at.ip.is_some() && at.ip == found.ip
                });
                let others: Vec<_> = others
                    .filter_map(|(other, _)| other.serial_number().map(u32::from))
                    .collect();
                judge(map, entry, said, found, &others, mac)
            })
            .collect()
    }
}

async fn listen(entry: &BoardEntry, hears: bool) -> Heard {
    let nothing = |why: &str| Heard {
        nothing: Some(why.to_owned()),
        ..Heard::default()
    };
    let address = entry.address();
    if family::streams(entry, &address).is_err() {
        return nothing("boards of its kind have no stream");
    }
    // A slow look-up of one name must not delay the others.
    let ip = match tokio::time::timeout(LISTEN, look_up_ipv4(&address)).await {
        Ok(Ok(ip)) => ip,
        Ok(Err(error)) => return nothing(&error.chain().to_string()),
        Err(_) => return nothing("its address was not found in time"),
    };
    let host = Host::new(ip.to_string(), address.port());
    let found = Heard {
        ip: Some(ip),
        ..Heard::default()
    };
    let no_number = match (entry.serial_number(), &entry.serial) {
        (Some(_), _) => None,
        (None, None) => Some("the map has no serial number of it"),
        (None, Some(_)) => {
            Some("its serial number in the map is not a number that packets can have")
        }
    };
    let nothing = |why: &str| Heard {
        nothing: Some(no_number.unwrap_or(why).to_owned()),
        ..found.clone()
    };
    if !hears {
        return nothing("this program did not listen to its stream");
    }
    let heard = match family::streams(entry, &host) {
        Ok(streams) => streams.listen(&ReceiveOptions::new(), LISTEN).await,
        Err(error) => Err(error),
    };
    match heard {
        Ok(serials) if serials.is_empty() => nothing("no packet came from it"),
        Ok(serials) => Heard {
            serials,
            nothing: no_number.map(str::to_owned),
            ..found
        },
        Err(error) => nothing(&error.chain().to_string()),
    }
}

/// Returns the conclusion on a board of the map. `others` are the serial numbers of the other
/// boards that the map has at the same address.
fn judge(
    map: &HardwareMap,
    entry: &BoardEntry,
    said: Option<String>,
    heard: &Heard,
    others: &[u32],
    mac: Option<String>,
) -> Identity {
    let mapped = entry.serial.as_deref();
    let (mut same, mut differs) = (Vec::new(), Vec::new());
    let named = |serial: &str| {
        let mut boards = map.boards().iter().filter(|board| board.name != entry.name);
        let same = boards.find(|board| {
            let other = board.serial.as_deref().map(same_serial);
            other.is_some_and(|other| other == same_serial(serial))
        });
        same.map_or_else(String::new, |board| {
            format!(", which is {} of the map", board.name)
        })
    };
    if let (Some(said), Some(mapped)) = (&said, mapped) {
        match same_serial(said) == same_serial(mapped) {
            true => same.push("it says its serial number".to_owned()),
            false => differs.push(format!("it says serial number {said}{}", named(said))),
        }
    }
    let own = entry.serial_number().map(u32::from);
    let mut strange = heard
        .serials
        .iter()
        .filter(|serial| own.is_some() && !others.contains(serial));
    if heard.serials.iter().any(|serial| Some(*serial) == own) {
        same.push("its packets bear its serial number".to_owned());
    } else if let Some(serial) = strange.next() {
        let serial = format!("{serial:04}");
        differs.push(format!(
            "its packets bear serial number {serial}{}",
            named(&serial)
        ));
    }
    if let (Some(mac), Some(mapped)) = (&mac, &entry.mac) {
        match mac == mapped {
            true => same.push("it has its hardware address".to_owned()),
            false => differs.push(format!("its hardware address is {mac}")),
        }
    }
    let (state, why) = match (differs.is_empty(), same.is_empty()) {
        (false, _) => {
            let serial = mapped.map(|serial| format!("serial number {serial}"));
            let address = entry
                .mac
                .as_ref()
                .map(|mac| format!("hardware address {mac}"));
            let says: Vec<_> = serial.into_iter().chain(address).collect();
            let why = format!(
                "the board at {} is not the one of the map: {}; the map says {}: mend the map, \
                 or put the right board there",
                entry.address(),
                differs.join(", and "),
                says.join(" and "),
            );
            (IdentityState::Another, why)
        }
        (true, false) => (IdentityState::Confirmed, same.join(", and ")),
        (true, true) => {
            let why = heard.nothing.clone();
            let why = why.unwrap_or_else(|| "other boards have its address too".to_owned());
            (IdentityState::Unknown, why)
        }
    };
    Identity {
        name: entry.name.clone(),
        state,
        why,
        said_serial: said,
        packet_serials: heard.serials.clone(),
        mac,
    }
}

/// File in which Linux lists the hardware addresses of the neighbours on this host's networks.
const NEIGHBOURS: &str = "/proc/net/arp";

/// Returns the hardware addresses that the kernel knows.
pub(crate) fn neighbours_of_this_host() -> BTreeMap<Ipv4Addr, String> {
    neighbours(&std::fs::read_to_string(NEIGHBOURS).unwrap_or_default())
}

/// Returns the hardware addresses in a list of neighbours.
fn neighbours(text: &str) -> BTreeMap<Ipv4Addr, String> {
    let neighbour = |line: &str| {
        let mut fields = line.split_whitespace();
        let ip = fields.next()?.parse().ok()?;
        let (flags, mac) = (fields.nth(1)?, fields.next()?);
        // An entry without the flag [`COMPLETE`] has no hardware address: its neighbour has not
        // answered.
        let flags = u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()?;
        (flags & COMPLETE != 0).then(|| (ip, mac.to_lowercase()))
    };
    text.lines().skip(1).filter_map(neighbour).collect()
}

/// The flag of a neighbour whose address is known.
const COMPLETE: u32 = 0x2;

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = r#"
[[board]]
name = "b1"
kind = "crs"
address = "10.0.0.1"
serial = "0001"
mac = "02-00-00-00-00-AA"

[[board]]
name = "b2"
kind = "crs"
address = "10.0.0.2"
serial = "2"

[[board]]
name = "b3"
kind = "crs"
address = "10.0.0.3"
"#;

    fn check(
        board: &str,
        (said, serials, others, mac): (Option<&str>, &[u32], &[u32], Option<&str>),
        state: IdentityState,
        words: &str,
    ) {
        let map = HardwareMap::parse(MAP, "map.toml").unwrap();
        let heard = Heard {
            ip: None,
            serials: serials.to_vec(),
            nothing: serials.is_empty().then(|| "nothing was heard".to_owned()),
        };
        let owned = |text: &str| text.to_owned();
        let entry = map.board(board).unwrap();
        let found = judge(&map, entry, said.map(owned), &heard, others, mac.map(owned));
        assert_eq!(found.state, state, "{found}");
        assert!(found.to_string().contains(words), "{found}");
    }

    #[test]
    fn whatever_tells_is_heeded_and_what_is_missing_tells_nothing() {
        use IdentityState::{Another, Confirmed, Unknown};
        let mac = Some("02:00:00:00:00:aa");
        check("b1", (None, &[], &[], None), Unknown, "nothing was heard");
        check("b1", (None, &[1], &[], None), Confirmed, "its packets");
        check("b1", (Some("1"), &[], &[], None), Confirmed, "it says");
        check("b1", (None, &[], &[], mac), Confirmed, "hardware address");
        check("b2", (None, &[], &[], mac), Unknown, "nothing was heard");
        check(
            "b1",
            (None, &[2], &[], None),
            Another,
            "0002, which is b2 of the map; the map says serial number 0001",
        );
        check(
            "b1",
            (None, &[9], &[], None),
            Another,
            "serial number 0009; the map says",
        );
        check(
            "b1",
            (Some("0002"), &[1], &[], None),
            Another,
            "it says serial number 0002, which is b2",
        );
        check(
            "b1",
            (None, &[1], &[], Some("02:00:00:00:00:ab")),
            Another,
            "its hardware address is 02:00:00:00:00:ab; ",
        );
        // Two boards share one address.
        check("b1", (None, &[2, 1], &[2], None), Confirmed, "its packets");
        check(
            "b1",
            (None, &[2], &[2], None),
            Unknown,
            "other boards have its address",
        );
        // The map has no sign for the board `b3`, so any board may be at its address.
        check(
            "b3",
            (Some("7"), &[], &[], None),
            Unknown,
            "nothing was heard",
        );
        check("b3", (None, &[7], &[], None), Unknown, "");
    }

    #[test]
    fn neighbours_are_read_as_the_kernel_lists_them() {
        let text = "IP address       HW type     Flags       HW address            Mask     Device\n\
                    10.0.0.1         0x1         0x2         02:00:00:00:00:AA     *        eth0\n\
                    10.0.0.2         0x1         0x0         00:00:00:00:00:00     *        eth0\n\
                    10.0.0.3         0x1         0x6         02:00:00:00:00:ab     *        eth1\n\
                    nonsense\n";
        let found = neighbours(text);
        let found: Vec<_> = found
            .iter()
            .map(|(ip, mac)| format!("{ip} {mac}"))
            .collect();
        assert_eq!(
            found,
            ["10.0.0.1 02:00:00:00:00:aa", "10.0.0.3 02:00:00:00:00:ab"]
        );
    }
}
