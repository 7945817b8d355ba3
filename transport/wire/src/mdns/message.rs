//! Questions and answers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use simple_dns::rdata::{self, RData};
use simple_dns::{
    CLASS, Label, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE,
};

use super::{MdnsError, Name};

/// Bytes of the head of a message.
const HEAD: usize = 12;
/// Bytes of the shortest question: an empty name, type and class.
const SHORTEST_QUESTION: usize = 5;
/// Bytes of the shortest record: an empty name, type, class, lifetime and length.
const SHORTEST_RECORD: usize = 11;
/// Bytes of a datagram of questions after which another one begins. Headers included, it fits into
/// a frame of Ethernet.
const MOST_BYTES: usize = 1400;

/// Types of records that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// IPv4 address of a host.
    A,
    /// Name that another name points to: an instance of a service, or the type of one.
    Ptr,
    /// Host and port of an instance of a service.
    Srv,
    /// Texts of an instance of a service.
    Txt,
}

/// A question for the records of a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    /// The name.
    pub name: Name,
    /// The type of the records.
    pub kind: RecordKind,
}

/// A record of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Name that the record belongs to.
    pub name: Name,
    /// Lifetime, in seconds. 0 means that the record is not valid any more.
    pub ttl_s: u32,
    /// Content of the record.
    pub data: Data,
}

/// Content of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// IPv4 address of a host.
    A(Ipv4Addr),
    /// Name that the name of the record points to.
    Ptr(Name),
    /// Place of an instance of a service.
    Srv {
        /// TCP or UDP port.
        port: u16,
        /// Host.
        target: Name,
    },
    /// Texts of an instance of a service, as keys and values. A key without a value has an empty
    /// one.
    Txt(BTreeMap<String, String>),
}

/// A message of multicast DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Number of the message. An answer to a single host repeats the number of its question.
    pub id: u16,
    /// True for an answer, false for a query.
    pub is_answer: bool,
    /// Questions for records of the types in [`RecordKind`]. Others are left out.
    pub questions: Vec<Question>,
    /// Records of the types in [`RecordKind`], of the answer and of its additional section. Others
    /// are left out.
    pub records: Vec<Record>,
}

impl Message {
    /// Reads a message.
    ///
    /// The memory that is allocated is proportional to the size of the datagram, whatever its
    /// numbers of records say.
    ///
    /// # Errors
    /// If the datagram is no message of multicast DNS. One part that cannot be read spoils the
    /// whole message.
    pub fn parse(datagram: &[u8]) -> Result<Self, MdnsError> {
        check_counts(datagram)?;
        let malformed = |error: simple_dns::SimpleDnsError| MdnsError::Malformed(error.to_string());
        let packet = Packet::parse(datagram).map_err(malformed)?;
        if packet.opcode() != OPCODE::StandardQuery || packet.rcode() != RCODE::NoError {
            return Err(MdnsError::NotMdns);
        }
        let questions = packet.questions.iter().filter_map(|question| {
            Some(Question {
                name: name(&question.qname),
                kind: RecordKind::asked_by(question.qtype)?,
            })
        });
        let records = packet.answers.iter().chain(&packet.additional_records);
        Ok(Self {
            id: packet.id(),
            is_answer: packet.has_flags(PacketFlag::RESPONSE),
            questions: questions.collect(),
            records: records.filter_map(Record::of).collect(),
        })
    }

    /// Writes the message. An answer says that it comes from the host that its records are about.
    ///
    /// # Errors
    /// [`MdnsError::Malformed`] if a text is longer than 255 bytes.
    pub fn emit(&self) -> Result<Vec<u8>, MdnsError> {
        let mut packet = match self.is_answer {
            true => Packet::new_reply(self.id),
            false => Packet::new_query(self.id),
        };
        if self.is_answer {
            packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        }
        for question in &self.questions {
            let asked = QTYPE::TYPE(question.kind.code());
            let class = QCLASS::CLASS(CLASS::IN);
            let name = wire_name(&question.name);
            packet
                .questions
                .push(simple_dns::Question::new(name, asked, class, false));
        }
        let malformed = |error: simple_dns::SimpleDnsError| MdnsError::Malformed(error.to_string());
        for record in &self.records {
            // Several hosts may have records of type `PTR` with the same name, and the answer of
            // one does not replace those of the others. An answer to a single host, which repeats
            // the questions, never says that it replaces others (RFC 6762, section 6.7).
            let replaces = self.questions.is_empty() && !matches!(record.data, Data::Ptr(_));
            let record = record.wire().map_err(malformed)?;
            packet.answers.push(record.with_cache_flush(replaces));
        }
        packet.build_bytes_vec_compressed().map_err(malformed)
    }
}

