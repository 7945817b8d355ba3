//! Where a board answers.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use serde::{Serialize, Serializer};

/// The host and port of a board's control protocol. Shown as `host:port`, with brackets around
/// an IPv6 address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// The address in `text`, `host[:port]`: a name or an IP address, IPv6 in brackets.
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
            host: host.to_owned(),
            port,
        })
    }

    /// An address from its parts, `host` already known to be one.
    pub(super) fn of(host: String, port: u16) -> Self {
        Self { host, port }
    }

    /// The host: a name, or an IP address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The IP address, where the host is one and needs no look-up.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
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

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_host_and_port() {
        for (text, shown) in [
            ("127.0.0.2", "127.0.0.2:80"),
            ("127.0.0.2:18082", "127.0.0.2:18082"),
            ("rfmux0042.local", "rfmux0042.local:80"),
            ("[::1]:8080", "[::1]:8080"),
            ("[fe80::2]", "[fe80::2]:80"),
        ] {
            assert_eq!(
                Address::parse(text, 80).unwrap().to_string(),
                shown,
                "{text}"
            );
        }
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
            assert_eq!(Address::parse(text, 80).unwrap_err(), wrong, "{text}");
        }
    }
}
