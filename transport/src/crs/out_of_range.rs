//! Settings that were read back from a board and are outside the ranges in its description.
//!
//! A board can have such settings: an NCO frequency that was set before the Nyquist zone of the
//! module was changed, or an offset that was set while the bandwidth of the module was extended. A
//! caller that restores earlier settings must not be refused, so a value that was read back may be
//! set again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use twotone_hal::{ModuleDescription, SettingKey};

/// Values outside their range that were read from one module. Only the latest one of each setting
/// is kept.
#[derive(Debug, Default)]
pub(super) struct OutOfRange(Mutex<BTreeMap<SettingKey, f64>>);

impl OutOfRange {
    /// Records a value that was read back if it is outside the range of `module`.
    pub(super) fn note(&self, module: &ModuleDescription, key: SettingKey, value: f64) {
        if value.is_finite() && !module.is_in_range(key.setting, value) {
            let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            found.insert(key, value);
        }
    }

    /// True if this value of the setting was read back.
    pub(super) fn has(&self, key: SettingKey, value: f64) -> bool {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(&key) == Some(&value)
    }
}