/// Datagrams with these questions, as few as are short enough for the network.
pub fn queries(questions: &[Question]) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    let mut rest = questions;
    while !rest.is_empty() {
        let (mut bytes, mut count) = (HEAD, 0);
        for question in rest {
            bytes += question.name.as_str().len() + 6;
            if count > 0 && bytes > MOST_BYTES {
                break;
            }
            count += 1;
        }
        let (now, later) = rest.split_at(count);
        rest = later;
        let query = Message {
            id: 0,
            is_answer: false,
            questions: now.to_vec(),
            records: Vec::new(),
        };
        // Questions have no texts, which alone can be too long.
        datagrams.extend(query.emit());
    }
    datagrams
}

impl RecordKind {
    fn code(self) -> TYPE {
        match self {
            Self::A => TYPE::A,
            Self::Ptr => TYPE::PTR,
            Self::Srv => TYPE::SRV,
            Self::Txt => TYPE::TXT,
        }
    }

    fn asked_by(asked: QTYPE) -> Option<Self> {
        let QTYPE::TYPE(asked) = asked else {
            return None;
        };
        let all = [Self::A, Self::Ptr, Self::Srv, Self::Txt];
        all.into_iter().find(|kind| kind.code() == asked)
    }
}

impl Record {
    fn of(record: &ResourceRecord<'_>) -> Option<Self> {
        if record.class != CLASS::IN {
            return None;
        }
        let data = match &record.rdata {
            RData::A(a) => Data::A(Ipv4Addr::from(a.address)),
            RData::PTR(pointer) => Data::Ptr(name(&pointer.0)),
            RData::SRV(service) => Data::Srv {
                port: service.port,
                target: name(&service.target),
            },
            RData::TXT(texts) => {
                let texts = texts.attributes().into_iter();
                let texts = texts.map(|(key, value)| (key, value.unwrap_or_default()));
                Data::Txt(texts.filter(|(key, _)| !key.is_empty()).collect())
            }
            _ => return None,
        };
        Some(Self {
            name: name(&record.name),
            ttl_s: record.ttl,
            data,
        })
    }

    fn wire(&self) -> simple_dns::Result<ResourceRecord<'static>> {
        let data = match &self.data {
            Data::A(address) => RData::A(rdata::A {
                address: u32::from(*address),
            }),
            Data::Ptr(name) => RData::PTR(rdata::PTR(wire_name(name))),
            Data::Srv { port, target } => RData::SRV(rdata::SRV {
                priority: 0,
                weight: 0,
                port: *port,
                target: wire_name(target),
            }),
            Data::Txt(texts) => {
                let mut all = rdata::TXT::new();
                for (key, value) in texts {
                    all.add_char_string(format!("{key}={value}").try_into()?);
                }
                RData::TXT(all)
            }
        };
        let name = wire_name(&self.name);
        Ok(ResourceRecord::new(name, CLASS::IN, self.ttl_s, data))
    }
}

/// Refuses a datagram that is too short for its numbers of records. Memory would be reserved for
/// all of them.
fn check_counts(datagram: &[u8]) -> Result<(), MdnsError> {
    let counts = datagram.get(4..HEAD).unwrap_or_default().chunks_exact(2);
    let counts: Vec<_> = counts
        .map(|count| usize::from(u16::from_be_bytes([count[0], count[1]])))
        .collect();
    let [questions, records @ ..] = &counts[..] else {
        return Err(MdnsError::Malformed("it has no head".to_owned()));
    };
    let records: usize = records.iter().sum();
    let least = HEAD + questions * SHORTEST_QUESTION + records * SHORTEST_RECORD;
    if datagram.len() < least {
        return Err(MdnsError::Counts {
            bytes: datagram.len(),
            records: questions + records,
        });
    }
    Ok(())
}

fn name(name: &simple_dns::Name<'_>) -> Name {
    Name::of_labels(name.as_bytes())
}

fn wire_name(name: &Name) -> simple_dns::Name<'static> {
    let labels = name.labels().into_iter().filter(|label| !label.is_empty());
    let labels: Vec<_> = labels.map(Label::new_unchecked).collect();
    simple_dns::Name::new_with_labels(&labels)
}
