//! Power of crates. The boards of a crate share it, and a person may switch a whole crate off.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

use crate::map::same_serial;

/// Power of one crate. A board that a person is asked to switch off and on holds a read lock. A
/// board whose flash is not complete holds the write lock. So no board is switched off while
/// another one of its crate is written, and one of them at a time is written.
///
/// The value is the name of a board that was given up with an incomplete flash. No other board of
/// the crate may then be begun.
pub(super) type Power = Arc<RwLock<Option<String>>>;

/// Lock of the power of a crate for the only board that is written.
pub(super) type Only = OwnedRwLockWriteGuard<Option<String>>;

/// Power of the crates of a roll-out.
#[derive(Debug, Default)]
pub(super) struct Crates(Mutex<HashMap<String, Power>>);

impl Crates {
    /// Returns the power of a crate. A board without a crate has power of its own.
    pub(super) fn power(&self, crate_serial: Option<&str>) -> Power {
        let Some(serial) = crate_serial else {
            return Power::default();
        };
        let mut crates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(crates.entry(same_serial(serial)).or_default())
    }
}
