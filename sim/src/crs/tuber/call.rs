//! One call of a method: its board, and its arguments as modules, channels and members of
//! enumerations.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::Range;
use std::sync::MutexGuard;

use twotone_physics::Complex64;
use twotone_wire::tuber::{Args, Fault, Kind, Value};

use super::names::{self, Members};
use crate::crs::module::{Acquired, First, Module};
use crate::crs::{Crs, MODULES};

/// Result of a method, or the text of an exception. A method that succeeds writes its result
/// itself.
pub(crate) type Outcome<T> = Result<T, Fault>;

/// Error for an argument that has the right type and a value that is refused.
pub(crate) fn value_error(what: impl Display) -> Fault {
    Fault::value(what)
}

/// Error for a module that does not exist.
fn no_module() -> Fault {
    value_error(format_args!("Module must be between 1 and {MODULES}."))
}

/// A call with bound arguments.
#[derive(Debug)]
pub(crate) struct Call<'b, 'a> {
    pub(crate) crs: &'b Crs,
    args: Args<'a>,
    /// Number of the request of the call.
    request: u64,
    /// True if the client has left out `units`: see [`Call::new`].
    lacks_units: bool,
    /// Duration of the acquired samples of the ADC or the filter bank, s, which the call takes in
    /// the mode [`TimeMode::RealTime`](crate::TimeMode::RealTime). Decimated samples are not
    /// included, because their call waits for them.
    pub(crate) acquired_s: f64,
    /// Samples for which the call waits or has waited.
    pub(crate) waiting: Option<Waiting<'b>>,
    /// Warnings that are sent with the result.
    pub(crate) warnings: Vec<String>,
}

/// Samples for which a call waits. Their collection ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct Waiting<'b> {
    crs: &'b Crs,
    /// Index of the module, from 0.
    module: usize,
    tap: u64,
    /// Time of the last sample, s.
    pub(crate) until_s: f64,
}

impl Waiting<'_> {
    fn take(&self) -> Option<Acquired> {
        self.crs.module(self.module)?.untap(self.tap)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(mut module) = self.crs.module(self.module) {
            module.drop_tap(self.tap);
        }
    }
}

impl<'b, 'a> Call<'b, 'a> {
    /// Binds the arguments of a call.
    ///
    /// Newer firmware has a parameter `units` before `channel` and `module`. Older clients leave it
    /// out, so that their positional arguments are one place too early. A number in the place of
    /// `units` shows that the client has left it out.
    pub(crate) fn new(crs: &'b Crs, args: Args<'a>, request: u64) -> Self {
        let units = args.cursor("units").map(|cursor| cursor.kind());
        Self {
            crs,
            args,
            request,
            lacks_units: matches!(units, Some(Ok(Kind::Number))),
            acquired_s: 0.0,
            waiting: None,
            warnings: Vec::new(),
        }
    }

    /// Writes the next samples of some channels of a module to `out`. Returns the first sample, or
    /// `None` if the call must wait for these samples. The call is then made again when they are
    /// due.
    pub(crate) fn acquire(
        &mut self,
        number: usize,
        n: usize,
        channels: Range<usize>,
        out: &mut Vec<Complex64>,
    ) -> Outcome<Option<First>> {
        if let Some(waiting) = self.waiting.take() {
            let lost = || Fault::runtime("the samples are lost");
            let acquired = waiting.take().ok_or_else(lost)?;
            *out = acquired.samples;
            return Ok(Some(acquired.first));
        }
        let mut module = self.module(number)?;
        if self.crs.board.clock().is_running() {
            let (tap, until_s) = module.tap(n, channels);
            self.waiting = Some(Waiting {
                crs: self.crs,
                module: number - 1,
                tap,
                until_s,
            });
            return Ok(None);
        }
        let first = module.acquire(n, channels, out);
        let end_s = module.now_s();
        drop(module);
        self.crs.board.clock().advance_to(end_s);
        Ok(Some(first))
    }

