//! The journal of one module: its settings as this client last set them, and values in doubt.

use super::difference::Difference;
use super::leaves::{Change, Key, Setting};

/// Settings of a module as they were last set, as far as its batches tell. Memory grows with the
/// highest channel that is set, and with the number of values in doubt, up to [`MOST_DOUBTS`].
#[derive(Debug)]
pub(super) struct Ledger {
    /// No number (NaN) if it was never set.
    nco: f64,
    /// By channel from 0 and by setting; no number (NaN) if it was never set.
    tones: Vec<[f64; 4]>,
    /// Values that a setting may have as well, oldest first for each setting.
    doubts: Vec<(Key, f64)>,
}

/// Largest number of values in doubt that are kept. If there are more, the settings in doubt are
/// forgotten: no value of them is expected any more.
const MOST_DOUBTS: usize = 1 << 16;

/// Settings of a module as they were read back; `None` for one that was never set.
pub(super) type Reading = Vec<(Key, Option<f64>)>;

impl Default for Ledger {
    fn default() -> Self {
        Self {
            nco: f64::NAN,
            tones: Vec::new(),
            doubts: Vec::new(),
        }
    }
}

impl Ledger {
    /// Value that a setting was last surely set to.
    pub(super) fn expected(&self, key: Key) -> Option<f64> {
        let value = match key.setting {
            Setting::Nco => self.nco,
            setting => {
                let tone = self.tones.get(usize::from(key.channel.checked_sub(1)?))?;
                tone[place(setting)]
            }
        };
        (!value.is_nan()).then_some(value)
    }

    /// Takes note of changes that were surely made, and of the NCO as it was read back after
    /// them: boards round.
    pub(super) fn apply(&mut self, changes: &[Change], nco: Option<f64>) {
        for change in changes {
            match *change {
                Change::Set(key, value) => *self.slot(key) = value,
                Change::Clear => self.clear_tones(),
            }
        }
        if let Some(nco) = nco {
            self.nco = nco;
        }
        if !self.doubts.is_empty() {
            let set = changes.iter().filter_map(|change| match change {
                Change::Set(key, _) => Some(*key),
                Change::Clear => None,
            });
            self.settle(set);
        }
    }

    /// Takes note of changes that may have been made, or some of them.
    pub(super) fn doubt(&mut self, changes: &[Change]) {
        for change in changes {
            match *change {
                Change::Set(key, value) => self.doubts.push((key, value)),
                Change::Clear => {
                    let tones = self.known().filter(|key| *key != Key::NCO);
                    let doubts: Vec<_> = tones.map(|key| (key, 0.0)).collect();
                    self.doubts.extend(doubts);
                }
            }
        }
        if self.doubts.len() > MOST_DOUBTS {
            self.doubts
                .sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            self.doubts.dedup();
        }
        if self.doubts.len() > MOST_DOUBTS {
            for (key, _) in std::mem::take(&mut self.doubts) {
                *self.slot(key) = f64::NAN;
            }
        }
    }

    /// Every setting that was surely set, in order of channels.
    pub(super) fn known(&self) -> impl Iterator<Item = Key> {
        let nco = self.expected(Key::NCO).map(|_| Key::NCO);
        nco.into_iter()
            .chain((1..).zip(&self.tones).flat_map(|(channel, tone)| {
                Setting::OF_TONES
                    .into_iter()
                    .filter(|setting| !tone[place(*setting)].is_nan())
                    .map(move |setting| Key::tone(channel, setting))
            }))
    }

    /// The NCO and the settings of at most `most` channels, those that are on first, spread over
    /// all of them: other ones for each `turn`.
    pub(super) fn sample(&self, most: usize, turn: usize) -> impl Iterator<Item = Key> {
        let (mut on, mut off) = (Vec::new(), Vec::new());
        for (channel, tone) in (1u16..).zip(&self.tones) {
            let amplitude = tone[place(Setting::Amplitude)];
            if amplitude != 0.0 && !amplitude.is_nan() {
                on.push(channel);
            } else if tone.iter().any(|value| !value.is_nan()) {
                off.push(channel);
            }
        }
        let mut chosen = spread(&on, most, turn);
        chosen.extend(spread(&off, most - chosen.len(), turn));
        chosen.sort_unstable();
        self.known()
            .filter(move |key| *key == Key::NCO || chosen.binary_search(&key.channel).is_ok())
    }

