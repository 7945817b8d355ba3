//! Comparison of the settings that are read back with those that were set. A setting is in doubt if
//! it may have one of several values, because the outcome of a write is not known.

use super::tone::Bits;
use super::{Difference, MOST_DOUBTS, ModuleSettings, Setting, SettingKey};
use crate::{Hertz, Radians};

/// Largest differences between a value that is read back and the value that was set, due to the
/// rounding of a board.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rounding {
    /// Largest difference of frequencies: those of the NCO, and those of tones relative to it.
    pub frequency: Hertz,
    /// Largest difference of amplitudes, as a fraction of full scale.
    pub amplitude: f64,
    /// Largest difference of phases. Phases that are full turns apart count as equal.
    pub angle: Radians,
}

impl Rounding {
    /// True if two values of a setting differ by no more than the rounding.
    pub fn is_same(&self, setting: Setting, one: f64, other: f64) -> bool {
        let apart = (one - other).abs();
        match setting {
            Setting::Nco | Setting::Offset => apart <= self.frequency.0,
            Setting::Amplitude => apart <= self.amplitude,
            Setting::Phase | Setting::Rotation => {
                let turn = std::f64::consts::TAU;
                let turned = apart.rem_euclid(turn);
                turned.min(turn - turned) <= self.angle.0
            }
        }
    }
}

impl ModuleSettings {
    /// Value that a reading of the setting is compared with: the last value that a write of this
    /// program surely set, or that was read back after a write whose outcome was not known. `None`
    /// if there is no such value since the last loss of settings.
    pub fn expected(&self, key: SettingKey) -> Option<f64> {
        let bits = self.bits(key).filter(|bits| bits.is_expected)?;
        if bits.has_doubts {
            return self.doubts_of(key).first().map(|(_, value)| *value);
        }
        self.value(key)
    }

