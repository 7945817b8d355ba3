//! Detectors of a Python hardware map: the resonators that a channel mapping connects to a board.

use std::collections::HashMap;

use super::boards::Reading;
use super::resonators::{Mapping, Resonator};
use crate::map::section::Found;
use crate::map::{BoardKind, HIGHEST_TONE, LOWEST_TONE, implausible_hz, same_serial};

/// Number of channels of a module in the Python schema.
const CHANNELS: u32 = 1024;

/// Number of doubts of one kind that are told one by one. The others are counted.
const TOLD: usize = 20;

/// A resonator with its board.
pub(super) struct Detector {
    /// Byte offset of the row that maps it.
    pub(super) at: usize,
    /// Wafer and name.
    pub(super) id: String,
    /// Index of its board.
    pub(super) board: usize,
    pub(super) module: u8,
    pub(super) channel: u32,
    pub(super) f_hz: f64,
    pub(super) bias_amplitude: Option<f64>,
}

/// A channel of the map.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Channel {
    board: usize,
    module: u8,
    channel: u32,
}

/// Doubts of one kind.
#[derive(Default)]
struct Several {
    told: Vec<(usize, String)>,
    /// Place of the first one that is not told, and the number of those.
    more: Option<(usize, usize)>,
}

impl Several {
    fn say(&mut self, at: usize, what: impl FnOnce() -> String) {
        match (&mut self.more, self.told.len() < TOLD) {
            (_, true) => self.told.push((at, what())),
            (Some((_, count)), _) => *count += 1,
            (None, _) => self.more = Some((at, 1)),
        }
    }

    /// Returns all doubts. `rest` says what the others are.
    fn all(self, rest: &str) -> impl Iterator<Item = (usize, String)> {
        let more = self
            .more
            .map(|(at, count)| (at, format!("{count} more {rest}, from here on")));
        self.told.into_iter().chain(more)
    }
}

/// Finds the detectors. Reports mappings that lead nowhere. Resonators that are no detectors are
/// doubts.
pub(super) fn find(reading: &mut Reading<'_>) -> Vec<Detector> {
    let names = Names::of(reading);
    let mappings = std::mem::take(&mut reading.chains.mappings);
    let mut mapped: HashMap<usize, (usize, Channel)> = HashMap::new();
    let mut used: HashMap<Channel, usize> = HashMap::new();
    let (mut again, mut shared, mut late) = (Several::default(), Several::default(), Vec::new());
    let mut unusable = Several::default();
    let mut detectors = Vec::new();
    for mapping in &mappings {
        let resonator = names.resonator(mapping, reading);
        let channel = names.channel(mapping, reading);
        let (Some(resonator), Some(channel)) = (resonator, channel) else {
            continue;
        };
        let after = channel.board >= mapping.before.0 || resonator >= mapping.before.1;
        if after && late.last() != Some(&mapping.entry) {
            late.push(mapping.entry);
        }
        let at = mapping.resonator.at;
        let called = &mapping.resonator.value;
        if let Some((first, before)) = mapped.get(&resonator) {
            let place = reading.findings.refer(at, *first);
            let what = format!("{called:?} is mapped already at {place}");
            match *before == channel {
                true => again.say(at, || what),
                false => reading.findings.say(at, what + ", to another channel"),
            }
            continue;
        }
        mapped.insert(resonator, (at, channel));
        if let Some(first) = used.get(&channel) {
            let place = reading.findings.refer(at, *first);
            let what = || format!("the channel of {called:?} has another resonator at {place}");
            shared.say(mapping.channel.at, what);
        } else {
            used.insert(channel, mapping.channel.at);
        }
        let found = &reading.chains.resonators[resonator];
        match frequency(found) {
            Ok(f_hz) => detectors.push(Detector {
                at,
                id: names.id(found, reading),
                board: channel.board,
                module: channel.module,
                channel: channel.channel,
                f_hz,
                bias_amplitude: found.bias_amplitude,
            }),
            Err((at, why)) => unusable.say(at, || format!("{called:?} is not imported: {why}")),
        }
    }
    let mut unmapped = Several::default();
    for (index, resonator) in reading.chains.resonators.iter().enumerate() {
        if !mapped.contains_key(&index) {
            let id = names.id(resonator, reading);
            let why = match (resonator.wafer, &resonator.name) {
                (None, _) => "it is on no wafer",
                (_, None) => "it has no name",
                _ => "no !ChannelMappings has it",
            };
            unmapped.say(resonator.at, || format!("{id:?} is not imported: {why}"));
        }
    }
    // An error of the map, such as a table that could not be read, is often the reason that a
    // resonator is not mapped.
    if reading.findings.any() {
        unmapped = Several::default();
    }
    let late = late.into_iter().map(|entry| {
        let what = "Python reads a map in its order, and refuses this entry, because boards or \
                    resonators of its rows come after it: move it to the end";
        (entry, what.to_owned())
    });
    reading.doubts.extend(late);
    reading.doubts.extend(again.all("rows repeat others"));
    reading
        .doubts
        .extend(shared.all("channels have two resonators"));
    reading
        .doubts
        .extend(unusable.all("resonators without a frequency of a tone"));
    reading
        .doubts
        .extend(unmapped.all("resonators that are not mapped"));
    detectors
}

