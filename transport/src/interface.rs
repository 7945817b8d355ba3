//! Network interfaces of this computer.

use std::fmt;
use std::net::Ipv4Addr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use twotone_hal::{Error, ErrorKind, Result};

/// A network interface of this computer that has an IPv4 address and can receive multicast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    name: String,
    address: Ipv4Addr,
}

impl Interface {
    /// All such interfaces that are up, each with its first address, the loopback interface
    /// included.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] if the system does not list its interfaces.
    pub fn all() -> Result<Vec<Self>> {
        let mut all: Vec<Self> = Vec::new();
        for one in addresses()? {
            if !all.iter().any(|other| other.name == one.name) {
                all.push(one);
            }
        }
        Ok(all)
    }

    /// The interface with this name, or with this IPv4 address.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if there is none, with the names of those that there are.
    pub fn named(text: &str) -> Result<Self> {
        let all = addresses()?;
        let is_meant = |one: &&Self| one.name == text || one.address.to_string() == text;
        if let Some(found) = all.iter().find(is_meant) {
            return Ok(found.clone());
        }
        let known: Vec<_> = all.iter().map(ToString::to_string).collect();
        let why = format!(
            "there is no interface `{text}` that is up and has an IPv4 address and multicast; there \
             is {}",
            match known.is_empty() {
                true => "none".to_owned(),
                false => known.join(", "),
            }
        );
        Err(Error::new(ErrorKind::InvalidArgument, why))
    }

    /// Name of the interface, such as `eth1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Address of the interface.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// An interface that need not exist.
    #[cfg(test)]
    pub(crate) fn of_test(name: &str, address: Ipv4Addr) -> Self {
        Self {
            name: name.to_owned(),
            address,
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.address)
    }
}

/// Every IPv4 address of every interface that is up and can receive multicast. The loopback
/// interface can, although Linux does not say so.
fn addresses() -> Result<Vec<Interface>> {
    let listed = getifaddrs().map_err(|error| {
        Error::new(
            ErrorKind::Unreachable,
            "the system does not list its network interfaces",
        )
        .caused_by(error)
    })?;
    let usable = listed.filter_map(|one| {
        let is_loopback = one.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let has_multicast = one.flags.contains(InterfaceFlags::IFF_MULTICAST);
        let is_up = one.flags.contains(InterfaceFlags::IFF_UP);
        let address = one.address?.as_sockaddr_in()?.ip();
        (is_up && (has_multicast || is_loopback)).then_some(Interface {
            name: device(&one.interface_name).to_owned(),
            address,
        })
    });
    Ok(usable.collect())
}

/// Name of the interface that an address with this label belongs to. Further addresses can have
/// labels such as `eth0:1`, which are no interfaces: no socket can be bound to them.
fn device(label: &str) -> &str {
    label.split_once(':').map_or(label, |(device, _)| device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_found_by_name_and_by_address() {
        let loopback = Interface::named("127.0.0.1").unwrap();
        assert_eq!(Interface::named(loopback.name()).unwrap(), loopback);
        assert!(Interface::all().unwrap().contains(&loopback));
        let error = Interface::named("no-such").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(loopback.name()), "{error}");
    }

    #[test]
    fn a_label_of_an_address_is_no_interface() {
        assert_eq!(
            ["eth0", "eth0:1", "lo:x:y"].map(device),
            ["eth0", "eth0", "lo"]
        );
    }
}
