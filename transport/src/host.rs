//! Addresses of boards.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use twotone_hal::{Error, ErrorKind};

/// A host name or address with a port: `127.0.0.2:18082`, `rfmux0042.local`, `[::1]:80`.
/// [`str::parse`] adds port 80 if the text has none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    name: String,
    port: u16,
}

impl Host {
    /// Default port of boards.
    pub const DEFAULT_PORT: u16 = 80;

    /// Parses `host[:port]`. The port is `default_port` if `text` has none. The host is a name,
    /// which may end in a dot, or an IPv4 address of four decimal numbers, or an IPv6 address in
    /// brackets, which may have a zone: `[fe80::1%eth0]`.
    ///
    /// Short, octal and hexadecimal forms of IPv4 addresses are refused: programs interpret them
    /// differently.
    ///
    /// # Errors
    /// Message about the first fault in `text`, with a correction if there is an obvious one.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, String> {
        if let Some((scheme, rest)) = text.split_once("://") {
            let rest = rest.split('/').next().unwrap_or_default();
            return Err(format!("an address has no `{scheme}://`: write `{rest}`"));
        }
        if let Some((rest, _)) = text.split_once('/') {
            return Err(format!("an address has no path: write `{rest}`"));
        }
        if let Some((_, rest)) = text.rsplit_once('@') {
            return Err(format!("an address has no user: write `{rest}`"));
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest
                    .split_once(']')
                    .ok_or("the bracket of an IPv6 address is not closed")?;
                let port = match after {
                    "" => None,
                    _ => Some(after.strip_prefix(':').ok_or("expected `[host]:port`")?),
                };
                (ipv6_host(host)?, port)
            }
            None => match text.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err(format!("an IPv6 address needs brackets: `[{text}]`"));
                }
                Some((host, port)) => (name_or_ipv4_host(host)?, Some(port)),
                None => (name_or_ipv4_host(text)?, None),
            },
        };
        let port = match port {
            None => default_port,
            // `str::parse` accepts a sign, so the digits are checked first.
            Some(port) => Some(port)
                .filter(|port| port.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|port| port.parse().ok())
                .filter(|&port| port != 0)
                .ok_or_else(|| format!("`{port}` is no port: expected 1 to 65535"))?,
        };
        Ok(Self {
            name: host.to_owned(),
            port,
        })
    }

    /// Creates a host from a name or an address without brackets, and a port.
    pub fn new(name: impl Into<String>, port: u16) -> Self {
        Self {
            name: name.into(),
            port,
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

    /// The IP address without its zone, if the host is an address and not a name.
    pub fn ip(&self) -> Option<IpAddr> {
        let (address, _) = split_zone(&self.name);
        address.parse().ok()
    }

    /// The canonical spelling of this host: in lower case, without a dot at the end, an IPv6
    /// address in its shortest form, and an IPv4-mapped IPv6 address as IPv4. Two spellings of one
    /// host have the same canonical spelling.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let (_, zone) = split_zone(&self.name);
        let name = match self.ip() {
            Some(ip) => ip.to_canonical().to_string() + zone,
            None => self.name.trim_end_matches('.').to_lowercase(),
        };
        Self::new(name, self.port)
    }

    /// Host and port for the `Host` header of HTTP. A zone has a meaning only on this computer (RFC
    /// 6874), and most servers do not recognise their name with a dot at its end, so both are left
    /// out.
    pub(crate) fn header(&self) -> String {
        let (name, _) = split_zone(&self.name);
        Self::new(name.trim_end_matches('.'), self.port).to_string()
    }
}

/// Splits an IPv6 address from its zone. The zone begins with `%`, or is empty.
fn split_zone(name: &str) -> (&str, &str) {
    name.split_at(name.find('%').unwrap_or(name.len()))
}

impl FromStr for Host {
    type Err = Error;

    /// As [`Host::parse`] with [`Host::DEFAULT_PORT`].
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text, Self::DEFAULT_PORT)
            .map_err(|why| Error::new(ErrorKind::InvalidArgument, why))
    }
}

/// Returns `host` if it is an IPv6 address, with or without a zone (the name or number of a network
/// interface).
fn ipv6_host(host: &str) -> Result<&str, String> {
    let (address, zone) = split_zone(host);
    let parsed = address
        .parse::<Ipv6Addr>()
        .map_err(|_| format!("`{address}` is not an IPv6 address"))?;
    if let Some(zone) = zone.strip_prefix('%') {
        let named = |b: u8| b.is_ascii_alphanumeric() || b"._-~".contains(&b);
        // The name of an interface has at most 15 characters (`IFNAMSIZ`).
        if !(1..=15).contains(&zone.len()) || !zone.bytes().all(named) {
            return Err(format!(
                "`{zone}` is no zone: expected the name of a network interface"
            ));
        }
    }
    address_of_one_board(IpAddr::V6(parsed).to_canonical(), host)
}

/// Returns `host` if it has the form of a name or of an IPv4 address: labels of letters, digits,
/// `-` and `_`, separated by dots.
fn name_or_ipv4_host(host: &str) -> Result<&str, String> {
    if host.is_empty() {
        return Err("the host is empty: expected `host` or `host:port`".to_owned());
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err(format!(
            "`{host}` is no host: expected `host` or `host:port`"
        ));
    }
    if name
        .split('.')
        .any(|label| label.starts_with('-') || label.ends_with('-'))
    {
        return Err(format!(
            "`{host}` is no host: no part of a name begins or ends with `-`"
        ));
    }
    if name.rsplit('.').next().is_some_and(is_number) {
        return ipv4_host(host);
    }
    Ok(host)
}

