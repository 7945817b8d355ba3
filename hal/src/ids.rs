//! Numbers of modules, channels and epochs. Modules and channels are numbered from 1, as on the
//! front panel of a board.

use std::fmt;
use std::num::{NonZeroU8, NonZeroU16};

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// Number of a readout module of a board, from 1. A module has one feedline, one comb of tones and
/// at most one NCO (an oscillator that the frequencies of the tones are relative to).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModuleId(NonZeroU8);

impl ModuleId {
    /// The first module: number 1.
    pub const FIRST: Self = Self(NonZeroU8::MIN);

    /// Module number `number`, counted from 1.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for 0. A number that is too high for the board is not an
    /// error here, because only the board knows how many modules it has.
    pub fn new(number: u8) -> Result<Self, Error> {
        NonZeroU8::new(number)
            .map(Self)
            .ok_or_else(|| zero_refused("module"))
    }

    /// The number, counted from 1.
    pub fn number(self) -> u8 {
        self.0.get()
    }

    /// The position in an array, counted from 0.
    pub fn index(self) -> usize {
        usize::from(self.0.get() - 1)
    }
}

/// Number of a channel of a module, from 1. A channel has one tone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelId(NonZeroU16);

impl ChannelId {
    /// The first channel: number 1.
    pub const FIRST: Self = Self(NonZeroU16::MIN);

    /// Channel number `number`, counted from 1.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for 0. A number that is too high for the module is not an
    /// error here, because only the board knows how many channels the module has.
    pub fn new(number: u16) -> Result<Self, Error> {
        NonZeroU16::new(number)
            .map(Self)
            .ok_or_else(|| zero_refused("channel"))
    }

    /// The channel at `index` counted from 0, or `None` past 65534.
    pub fn from_index(index: usize) -> Option<Self> {
        u16::try_from(index.checked_add(1)?)
            .ok()
            .and_then(NonZeroU16::new)
            .map(Self)
    }

    /// This channel and those after it, `count` in all, or fewer if the numbers would exceed 65535.
    pub fn range(self, count: usize) -> impl Iterator<Item = Self> + Clone {
        let indices = (self.index()..).take(count);
        indices.filter_map(Self::from_index)
    }

    /// The number, counted from 1.
    pub fn number(self) -> u16 {
        self.0.get()
    }

    /// The position in an array, counted from 0.
    pub fn index(self) -> usize {
        usize::from(self.0.get() - 1)
    }

    /// The numbers of channels with commas between them, for messages.
    pub fn list(channels: &[Self]) -> String {
        let numbers: Vec<_> = channels.iter().map(ToString::to_string).collect();
        numbers.join(", ")
    }
}

fn zero_refused(numbered: &str) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!("{numbered} numbers count from 1, not from 0"),
    )
}

/// Number of a period during which a board keeps its settings. A new epoch begins when the board
/// reboots, loses its settings, or has settings that another program changed. Measurements of one
/// epoch are not valid in the next.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Number of a period during which a module keeps its phase reference, so that the phases of its
/// samples can be compared. A new phase epoch begins when the NCO is set, and with each new
/// [`Epoch`] of the board. Rotations (phases of the demodulation) and calibrations of one phase
/// epoch are not valid in another.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PhaseEpoch(pub u64);

macro_rules! display_as_number {
    ($($id:ty),*) => {$(
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($id), self.0)
            }
        }
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_as_number!(ModuleId, ChannelId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_from_one() {
        assert_eq!(
            ModuleId::new(0).unwrap_err().kind(),
            ErrorKind::InvalidArgument
        );
        assert_eq!(
            ChannelId::new(0).unwrap_err().kind(),
            ErrorKind::InvalidArgument
        );
        let channel = ChannelId::new(1024).unwrap();
        assert_eq!((channel.number(), channel.index()), (1024, 1023));
        assert_eq!(ChannelId::from_index(0).unwrap().number(), 1);
        assert_eq!(ChannelId::from_index(65_534).unwrap().number(), 65_535);
        assert_eq!(ChannelId::from_index(65_535), None);
        assert_eq!(ModuleId::new(4).unwrap().to_string(), "4");
    }

    #[test]
    fn ids_of_zero_are_refused_when_read() {
        assert!(serde_json::from_str::<ModuleId>("0").is_err());
        assert_eq!(serde_json::from_str::<ModuleId>("3").unwrap().number(), 3);
    }
}
