//! One call of a method: the board it is made on, its arguments, and how
//! those name modules, channels and members of enumerations.

use std::sync::MutexGuard;

use crate::board::{Board, MODULES};
use crate::module::Module;

use super::args::{Arg, Bound, Outcome, type_error, value_error};
use super::names::{self, Members};

/// A call with its arguments bound.
#[derive(Debug)]
pub(crate) struct Call<'b, 'a> {
    pub(crate) board: &'b Board,
    pub(crate) args: Bound<'a>,
    /// Seconds that the call has acquired for.
    pub(crate) acquired_s: f64,
}

impl<'b> Call<'b, '_> {
    /// The argument `module`, from 1, connected to the analog bank in use.
    pub(crate) fn module_number(&self) -> Outcome<usize> {
        let number = match self.args.get("module") {
            Arg::Null => return Err(type_error("Module must be an integer")),
            _ => self.args.int("module")?,
        };
        let settings = self.board.settings();
        match usize::try_from(number) {
            Ok(number) if settings.reaches(number) => Ok(number),
            Ok(number @ 1..=MODULES) => Err(value_error(format!(
                "Can't access module {number} with the current analog banking (the {} bank, \
                 modules {}, is selected; see set_analog_bank).",
                if settings.high_bank { "high" } else { "low" },
                if settings.high_bank { "5-8" } else { "1-4" },
            ))),
            _ => Err(value_error(format!(
                "Module must be between 1 and {MODULES}."
            ))),
        }
    }

    /// A module by its number, which [`Call::module_number`] gave.
    pub(crate) fn module(&self, number: usize) -> Outcome<MutexGuard<'b, Module>> {
        self.board
            .module(number.wrapping_sub(1))
            .ok_or_else(|| value_error(format!("Module must be between 1 and {MODULES}.")))
    }

    /// The argument `channel` as an index from 0.
    pub(crate) fn channel(&self) -> Outcome<usize> {
        match self.channel_or_none()? {
            Some(channel) => Ok(channel),
            None => Err(type_error("Channel must be an integer")),
        }
    }

    /// The argument `channel` as an index from 0, or none for all of them.
    pub(crate) fn channel_or_none(&self) -> Outcome<Option<usize>> {
        let Some(channel) = self.args.int_or_none("channel")? else {
            return Ok(None);
        };
        let last = self.board.settings().channels();
        match usize::try_from(channel) {
            Ok(channel) if (1..=last).contains(&channel) => Ok(Some(channel - 1)),
            _ => Err(value_error(format!(
                "Channel must be between 1 and {last} for the current packet length."
            ))),
        }
    }

    /// The argument `name` as a member of an enumeration.
    pub(crate) fn member(&self, name: &str, what: &str, members: Members) -> Outcome<&'static str> {
        let text = self.args.text(name)?;
        names::member(members, &text).ok_or_else(|| {
            let values: Vec<&str> = members.iter().map(|(_, value)| *value).collect();
            value_error(format!(
                "Invalid {what} '{text}'. Must be one of {values:?}"
            ))
        })
    }

    /// The same, where the argument may be left out.
    pub(crate) fn member_or_none(
        &self,
        name: &str,
        what: &str,
        members: Members,
    ) -> Outcome<Option<&'static str>> {
        if self.args.get(name) == Arg::Null {
            return Ok(None);
        }
        self.member(name, what, members).map(Some)
    }

    /// The argument `name` as one of the units that the method takes.
    pub(crate) fn units(
        &self,
        name: &str,
        allowed: &[&'static str],
    ) -> Outcome<Option<&'static str>> {
        let Some(units) = self.member_or_none(name, "units", names::UNITS)? else {
            return Ok(None);
        };
        if allowed.contains(&units) {
            return Ok(Some(units));
        }
        Err(value_error(format!(
            "Invalid units '{units}'. Must be one of {allowed:?}"
        )))
    }
}
