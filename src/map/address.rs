//! Addresses of boards, as people write them into hardware maps: an IP address or a host name,
//! perhaps with a port.

use std::net::IpAddr;

use super::Host;

/// Largest number of characters of a label, which is a part of a host name between dots.
const LONGEST_LABEL: usize = 63;
/// Largest number of characters of a host name, without a dot at its end.
const LONGEST_NAME: usize = 253;

/// Parses the host in `text` as [`Host::parse`] does. Also refuses an address with which the kernel
/// cannot connect in the form in which it is written.
///
/// # Errors
/// A sentence about the problem.
pub(super) fn parse(text: &str, default_port: u16) -> Result<Host, String> {
    if let Some(meant) = zone_of_a_url(text) {
        return Err(format!(
            "`%25` stands for `%` in a URL only: write `{meant}`"
        ));
    }
    let host = Host::parse(text, default_port).map_err(|wrong| too_long(text).unwrap_or(wrong))?;
    let name = host.name();
    match host.ip() {
        Some(IpAddr::V6(ip)) if ip.is_unicast_link_local() && !name.contains('%') => Err(format!(
            "`{name}` is a link-local address, of which each network interface has its own: write \
             `[{name}%eth0]`, with the name of the interface that the board is at"
        )),
        _ => Ok(host),
    }
}

/// Returns `text` with `%` in place of `%25` before the zone (the network interface) of an IPv6
/// address. In a URL, `%` is written as `%25`. Returns `None` if only digits follow `%25`: `%252`,
/// for instance, may stand for the interface number 252.
fn zone_of_a_url(text: &str) -> Option<String> {
    let (address, after) = text.strip_prefix('[')?.split_once("%25")?;
    let (zone, port) = after.split_once(']')?;
    let number = zone.bytes().all(|b| b.is_ascii_digit());
    (!number).then(|| format!("[{address}%{zone}]{port}"))
}

/// Returns the reason that the host name in `text` is too long, or `None` if it is not, or if it
/// has another problem.
fn too_long(text: &str) -> Option<String> {
    let host = text.split(':').next().unwrap_or_default();
    let name = host.strip_suffix('.').unwrap_or(host);
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let sound = |label: &str| !label.is_empty() && label.bytes().all(allowed);
    if !name.split('.').all(sound) {
        return None;
    }
    if let Some(label) = name.split('.').find(|label| label.len() > LONGEST_LABEL) {
        return Some(format!(
            "`{host}` is no host: a part of a name has at most {LONGEST_LABEL} characters, and \
             `{label}` has {}",
            label.len()
        ));
    }
    (name.len() > LONGEST_NAME).then(|| {
        format!(
            "`{host}` is no host: a name has at most {LONGEST_NAME} characters, and this one has {}",
            name.len()
        )
    })
}

/// Returns the reason that no board can have the hardware address `mac`, which has six pairs of
/// digits in lower case with colons.
pub(super) fn no_boards_mac(mac: &str) -> Option<&'static str> {
    let first = mac.split(':').next().unwrap_or_default();
    let first = u8::from_str_radix(first, 16).unwrap_or_default();
    match mac {
        "00:00:00:00:00:00" => Some("it is a placeholder"),
        "ff:ff:ff:ff:ff:ff" => Some("it stands for all interfaces"),
        _ if first & 1 == 1 => {
            Some("it stands for a group of interfaces, as its first byte is odd")
        }
        _ => None,
    }
}
