//! Where a board answers.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
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

    /// The host in `text`, `host[:port]`: a name or an IP address, IPv6 in brackets.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, String> {
        if let Some((scheme, rest)) = text.split_once("://") {
            let rest = rest.split('/').next().unwrap_or_default();
            return Err(format!("an address has no `{scheme}://`: write `{rest}`"));
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest
                    .split_once(']')
                    .ok_or("the bracket of an IPv6 address is not closed")?;
                host.parse::<Ipv6Addr>()
                    .map_err(|_| format!("`{host}` is not an IPv6 address"))?;
                match after {
                    "" => (host, None),
                    _ => (
                        host,
                        Some(after.strip_prefix(':').ok_or("expected `[host]:port`")?),
                    ),
                }
            }
            None => match text.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err(format!("an IPv6 address needs brackets: `[{text}]`"));
                }
                Some((host, port)) => (named(host)?, Some(port)),
                None => (named(text)?, None),
            },
        };
        let port = match port {
            None => default_port,
            Some(port) => port
                .parse()
                .ok()
                .filter(|&port| port != 0)
                .ok_or_else(|| format!("`{port}` is no port: expected 1 to 65535"))?,
        };
        Ok(Self {
            name: host.to_owned(),
            port,
        })
    }

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

    /// The IP address, where the host is one and needs no look-up.
    pub fn ip(&self) -> Option<IpAddr> {
        self.name.parse().ok()
    }
}

impl FromStr for Host {
    type Err = Error;

    /// [`Host::parse`] with [`Host::DEFAULT_PORT`].
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text, Self::DEFAULT_PORT)
            .map_err(|why| Error::new(ErrorKind::InvalidArgument, why))
    }
}

/// `host` if it could be a name or an IPv4 address: dotted labels of letters, digits, `-`, `_`.
fn named(host: &str) -> Result<&str, String> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if host.is_empty() {
        return Err("the host is empty: expected `host` or `host:port`".to_owned());
    }
    if host.len() > 253 || !host.split('.').all(label) {
        return Err(format!(
            "`{host}` is no host: expected `host` or `host:port`"
        ));
    }
    Ok(host)
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
        for (text, wrong) in [
            ("", "the host is empty: expected `host` or `host:port`"),
            (":80", "the host is empty: expected `host` or `host:port`"),
            ("b1:", "`` is no port: expected 1 to 65535"),
            ("b1:0", "`0` is no port: expected 1 to 65535"),
            ("b1:65536", "`65536` is no port: expected 1 to 65535"),
            ("b 1", "`b 1` is no host: expected `host` or `host:port`"),
            (
                "http://b1:80/tuber",
                "an address has no `http://`: write `b1:80`",
            ),
            ("::1", "an IPv6 address needs brackets: `[::1]`"),
            ("[::1", "the bracket of an IPv6 address is not closed"),
            ("[b1]", "`b1` is not an IPv6 address"),
            ("[::1]80", "expected `[host]:port`"),
        ] {
            assert_eq!(Host::parse(text, 80).unwrap_err(), wrong, "{text}");
        }
    }
}
