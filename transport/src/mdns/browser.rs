//! Questions that find the hosts of boards, and their answers. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use twotone_wire::mdns::{
    ALL_SERVICE_TYPES, Data, MdnsError, Message, Name, Question, Record, RecordKind,
};

use super::resolve::is_of_one_host;
use crate::find::Service;

/// Largest number of entries of each kind that are kept: hosts, services, types of services and
/// questions. Further ones are left out and counted.
const MOST_ENTRIES: usize = 4096;
/// Largest number of addresses of a host.
const MOST_ADDRESSES: usize = 16;
/// Largest number of times that a question is asked.
const MOST_TIMES: u32 = 3;
/// Time between the first two queries for a name; it doubles with each further one (RFC 6762,
/// section 5.2).
const FIRST_INTERVAL: Duration = Duration::from_secs(1);

/// A host by the answer of one sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// Name of the host.
    pub(crate) name: Name,
    /// Address from which the answer came.
    pub(crate) from: Ipv4Addr,
    /// Addresses in the answer.
    pub(crate) addresses: Vec<Ipv4Addr>,
    /// Services of the host.
    pub(crate) services: Vec<Service>,
}

/// Answers that have come, and questions that are due.
#[derive(Debug)]
pub(crate) struct Browser {
    /// True for the names of hosts that are looked for.
    is_board: fn(&str) -> bool,
    /// Addresses of the hosts that are looked for, by name and sender.
    hosts: BTreeMap<(Name, Ipv4Addr), BTreeSet<Ipv4Addr>>,
    /// Hosts and ports of the instances of services, by name and sender.
    places: BTreeMap<(Name, Ipv4Addr), (Name, u16)>,
    texts: BTreeMap<(Name, Ipv4Addr), BTreeMap<String, String>>,
    /// Number of times that each question was asked, and the time of the next one.
    questions: BTreeMap<Question, (u32, Duration)>,
    /// Number of datagrams that were refused.
    pub(crate) refused: u64,
    /// Number of records that were left out: they are about addresses that no host can have, or
    /// more than can be kept.
    pub(crate) left_out: u64,
}

impl Browser {
    /// Looks for hosts whose names `is_board` accepts. At first, it asks for the types of all
    /// services, and for the services of the types in `services`.
    pub(crate) fn new(is_board: fn(&str) -> bool, services: &[&str]) -> Self {
        let mut browser = Self {
            is_board,
            hosts: BTreeMap::new(),
            places: BTreeMap::new(),
            texts: BTreeMap::new(),
            questions: BTreeMap::new(),
            refused: 0,
            left_out: 0,
        };
        for name in [&[ALL_SERVICE_TYPES][..], services].concat() {
            browser.ask(name.parse(), RecordKind::Ptr);
        }
        browser
    }

    /// Also asks for the address of a host.
    pub(crate) fn ask_for_host(&mut self, name: &str) {
        self.ask(name.parse(), RecordKind::A);
    }

    fn ask(&mut self, name: Result<Name, MdnsError>, kind: RecordKind) {
        let Ok(name) = name else {
            self.left_out += 1;
            return;
        };
        let question = Question { name, kind };
        if self.questions.contains_key(&question) {
            return;
        }
        match self.questions.len() < MOST_ENTRIES {
            true => drop(self.questions.insert(question, (0, Duration::ZERO))),
            false => self.left_out += 1,
        }
    }

