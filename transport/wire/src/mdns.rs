//! Multicast DNS (RFC 6762), by which hosts of a local network answer questions about their names,
//! and the discovery of services by it (RFC 6763). The module has the messages, and the half of a
//! host that answers. Neither does any I/O.
//!
//! The package `simple-dns` reads and writes the messages. This module refuses messages before it
//! if their numbers of records cannot be true, and converts their names to text in which every
//! byte is visible.
//!
//! | file | content |
//! |---|---|
//! | `name` | names, as text |
//! | `message` | questions and answers |
//! | `announced` | a host that answers questions about itself (feature `server`) |

#[cfg(feature = "server")]
mod announced;
mod message;
mod name;

use std::net::Ipv4Addr;

#[cfg(feature = "server")]
pub use announced::Announced;
pub use message::{Data, Message, Question, Record, RecordKind, queries};
pub use name::Name;

/// Multicast group of all questions and answers.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);

/// UDP port of all questions and answers.
pub const PORT: u16 = 5353;

/// Bytes of the longest message (RFC 6762, section 17).
pub const LONGEST_MESSAGE: usize = 9000;

/// Name whose `PTR` records are the types of all services of the network (RFC 6763, section 9).
pub const ALL_SERVICE_TYPES: &str = "_services._dns-sd._udp.local";

/// Reason why a datagram is no message, or a text no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MdnsError {
    /// The datagram does not have the form of a DNS message.
    #[error("the datagram is no DNS message: {0}")]
    Malformed(String),
    /// The datagram is too short for the number of records in its head.
    #[error("{bytes} bytes cannot hold the {records} questions and records of the head")]
    Counts {
        /// Size of the datagram.
        bytes: usize,
        /// Number of questions and records in the head.
        records: usize,
    },
    /// The message is an error, or no query and no answer to one. Multicast DNS ignores these.
    #[error("the message is no query and no answer of multicast DNS")]
    NotMdns,
    /// The text is no name.
    #[error("`{0}` is no name: parts of 1 to 63 bytes, 255 bytes in all")]
    Name(String),
}
