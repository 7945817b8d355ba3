//! Properties of a board and its modules, as `twotone info` shows them.

use std::collections::BTreeMap;

use serde::Serialize;
use twotone::hal::{Batch, BoardHandle, ErrorKind, ModuleId, PropertyKey, PropertyValue};
use twotone::record::Failure;
use twotone::run::Count;

/// Values of properties by their names. `None` if the board reports no value.
pub(super) type Values = BTreeMap<&'static str, Option<PropertyValue>>;

/// Properties of a board and of its modules.
#[derive(Debug, Default)]
pub(super) struct Properties {
    pub(super) of_board: Values,
    pub(super) of_modules: BTreeMap<ModuleId, Values>,
    pub(super) errors: Vec<PropertyError>,
    pub(super) count: Count,
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
/// is sent, since each would wait for its deadline. The rest have an error.
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
    let mut unanswered = None;
    for (module, name) in wanted {
        if let Some((kind, earlier)) = unanswered {
            let why = format!("not asked after `{earlier}`, which had no answer");
            found.errors.push(PropertyError {
                property: name,
                module,
                is_refused: false,
                error: Failure::of_kind(kind, why),
            });
            continue;
        }
        let mut batch = Batch::new();
        let ticket = batch.read_property(module, name);
        let answer = board.run(&batch).await;
        found.count.note(&answer);
        match answer {
            Ok(replies) => {
                let values = match module {
                    Some(module) => found.of_modules.entry(module).or_default(),
                    None => &mut found.of_board,
                };
                values.insert(name, replies.get(ticket).cloned());
            }
            Err(error) => {
                let kind = error.kind();
                unanswered = kind.is_unanswered().then_some((kind, name));
                found.errors.push(PropertyError {
                    property: name,
                    module,
                    is_refused: kind == ErrorKind::Rejected,
                    error: Failure::from(&error),
                });
            }
        }
    }
    found
}

impl Properties {
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
