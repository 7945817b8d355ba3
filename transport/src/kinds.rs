//! Registry of board kinds.
//!
//! One [`BoardFamily`] describes a kind of boards: its name, its addresses, its limits and its
//! client. The kinds of this crate are in [`BUILT_IN`]. A program adds its own with
//! [`BoardKind::register`], before it reads a hardware map (a file that lists boards) that names
//! them.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Serialize, Serializer};
use twotone_hal::{BoardHandle, Error, ErrorKind, Firmware, PropertyKey, Result, Streams};

use crate::find::FindOf;
use crate::plan::{BoardPlan, Conflict};
use crate::{ConnectOptions, FirmwareOptions, Host, crs};

/// Kinds that this crate has clients for. A new kind is a constant of [`BoardKind`] and an entry in
/// this list.
const BUILT_IN: &[BoardKind] = &[BoardKind::CRS];

/// Kinds that programs have added.
static REGISTERED: RwLock<Vec<BoardKind>> = RwLock::new(Vec::new());

/// Characters of the longest serial number.
const LONGEST_SERIAL: usize = 32;

/// A connection that is being opened. It is `Send`, so that many can be opened concurrently.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = Result<BoardHandle>> + Send + 'a>>;

/// Constructor of the sample streams of a board from its name, its address and its serial number.
pub type StreamsOf = fn(&str, &Host, Option<u16>) -> Arc<dyn Streams>;

/// Constructor of the access to the firmware of boards. Each board is given by its name and its
/// [`BoardPlace`], and the result has the same order. All boards that are flashed together are
/// passed in one call, since they share a socket.
pub type FirmwareOf = fn(&[(&str, BoardPlace<'_>)], &FirmwareOptions) -> Vec<Arc<dyn Firmware>>;

/// Finds the conflicts in the entry of a board in a hardware map.
pub type ConflictsOf = fn(&BoardPlan<'_>) -> Vec<Conflict>;

/// Properties that all boards of one kind have in common.
#[derive(Debug)]
pub struct BoardFamily {
    /// Name of the kind in hardware maps, such as `crs`. Boards may report another one in
    /// [`Description::kind`](twotone_hal::Description::kind).
    pub name: &'static str,
    /// Port of the control protocol, if an address names none.
    pub default_port: u16,
    /// Highest number that a module can have.
    pub highest_module: u8,
    /// Host of a board that has no address in the hardware map, from its crate and slot, or from
    /// its serial number; `None` if these do not determine a host.
    pub host: fn(&BoardPlace<'_>) -> Option<Host>,
    /// Constructor of sample streams that work even if the board does not answer its control
    /// protocol. `None` if only a connected board has streams
    /// ([`Board::streams`](twotone_hal::Board::streams)).
    pub streams: Option<StreamsOf>,
    /// Stream that most boards of the kind send. A capture uses it to estimate the space that it
    /// needs on disk.
    pub usual_stream: UsualStream,
    /// Fast stream of a few chosen channels ([`Streams::fast`]) with its largest number of
    /// channels; `None` if boards of the kind have none.
    pub fast_stream: Option<UsualStream>,
    /// True if the packets of the sample streams hold the serial number of the board that sent
    /// them.
    pub sends_serial: bool,
    /// True if the power of tones is known in dBm. If false, the limits of power in hardware maps,
    /// and the powers at which a tuning starts, are in dBm and do not apply to boards of this
    /// kind.
    pub has_power_scale: bool,
    /// Properties that boards of this kind have beside tones and NCOs, in the order in which they
    /// must be set. Hardware maps have them as keys.
    pub properties: &'static [PropertyKey],
    /// Finds what no board of this kind can do in the entry of a board in a hardware map, without
    /// a connection.
    pub conflicts: ConflictsOf,
    /// Constructor of the access to the firmware. It needs no connection, since the old firmware
    /// of a board may not run. `None` if boards cannot be flashed over the network.
    pub firmware: Option<FirmwareOf>,
    /// Search for the boards of the kind on the local network. `None` if they cannot be found.
    pub find: Option<FindOf>,
    /// Connects to the board at an address. The first argument is the name of the board in the
    /// hardware map.
    pub connect: for<'a> fn(&'a str, Host, ConnectOptions) -> Connecting<'a>,
}

/// Size of the sample stream of a module.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UsualStream {
    /// Number of channels.
    pub channels: u16,
    /// Rate of the samples of each channel, in hertz.
    pub rate_hz: f64,
}

/// Serial number, crate and slot of a board, as far as the hardware map has them.
#[derive(Debug, Clone, Copy, Default)]
pub struct BoardPlace<'a> {
    /// Serial number of the board.
    pub serial: Option<&'a str>,
    /// Serial number of the crate.
    pub crate_serial: Option<&'a str>,
    /// Slot of the board in the crate.
    pub slot: Option<u8>,
}

impl BoardPlace<'_> {
    /// True if `text` can be the serial number of a board or of a crate. Names of hosts follow from
    /// these numbers, so that they have 1 to 32 letters, digits and `-`.
    pub fn is_serial(text: &str) -> bool {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        (1..=LONGEST_SERIAL).contains(&text.len()) && text.bytes().all(allowed)
    }
}

/// A kind of board.
#[derive(Clone, Copy)]
pub struct BoardKind(&'static BoardFamily);

impl BoardKind {
    /// The CRS board, reached by Tuber (remote procedure calls over HTTP).
    pub const CRS: Self = Self(&crs::FAMILY);

    /// Returns every kind: first the kinds of this crate, then the kinds that programs have added.
    pub fn all() -> Vec<Self> {
        let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
        [BUILT_IN, registered.as_slice()].concat()
    }

    /// Returns the kind of this name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|kind| kind.name() == name)
    }

    /// Registers a kind, so that hardware maps can name it, until the process ends.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if there is a kind of this name, of this crate or of a
    /// program.
    pub fn register(family: &'static BoardFamily) -> Result<Self> {
        let kind = Self(family);
        let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
        if BUILT_IN.contains(&kind) || registered.contains(&kind) {
            let message = format!("there is a board kind of the name {kind} already");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        registered.push(kind);
        Ok(kind)
    }

    /// Name of the kind in hardware maps.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Properties of the boards of this kind.
    pub fn family(self) -> &'static BoardFamily {
        self.0
    }
}

impl PartialEq for BoardKind {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}
impl Eq for BoardKind {}

impl fmt::Debug for BoardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BoardKind({})", self.name())
    }
}
impl fmt::Display for BoardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
impl Serialize for BoardKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
