//! Target that reads the messages of multicast DNS.

use std::net::Ipv4Addr;

use twotone_wire::mdns::{Announced, Data, MdnsError, Message, Name};

use super::check::twice;

/// Reads a datagram as a message. Asserts that its names are text without control characters of
/// ASCII, that a message which is written and read again is the same, and that a host answers it
/// with a message.
pub(super) fn message(bytes: &[u8]) -> String {
    let message = match twice(|| Message::parse(bytes)) {
        Ok(message) => message,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 1000, "{text}");
            return outline(&error);
        }
    };
    let asked = message.questions.iter().map(|question| &question.name);
    let named = message.records.iter().flat_map(|record| {
        let other = match &record.data {
            Data::Ptr(to) | Data::Srv { target: to, .. } => Some(to),
            Data::A(_) | Data::Txt(_) => None,
        };
        [Some(&record.name), other].into_iter().flatten()
    });
    for name in asked.chain(named) {
        assert!(
            !name.as_str().contains(|c: char| c.is_ascii_control()),
            "{name:?}"
        );
        let again = name.as_str().parse::<Name>();
        assert!(
            name.as_str().is_empty() || again.as_ref() == Ok(name),
            "{name:?}"
        );
    }
    if let Ok(written) = message.emit() {
        assert_eq!(Message::parse(&written).as_ref(), Ok(&message));
    }
    let host = host().expect("a host");
    for to_one in [false, true] {
        if let Some(answer) = host.answer(&message, to_one) {
            assert!(!message.is_answer && answer.is_answer);
            // The questions that it repeats may be too many for one datagram.
            drop(answer.emit());
        }
    }
    format!(
        "{} {} {}",
        message.is_answer,
        message.questions.len().min(4),
        message.records.len().min(4)
    )
}

fn outline(error: &MdnsError) -> String {
    match error {
        MdnsError::Malformed(why) => format!("malformed {why}"),
        MdnsError::Counts { .. } => "counts".to_owned(),
        MdnsError::NotMdns => "not mdns".to_owned(),
        _ => "other".to_owned(),
    }
}

fn host() -> Result<Announced, MdnsError> {
    let service: Name = "_http._tcp.local".parse()?;
    Ok(Announced {
        host: "rfmux0042.local".parse()?,
        address: Ipv4Addr::new(10, 0, 0, 42),
        instance: service.with_first("rfmux0042")?,
        service,
        port: 80,
        texts: [("release".to_owned(), "1.7.0".to_owned())].into(),
    })
}