    /// Difference of `reading` from the settings: the values that are neither as they were set nor
    /// in doubt.
    pub(super) fn compare(&mut self, reading: &Reading) -> Option<Difference> {
        self.doubts.sort_by_key(|(key, _)| *key);
        let mut difference: Option<Difference> = None;
        let mut compared = 0;
        for &(key, found) in reading {
            let Some(expected) = self.expected(key) else {
                continue;
            };
            compared += 1;
            if self.matching(key, found).is_some() {
                continue;
            }
            let newest = self.doubts_of(key).last();
            difference.get_or_insert(Difference {
                first: key,
                found,
                expected,
                or: newest.map(|(_, value)| *value),
                differ: 0,
                compared: 0,
                all_lost: true,
            });
            if let Some(difference) = &mut difference {
                difference.differ += 1;
                difference.all_lost &= found.unwrap_or(0.0) == 0.0;
            }
        }
        difference.map(|difference| Difference {
            compared,
            ..difference
        })
    }

    /// Takes note of a reading in which nothing differs: settings that were read are no longer in
    /// doubt.
    pub(super) fn learn(&mut self, reading: &Reading) {
        if self.doubts.is_empty() {
            return;
        }
        self.doubts.sort_by_key(|(key, _)| *key);
        for &(key, found) in reading {
            // One that may have been set for the first time now has the value that was found.
            let value = match self.expected(key) {
                Some(_) => self.matching(key, found),
                None if self.doubts_of(key).is_empty() => None,
                None => Some(found.unwrap_or(0.0)),
            };
            if let Some(value) = value {
                *self.slot(key) = value;
            }
        }
        self.settle(reading.iter().map(|(key, _)| *key));
    }

    /// Takes note of one setting that is to stay as it is.
    pub(super) fn adopt(&mut self, key: Key, value: f64) {
        *self.slot(key) = value;
    }

    /// The value that matches the one found, of those that the setting may have. The doubts must be
    /// sorted.
    fn matching(&self, key: Key, found: Option<f64>) -> Option<f64> {
        let found = found.unwrap_or(0.0);
        let doubts = self.doubts_of(key).iter().rev().map(|(_, value)| *value);
        doubts
            .chain(self.expected(key))
            .find(|value| is_near(key.setting, *value, found))
    }

    fn doubts_of(&self, key: Key) -> &[(Key, f64)] {
        let from = self.doubts.partition_point(|(known, _)| *known < key);
        let to = self.doubts.partition_point(|(known, _)| *known <= key);
        &self.doubts[from..to]
    }

    /// Drops the values in doubt of `keys`.
    fn settle(&mut self, keys: impl Iterator<Item = Key>) {
        let mut settled: Vec<Key> = keys.collect();
        settled.sort_unstable();
        self.doubts
            .retain(|(key, _)| settled.binary_search(key).is_err());
    }

    /// Takes note that all tones are off. Boards do not tell the offsets and phases that they leave
    /// then, so these are not expected.
    fn clear_tones(&mut self) {
        for tone in &mut self.tones {
            if tone.iter().any(|value| !value.is_nan()) {
                *tone = [f64::NAN; 4];
                tone[place(Setting::Amplitude)] = 0.0;
            }
        }
        self.doubts.retain(|(key, _)| *key == Key::NCO);
    }

    fn slot(&mut self, key: Key) -> &mut f64 {
        if key.setting == Setting::Nco {
            return &mut self.nco;
        }
        let index = usize::from(key.channel.saturating_sub(1));
        if index >= self.tones.len() {
            self.tones.resize(index + 1, [f64::NAN; 4]);
        }
        &mut self.tones[index][place(key.setting)]
    }
}

fn place(setting: Setting) -> usize {
    match setting {
        Setting::Nco | Setting::Offset => 0,
        Setting::Amplitude => 1,
        Setting::Phase => 2,
        Setting::Rotation => 3,
    }
}

/// At most `most` of `channels`, at equal distances, others for each turn until all had theirs.
fn spread(channels: &[u16], most: usize, turn: usize) -> Vec<u16> {
    if most == 0 {
        return Vec::new();
    }
    let stride = channels.len().div_ceil(most).max(1);
    let chosen = channels.iter().skip(turn % stride).step_by(stride);
    chosen.copied().collect()
}

