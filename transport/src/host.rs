//! Where a board answers.

use std::fmt;
use std::str::FromStr;

use twotone_hal::{Error, ErrorKind};

/// A host name or address with a port: `127.0.0.2:18082`, `rfmux0042.local`, `[::1]:80`.
/// Port 80 where none is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    name: String,
    port: u16,
}

impl Host {
    /// The port of boards that are not told another.
    pub const DEFAULT_PORT: u16 = 80;

    /// The host of this name or address, without brackets, at `port`.
    pub fn new(name: impl Into<String>, port: u16) -> Self {
        Self {
            name: name.into(),
            port,
        }
    }

    /// The board with this serial number, by its own multicast DNS name.
    pub fn of_serial(serial: &str) -> Self {
        Self {
            name: format!("rfmux{serial}.local"),
            port: Self::DEFAULT_PORT,
        }
    }

    /// The board in this slot of a crate, by its own multicast DNS name.
    pub fn of_slot(slot: u8, crate_serial: &str) -> Self {
        Self {
            name: format!("slot{slot}.crate{crate_serial}.local"),
            port: Self::DEFAULT_PORT,
        }
    }

    /// The name or address, without brackets.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Host {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::new(
                ErrorKind::InvalidArgument,
                format!("{text:?} is no host[:port]: {why}"),
            )
        };
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, after) = rest
                    .split_once(']')
                    .ok_or_else(|| wrong("`]` is missing"))?;
                match after.strip_prefix(':') {
                    Some(port) => (name, Some(port)),
                    None if after.is_empty() => (name, None),
                    None => return Err(wrong("only a port may follow `]`")),
                }
            }
            None => match text.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err(wrong("an IPv6 address stands in brackets"));
                }
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(wrong("the name is empty or has a space or slash in it"));
        }
        let port = match port {
            None => Self::DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(wrong("a port is a number from 1 to 65535")),
                Ok(port) => port,
            },
        };
        Ok(Self {
            name: name.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_with_ports() {
        for (text, name, port) in [
            ("127.0.0.2:18082", "127.0.0.2", 18082),
            ("rfmux0042.local", "rfmux0042.local", 80),
            ("[::1]:8080", "::1", 8080),
            ("[::1]", "::1", 80),
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!((host.name(), host.port()), (name, port), "{text}");
            assert_eq!(host.to_string().parse::<Host>().unwrap(), host);
        }
        assert_eq!(Host::of_serial("0042").to_string(), "rfmux0042.local:80");
        assert_eq!(
            Host::of_slot(3, "007").to_string(),
            "slot3.crate007.local:80"
        );
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "", ":80", "a:0", "a:65536", "a:b", "::1", "[::1", "[::1]80", "a b", "http://a",
        ] {
            assert!(text.parse::<Host>().is_err(), "{text}");
        }
    }
}
