//! Multicast DNS of a CRS board: its name, and a service at its port.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use twotone_wire::mdns::{Announced, MdnsError, Name};

use crate::board::Board;

/// Type of the service. The public description of the boards names no type.
const SERVICE: &str = "_http._tcp.local";

/// Description of a board, or `None` if its address is not of IPv4.
///
/// # Errors
/// None in practice: the names are short.
pub(super) fn announced(board: &Board) -> Result<Option<Announced>, MdnsError> {
    let SocketAddr::V4(address) = board.address() else {
        return Ok(None);
    };
    let name = format!("rfmux{:04}", board.serial());
    let service: Name = SERVICE.parse()?;
    Ok(Some(Announced {
        host: format!("{name}.local").parse()?,
        address: *address.ip(),
        instance: service.with_first(&name)?,
        service,
        port: address.port(),
        texts: BTreeMap::new(),
    }))
}