/// True if two values of a setting are the same to within the rounding of boards.
fn is_near(setting: Setting, one: f64, other: f64) -> bool {
    let apart = (one - other).abs();
    match setting {
        Setting::Nco | Setting::Offset => apart <= 1.0,
        // Half a step of 16 bits.
        Setting::Amplitude => apart <= 1.0 / 65_536.0,
        Setting::Phase | Setting::Rotation => {
            let turned = apart.rem_euclid(360.0);
            turned.min(360.0 - turned) <= 0.01
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amplitude(channel: u16) -> Key {
        Key::tone(channel, Setting::Amplitude)
    }

    fn differs(ledger: &mut Ledger, key: Key, found: Option<f64>) -> bool {
        ledger.compare(&vec![(key, found)]).is_some()
    }

    #[test]
    fn what_is_in_doubt_is_settled_by_what_comes_after() {
        let mut ledger = Ledger::default();
        let key = amplitude(3);
        // A setting that was never surely set is not compared.
        ledger.doubt(&[Change::Set(key, 0.5)]);
        assert!(!differs(&mut ledger, key, Some(0.7)));
        ledger.apply(&[Change::Set(key, 0.1)], None);
        assert!(differs(&mut ledger, key, Some(0.5)));
        ledger.doubt(&[Change::Set(key, 0.2), Change::Clear]);
        for (found, right) in [
            (Some(0.1), true),
            (Some(0.2), true),
            (Some(0.0), true),
            (None, true),
            (Some(0.3), false),
        ] {
            assert_eq!(!differs(&mut ledger, key, found), right, "{found:?}");
        }
        ledger.learn(&vec![(key, Some(0.2))]);
        assert!(differs(&mut ledger, key, Some(0.1)));
        ledger.doubt(&[Change::Set(key, 0.4)]);
        ledger.apply(&[Change::Clear], None);
        assert!(differs(&mut ledger, key, Some(0.4)));
        assert!(!differs(&mut ledger, key, None));
    }

    #[test]
    fn what_was_set_for_the_first_time_or_not_is_learnt_as_it_is_found() {
        for found in [0.0, 0.5] {
            let mut ledger = Ledger::default();
            ledger.doubt(&[Change::Set(amplitude(3), 0.5)]);
            ledger.learn(&vec![(amplitude(3), Some(found))]);
            assert_eq!(ledger.expected(amplitude(3)), Some(found));
            assert!(differs(&mut ledger, amplitude(3), Some(0.5 - found)));
        }
    }

    #[test]
    fn an_nco_is_expected_where_the_board_has_put_it() {
        let mut ledger = Ledger::default();
        ledger.apply(&[Change::Set(Key::NCO, 1e9)], Some(1e9 + 400.0));
        assert!(!differs(&mut ledger, Key::NCO, Some(1e9 + 400.0)));
        assert!(differs(&mut ledger, Key::NCO, Some(1e9)));
    }

    #[test]
    fn phases_are_the_same_full_turns_apart() {
        for (one, other, same) in [
            (0.0, 360.0, true),
            (-90.0, 270.0, true),
            (179.999, -179.999, true),
            (359.999, 0.0, true),
            (10.0, 10.1, false),
            (f64::NAN, 0.0, false),
        ] {
            assert_eq!(is_near(Setting::Phase, one, other), same, "{one} {other}");
        }
    }

    #[test]
    fn what_is_in_doubt_does_not_grow_for_ever() {
        let mut ledger = Ledger::default();
        let all = |value: f64| -> Vec<Change> {
            (1..=1024)
                .map(|channel| Change::Set(amplitude(channel), value))
                .collect()
        };
        ledger.apply(&all(0.5), None);
        ledger.apply(&[Change::Set(Key::NCO, 1e9)], None);
        for step in 0..1000 {
            ledger.doubt(&all(f64::from(step % 5)));
        }
        assert!(ledger.doubts.len() <= MOST_DOUBTS);
        assert!(differs(&mut ledger, amplitude(7), Some(0.25)));
        for step in 0..100 {
            ledger.doubt(&all(f64::from(step)));
            assert!(ledger.doubts.len() <= MOST_DOUBTS);
        }
        // Too many doubts: these settings are no longer compared, the others still are.
        assert!(!differs(&mut ledger, amplitude(7), Some(0.25)));
        assert!(differs(&mut ledger, Key::NCO, Some(0.0)));
    }

    #[test]
    fn a_sample_comes_round_to_every_channel() {
        for (channels, most) in [(0u16, 4), (3, 4), (4, 4), (5, 4), (1024, 16), (7, 0)] {
            let all: Vec<u16> = (1..=channels).collect();
            let mut seen = Vec::new();
            for turn in 0..1024usize.div_ceil(most.max(1)) {
                let some = spread(&all, most, turn);
                assert!(some.len() <= most);
                seen.extend(some);
            }
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, if most == 0 { Vec::new() } else { all });
        }
    }
}
