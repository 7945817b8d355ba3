//! Questions that find the hosts of boards, and their answers. No I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use twotone_wire::mdns::{
    ALL_SERVICE_TYPES, Data, MdnsError, Message, Name, Question, Record, RecordKind,
};

use super::resolve::is_of_one_host;
use super::{FIRST_INTERVAL, MOST_ADDRESSES};
use crate::find::Service;

/// Largest number of entries of each kind that are kept: hosts, services, types of services and
/// questions. Further ones are left out and counted.
const MOST_ENTRIES: usize = 4096;
/// Largest number of texts of a service. A service with more is kept without them.
const MOST_TEXTS: usize = 64;
/// Bytes of the longest texts of a service, keys included (RFC 6763, section 6.2).
const LONGEST_TEXTS: usize = 1300;
/// Largest number of times that a question is asked.
const MOST_TIMES: u32 = 3;

/// A host by the answer of one sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// Name of the host.
    pub(crate) name: Name,
    /// Addresses in the answer; the one from which it came is the first.
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
    /// Hosts that are looked for and ports of the instances of their services, by name and sender.
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
        if ttl_s == 0 {
            return self.take_back(&(name, from), &data);
        }
        let is_board = (self.is_board)(name.as_str());
        match data {
            Data::A(_) if !is_board => {}
            Data::A(address) if !is_of_one_host(address, from) => self.left_out += 1,
            Data::A(address) => {
                self.answered(&name, RecordKind::A);
                let (key, is_full) = ((name, from), self.hosts.len() >= MOST_ENTRIES);
                if is_full && !self.hosts.contains_key(&key) {
                    self.left_out += 1;
                    return;
                }
                let addresses = self.hosts.entry(key).or_default();
                match addresses.len() < MOST_ADDRESSES || addresses.contains(&address) {
                    true => drop(addresses.insert(address)),
                    false => self.left_out += 1,
                }
            }
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
            Data::Srv { port, target } => {
                self.answered(&name, RecordKind::Srv);
                if !(self.is_board)(target.as_str()) {
                    return;
                }
                self.ask(Ok(target.clone()), RecordKind::A);
                let kept = keep(&mut self.places, (name, from), (target, port));
                self.left_out += u64::from(!kept);
            }
            Data::Txt(texts) => {
                self.answered(&name, RecordKind::Txt);
                let bytes = texts.iter().map(|(key, value)| key.len() + value.len());
                if texts.len() > MOST_TEXTS || bytes.sum::<usize>() > LONGEST_TEXTS {
                    self.left_out += 1;
                    return;
                }
                let kept = keep(&mut self.texts, (name, from), texts);
                self.left_out += u64::from(!kept);
            }
        }
    }

    /// Forgets a record that its host takes back. It is no answer: another record may follow.
    fn take_back(&mut self, key: &(Name, Ipv4Addr), data: &Data) {
        match data {
            Data::A(address) => {
                if let Some(addresses) = self.hosts.get_mut(key) {
                    addresses.remove(address);
                    if addresses.is_empty() {
                        self.hosts.remove(key);
                    }
                }
            }
            Data::Srv { .. } => drop(self.places.remove(key)),
            Data::Txt(_) => drop(self.texts.remove(key)),
            Data::Ptr(_) => {}
        }
    }

    /// Asks no more for records of which a host has only one set.
    fn answered(&mut self, name: &Name, kind: RecordKind) {
        let name = name.clone();
        if let Some((times, _)) = self.questions.get_mut(&Question { name, kind }) {
            *times = MOST_TIMES;
        }
    }

    /// The hosts of boards, with the services that the same sender has announced. If it has
    /// announced none, they have those of other senders, which may answer for them. A host that
    /// only a service names has no address.
    pub(crate) fn into_hosts(mut self) -> Vec<Host> {
        let mut services: BTreeMap<(Name, Ipv4Addr), Vec<Service>> = BTreeMap::new();
        let mut all: BTreeMap<Name, BTreeSet<Service>> = BTreeMap::new();
        for ((instance, from), (target, port)) in self.places {
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
            // The address that has answered can be reached from here.
            let mut addresses: Vec<_> = addresses.into_iter().collect();
            addresses.sort_by_key(|address| *address != from);
            hosts.push(Host {
                name,
                addresses,
                services,
            });
        }
        all.retain(|name, _| !named.contains(name));
        hosts.extend(all.into_iter().map(|(name, services)| Host {
            name,
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
mod tests;
