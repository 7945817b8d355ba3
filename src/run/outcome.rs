//! Outcome of a run on one target.
//!
//! A *target* is a module of a board. After the algorithm of the run, a *clean-up* brings the
//! module to its intended state. This is its *declared safe state* (the `safe_state` that the
//! hardware map gives), unless the settings of the algorithm are to be kept.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use twotone_hal::{ChannelId, Error, ModuleId};

use crate::record::Failure;

/// Outcome of a run on one target. Outcomes come in the order of the targets.
#[derive(Debug)]
pub struct Outcome<T> {
    /// Name of the board.
    pub board: String,
    /// The module.
    pub module: ModuleId,
    /// Result of the algorithm, or the error that ended it. After a panic, the kind of the error
    /// is [`ErrorKind::Panicked`](twotone_hal::ErrorKind::Panicked). After a cancel, it is
    /// [`ErrorKind::Cancelled`](twotone_hal::ErrorKind::Cancelled). After the run's deadline, it
    /// is [`ErrorKind::Timeout`](twotone_hal::ErrorKind::Timeout).
    pub result: Result<T, Error>,
    /// State in which the tones of the module are left. It is independent of `result`: the
    /// clean-up can fail after an algorithm that has succeeded.
    pub hardware: HardwareState,
    /// Number of times that an operation on the board had to be repeated: see
    /// [`Replies::repeats`](twotone_hal::Replies::repeats).
    pub repeats: u32,
    /// Different warnings that the board sent with its answers, in its own words: see
    /// [`Replies::warnings`](twotone_hal::Replies::warnings). At most 20; a remark stands for the
    /// others.
    pub board_warnings: Vec<String>,
    /// Time from the target's own start to its end on the runtime's clock, including clean-up, but
    /// not the read-back after all targets have ended. Zero if the target never began.
    pub elapsed: Duration,
}

impl<T> Outcome<T> {
    /// True if the algorithm succeeded and the hardware is in its intended state.
    pub fn is_well(&self) -> bool {
        self.result.is_ok() && self.hardware.is_settled()
    }

    /// Converts the result, if the algorithm succeeded. All other fields stay the same.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Outcome<U> {
        Outcome {
            board: self.board,
            module: self.module,
            result: self.result.map(convert),
            hardware: self.hardware,
            repeats: self.repeats,
            board_warnings: self.board_warnings,
            elapsed: self.elapsed,
        }
    }
}

/// State in which the tones of a module are left at the end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum HardwareState {
    /// The module is in its declared safe state, which was read back.
    AsDeclared,
    /// The module has the settings of the algorithm, which were read back. The algorithm succeeded,
    /// and its settings were to be kept.
    Kept,
    /// The module is as it was before the run. The run has sent no request that changes a setting.
    Untouched,
    /// The module is, or may be, in another state than the intended one. The intended state is the
    /// declared safe state, or the settings of the algorithm if they were to be kept.
    Left {
        /// Channels that drive a tone and should drive none, or should drive another tone.
        left_on: Channels,
        /// Channels whose settings are not known.
        unknown: Channels,
        /// Channels that are off and should be on.
        not_restored: Channels,
        /// Sentence about the actual and the intended frequency of the NCO, if they differ or may
        /// differ. Every tone is then shifted by the difference.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nco: Option<String>,
        /// Reason that the intended state was not reached. Run directories of formats before 2
        /// have only a sentence here.
        reason: Failure,
    },
}

impl HardwareState {
    /// Returns the state of a module that was not reached, so that nothing is known about its
    /// channels.
    pub(super) fn unreached(error: &Error) -> Self {
        Self::Left {
            left_on: Channels::default(),
            unknown: Channels::All,
            not_restored: Channels::default(),
            nco: None,
            reason: Failure::from(error),
        }
    }

    /// True if every channel is in its intended state.
    pub fn is_settled(&self) -> bool {
        !matches!(self, Self::Left { .. })
    }

    /// Channels that drive a tone and should drive none, or should drive another tone.
    pub fn left_on(&self) -> Channels {
        match self {
            Self::Left { left_on, .. } => left_on.clone(),
            _ => Channels::default(),
        }
    }

    /// Returns the channels that are off and should be on.
    pub fn not_restored(&self) -> Channels {
        match self {
            Self::Left { not_restored, .. } => not_restored.clone(),
            _ => Channels::default(),
        }
    }

    /// Channels whose settings are not known.
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
                write!(f, "{reason}")
            }
        }
    }
}

/// Some channels of a module. They serialize to `"all"` or to a list of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channels {
    /// Every channel of the module. This is used if nothing is known about the module, not even the
    /// number of its channels, for instance because the board was never reached.
    All,
    /// The channels in this list, in order.
    These(Vec<ChannelId>),
}

impl Channels {
    /// True if there are no channels.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::These(channels) if channels.is_empty())
    }

    /// True if `channel` is one of these channels.
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
