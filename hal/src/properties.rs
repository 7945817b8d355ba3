//! Properties: settings of a board or a module that exist in its kind only, such as an attenuator
//! or the source of a clock. They have names, and each kind of boards has a table of its own.
//!
//! Properties are set before tones are, and no algorithm changes them. A change may alter the
//! description of the board, and the meaning of all earlier measurements.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::batch::Operation;
use crate::replies::Entry;
use crate::{Batch, Error, ErrorKind, ModuleId, Op, Replies, Result, Ticket};

/// Type of the operation that sets a property and reads it back.
#[derive(Debug)]
pub enum SetProperty {}
/// Type of the operation that reads a property.
#[derive(Debug)]
pub enum ReadProperty {}

/// Entry of the table of the properties of a kind of boards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PropertyKey {
    /// Name of the property. Hardware maps have it as a key.
    pub name: &'static str,
    /// True for a property of each module, false for one of the board as a whole.
    pub of_module: bool,
    /// Values that the property can have.
    pub values: PropertyValues,
    /// True if a change moves the power or the phase of tones, so that it is made with all tones
    /// off.
    pub needs_silence: bool,
}

/// Values that a property can have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PropertyValues {
    /// One of these words.
    Words(&'static [&'static str]),
    /// A number from `low` to `high`, both included.
    Numbers {
        /// The lowest value.
        low: f64,
        /// The highest value.
        high: f64,
        /// Unit of the value; empty if it has none.
        unit: &'static str,
        /// True if the value must be a whole number.
        is_whole: bool,
        /// Largest difference between the value that is set and the value that is read back.
        rounding: f64,
    },
}

/// Value of a property.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PropertyValue {
    /// A number, in the unit of the property.
    Number(f64),
    /// A word.
    Word(String),
}

impl From<f64> for PropertyValue {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for PropertyValue {
    fn from(word: &str) -> Self {
        Self::Word(word.to_owned())
    }
}

impl fmt::Display for PropertyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Word(word) => word.fmt(f),
        }
    }
}

impl PropertyKey {
    /// True if `found`, which was read back, is the value `set`: the same word, or a number that
    /// differs by no more than the rounding.
    pub fn is_same(&self, set: &PropertyValue, found: &PropertyValue) -> bool {
        match (set, found, self.values) {
            (
                PropertyValue::Number(one),
                PropertyValue::Number(other),
                PropertyValues::Numbers { rounding, .. },
            ) => (one - other).abs() <= rounding,
            _ => set == found,
        }
    }

    /// Checks that the property can have the value.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] with the values that the property can have.
    pub fn check(&self, value: &PropertyValue) -> Result<()> {
        let name = self.name;
        let problem = match (self.values, value) {
            (PropertyValues::Words(words), PropertyValue::Word(word))
                if words.contains(&word.as_str()) =>
            {
                return Ok(());
            }
            (PropertyValues::Words(words), value) => {
                format!("`{name}` is one of {}, not {value}", words.join(", "))
            }
            (
                PropertyValues::Numbers {
                    low,
                    high,
                    is_whole,
                    ..
                },
                PropertyValue::Number(number),
            ) if (low..=high).contains(number) && !(is_whole && number.fract() != 0.0) => {
                return Ok(());
            }
            (
                PropertyValues::Numbers {
                    low,
                    high,
                    unit,
                    is_whole,
                    ..
                },
                value,
            ) => {
                let whole = if is_whole { "a whole number " } else { "" };
                let unit = if unit.is_empty() {
                    String::new()
                } else {
                    format!(" {unit}")
                };
                format!("`{name}` is {whole}from {low} to {high}{unit}, not {value}")
            }
        };
        Err(Error::new(ErrorKind::InvalidArgument, problem))
    }
}

macro_rules! replies_with_property {
    ($($op:ty),*) => {$(
        impl Operation for $op {
            type Reply<'a> = Option<&'a PropertyValue>;

            fn reply<'a>(entry: &'a Entry, _: &'a Replies) -> Option<Option<&'a PropertyValue>> {
                match entry {
                    Entry::Property(value) => Some(value.as_ref()),
                    _ => None,
                }
            }
        }
    )*};
}
replies_with_property!(SetProperty, ReadProperty);

impl Batch {
    /// Adds an operation that sets the property `name` of `module`, or of the board as a whole, and
    /// reads it back. Its reply is the value that was read back, `None` if the board then reports
    /// no value. The board may round the value.
    ///
    /// The board may begin a new [epoch](crate::Epoch) with the change.
    pub fn set_property(
        &mut self,
        module: Option<ModuleId>,
        name: &'static str,
        value: PropertyValue,
    ) -> Ticket<SetProperty> {
        self.push(Op::SetProperty {
            module,
            name,
            value,
        })
    }

    /// Adds an operation that reads the property `name` of `module`, or of the board as a whole.
    /// Its reply is `None` if the board reports no value.
    pub fn read_property(
        &mut self,
        module: Option<ModuleId>,
        name: &'static str,
    ) -> Ticket<ReadProperty> {
        self.push(Op::ReadProperty { module, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAIN: PropertyKey = PropertyKey {
        name: "gain_db",
        of_module: true,
        values: PropertyValues::Numbers {
            low: 0.0,
            high: 27.0,
            unit: "dB",
            is_whole: true,
            rounding: 0.5,
        },
        needs_silence: true,
    };
    const CLOCK: PropertyKey = PropertyKey {
        name: "clock",
        of_module: false,
        values: PropertyValues::Words(&["inside", "outside"]),
        needs_silence: false,
    };

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        for (key, value, words) in [
            (GAIN, 3.0.into(), None),
            (GAIN, 27.0.into(), None),
            (GAIN, 28.0.into(), Some("from 0 to 27 dB, not 28")),
            (
                GAIN,
                3.5.into(),
                Some("a whole number from 0 to 27 dB, not 3.5"),
            ),
            (GAIN, f64::NAN.into(), Some("not NaN")),
            (GAIN, "much".into(), Some("not much")),
            (CLOCK, "inside".into(), None),
            (
                CLOCK,
                "Inside".into(),
                Some("one of inside, outside, not Inside"),
            ),
            (CLOCK, 1.0.into(), Some("not 1")),
        ] {
            let refused = key.check(&value).err().map(|error| error.to_string());
            assert_eq!(refused.is_some(), words.is_some(), "{value}: {refused:?}");
            let refused = refused.unwrap_or_default();
            assert!(refused.contains(words.unwrap_or_default()), "{refused}");
        }
    }

    #[test]
    fn a_value_may_be_rounded() {
        for (key, set, found, same) in [
            (GAIN, 3.0.into(), 3.4.into(), true),
            (GAIN, 3.0.into(), 3.6.into(), false),
            (GAIN, 3.0.into(), f64::NAN.into(), false),
            (GAIN, 3.0.into(), "3".into(), false),
            (CLOCK, "inside".into(), "inside".into(), true),
            (CLOCK, "inside".into(), "outside".into(), false),
        ] {
            assert_eq!(key.is_same(&set, &found), same, "{set} {found}");
        }
    }
}
