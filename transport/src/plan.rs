//! Judgement of the entry of a board in a hardware map, by the kind of the board and without a
//! connection.

use std::collections::BTreeMap;

use twotone_hal::{Hertz, ModuleId, PropertyValue};

/// Values of properties, by their names.
pub type PropertyMap = BTreeMap<&'static str, PropertyValue>;

/// Entry of a board in a hardware map, as far as its kind can judge it.
#[derive(Debug, Clone)]
pub struct BoardPlan<'a> {
    /// Properties of the board as a whole that the map has.
    pub properties: &'a PropertyMap,
    /// The modules that the map lists.
    pub modules: Vec<ModulePlan<'a>>,
}

/// Entry of a module in a hardware map, as far as the kind of its board can judge it.
#[derive(Debug, Clone, Copy)]
pub struct ModulePlan<'a> {
    /// The module.
    pub module: ModuleId,
    /// Lowest frequency of a tone, if the map has it.
    pub f_min: Option<Hertz>,
    /// Highest frequency of a tone, if the map has it.
    pub f_max: Option<Hertz>,
    /// Properties of the module that the map has.
    pub properties: &'a PropertyMap,
}

/// Reason that no board can be set up as a hardware map says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The module that the conflict is about; `None` for the board as a whole.
    pub module: Option<ModuleId>,
    /// Key of the map that should be changed.
    pub key: &'static str,
    /// The reason, with the values that are possible.
    pub message: String,
}

impl BoardPlan<'_> {
    /// Value of a property of the board as a whole, if the map has it.
    pub fn property(&self, name: &str) -> Option<&PropertyValue> {
        self.properties.get(name)
    }
}
