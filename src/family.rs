//! Sample streams of the boards of a hardware map. A board of the map has a kind, and the kind
//! belongs to a family, which says if and how its boards send samples.

use std::sync::Arc;

use twotone_hal::{Error, ErrorKind, Result, Streams};
use twotone_transport::Host;

use crate::map::BoardEntry;

/// Returns the sample streams of a board of a map. `host` is the address of the board, which need
/// not answer.
///
/// # Errors
/// [`ErrorKind::Unsupported`] if boards of this kind have no sample streams.
pub(crate) fn streams(entry: &BoardEntry, host: &Host) -> Result<Arc<dyn Streams>> {
    let Some(streams) = entry.kind.family().streams else {
        let why = format!("boards of kind {} have no sample stream", entry.kind);
        return Err(Error::new(ErrorKind::Unsupported, why));
    };
    Ok(streams(&entry.name, host, entry.serial_number()))
}

/// Checks that the map has the serial number of a board, if boards of its kind send their serial
/// numbers in their packets. Without it, the packets of the board could not be recognized.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] if the packets bear serial numbers, and the map has no
/// serial number of the board, or one that does not fit into packets.
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
