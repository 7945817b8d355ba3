//! What became of a target.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use twotone_hal::{ChannelId, Error, ModuleId};

/// What became of one target of a run. Outcomes come in the order of the targets.
#[derive(Debug)]
pub struct Outcome<T> {
    /// The board's name.
    pub board: String,
    /// The module.
    pub module: ModuleId,
    /// What the algorithm answered, or why it did not. A panic is
    /// [`ErrorKind::Panicked`](twotone_hal::ErrorKind::Panicked), a cancel
    /// [`ErrorKind::Cancelled`](twotone_hal::ErrorKind::Cancelled), the run's deadline
    /// [`ErrorKind::Timeout`](twotone_hal::ErrorKind::Timeout).
    pub result: Result<T, Error>,
    /// What the tones of the module are left at. Independent of `result`: an algorithm can
    /// succeed and its clean-up fail.
    pub hardware: HardwareState,
    /// Number of repetitions of operations on the board: see
    /// [`Replies::repeats`](twotone_hal::Replies::repeats).
    pub repeats: u32,
    /// From the target's own start to its end, clean-up included, on the runtime's clock.
    pub elapsed: Duration,
}

impl<T> Outcome<T> {
    /// Whether the algorithm succeeded and the hardware is left as wished.
    pub fn is_well(&self) -> bool {
        self.result.is_ok() && self.hardware.is_settled()
    }

    /// The same outcome with another kind of result, where there is one.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Outcome<U> {
        Outcome {
            board: self.board,
            module: self.module,
            result: self.result.map(convert),
            hardware: self.hardware,
            repeats: self.repeats,
            elapsed: self.elapsed,
        }
    }
}

/// What the tones of a module are left at when a run has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum HardwareState {
    /// The declared safe state, reached and read back.
    AsDeclared,
    /// What the algorithm set, read back: it succeeded, and was to keep its settings.
    Kept,
    /// What it was before: the run has sent nothing that changes anything.
    Untouched,
    /// Not the declared state, or not surely.
    Left {
        /// Channels that drive a tone and should not, or not this one.
        left_on: Channels,
        /// Channels of which it is not known what they are set to.
        unknown: Channels,
        /// Channels that are off and should be on.
        not_restored: Channels,
        /// Frequency of the NCO and the one that it had before, in words, if it was to go back and
        /// has not, or not surely: every tone is elsewhere then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nco: Option<String>,
        /// Why the declared state was not reached.
        reason: String,
    },
}

impl HardwareState {
    /// Nothing is known of any channel.
    pub(super) fn unreached(error: &Error) -> Self {
        Self::Left {
            left_on: Channels::default(),
            unknown: Channels::All,
            not_restored: Channels::default(),
            nco: None,
            reason: error.to_string(),
        }
    }

    /// Whether every channel is as it should be.
    pub fn is_settled(&self) -> bool {
        !matches!(self, Self::Left { .. })
    }

    /// The channels that drive a tone and should not.
    pub fn left_on(&self) -> Channels {
        match self {
            Self::Left { left_on, .. } => left_on.clone(),
            _ => Channels::default(),
        }
    }

    /// The channels that are off and should be on.
    pub fn not_restored(&self) -> Channels {
        match self {
            Self::Left { not_restored, .. } => not_restored.clone(),
            _ => Channels::default(),
        }
    }

    /// The channels of which nothing is known.
    pub fn unknown(&self) -> Channels {
        match self {
            Self::Left { unknown, .. } => unknown.clone(),
            _ => Channels::default(),
        }
    }
}

impl fmt::Display for HardwareState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsDeclared => f.write_str("as declared"),
            Self::Kept => f.write_str("settings kept"),
            Self::Untouched => f.write_str("untouched"),
            Self::Left {
                left_on,
                unknown,
                not_restored,
                nco,
                reason,
            } => {
                for (what, channels) in [
                    ("left on", left_on),
                    ("unknown", unknown),
                    ("not restored", not_restored),
                ] {
                    if !channels.is_empty() {
                        write!(f, "{what}: {channels}; ")?;
                    }
                }
                if let Some(nco) = nco {
                    write!(f, "NCO not restored: {nco}; ")?;
                }
                f.write_str(reason)
            }
        }
    }
}

/// Some channels of a module. Written as `"all"` or as a list of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channels {
    /// Every channel, however many the module has: the board was never reached to say.
    All,
    /// These, in order.
    These(Vec<ChannelId>),
}

impl Channels {
    /// No channel at all.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::These(channels) if channels.is_empty())
    }

    /// Whether `channel` is among them.
    pub fn contains(&self, channel: ChannelId) -> bool {
        match self {
            Self::All => true,
            Self::These(channels) => channels.contains(&channel),
        }
    }
}

impl Default for Channels {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl FromIterator<ChannelId> for Channels {
    fn from_iter<I: IntoIterator<Item = ChannelId>>(channels: I) -> Self {
        Self::These(channels.into_iter().collect())
    }
}

impl fmt::Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::These(channels) = self else {
            return f.write_str("all channels");
        };
        if channels.is_empty() {
            return f.write_str("no channel");
        }
        f.write_str(if channels.len() == 1 {
            "channel "
        } else {
            "channels "
        })?;
        let numbers: Vec<u16> = channels.iter().map(|channel| channel.number()).collect();
        let runs = numbers.chunk_by(|one, next| one.checked_add(1) == Some(*next));
        for (position, run) in runs.enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            match run {
                [first, .., last] => write!(f, "{first}-{last}")?,
                _ => write!(f, "{}", run[0])?,
            }
        }
        Ok(())
    }
}

impl Serialize for Channels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::These(channels) => channels.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Channels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Word {
            All,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Word(Word),
            List(Vec<ChannelId>),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Word(Word::All) => Self::All,
            Written::List(channels) => Self::These(channels),
        })
    }
}
