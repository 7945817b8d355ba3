//! Search for the boards of the local network.
//!
//! Each kind of boards has its own ways to be found ([`Way`]): for CRS boards, their names in
//! multicast DNS, the packets of their sample streams, and the beacons in their boot window. The
//! search merges what it learns in all ways into one entry for each board. It only listens, except
//! for questions of multicast DNS. If it is told to, it also asks each board for its release.
//!
//! No sign of a board is proof: any computer of the network can send all of them.
//!
//! ```no_run
//! # async fn find() -> twotone::hal::Result<()> {
//! use twotone::find::{FindOptions, find};
//!
//! let found = find(&FindOptions::default()).await;
//! for board in &found.boards {
//!     println!("{:?} at {:?}", board.serial, board.address);
//! }
//! # Ok(())
//! # }
//! ```

mod ask;
mod map;
mod merge;

use std::net::Ipv4Addr;

use serde::{Serialize, Serializer};
pub use twotone_transport::{FindOptions, Interface, Service, Way};

use crate::map::{BoardKind, Host};
use crate::record::Failure;

/// Boards that were found, and the result of each way to find them.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// The boards, in the order of their serial numbers.
    pub boards: Vec<FoundBoard>,
    /// The ways, of each kind of boards.
    pub ways: Vec<WayReport>,
}

/// A board that was found. Its texts, those in `conflicts` included, contain what it or another
/// computer sent: show all of them by [`legible`](twotone_hal::legible).
#[derive(Debug, Clone, Serialize)]
pub struct FoundBoard {
    /// Kind of the board.
    pub kind: BoardKind,
    /// Serial number of the board.
    pub serial: Option<String>,
    /// Serial number of its crate.
    #[serde(rename = "crate")]
    pub crate_serial: Option<String>,
    /// Slot in the crate.
    pub slot: Option<u8>,
    /// Address of its control protocol; `None` if no address of the board is known.
    #[serde(serialize_with = "as_text")]
    pub address: Option<Host>,
    /// IPv4 addresses of the board.
    pub addresses: Vec<Ipv4Addr>,
    /// Hardware address, if this computer has exchanged packets with the board.
    pub mac: Option<String>,
    /// Names of the board in multicast DNS, `rfmux<serial>.local` before those of its slot.
    pub hosts: Vec<String>,
    /// Services that the board announces by multicast DNS.
    pub services: Vec<Service>,
    /// Ways in which the board was found.
    pub found_by: Vec<Way>,
    /// Firmware release, as the board reports it. `None` if the board was not asked, or reports
    /// none.
    pub firmware: Option<String>,
    /// Serial number that the board reports. `None` as for `firmware`.
    pub said_serial: Option<String>,
    /// Reason why the board, which was asked, gave no answer.
    pub error: Option<Failure>,
    /// Contradictions between the signs of boards, such as two boards with one serial number, as
    /// sentences.
    pub conflicts: Vec<String>,
}

fn as_text<S: Serializer>(host: &Option<Host>, serializer: S) -> Result<S::Ok, S::Error> {
    match host {
        Some(host) => serializer.collect_str(host),
        None => serializer.serialize_none(),
    }
}

/// Result of a way to find boards.
#[derive(Debug, Clone, Serialize)]
pub struct WayReport {
    /// Kind of the boards.
    pub kind: BoardKind,
    /// The way.
    pub way: Way,
    /// Number of datagrams that were refused, because they are not what boards send.
    pub refused: u64,
    /// Number of signs that were left out, because there were too many, or because no board can
    /// have the address.
    pub left_out: u64,
    /// Reason why the search was not made in this way, not on every interface, or not to its end.
    /// The boards that it found nevertheless are in [`Found::boards`].
    pub error: Option<Failure>,
}

impl Found {
    /// True if every search was made, every board that was asked has answered, and nothing
    /// contradicts itself.
    pub fn is_sound(&self) -> bool {
        let is_sound = |board: &FoundBoard| board.conflicts.is_empty() && board.error.is_none();
        let is_whole = |way: &WayReport| way.error.is_none() && way.left_out == 0;
        self.boards.iter().all(is_sound) && self.ways.iter().all(is_whole)
    }

    /// Asks each board that runs its firmware for its release and its serial number, as `twotone
    /// info` does. Nothing is set on it. Up to 64 boards are asked at the same time, each within
    /// the default deadlines of a connection. A board whose beacons were heard is not asked,
    /// because its boot loader cannot answer.
    ///
    /// The answers replace those of an earlier call. If this future is dropped, the connections are
    /// closed.
    pub async fn ask(&mut self) {
        ask::ask(&mut self.boards).await;
    }

    /// Returns the boards as the text of a hardware map, with their hosts' names as addresses where
    /// these are known. A board with a conflict, or that a map cannot have, is a comment with the
    /// reason. If no board is left, the text is not a valid map.
    pub fn map_toml(&self) -> String {
        map::write(&self.boards)
    }
}

/// Searches for boards of all kinds for [`FindOptions::within`].
///
/// An error in one way does not end the others: it is in [`Found::ways`]. If this future is
/// dropped, the search ends.
pub async fn find(options: &FindOptions) -> Found {
    let kinds = BoardKind::all();
    let searches = kinds.into_iter().filter_map(|kind| {
        let find = kind.family().find?;
        Some((kind, find(options)))
    });
    let mut found = Found {
        boards: Vec::new(),
        ways: Vec::new(),
    };
    // All searches run already, each until the same time.
    let searches: Vec<_> = searches.collect();
    for (kind, search) in searches {
        let mut sightings = Vec::new();
        for searched in search.await {
            found.ways.push(WayReport {
                kind,
                way: searched.way,
                refused: searched.refused,
                left_out: searched.left_out,
                error: searched.error.as_ref().map(Failure::from),
            });
            sightings.extend(searched.sightings);
        }
        found.boards.extend(merge::merge(kind, sightings));
    }
    found
}
