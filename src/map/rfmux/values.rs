//! Values of a Python hardware map (a YAML document): serial numbers, texts and numbers of slots in
//! crates.

use twotone_transport::BoardPlace;

use super::boards::Reading;
use super::document::Item;
use super::keys::{safe, shown};
use super::python;
use crate::map::section::Found;

/// Error message for an invalid slot number.
pub(super) const SLOTS: &str = "`slot` must be a whole number from 1 to 255";

fn taken_as_written(what: &str) -> String {
    format!("{what}; it is taken as it is written: put it in quotes")
}

impl Reading<'_> {
    /// Reads a serial number as it is written. If it has no quotes and Python therefore reads
    /// another value, such as a number, records a doubt.
    pub(super) fn serial(&mut self, key: &str, value: &Item) -> Option<Found<String>> {
        let serial = self.text(key, value)?;
        if let Some(what) = self.misread(value, &serial) {
            if BoardPlace::is_serial(&serial.value) {
                self.doubts.push((value.at, taken_as_written(&what)));
            } else {
                self.misread.insert(value.at, what);
            }
        }
        Some(serial)
    }

    /// Reads a name as it is written. Records a doubt as `serial` does.
    pub(super) fn name(&mut self, key: &str, value: &Item) -> Option<Found<String>> {
        let name = self.text(key, value)?;
        if let Some(what) = self.misread(value, &name) {
            self.doubts.push((value.at, taken_as_written(&what)));
        }
        Some(name)
    }

    /// Returns a sentence if Python reads `text`, which is the text of `value`, as another value.
    fn misread(&mut self, value: &Item, text: &Found<String>) -> Option<String> {
        // A value with a tag such as !!str is a text, like a value in quotes.
        let plain = value.tag.is_none() && value.scalar().is_some_and(|(_, plain)| plain);
        let read = python::reading(&text.value).filter(|_| plain)?;
        if read == text.value {
            return None;
        }
        self.stored.insert(text.at, python::stored(&text.value));
        let written = safe(&text.value);
        Some(format!("Python reads {written} without quotes as {read}"))
    }

    /// Returns a serial number or a name as Python stores it.
    pub(super) fn python_text(&self, text: &Found<String>) -> String {
        self.stored.get(&text.at).unwrap_or(&text.value).clone()
    }

    /// Reads a text. Returns `None` if the value is null or empty, which is no error, and if it is
    /// no text, which is reported as a problem.
    pub(super) fn text(&mut self, key: &str, value: &Item) -> Option<Found<String>> {
        if let Some(tag) = value.own_tag() {
            let what = format!("`{key}` is of {}: write its value here", safe(tag));
            self.findings.say(value.at, what);
            return None;
        }
        match value.scalar() {
            Some(("", _)) => None,
            _ if value.is_null() => None,
            Some((text, _)) => Some(Found {
                value: text.to_owned(),
                at: value.at,
            }),
            None => {
                let what = format!("`{key}` must be a string, not {}", shown(value));
                self.findings.say(value.at, what);
                None
            }
        }
    }

    /// Reads the number of a slot as Python reads it. Returns `None` if the value is null, which is
    /// no error, and if it is no valid number, which is reported as a problem.
    pub(super) fn slot(&mut self, value: &Item) -> Option<Found<u8>> {
        if value.is_null() {
            return None;
        }
        let read = match value.scalar().filter(|_| value.own_tag().is_none()) {
            Some((text, true)) => python::integer(text),
            Some((text, false)) => text.parse().ok(),
            None => None,
        };
        let slot = read.and_then(|slot| u8::try_from(slot).ok());
        let Some(slot) = slot.filter(|slot| *slot != 0) else {
            self.findings.say(value.at, SLOTS);
            return None;
        };
        let written = value.scalar().map_or("", |(text, _)| text);
        if written.trim_start_matches('0') != slot.to_string() {
            let what = format!(
                "Python reads {} without quotes as slot {slot}",
                safe(written)
            );
            self.doubts.push((value.at, what));
        }
        Some(Found {
            value: slot,
            at: value.at,
        })
    }
}
