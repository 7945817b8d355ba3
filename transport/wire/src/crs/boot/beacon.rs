//! Beacon of a board in its boot window, and the answer that redirects its console. The boot window
//! is the time after power-on in which the firmware of a board can be replaced over the network.
//!
//! Beacon and answer each consist of a line with a version, lines of `KEY:VALUE`, and an empty
//! line.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// Announcement of a board in its boot window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beacon {
    /// Version of the format of the beacon. The answer repeats the version.
    pub version: u32,
    /// Serial number of the board, as the board writes it.
    pub serial: String,
    /// Serial number of the crate; `None` if the board is in no crate or does not know it.
    pub crate_serial: Option<String>,
}

/// Reason why a datagram cannot be read as a beacon or as an answer to a beacon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BeaconError {
    /// The bytes are not UTF-8.
    #[error("the datagram is not text")]
    NotText,
    /// The first line is not the expected one.
    #[error("the first line is {0:?}, not {1}/VERSION")]
    FirstLine(String, &'static str),
    /// A line that must be there is missing, or has no valid value.
    #[error("no valid line `{0}`")]
    Missing(&'static str),
}

/// Returns the version in the first line, and an iterator over the keys and values after it.
fn lines<'a>(
    datagram: &'a [u8],
    first: &'static str,
) -> Result<(u32, impl Iterator<Item = (&'a str, &'a str)> + Clone), BeaconError> {
    let text = std::str::from_utf8(datagram).map_err(|_| BeaconError::NotText)?;
    let mut lines = text.split('\n').map(str::trim_end);
    let head = lines.next().unwrap_or_default();
    let version = head.strip_prefix(first);
    let version = version.and_then(|rest| rest.strip_prefix('/')?.parse().ok());
    let Some(version) = version else {
        // The text appears in a log, and any computer can send it, so only its beginning is kept.
        let head = head.chars().take(40).collect();
        return Err(BeaconError::FirstLine(head, first));
    };
    let fields = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')));
    Ok((version, fields))
}

impl Beacon {
    /// First line of a beacon, before the version.
    const FIRST: &'static str = "FWREQ";

    /// Reads a beacon.
    ///
    /// # Errors
    /// If the datagram is not a beacon, or has no serial number.
    pub fn parse(datagram: &[u8]) -> Result<Self, BeaconError> {
        let (version, fields) = lines(datagram, Self::FIRST)?;
        let value = |name: &str| {
            let mut fields = fields.clone();
            let (_, value) = fields.find(|(key, _)| *key == name)?;
            (!value.is_empty()).then(|| value.to_owned())
        };
        Ok(Self {
            version,
            serial: value("Serial").ok_or(BeaconError::Missing("Serial"))?,
            crate_serial: value("Crate Serial"),
        })
    }

    /// Writes the beacon.
    pub fn emit(&self) -> Vec<u8> {
        let mut text = format!("{}/{}\n", Self::FIRST, self.version);
        let _ = writeln!(text, "Serial: \"{}\"", self.serial);
        if let Some(crate_serial) = &self.crate_serial {
            let _ = writeln!(text, "Crate Serial: \"{crate_serial}\"");
        }
        text.push('\n');
        text.into_bytes()
    }
}

/// Answer to a beacon: the address of the host to which the board sends its console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redirect {
    /// Version of the beacon.
    pub version: u32,
    /// Address of the host.
    pub address: Ipv4Addr,
    /// Port of the board that takes input.
    pub in_port: u16,
    /// Port of the host that takes output.
    pub out_port: u16,
}

impl Redirect {
    /// First line of an answer, before the version.
    const FIRST: &'static str = "FWRESP";

    /// Reads an answer to a beacon.
    ///
    /// # Errors
    /// If the datagram is not an answer, or a line is missing or has no valid value.
    pub fn parse(datagram: &[u8]) -> Result<Self, BeaconError> {
        let (version, fields) = lines(datagram, Self::FIRST)?;
        let value = |name: &'static str| {
            let mut fields = fields.clone();
            let found = fields.find(|(key, _)| *key == name);
            found
                .map(|(_, value)| value)
                .ok_or(BeaconError::Missing(name))
        };
        let port = |name| match value(name)?.parse() {
            Ok(0) | Err(_) => Err(BeaconError::Missing(name)),
            Ok(port) => Ok(port),
        };
        Ok(Self {
            version,
            address: value("ncip")?
                .parse()
                .map_err(|_| BeaconError::Missing("ncip"))?,
            in_port: port("ncinport")?,
            out_port: port("ncoutport")?,
        })
    }

    /// Writes the answer.
    pub fn emit(&self) -> Vec<u8> {
        format!(
            "{}/{}\nncip:{}\nncinport:{}\nncoutport:{}\n\n",
            Self::FIRST,
            self.version,
            self.address,
            self.in_port,
            self.out_port
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beacon_as_boards_write_it_is_read() {
        let beacon =
            Beacon::parse(b"FWREQ/1\nSerial: \"0042\"\nCrate Serial: \"011\"\n\n").unwrap();
        assert_eq!(beacon.serial, "0042");
        assert_eq!(beacon.crate_serial.as_deref(), Some("011"));
        assert_eq!(Beacon::parse(&beacon.emit()), Ok(beacon));
    }

    #[test]
    fn a_beacon_may_have_other_lines_and_no_crate() {
        let beacon =
            Beacon::parse(b"FWREQ/2\r\nBoard: x:y\r\nSerial: 7\r\nCrate Serial: \"\"\r\n\r\nmore");
        let beacon = beacon.unwrap();
        assert_eq!((beacon.version, beacon.serial.as_str()), (2, "7"));
        assert_eq!(beacon.crate_serial, None);
    }

    #[test]
    fn other_datagrams_are_refused() {
        for bytes in [
            &b""[..],
            b"FWREQ",
            b"FWREQ/x\nSerial: 1\n\n",
            b"FWRESP/1\nSerial: 1\n\n",
            b"FWREQ/1\n\nSerial: 1\n",
            b"FWREQ/1\nSerial: \"\"\n\n",
            b"\xff\xfe",
        ] {
            assert!(Beacon::parse(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let redirect = Redirect {
            version: 1,
            address: Ipv4Addr::LOCALHOST,
            in_port: 40_000,
            out_port: 40_001,
        };
        let text = redirect.emit();
        assert_eq!(
            text,
            b"FWRESP/1\nncip:127.0.0.1\nncinport:40000\nncoutport:40001\n\n"
        );
        assert_eq!(Redirect::parse(&text), Ok(redirect));
        for bytes in [
            &b"FWRESP/1\nncip:127.0.0.1\nncinport:0\nncoutport:1\n\n"[..],
            b"FWRESP/1\nncip:here\nncinport:1\nncoutport:1\n\n",
            b"FWRESP/1\nncip:127.0.0.1\nncinport:1\n\n",
        ] {
            assert!(Redirect::parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
