//! A host that answers questions about itself.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::{ALL_SERVICE_TYPES, Data, Message, Name, Question, Record, RecordKind};

/// Lifetime of records that contain a host name or an address, in seconds (RFC 6762, section 10).
const HOST_TTL_S: u32 = 120;
/// Lifetime of other records, in seconds (RFC 6762, section 10).
const OTHER_TTL_S: u32 = 4500;
/// Longest lifetime in an answer to a single host, in seconds (RFC 6762, section 6.7).
const LEGACY_TTL_S: u32 = 10;

/// A host with one service, as its multicast DNS describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Name of the host.
    pub host: Name,
    /// Address of the host.
    pub address: Ipv4Addr,
    /// Type of the service: `_http._tcp.local`.
    pub service: Name,
    /// Name of the instance of the service.
    pub instance: Name,
    /// Port of the service.
    pub port: u16,
    /// Texts of the service.
    pub texts: BTreeMap<String, String>,
}

impl Announced {
    /// Returns the answer to a query, or `None` if the host has no record that is asked for.
    ///
    /// With `to_one`, the answer is for a single host that asked from another port than 5353. It
    /// repeats the questions, and its records have short lifetimes.
    pub fn answer(&self, query: &Message, to_one: bool) -> Option<Message> {
        if query.is_answer {
            return None;
        }
        let mut records: Vec<Record> = Vec::new();
        for question in &query.questions {
            for record in self.records_for(question) {
                if !records.contains(&record) {
                    records.push(record);
                }
            }
        }
        if records.is_empty() {
            return None;
        }
        if to_one {
            for record in &mut records {
                record.ttl_s = record.ttl_s.min(LEGACY_TTL_S);
            }
        }
        Some(Message {
            id: if to_one { query.id } else { 0 },
            is_answer: true,
            questions: if to_one {
                query.questions.clone()
            } else {
                Vec::new()
            },
            records,
        })
    }

    fn records_for(&self, question: &Question) -> Vec<Record> {
        let name = &question.name;
        let pointer = |to: &Name| Record {
            name: name.clone(),
            ttl_s: OTHER_TTL_S,
            data: Data::Ptr(to.clone()),
        };
        let address = || Record {
            name: self.host.clone(),
            ttl_s: HOST_TTL_S,
            data: Data::A(self.address),
        };
        let place = || Record {
            name: self.instance.clone(),
            ttl_s: HOST_TTL_S,
            data: Data::Srv {
                port: self.port,
                target: self.host.clone(),
            },
        };
        let texts = || Record {
            name: self.instance.clone(),
            ttl_s: OTHER_TTL_S,
            data: Data::Txt(self.texts.clone()),
        };
        match question.kind {
            RecordKind::A if *name == self.host => vec![address()],
            RecordKind::Ptr if name.as_str() == ALL_SERVICE_TYPES => vec![pointer(&self.service)],
            RecordKind::Ptr if *name == self.service => {
                vec![pointer(&self.instance), place(), texts(), address()]
            }
            RecordKind::Srv if *name == self.instance => vec![place(), address()],
            RecordKind::Txt if *name == self.instance => vec![texts()],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_one_host_does_not_say_that_it_replaces_others() {
        let service: Name = "_http._tcp.local".parse().unwrap();
        let board = Announced {
            host: "rfmux0042.local".parse().unwrap(),
            address: Ipv4Addr::new(10, 0, 0, 42),
            instance: service.with_first("board").unwrap(),
            service: service.clone(),
            port: 80,
            texts: BTreeMap::new(),
        };
        let query = Message {
            id: 7,
            is_answer: false,
            questions: vec![Question {
                name: service,
                kind: RecordKind::Ptr,
            }],
            records: Vec::new(),
        };
        for (to_one, expected) in [(false, [false, true, true, true]), (true, [false; 4])] {
            let answer = board.answer(&query, to_one).unwrap();
            assert_eq!(answer.questions.is_empty(), !to_one);
            let bytes = answer.emit().unwrap();
            let packet = simple_dns::Packet::parse(&bytes).unwrap();
            let replaces = packet.answers.iter().map(|record| record.cache_flush);
            assert_eq!(replaces.collect::<Vec<_>>(), expected);
        }
    }
}
