//! A host that answers questions about itself.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::{ALL_SERVICE_TYPES, Data, MdnsError, Message, Name, Question, Record, RecordKind};

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
    ///
    /// # Errors
    /// [`MdnsError::Malformed`] if a text is longer than 255 bytes.
    pub fn answer(&self, query: &Message, to_one: bool) -> Result<Option<Message>, MdnsError> {
        if query.is_answer {
            return Ok(None);
        }
        let mut records: Vec<Record> = Vec::new();
        for question in &query.questions {
            for record in self.records_for(question)? {
                if !records.contains(&record) {
                    records.push(record);
                }
            }
        }
        if records.is_empty() {
            return Ok(None);
        }
        if to_one {
            for record in &mut records {
                record.ttl_s = record.ttl_s.min(LEGACY_TTL_S);
            }
        }
        Ok(Some(Message {
            id: if to_one { query.id } else { 0 },
            is_answer: true,
            questions: if to_one {
                query.questions.clone()
            } else {
                Vec::new()
            },
            records,
        }))
    }

    fn records_for(&self, question: &Question) -> Result<Vec<Record>, MdnsError> {
        let all: Name = ALL_SERVICE_TYPES.parse()?;
        let name = &question.name;
        let pointer = |from: &Name, to: &Name| Record {
            name: from.clone(),
            ttl_s: OTHER_TTL_S,
            data: Data::Ptr(to.clone()),
        };
        let address = Record {
            name: self.host.clone(),
            ttl_s: HOST_TTL_S,
            data: Data::A(self.address),
        };
        let place = Record {
            name: self.instance.clone(),
            ttl_s: HOST_TTL_S,
            data: Data::Srv {
                port: self.port,
                target: self.host.clone(),
            },
        };
        let texts = Record {
            name: self.instance.clone(),
            ttl_s: OTHER_TTL_S,
            data: Data::Txt(self.texts.clone()),
        };
        Ok(match question.kind {
            RecordKind::A if *name == self.host => vec![address],
            RecordKind::Ptr if *name == all => vec![pointer(&all, &self.service)],
            RecordKind::Ptr if *name == self.service => {
                vec![pointer(name, &self.instance), place, texts, address]
            }
            RecordKind::Srv if *name == self.instance => vec![place, address],
            RecordKind::Txt if *name == self.instance => vec![texts],
            _ => Vec::new(),
        })
    }
}