/// Returns the frequency of a resonator, or the reason that it has none, with its place.
fn frequency(resonator: &Resonator) -> Result<f64, (usize, String)> {
    let Some(Found { value: hz, at }) = resonator.bias_hz else {
        return Err((resonator.at, "it has no `bias_freq`".to_owned()));
    };
    if (LOWEST_TONE.0..=HIGHEST_TONE.0).contains(&hz) {
        return Ok(hz);
    }
    let why = implausible_hz("`bias_freq`", hz).map(|problem| problem.to_string());
    let why = why.unwrap_or_else(|| format!("`bias_freq` = {hz} is no frequency of a tone"));
    Err((at, why))
}

/// Boards and resonators by the names that mappings give them. As in Python, names are compared as
/// texts: `24` is not `0024`.
struct Names {
    serials: HashMap<String, Vec<usize>>,
    slots: HashMap<(String, u8), Vec<usize>>,
    resonators: HashMap<String, Vec<usize>>,
    /// The keys of `resonators`, in the order of the map.
    ids: Vec<String>,
    /// True if the map has a problem. Boards or resonators may be missing because of it.
    failed: bool,
}

impl Names {
    fn of(reading: &Reading<'_>) -> Self {
        let mut names = Self {
            serials: HashMap::new(),
            slots: HashMap::new(),
            resonators: HashMap::new(),
            ids: Vec::new(),
            failed: reading.findings.any(),
        };
        for (index, board) in reading.boards.iter().enumerate() {
            let serial = board.serial.iter().flat_map(|serial| both(serial, reading));
            for serial in serial {
                names.serials.entry(serial).or_default().push(index);
            }
            let in_crate = board.in_crate.as_ref().and_then(Option::as_ref);
            if let (Some(in_crate), Some(slot)) = (in_crate, board.slot) {
                for serial in both(in_crate, reading) {
                    names
                        .slots
                        .entry((serial, slot.value))
                        .or_default()
                        .push(index);
                }
            }
        }
        for (index, resonator) in reading.chains.resonators.iter().enumerate() {
            let wafer = resonator.wafer.map(|wafer| &reading.chains.wafers[wafer]);
            if let (Some(wafer), Some(name)) = (wafer, &resonator.name) {
                let mut ids = vec![&wafer.name, &wafer.python];
                ids.dedup();
                for id in ids {
                    let id = format!("{id}/{}", name.value);
                    names.ids.push(id.clone());
                    names.resonators.entry(id).or_default().push(index);
                }
            }
        }
        names
    }

    /// Returns the id of a resonator.
    fn id(&self, resonator: &Resonator, reading: &Reading<'_>) -> String {
        let wafer = resonator.wafer.map(|wafer| &reading.chains.wafers[wafer]);
        let name = resonator.name.as_ref();
        let parts = [wafer.map(|wafer| &wafer.name), name.map(|name| &name.value)];
        let parts: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
        parts.join("/")
    }