    /// Every setting that has an [`expected`](Self::expected) value: first the NCO, then the
    /// settings of tones in the order of the channels.
    pub fn known(&self) -> impl Iterator<Item = SettingKey> + '_ {
        let tones = self.tones().iter().flat_map(|tone| {
            let settings = Setting::OF_TONES.into_iter();
            settings.map(|setting| SettingKey::tone(tone.channel(), setting))
        });
        let all = [SettingKey::NCO].into_iter().chain(tones);
        all.filter(|key| self.bits(*key).is_some_and(|bits| bits.is_expected))
    }

    /// Difference between `reading` and the settings; `None` if no value differs. A value differs
    /// if it is neither the [`expected`](Self::expected) value nor one that may have been set since
    /// then. Settings without an expected value are not compared. A setting that the board has
    /// never set is compared as 0.
    pub fn compare(
        &mut self,
        reading: &[(SettingKey, Option<f64>)],
        rounding: &Rounding,
    ) -> Option<Difference> {
        self.sort_doubts();
        let mut difference: Option<Difference> = None;
        let mut compared = 0;
        for &(key, found) in reading {
            let Some(bits) = self.bits(key).filter(|bits| bits.is_expected) else {
                continue;
            };
            let doubts = if bits.has_doubts {
                self.doubts_of(key)
            } else {
                &[]
            };
            let first = doubts.first().map(|(_, value)| *value);
            let Some(expected) = first.or_else(|| self.value(key)) else {
                continue;
            };
            compared += 1;
            let is = found.unwrap_or(0.0);
            let mut values = doubts.iter().map(|(_, value)| *value).chain([expected]);
            if values.any(|value| rounding.is_same(key.setting, value, is)) {
                continue;
            }
            let difference = difference.get_or_insert(Difference {
                first: key,
                found,
                expected,
                or: doubts.last().map(|(_, value)| *value),
                differ: 0,
                compared: 0,
                all_lost: true,
            });
            difference.differ += 1;
            difference.all_lost &= is == 0.0;
        }
        difference.map(|difference| Difference {
            compared,
            ..difference
        })
    }

    /// Records a reading in which [`compare`](Self::compare) found no difference.
    ///
    /// A setting in doubt gets the one of its possible values that the reading shows. A setting
    /// that is not in doubt keeps the value that was set. If each reading became the next expected
    /// value, a drift in small steps would never be noticed.
    pub fn learn_reading(&mut self, reading: &[(SettingKey, Option<f64>)], rounding: &Rounding) {
        self.sort_doubts();
        for &(key, found) in reading {
            let Some(bits) = self.bits(key).filter(|bits| bits.has_doubts) else {
                continue;
            };
            let is = found.unwrap_or(0.0);
            let mut values = self.doubts_of(key).iter().rev().map(|(_, value)| *value);
            let set = values.find(|value| rounding.is_same(key.setting, *value, is));
            self.learn(key, set.filter(|_| bits.is_expected).or(found));
        }
    }

    /// Value of a setting that was last requested or read; 0 if there was none, or if it was read
    /// back as never set. `None` for a channel that was never used.
    fn value(&self, key: SettingKey) -> Option<f64> {
        let value = match key.channel {
            None => self.nco.value,
            Some(channel) => self.tone(channel)?.value(key.setting),
        };
        Some(if value.is_nan() { 0.0 } else { value })
    }

    /// Adds a value that the setting may have been set to. Call this method before the value is
    /// stored as the last requested value.
    pub(super) fn doubt(&mut self, key: SettingKey, value: f64) {
        let Some(bits) = self.bits(key) else {
            return;
        };
        if !bits.has_doubts {
            self.drop_settled();
            let surely = bits.is_expected.then(|| self.value(key)).flatten();
            let surely = surely.unwrap_or(f64::NAN);
            self.doubts.push((key, surely));
            let has_doubts = true;
            self.set_bits(key, Bits { has_doubts, ..bits });
        }
        self.doubts.push((key, value));
    }

    /// Records that a setting is no longer in doubt. If it was in doubt, it is compared with
    /// readings from now on.
    pub(super) fn settle(&mut self, key: SettingKey) {
        let Some(bits) = self.bits(key) else {
            return;
        };
        if bits.has_doubts {
            // The values of all settled settings are removed together, before the next doubt is
            // added. To remove them one by one would take a time that grows with the square of
            // their number.
            self.has_settled = true;
            let settled = Bits {
                is_expected: true,
                has_doubts: false,
            };
            self.set_bits(key, settled);
        }
    }

    /// Limits the number of entries of `doubts` to [`MOST_DOUBTS`].
    pub(super) fn bound_doubts(&mut self) {
        if self.doubts.len() <= MOST_DOUBTS {
            return;
        }
        self.sort_doubts();
        let groups = self.doubts.chunk_by(|one, other| one.0 == other.0);
        let distinct = groups.flat_map(|group| {
            // The first value of each setting is the one that it surely had.
            let mut rest = group[1..].to_vec();
            rest.sort_by(|one, other| one.1.total_cmp(&other.1));
            rest.dedup();
            [group[0]].into_iter().chain(rest)
        });
        self.doubts = distinct.collect();
        if self.doubts.len() > MOST_DOUBTS {
            for (key, _) in std::mem::take(&mut self.doubts) {
                let unknown = Bits {
                    is_expected: false,
                    has_doubts: false,
                };
                self.set_bits(key, unknown);
            }
        }
    }

    fn drop_settled(&mut self) {
        if std::mem::take(&mut self.has_settled) {
            let doubts = std::mem::take(&mut self.doubts);
            let is_open = |key| self.bits(key).is_some_and(|bits| bits.has_doubts);
            self.doubts = doubts
                .into_iter()
                .filter(|(key, _)| is_open(*key))
                .collect();
        }
    }

    pub(super) fn sort_doubts(&mut self) {
        self.drop_settled();
        // Stable: the values of a setting keep their order.
        self.doubts.sort_by_key(|(key, _)| *key);
    }

    /// Entries of `doubts` for a setting: the values that it may have. `doubts` must be sorted.
    fn doubts_of(&self, key: SettingKey) -> &[(SettingKey, f64)] {
        let from = self.doubts.partition_point(|(known, _)| *known < key);
        let to = self.doubts.partition_point(|(known, _)| *known <= key);
        &self.doubts[from..to]
    }

    #[cfg(test)]
    pub(super) fn doubts(&self) -> usize {
        self.doubts.len()
    }
}
