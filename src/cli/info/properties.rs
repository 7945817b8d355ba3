//! Properties of a board and its modules, as `twotone info` shows them.

use std::collections::BTreeMap;

use serde::Serialize;
use twotone::hal::{Batch, BoardHandle, Error, ErrorKind, ModuleId, PropertyKey, PropertyValue};
use twotone::record::Failure;

/// Values of properties by their names. `None` if the board reports no value.
pub(super) type Values = BTreeMap<&'static str, Option<PropertyValue>>;

/// Properties of a board and of its modules.
#[derive(Debug, Default)]
pub(super) struct Properties {
    pub(super) of_board: Values,
    pub(super) of_modules: BTreeMap<ModuleId, Values>,
    pub(super) errors: Vec<PropertyError>,
    pub(super) repeats: u32,
    pub(super) board_warnings: Vec<String>,
}

/// Reason that a property could not be read.
#[derive(Debug, Serialize)]
pub(super) struct PropertyError {
    pub(super) property: &'static str,
    pub(super) module: Option<ModuleId>,
    pub(super) error: Failure,
    /// True if the board has refused to tell it. An older release may not have the property.
    #[serde(skip)]
    pub(super) is_refused: bool,
}

/// Reads the properties of `keys` one after the other. After a request without an answer, no other
/// is sent: each would wait for its deadline.
pub(super) async fn read(
    board: &BoardHandle,
    keys: &'static [PropertyKey],
    modules: &[ModuleId],
) -> Properties {
    let mut found = Properties::default();
    let of_board = keys.iter().filter(|key| !key.of_module);
    let of_board = of_board.map(|key| (None, key.name));
    let of_modules = modules.iter().flat_map(|module| {
        let keys = keys.iter().filter(|key| key.of_module);
        keys.map(|key| (Some(*module), key.name))
    });
    let wanted: Vec<_> = of_board.chain(of_modules).collect();
    for (module, name) in wanted {
        let mut batch = Batch::new();
        let ticket = batch.read_property(module, name);
        match board.run(&batch).await {
            Ok(replies) => {
                found.repeats += replies.repeats();
                found.warned(replies.warnings());
                let values = match module {
                    Some(module) => found.of_modules.entry(module).or_default(),
                    None => &mut found.of_board,
                };
                values.insert(name, replies.get(ticket).cloned());
            }
            Err(error) => {
                found.repeats += error.repeats();
                found.warned(error.warnings());
                let goes_on = answered(&error);
                found.errors.push(PropertyError {
                    property: name,
                    module,
                    is_refused: error.kind() == ErrorKind::Rejected,
                    error: Failure::from(&error),
                });
                if !goes_on {
                    break;
                }
            }
        }
    }
    found
}

/// True if the error is an answer of the board.
fn answered(error: &Error) -> bool {
    use ErrorKind as K;
    !matches!(
        error.kind(),
        K::Timeout | K::Unreachable | K::ConnectionLost | K::Cancelled
    )
}

impl Properties {
    fn warned(&mut self, warnings: &[String]) {
        for warning in warnings {
            if !self.board_warnings.contains(warning) {
                self.board_warnings.push(warning.clone());
            }
        }
    }

    /// Sentence with the properties of the board as a whole; `None` if there are none.
    pub(super) fn in_words(values: &Values) -> Option<String> {
        let texts = values.iter().map(|(name, value)| match value {
            Some(value) => format!("{name} {value}"),
            None => format!("{name} not reported"),
        });
        let texts: Vec<_> = texts.collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }
}
