//! Report of the set-up of an array.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use twotone_hal::{ErrorKind, ModuleId, PropertyKey, PropertyValue};

use super::Completion;
use super::array_report::BoardFacts;
use super::setup::BoardSetup;
use crate::Array;
use crate::identity::Identity;
use crate::lock::Holder;
use crate::map::HardwareMap;
use crate::record::Failure;

/// Report of a set-up. It serializes to the JSON object of `twotone setup --json`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SetupReport {
    /// True if every property of the map has its value on the boards, read back. In a dry run,
    /// true if every property could be compared.
    pub ok: bool,
    /// True if nothing was set.
    pub dry_run: bool,
    /// True if the set-up was cancelled before it was done.
    pub interrupted: bool,
    /// Every board of the map, in its order. Empty if the set-up was cancelled before the boards
    /// were connected.
    pub boards: Vec<SetupBoard>,
}

/// Report of the set-up of a board.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SetupBoard {
    /// Name of the board in the map.
    pub name: String,
    #[serde(skip)]
    reached: bool,
    /// Error of the board, if it could not be reached or used.
    pub error: Option<Failure>,
    /// Result of the check that it is the board in the map. `None` if it was not checked.
    pub identity: Option<Identity>,
    /// Program that had locked the board, if this one took the board over from another program.
    pub taken_over: Option<Holder>,
    /// Facts that the board did not report about itself, a sentence each.
    pub doubts: Vec<String>,
    /// Properties of the board and its modules.
    #[serde(flatten)]
    pub setup: BoardSetup,
}

/// A property that the map has for a board or a module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetupSetting {
    /// Name of the property: the key of the map.
    pub property: String,
    /// The module; `None` for a property of the board as a whole.
    pub module: Option<ModuleId>,
    /// Value in the map.
    pub wanted: PropertyValue,
    /// Value before, as it was read. `None` if it could not be read, or if the board reported
    /// none.
    pub before: Option<PropertyValue>,
    /// Value after, as it was read back. `None` as with `before`, and in a dry run.
    pub after: Option<PropertyValue>,
    /// Status of the property.
    pub status: SetupStatus,
    /// Reason that the property does not have the value of the map.
    pub error: Option<Failure>,
    /// True if a request to set the property was sent.
    #[serde(skip)]
    pub(super) was_sent: bool,
}

/// Status of a property after a set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SetupStatus {
    /// It had the value of the map already.
    AsInMap,
    /// It was set, and read back.
    Set,
    /// It differs from the map, and nothing was set, because this was a dry run, the set-up was
    /// cancelled, or the board stopped answering. A module that the board has only after its set-up
    /// differs too, with the reason that it cannot be read.
    Differs,
    /// It could not be read, or not be set.
    NotSet,
}

impl SetupStatus {
    /// True unless something went wrong.
    pub fn is_well(self) -> bool {
        self != Self::NotSet
    }

    /// Name of the status, in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsInMap => "as in the map",
            Self::Set => "set",
            Self::Differs => "differs",
            Self::NotSet => "NOT SET",
        }
    }
}

impl SetupSetting {
    /// Returns a property that was not read.
    pub(super) fn unread(
        key: &PropertyKey,
        module: Option<ModuleId>,
        wanted: &PropertyValue,
    ) -> Self {
        Self {
            property: key.name.to_owned(),
            module,
            wanted: wanted.clone(),
            before: None,
            after: None,
            status: SetupStatus::NotSet,
            error: None,
            was_sent: false,
        }
    }

    /// Kind of the error, if there is one.
    pub(super) fn error_kind(&self) -> Option<ErrorKind> {
        self.error.as_ref()?.kind
    }
}

impl fmt::Display for SetupSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            property,
            wanted,
            status,
            ..
        } = self;
        if let Some(module) = self.module {
            write!(f, "module {module}: ")?;
        }
        let was = self.before.as_ref();
        let was = was.map_or_else(|| "unknown".to_owned(), ToString::to_string);
        match status {
            SetupStatus::AsInMap => write!(f, "`{property}` is {wanted}, as in the map"),
            SetupStatus::Set => write!(f, "`{property}` was {was} and is set to {wanted}"),
            SetupStatus::Differs => write!(f, "`{property}` is {was}, and {wanted} in the map"),
            SetupStatus::NotSet => {
                write!(f, "`{property}` is not set to {wanted}; it was {was}")?;
                if let Some(after) = &self.after {
                    write!(f, " and is {after}")?;
                }
                match &self.error {
                    Some(error) => write!(f, " ({error})"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl SetupReport {
    pub(super) fn of(
        map: &HardwareMap,
        array: &Array,
        mut setups: BTreeMap<String, BoardSetup>,
        dry_run: bool,
    ) -> Self {
        let boards = map.boards().iter().map(|entry| {
            let facts = BoardFacts::of(array, &entry.name);
            SetupBoard {
                name: entry.name.clone(),
                reached: array.reached(&entry.name),
                error: facts.error,
                identity: facts.identity,
                taken_over: facts.taken_over,
                doubts: facts.doubts,
                setup: setups.remove(&entry.name).unwrap_or_default(),
            }
        });
        let boards: Vec<_> = boards.collect();
        Self {
            ok: boards
                .iter()
                .all(|board| board.error.is_none() && board.setup.is_well()),
            dry_run,
            interrupted: false,
            boards,
        }
    }

    /// Report of a set-up that was cancelled before any board was connected.
    pub(super) fn interrupted(dry_run: bool) -> Self {
        Self {
            ok: false,
            dry_run,
            interrupted: true,
            boards: Vec::new(),
        }
    }

    /// Returns the degree to which the set-up was done.
    pub fn completion(&self) -> Completion {
        let has_set = |board: &SetupBoard| board.setup.has_changed();
        if self.interrupted && !self.boards.iter().any(has_set) {
            Completion::Interrupted
        } else if !self.boards.is_empty() && !self.boards.iter().any(|board| board.reached) {
            Completion::Unreachable
        } else if self.ok && !self.interrupted {
            Completion::Complete
        } else {
            Completion::Incomplete
        }
    }
}
