//! Settings of a board that were found to be outside of the ranges that it describes.
//!
//! A board takes more than its description says: an NCO from before its Nyquist zone was changed,
//! an offset from when its bandwidth was extended. A caller that puts back earlier settings must
//! not be refused, so a value that was read back may be set again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use twotone_hal::{Hertz, ModuleDescription, Setting, SettingKey};

/// Values that were found on one module. At most the latest value of each setting is kept.
#[derive(Debug, Default)]
pub(super) struct OutOfRange(Mutex<BTreeMap<SettingKey, f64>>);

impl OutOfRange {
    /// Takes note of a value that was read back, if `module` does not have it in its range.
    pub(super) fn note(&self, module: &ModuleDescription, key: SettingKey, value: f64) {
        if value.is_finite() && !is_in_range(module, key.setting, value) {
            let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            found.insert(key, value);
        }
    }

    /// True if the setting was found to have this value.
    pub(super) fn has(&self, key: SettingKey, value: f64) -> bool {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(&key) == Some(&value)
    }
}

/// True if `module` describes `value` as one that the setting can have.
pub(super) fn is_in_range(module: &ModuleDescription, setting: Setting, value: f64) -> bool {
    match setting {
        Setting::Nco => module.nco_range().contains(Hertz(value)),
        Setting::Offset => value.abs() <= module.max_offset.0,
        Setting::Amplitude => value.abs() <= 1.0,
        Setting::Phase | Setting::Rotation => value.is_finite(),
    }
}
