//! Entry of CRS boards in the registry of board kinds.

use std::sync::Arc;

use twotone_wire::crs::PFB_SAMPLE_RATE_HZ;

use super::{CrsBoard, CrsStreams};
use crate::Host;
use crate::kinds::{BoardFamily, BoardPlace, UsualStream};

/// Properties of CRS boards.
pub(crate) static FAMILY: BoardFamily = BoardFamily {
    name: "crs",
    default_port: Host::DEFAULT_PORT,
    highest_module: super::describe::MODULES,
    host,
    streams: Some(|name, host, serial| Arc::new(CrsStreams::new(name, host, serial))),
    // Long packets at decimation stage 6, which is a decimation by 64 and by 2 to the power of 6.
    usual_stream: UsualStream {
        channels: 1024,
        rate_hz: PFB_SAMPLE_RATE_HZ / 4096.0,
    },
    fast_stream: Some(UsualStream {
        channels: 4,
        rate_hz: PFB_SAMPLE_RATE_HZ,
    }),
    sends_serial: true,
    has_power_scale: true,
    properties: super::properties::PROPERTIES,
    conflicts: super::properties::conflicts,
    firmware: Some(super::firmware::firmware_of),
    find: Some(super::find::find),
    connect: |name, host, options| {
        Box::pin(async move { Ok(CrsBoard::connect(name, host, options).await?.handle()) })
    },
};

impl CrsBoard {
    /// Returns the host of the board with this serial number: its name in multicast DNS.
    ///
    /// ```
    /// # use twotone_transport::CrsBoard;
    /// assert_eq!(CrsBoard::host_of_serial("0042").to_string(), "rfmux0042.local:80");
    /// ```
    pub fn host_of_serial(serial: &str) -> Host {
        Host::new(format!("rfmux{serial}.local"), Host::DEFAULT_PORT)
    }
}

fn host(place: &BoardPlace<'_>) -> Option<Host> {
    match (place.serial, place.crate_serial, place.slot) {
        (_, Some(crate_serial), Some(slot)) => {
            let name = format!("slot{slot}.crate{crate_serial}.local");
            Some(Host::new(name, Host::DEFAULT_PORT))
        }
        (Some(serial), ..) => Some(CrsBoard::host_of_serial(serial)),
        _ => None,
    }
}