/// True if the resolver of the system interprets the label as a number, as in old forms of
/// addresses.
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or(label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// Returns `host` if it is an IPv4 address of four decimal numbers. All programs interpret that
/// form in the same way.
fn ipv4_host(host: &str) -> Result<&str, String> {
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return address_of_one_board(IpAddr::V4(address), host);
    }
    let decimal = |label: &str| label.parse::<u8>().ok().filter(|_| !label.starts_with('+'));
    let labels = host.trim_end_matches('.').split('.').map(decimal);
    let meant = match labels.collect::<Option<Vec<u8>>>().as_deref() {
        Some([a, b, c, d]) => format!("`{a}.{b}.{c}.{d}`"),
        _ => "such as `10.0.3.43`".to_owned(),
    };
    Err(format!(
        "`{host}` is no IPv4 address, and no host name ends in a number: write four numbers from 0 \
         to 255, without zeros before them, which some programs read as octal: {meant}"
    ))
}

/// Returns `host` unless its address is a broadcast, multicast or unspecified one.
fn address_of_one_board(address: IpAddr, host: &str) -> Result<&str, String> {
    let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    if address.is_unspecified() || address.is_multicast() || broadcast {
        return Err(format!("`{host}` is not the address of one board"));
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
            ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
            ("[fe80::1%eth0.100]", "fe80::1%eth0.100", 80),
            ("[FE80::1%2]:81", "FE80::1%2", 81),
            ("rfmux0042.local.", "rfmux0042.local.", 80),
            ("rfmux0042.local.:81", "rfmux0042.local.", 81),
            ("0.crate.7a", "0.crate.7a", 80),
            ("board_7", "board_7", 80),
            ("255.255.255.254", "255.255.255.254", 80),
        ] {
            let host: Host = text.parse().unwrap();
            assert_eq!((host.name(), host.port()), (name, port), "{text}");
            assert_eq!(host.to_string().parse::<Host>().unwrap(), host);
        }
    }

    #[test]
    fn a_text_that_is_not_a_host_is_refused() {
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
            ("b1:+80", "`+80` is no port: expected 1 to 65535"),
            ("me@b1:80", "an address has no user: write `b1:80`"),
            ("b1:80/tuber", "an address has no path: write `b1:80`"),
            (
                "[fe80::1%]",
                "`` is no zone: expected the name of a network interface",
            ),
            (
                "[fe80::1%e 0]",
                "`e 0` is no zone: expected the name of a network interface",
            ),
            (".", "`.` is no host: expected `host` or `host:port`"),
            ("b1..", "`b1..` is no host: expected `host` or `host:port`"),
            (" b1", "` b1` is no host: expected `host` or `host:port`"),
            (
                "-b1",
                "`-b1` is no host: no part of a name begins or ends with `-`",
            ),
            (
                "b1-.lab",
                "`b1-.lab` is no host: no part of a name begins or ends with `-`",
            ),
            ("0.0.0.0", "`0.0.0.0` is not the address of one board"),
            (
                "239.192.0.2",
                "`239.192.0.2` is not the address of one board",
            ),
            ("[::]", "`::` is not the address of one board"),
        ] {
            assert_eq!(Host::parse(text, 80).unwrap_err(), wrong, "{text}");
        }
    }

    #[test]
    fn an_ipv4_address_is_read_in_one_way_or_not_at_all() {
        for (text, meant) in [
            ("010.000.003.043", "`10.0.3.43`"),
            ("10.0.3.08", "`10.0.3.8`"),
            ("10.0.3.43.", "`10.0.3.43`"),
            ("127.1", "such as"),
            ("10.0.3", "such as"),
            ("10.0.3.256", "such as"),
            ("10.0.3.4.5", "such as"),
            ("2130706433", "such as"),
            ("0x7f000001", "such as"),
            ("0X7F.0.0.1", "such as"),
            ("10.0.3.0x2b", "such as"),
            ("board.42", "such as"),
        ] {
            let wrong = Host::parse(text, 80).unwrap_err();
            let said = format!("`{text}` is no IPv4 address");
            assert!(wrong.contains(&said) && wrong.contains(meant), "{wrong}");
        }
    }

    #[test]
    fn spellings_of_a_host_come_to_one() {
        for (text, other) in [
            ("RFmux0042.Local.", "rfmux0042.local"),
            ("[FD00:0:0::12]:80", "[fd00::12]"),
            ("[::ffff:127.0.0.1]:81", "127.0.0.1:81"),
            ("[FE80::1%eth0]", "[fe80::1%eth0]"),
        ] {
            let [text, other]: [Host; 2] = [text, other].map(|text| text.parse().unwrap());
            assert_eq!(text.canonical(), other.canonical());
            assert_eq!(other.canonical(), other);
        }
        let [one, other]: [Host; 2] =
            ["[fe80::1%eth0]", "[fe80::1%eth1]"].map(|h| h.parse().unwrap());
        assert_ne!(one.canonical(), other.canonical());
        assert_eq!(one.ip(), Some("fe80::1".parse().unwrap()));
    }

    #[test]
    fn the_header_of_http_has_what_means_something_there() {
        for (text, header) in [
            ("[fe80::1%eth0]:8080", "[fe80::1]:8080"),
            ("rfmux0042.local.", "rfmux0042.local:80"),
            ("127.0.0.2:18082", "127.0.0.2:18082"),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().header(), header);
        }
    }
}