    /// Questions that are due at a time since the start.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<Question> {
        let mut due = Vec::new();
        for (question, (times, next)) in &mut self.questions {
            if *times < MOST_TIMES && *next <= now {
                *next = now + FIRST_INTERVAL * 2_u32.pow(*times);
                *times += 1;
                due.push(question.clone());
            }
        }
        due
    }

    /// Takes a datagram from `from`. Queries of other hosts are ignored.
    pub(crate) fn take(&mut self, datagram: &[u8], from: Ipv4Addr) {
        match Message::parse(datagram) {
            Ok(message) if message.is_answer => {
                for record in message.records {
                    self.take_record(record, from);
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%from, %error, "a datagram of multicast DNS is refused");
                self.refused += 1;
            }
        }
    }

    fn take_record(&mut self, record: Record, from: Ipv4Addr) {
        let Record { name, ttl_s, data } = record;
        let is_board = (self.is_board)(name.as_str());
        match data {
            Data::A(_) if !is_board => {}
            Data::A(address) if !is_of_one_host(address, from) => self.left_out += 1,
            Data::A(address) => {
                self.answered(&name, RecordKind::A);
                let (key, is_full) = ((name, from), self.hosts.len() >= MOST_ENTRIES);
                if ttl_s == 0 {
                    // The host takes its leave.
                    self.hosts.remove(&key);
                } else if is_full && !self.hosts.contains_key(&key) {
                    self.left_out += 1;
                } else {
                    let addresses = self.hosts.entry(key).or_default();
                    match addresses.len() < MOST_ADDRESSES || addresses.contains(&address) {
                        true => drop(addresses.insert(address)),
                        false => self.left_out += 1,
                    }
                }
            }
            Data::Ptr(_) if ttl_s == 0 => {}
            Data::Ptr(to) if name.as_str() == ALL_SERVICE_TYPES => {
                if to.as_str().ends_with(".local") {
                    self.ask(Ok(to), RecordKind::Ptr);
                }
            }
            Data::Ptr(instance) => {
                let is_asked = |kind| {
                    let name = name.clone();
                    self.questions.contains_key(&Question { name, kind })
                };
                if is_asked(RecordKind::Ptr) {
                    self.ask(Ok(instance.clone()), RecordKind::Srv);
                    self.ask(Ok(instance), RecordKind::Txt);
                }
            }
            Data::Srv { .. } if ttl_s == 0 => drop(self.places.remove(&(name, from))),
            Data::Srv { port, target } => {
                if (self.is_board)(target.as_str()) {
                    self.ask(Ok(target.clone()), RecordKind::A);
                }
                self.answered(&name, RecordKind::Srv);
                let kept = keep(&mut self.places, (name, from), (target, port));
                self.left_out += u64::from(!kept);
            }
            Data::Txt(texts) => {
                self.answered(&name, RecordKind::Txt);
                let kept = keep(&mut self.texts, (name, from), texts);
                self.left_out += u64::from(!kept);
            }
        }
    }

    /// Asks no more for records of which a host has only one set.
    fn answered(&mut self, name: &Name, kind: RecordKind) {
        let name = name.clone();
        let question = Question { name, kind };
        let is_full = self.questions.len() >= MOST_ENTRIES;
        match self.questions.get_mut(&question) {
            Some((times, _)) => *times = MOST_TIMES,
            // It need not be asked at all.
            None if !is_full => {
                let never = (MOST_TIMES, Duration::ZERO);
                self.questions.insert(question, never);
            }
            None => {}
        }
    }

    /// The hosts of boards, with the services that the same sender has announced. If it has
    /// announced none, they have those of other senders, which may answer for them. A host that
    /// only a service names has no address.
    pub(crate) fn hosts(mut self) -> Vec<Host> {
        let mut services: BTreeMap<(Name, Ipv4Addr), Vec<Service>> = BTreeMap::new();
        let mut all: BTreeMap<Name, BTreeSet<Service>> = BTreeMap::new();
        for ((instance, from), (target, port)) in self.places {
            if !(self.is_board)(target.as_str()) {
                continue;
            }
            let service = Service {
                name: instance.to_string(),
                port,
                texts: self.texts.remove(&(instance, from)).unwrap_or_default(),
            };
            all.entry(target.clone())
                .or_default()
                .insert(service.clone());
            services.entry((target, from)).or_default().push(service);
        }
        let mut hosts = Vec::with_capacity(self.hosts.len());
        let mut named = BTreeSet::new();
        for (key, addresses) in self.hosts {
            let of_all = || all.get(&key.0).into_iter().flatten().cloned().collect();
            let services = services.remove(&key).unwrap_or_else(of_all);
            let (name, from) = key;
            named.insert(name.clone());
            hosts.push(Host {
                name,
                from,
                addresses: addresses.into_iter().collect(),
                services,
            });
        }
        all.retain(|name, _| !named.contains(name));
        hosts.extend(all.into_iter().map(|(name, services)| Host {
            name,
            from: Ipv4Addr::UNSPECIFIED,
            addresses: Vec::new(),
            services: services.into_iter().collect(),
        }));
        hosts
    }
}