    /// Parameter at whose position the client has passed the argument `name`.
    fn place<'n>(&self, name: &'n str) -> &'n str {
        if !self.lacks_units {
            return name;
        }
        let has_channel = self
            .args
            .method()
            .params
            .iter()
            .any(|param| param.name == "channel");
        match name {
            "module" if self.args.is_given("module") => name,
            "module" if has_channel => "channel",
            "module" | "channel" => "units",
            other => other,
        }
    }

    /// Returns an argument as a finite number.
    pub(crate) fn float(&self, name: &str) -> Outcome<f64> {
        let value = self.args.f64(self.place(name))?;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(value_error(format_args!(
                "{name} must be finite, not {value}"
            )))
        }
    }

    /// Returns an argument as an integer.
    pub(crate) fn int(&self, name: &str) -> Outcome<i64> {
        self.args.i64(self.place(name))
    }

    /// Returns an argument as an integer, or `None` for null.
    pub(crate) fn int_or_none(&self, name: &str) -> Outcome<Option<i64>> {
        self.args.opt_i64(self.place(name))
    }

    /// Returns an argument as a boolean.
    pub(crate) fn bool(&self, name: &str) -> Outcome<bool> {
        self.args.bool(name)
    }

    /// Returns an argument as a text.
    pub(crate) fn text(&self, name: &str) -> Outcome<Cow<'a, str>> {
        self.args.str(name)
    }

    /// Returns an argument as a value of any kind.
    pub(crate) fn value(&self, name: &str) -> Outcome<Value> {
        self.args.value(name)
    }

    /// Returns an argument that is an integer or a list of integers; `None` for null.
    pub(crate) fn ints_or_none(&self, name: &str) -> Outcome<Option<Vec<i64>>> {
        let wrong = || value_error(format_args!("Invalid '{name}' argument"));
        match self.args.value(name)? {
            Value::Null => Ok(None),
            Value::Int(value) => Ok(Some(vec![value])),
            Value::Array(items) => {
                let items = items.iter().map(|item| item.as_i64().ok_or_else(wrong));
                items.collect::<Outcome<_>>().map(Some)
            }
            _ => Err(wrong()),
        }
    }

    /// Returns the argument `module`, from 1. It must be on the analog bank in use.
    pub(crate) fn module_number(&self) -> Outcome<usize> {
        let number = self.int("module")?;
        let settings = self.crs.settings();
        match usize::try_from(number) {
            Ok(number) if settings.reaches(number) => Ok(number),
            Ok(number @ 1..=MODULES) => Err(value_error(format_args!(
                "Can't access module {number} with the current analog banking (the {} bank, \
                 modules {}, is selected; see set_analog_bank).",
                if settings.high_bank { "high" } else { "low" },
                if settings.high_bank { "5-8" } else { "1-4" },
            ))),
            _ => Err(no_module()),
        }
    }

    /// Returns the module with a number from [`Call::module_number`].
    pub(crate) fn module(&self, number: usize) -> Outcome<MutexGuard<'b, Module>> {
        let module = self.crs.module(number.wrapping_sub(1));
        let mut module = module.ok_or_else(no_module)?;
        if !self.crs.board.clock().is_running() {
            module.begin_request(self.request);
            // The clock of the board must not be behind the module, because a setting takes effect
            // at the time of the module.
            self.crs.board.clock().advance_to(module.now_s());
        }
        Ok(module)
    }

    /// Returns the argument `channel` as an index from 0.
    pub(crate) fn channel(&self) -> Outcome<usize> {
        let channel = self.int("channel")?;
        self.channel_index(channel)
    }

    /// Returns the argument `channel` as an index from 0, or `None` for all channels.
    pub(crate) fn channel_or_none(&self) -> Outcome<Option<usize>> {
        let channel = self.int_or_none("channel")?;
        channel
            .map(|channel| self.channel_index(channel))
            .transpose()
    }

    fn channel_index(&self, channel: i64) -> Outcome<usize> {
        let last = self.crs.settings().channels();
        match usize::try_from(channel) {
            Ok(channel) if (1..=last).contains(&channel) => Ok(channel - 1),
            _ => Err(value_error(format_args!(
                "Channel must be between 1 and {last} for the current packet length."
            ))),
        }
    }

    /// Returns the argument `name` as a member of an enumeration.
    pub(crate) fn member(&self, name: &str, what: &str, members: Members) -> Outcome<&'static str> {
        self.member_or_none(name, what, members)?
            .ok_or_else(|| Fault::type_error(format_args!("{name} must not be None")))
    }

    /// Returns the argument `name` as a member of an enumeration, or `None` if it is null or was
    /// left out.
    pub(crate) fn member_or_none(
        &self,
        name: &str,
        what: &str,
        members: Members,
    ) -> Outcome<Option<&'static str>> {
        let Some(text) = self.args.opt_str(name)? else {
            return Ok(None);
        };
        match names::member(members, &text) {
            Some(member) => Ok(Some(member)),
            None => {
                let values: Vec<&str> = members.iter().map(|(_, value)| *value).collect();
                Err(value_error(format_args!(
                    "Invalid {what} '{text}'. Must be one of {values:?}"
                )))
            }
        }
    }

    /// Returns the argument `units`, or `None` if it is null or was left out. Other units than
    /// those in `allowed` are an error.
    pub(crate) fn units(&self, allowed: &[&'static str]) -> Outcome<Option<&'static str>> {
        if self.lacks_units {
            return Ok(None);
        }
        let Some(units) = self.member_or_none("units", "units", names::UNITS)? else {
            return Ok(None);
        };
        if allowed.contains(&units) {
            return Ok(Some(units));
        }
        Err(value_error(format_args!(
            "Invalid units '{units}'. Must be one of {allowed:?}"
        )))
    }
}
