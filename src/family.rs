//! Sample streams of the boards of a map, as their kinds have them.

use std::sync::Arc;

use twotone_hal::{Error, ErrorKind, Result, Streams};
use twotone_transport::Host;

use crate::map::BoardEntry;

/// Sample streams of the board of a map that is reached at `host`, also if it does not answer
/// there.
///
/// # Errors
/// [`ErrorKind::Unsupported`] if boards of its kind have none.
pub(crate) fn streams(entry: &BoardEntry, host: &Host) -> Result<Arc<dyn Streams>> {
    let Some(streams) = entry.kind.family().streams else {
        let why = format!("boards of kind {} have no sample stream", entry.kind);
        return Err(Error::new(ErrorKind::Unsupported, why));
    };
    Ok(streams(&entry.name, host, entry.serial_number()))
}

/// Checks that the map has the serial number by which the packets of a board are recognized, if
/// boards of its kind send one in them.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] if its packets bear serial numbers, and the map has none.
#[cfg(feature = "arrow")]
pub(crate) fn check_serial(entry: &BoardEntry) -> Result<()> {
    if !entry.kind.family().sends_serial || entry.serial_number().is_some() {
        return Ok(());
    }
    let why = match &entry.serial {
        None => {
            "the map has no serial number of it, by which its packets are recognized".to_owned()
        }
        Some(serial) => format!("packets bear serial numbers up to 65535, and its is {serial}"),
    };
    Err(Error::new(ErrorKind::InvalidArgument, why))
}