/// Inserts an entry, unless there are too many. Returns false if it was left out.
fn keep<K: Ord, T>(entries: &mut BTreeMap<K, T>, key: K, entry: T) -> bool {
    let fits = entries.len() < MOST_ENTRIES || entries.contains_key(&key);
    if fits {
        entries.insert(key, entry);
    }
    fits
}

#[cfg(test)]
mod tests {
    use twotone_wire::mdns::Announced;

    use super::*;

    const BOARD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 42);

    fn browser() -> Browser {
        Browser::new(|name| name.starts_with("rfmux"), &["_http._tcp.local"])
    }

    fn board() -> Announced {
        let service: Name = "_http._tcp.local".parse().unwrap();
        Announced {
            host: "rfmux0042.local".parse().unwrap(),
            address: BOARD,
            instance: service.with_first("board 0042").unwrap(),
            service,
            port: 80,
            texts: [("release".to_owned(), "1.7.0".to_owned())].into(),
        }
    }

    fn answer(browser: &mut Browser, records: Vec<Record>, from: Ipv4Addr) {
        let message = Message {
            id: 0,
            is_answer: true,
            questions: Vec::new(),
            records,
        };
        browser.take(&message.emit().unwrap(), from);
    }

    fn record(name: &str, ttl_s: u32, data: Data) -> Record {
        Record {
            name: name.parse().unwrap(),
            ttl_s,
            data,
        }
    }

    /// Lets a board answer the questions that are due, each record in a message of its own.
    fn let_answer(browser: &mut Browser, board: &Announced, now: u64) -> Vec<Question> {
        let due = browser.due(Duration::from_millis(now));
        for question in &due {
            let query = Message {
                id: 0,
                is_answer: false,
                questions: vec![question.clone()],
                records: Vec::new(),
            };
            for record in board
                .answer(&query, false)
                .unwrap()
                .into_iter()
                .flat_map(|a| a.records)
            {
                answer(browser, vec![record], board.address);
            }
        }
        due
    }

    #[test]
    fn a_board_is_found_by_any_service() {
        let mut browser = browser();
        let mut board = board();
        board.service = "_telemetry._tcp.local".parse().unwrap();
        board.instance = board.service.with_first("T 42").unwrap();
        assert_eq!(let_answer(&mut browser, &board, 0).len(), 2);
        // The type of its service is known now.
        let_answer(&mut browser, &board, 250);
        let hosts = browser.hosts();
        assert_eq!(hosts.len(), 1, "{hosts:?}");
        assert_eq!(hosts[0].name.as_str(), "rfmux0042.local");
        assert_eq!(
            (hosts[0].from, &hosts[0].addresses[..]),
            (BOARD, &[BOARD][..])
        );
        assert_eq!(hosts[0].services[0].texts["release"], "1.7.0");
    }

    #[test]
    fn services_belong_to_the_host_whose_address_announced_them() {
        let mut browser = browser();
        let mut other = board();
        other.address = Ipv4Addr::new(10, 0, 0, 43);
        other.port = 8080;
        for board in [board(), other] {
            let mut query = Message {
                id: 0,
                is_answer: false,
                questions: browser.due(Duration::ZERO),
                records: Vec::new(),
            };
            let name = board.service.clone();
            let kind = RecordKind::Ptr;
            query.questions.push(Question { name, kind });
            let records = board.answer(&query, false).unwrap().unwrap().records;
            answer(&mut browser, records, board.address);
        }
        let hosts = browser.hosts();
        let ports: Vec<_> = hosts.iter().map(|host| host.services[0].port).collect();
        assert_eq!(ports, [80, 8080], "{hosts:?}");
    }

    #[test]
    fn what_is_missing_is_asked_for_and_what_is_known_is_not() {
        let mut browser = browser();
        browser.due(Duration::ZERO);
        let instance = "x._http._tcp.local";
        let to = Data::Ptr(instance.parse().unwrap());
        answer(&mut browser, vec![record("_http._tcp.local", 9, to)], BOARD);
        let asked = browser.due(Duration::from_millis(10));
        assert_eq!(asked.len(), 2, "{asked:?}");
        let target = "rfmux1.local".parse().unwrap();
        let place = Data::Srv { port: 80, target };
        answer(&mut browser, vec![record(instance, 9, place)], BOARD);
        let asked = browser.due(Duration::from_millis(20));
        assert_eq!(asked[0].kind, RecordKind::A);
        answer(
            &mut browser,
            vec![record("rfmux1.local", 9, Data::A(BOARD))],
            BOARD,
        );
        // The types of services and their instances may have further answers, and the texts are
        // still missing.
        let again = browser.due(Duration::from_secs(2));
        let kinds: Vec<_> = again.iter().map(|question| question.kind).collect();
        assert_eq!(kinds.len(), 3, "{again:?}");
        assert!(!kinds.contains(&RecordKind::A) && !kinds.contains(&RecordKind::Srv));
        for _ in 0..10 {
            browser.due(Duration::from_secs(1000));
        }
        assert!(browser.due(Duration::from_secs(10_000)).is_empty());
    }

    #[test]
    fn answers_of_two_senders_are_kept_apart_and_goodbyes_count() {
        let mut browser = browser();
        let other = Ipv4Addr::new(10, 0, 0, 43);
        for address in [BOARD, other] {
            let a = record("RFMUX0042.local", 120, Data::A(address));
            answer(&mut browser, vec![a], address);
        }
        let a = record("printer.local", 120, Data::A(other));
        answer(&mut browser, vec![a], other);
        assert_eq!(browser.hosts.len(), 2);
        answer(
            &mut browser,
            vec![record("rfmux0042.local", 0, Data::A(other))],
            other,
        );
        let hosts = browser.hosts();
        assert_eq!(hosts.len(), 1);
        assert_eq!(hosts[0].from, BOARD);
    }

    #[test]
    fn hostile_answers_are_refused_and_counted() {
        let mut browser = browser();
        for datagram in [
            &b""[..],
            b"\0\0\x84\0",
            // 65,535 records in 12 bytes.
            b"\0\0\x84\0\0\0\xff\xff\xff\xff\xff\xff",
            // A name that points to itself.
            b"\0\0\x84\0\0\0\0\x01\0\0\0\0\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04\x0a\0\0\x01",
            // Two names that point to each other.
            b"\0\0\x84\0\0\0\0\x01\0\0\0\0\xc0\x0e\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04\x0a\0\0\x01",
            // An address that is said to be longer than the datagram.
            b"\0\0\x84\0\0\0\0\x01\0\0\0\0\0\0\x01\0\x01\0\0\0\x01\0\xff\x0a\0\0\x01",
        ] {
            browser.take(datagram, BOARD);
        }
        assert_eq!(browser.refused, 6);
        for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST] {
            answer(
                &mut browser,
                vec![record("rfmux1.local", 9, Data::A(address))],
                BOARD,
            );
        }
        assert_eq!(browser.left_out, 2);
        assert!(browser.hosts.is_empty());
    }

    #[test]
    fn thousands_of_answers_take_limited_memory() {
        let mut browser = browser();
        for index in 0..20_000_u32 {
            let at = Ipv4Addr::from(0x0a00_0000 + index);
            let target = format!("rfmux{index}.local");
            let instance = format!("i{index}._http._tcp.local");
            let pointer = Data::Ptr(instance.parse().unwrap());
            let place = Data::Srv {
                port: 80,
                target: target.parse().unwrap(),
            };
            let records = vec![
                record(&target, 9, Data::A(at)),
                record("rfmux0042.local", 9, Data::A(at)),
                record("_http._tcp.local", 9, pointer),
                record(&instance, 9, place),
                record(&instance, 9, Data::Txt(BTreeMap::new())),
            ];
            answer(&mut browser, records, BOARD);
        }
        assert!(browser.left_out > 60_000, "{}", browser.left_out);
        for count in [
            browser.hosts.len(),
            browser.places.len(),
            browser.questions.len(),
        ] {
            assert!(count <= MOST_ENTRIES);
        }
        assert!(browser.due(Duration::ZERO).len() <= MOST_ENTRIES);
    }
}