    /// Returns the resonator of a mapping.
    fn resonator(&self, mapping: &Mapping, reading: &mut Reading<'_>) -> Option<usize> {
        let Found { value: id, at } = &mapping.resonator;
        let findings = &mut reading.findings;
        if id.split('/').count() != 2 {
            let what =
                format!("`resonator` must be a wafer and a name, such as `w3/d0117`, not {id:?}");
            findings.say(*at, what);
            return None;
        }
        let found = self.resonators.get(id).map_or(&[][..], Vec::as_slice);
        // Python knows only the resonators before the mapping. Later ones are taken if there is
        // no other choice.
        let (before, after) =
            found.split_at(found.partition_point(|index| *index < mapping.before.1));
        match (before, after) {
            ([one], _) | ([], [one]) => Some(*one),
            ([], []) if self.failed => None,
            ([], []) => {
                let near = findings.nearest_of(self.ids.iter().map(String::as_str), id);
                findings.suggest(*at, format!("there is no resonator {id:?}"), near);
                None
            }
            ([first, second, ..], _) | ([], [first, second, ..]) => {
                let places = [first, second].map(|index| reading.chains.resonators[*index].at);
                let places = places.map(|place| findings.refer(*at, place));
                let what = format!(
                    "there are two resonators {id:?}, at {} and {}",
                    places[0], places[1]
                );
                findings.say(*at, what);
                None
            }
        }
    }

    /// Returns the channel of a mapping.
    fn channel(&self, mapping: &Mapping, reading: &mut Reading<'_>) -> Option<Channel> {
        let Found { value: path, at } = &mapping.channel;
        let findings = &mut reading.findings;
        let parts: Vec<_> = path.split('/').collect();
        let (found, module, channel) = match parts[..] {
            [serial, module, channel] => (self.by_serial(serial), module, channel),
            [in_crate, slot, module, channel] => (self.by_slot(in_crate, slot), module, channel),
            _ => {
                let what = "`readout_channel` must be a serial number, a module and a channel, or a \
                            crate, a slot, a module and a channel, such as `0042/1/17` or `001/3/1/17`";
                findings.say(*at, format!("{what}, not {path:?}"));
                return None;
            }
        };
        let board = match found {
            Ok(board) => board,
            // A board with a mistake is missing here, and its own message is enough.
            Err(_) if self.failed => return None,
            Err(wrong) => {
                findings.say(*at, wrong);
                return None;
            }
        };
        let entry = &reading.boards[board];
        let highest = BoardKind::CRS.family().highest_module;
        let module = whole(module).and_then(|number| u8::try_from(number).ok());
        let module = module.filter(|number| entry.has_module(*number));
        let Some(module) = module else {
            let what = match &entry.modules {
                Some(_) => "the board of this channel does not declare this module".to_owned(),
                None => format!("a board has modules 1 to {highest}"),
            };
            findings.say(*at, format!("{path:?}: {what}"));
            return None;
        };
        let channel = whole(channel).filter(|number| (1..=CHANNELS).contains(number));
        let Some(channel) = channel else {
            findings.say(
                *at,
                format!("{path:?}: a module has channels 1 to {CHANNELS}"),
            );
            return None;
        };
        Some(Channel {
            board,
            module,
            channel,
        })
    }

    fn by_serial(&self, serial: &str) -> Result<usize, String> {
        if let Some(found) = self.serials.get(serial) {
            return Ok(found[0]);
        }
        let mut what = format!("there is no board with the serial number {serial:?}");
        let same = |known: &&String| same_serial(known) == same_serial(serial);
        let mut spelt: Vec<_> = self.serials.keys().filter(same).collect();
        spelt.sort();
        if let Some(known) = spelt.first() {
            what = format!("{what}: Python compares it as text with {known:?}");
        }
        Err(what)
    }

    fn by_slot(&self, in_crate: &str, slot: &str) -> Result<usize, String> {
        let number = whole(slot).and_then(|slot| u8::try_from(slot).ok());
        let found = number.and_then(|slot| self.slots.get(&(in_crate.to_owned(), slot)));
        match found {
            Some(found) => Ok(found[0]),
            None => Err(format!(
                "there is no board in slot {slot:?} of crate {in_crate:?}"
            )),
        }
    }
}

/// Returns a text as it is written, and as Python reads it if that is another one.
fn both(found: &Found<String>, reading: &Reading<'_>) -> Vec<String> {
    let mut both = vec![found.value.clone(), reading.python_text(found)];
    both.dedup();
    both
}

/// Returns the whole number that a database compares with `text`: `01` and `1.0` are 1.
fn whole(text: &str) -> Option<u32> {
    let number: f64 = text.trim().parse().ok()?;
    let whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    whole.then_some(number as u32)
}
