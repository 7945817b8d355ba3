//! Arguments of a call: bound to the parameters of the method by the rules of Python, and read as
//! the types that the method expects.

use std::borrow::Cow;

use super::fault::Fault;
use super::interface::{Constant, Method};
use super::python;
use super::service::Invocation;
use crate::tuber::cursor::Cursor;
use crate::tuber::describe::ParamKind;
use crate::tuber::value::Value;

/// Arguments of a call, bound to the parameters of its method. Values are read directly from the
/// request and not copied. A method that reads an argument reads the default of its parameter if
/// the argument was not given; if there is no such parameter or default, it returns a fault.
///
/// If an argument has the wrong type, the fault has the text of a Python error: `TypeError:
/// set_phase() argument 'phase' must be float, not str`.
#[derive(Debug, Clone, Copy)]
pub struct Args<'c> {
    method: &'static Method,
    invocation: Invocation<'c>,
    given: [Option<Place>; Method::MAX_PARAMS],
}

/// Position of an argument in the body, and the list or map that holds it: `args` or `kwargs`.
#[derive(Debug, Clone, Copy)]
enum Place {
    Positional(usize),
    Named(usize),
}

/// Value that a parameter is bound to.
enum Bound<'c> {
    Given(Cursor<'c>),
    Default(Constant),
}

impl<'c> Args<'c> {
    /// Binds the arguments of a call. The fault names an argument that is missing, surplus, unknown
    /// or given twice.
    pub fn bind(method: &'static Method, call: &Invocation<'c>) -> Result<Self, Fault> {
        let mut args = Args {
            method,
            invocation: *call,
            given: [None; Method::MAX_PARAMS],
        };
        args.bind_positional(call)?;
        args.bind_named(call)?;
        args.check_missing(call)?;
        Ok(args)
    }

    fn bind_positional(&mut self, call: &Invocation<'c>) -> Result<(), Fault> {
        let Some(mut list) = call.args else {
            return Ok(());
        };
        let takes = |kind| matches!(kind, ParamKind::Positional | ParamKind::Either);
        let room = self
            .method
            .params
            .iter()
            .take_while(|param| takes(param.kind))
            .count();
        let more = self
            .method
            .params
            .iter()
            .any(|param| param.kind == ParamKind::MorePositional);
        let mut count = 0;
        let mut items = list.items()?;
        while let Some(item) = items.next()? {
            if count < room
                && let Some(slot) = self.given.get_mut(count)
            {
                *slot = Some(Place::Positional(item.position()));
            }
            count += 1;
        }
        if count > room && !more {
            // Python includes `self` in these numbers.
            let given = count + 1;
            let needed = self.method.params[..room]
                .iter()
                .filter(|p| p.default.is_none())
                .count()
                + 1;
            let takes = if needed == room + 1 {
                format!("{needed} positional argument{}", plural(needed))
            } else {
                format!("from {needed} to {} positional arguments", room + 1)
            };
            return Err(self.fault(call, format_args!("takes {takes} but {given} were given")));
        }
        Ok(())
    }

    fn bind_named(&mut self, call: &Invocation<'c>) -> Result<(), Fault> {
        let Some(mut map) = call.kwargs else {
            return Ok(());
        };
        let more = self
            .method
            .params
            .iter()
            .any(|param| param.kind == ParamKind::MoreKeyword);
        let mut entries = map.entries()?;
        while let Some((name, value)) = entries.next()? {
            let takes = |kind| matches!(kind, ParamKind::Either | ParamKind::Keyword);
            let found = self
                .method
                .params
                .iter()
                .position(|p| p.name == name && takes(p.kind));
            match found.and_then(|i| self.given.get_mut(i)) {
                Some(Some(Place::Positional(_))) => {
                    let what = format_args!("got multiple values for argument '{name}'");
                    return Err(self.fault(call, what));
                }
                Some(slot) => *slot = Some(Place::Named(value.position())),
                None if more => {}
                None => {
                    let what = format_args!("got an unexpected keyword argument '{name}'");
                    return Err(self.fault(call, what));
                }
            }
        }
        Ok(())
    }

    fn check_missing(&self, call: &Invocation<'c>) -> Result<(), Fault> {
        for (keyword, what) in [(false, "positional"), (true, "keyword-only")] {
            let missing = self
                .method
                .params
                .iter()
                .zip(&self.given)
                .filter(|(param, given)| {
                    let wanted = match param.kind {
                        ParamKind::Positional | ParamKind::Either => !keyword,
                        ParamKind::Keyword => keyword,
                        _ => false,
                    };
                    wanted && given.is_none() && param.default.is_none()
                });
            let count = missing.clone().count();
            if count == 0 {
                continue;
            }
            let mut names = String::new();
            for (i, (param, _)) in missing.enumerate() {
                names.push_str(match i {
                    0 => "",
                    _ if i + 1 < count => ", ",
                    1 => " and ",
                    _ => ", and ",
                });
                names.push_str(&format!("'{}'", param.name));
            }
            let arguments = format_args!("{count} required {what} argument{}", plural(count));
            return Err(self.fault(call, format_args!("missing {arguments}: {names}")));
        }
        Ok(())
    }

    fn fault(&self, call: &Invocation<'_>, what: std::fmt::Arguments<'_>) -> Fault {
        Fault::type_error(format_args!(
            "{}.{}() {what}",
            call.object, self.method.name
        ))
    }

    /// The called method.
    pub fn method(&self) -> &'static Method {
        self.method
    }

    /// The call, including arguments that only `*args` or `**kwargs` takes.
    pub fn invocation(&self) -> &Invocation<'c> {
        &self.invocation
    }

    /// True if an argument was given, even if it is null.
    pub fn is_given(&self, name: &str) -> bool {
        self.cursor(name).is_some()
    }

    /// Cursor at an argument, or `None` if it was not given.
    pub fn cursor(&self, name: &str) -> Option<Cursor<'c>> {
        let index = self
            .method
            .params
            .iter()
            .position(|param| param.name == name)?;
        let (list, at) = match (*self.given.get(index)?)? {
            Place::Positional(at) => (self.invocation.args?, at),
            Place::Named(at) => (self.invocation.kwargs?, at),
        };
        Some(Cursor {
            at,
            depth: list.depth + 1,
            ..list
        })
    }

    fn bound(&self, name: &str) -> Result<Bound<'c>, Fault> {
        if let Some(cursor) = self.cursor(name) {
            return Ok(Bound::Given(cursor));
        }
        let param = self.method.params.iter().find(|param| param.name == name);
        match param.and_then(|param| param.default) {
            Some(default) => Ok(Bound::Default(default)),
            None => Err(Fault::runtime(format_args!(
                "{}() has no parameter '{name}' that could be read",
                self.method.name
            ))),
        }
    }

    fn wrong(&self, name: &str, wanted: &str, found: &str) -> Fault {
        let method = self.method.name;
        Fault::type_error(format_args!(
            "{method}() argument '{name}' must be {wanted}, not {found}"
        ))
    }

    /// Reads an argument with `from`, or its default with `default`. Returns `None` for null, and a
    /// fault for a value of another type.
    fn read<T>(
        &self,
        name: &str,
        wanted: &str,
        from: impl FnOnce(Cursor<'c>) -> Option<T>,
        default: impl FnOnce(Constant) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        match self.bound(name)? {
            Bound::Given(cursor) => match from(cursor) {
                Some(value) => Ok(Some(value)),
                None => match python::type_of(&cursor) {
                    python::NONE => Ok(None),
                    found => Err(self.wrong(name, wanted, found)),
                },
            },
            Bound::Default(Constant::Null) => Ok(None),
            Bound::Default(constant) => match default(constant) {
                Some(value) => Ok(Some(value)),
                None => Err(self.wrong(name, wanted, "its default")),
            },
        }
    }

    /// Returns an argument as a float, or `None` for null. Integers are converted.
    pub fn opt_f64(&self, name: &str) -> Result<Option<f64>, Fault> {
        self.read(
            name,
            python::FLOAT,
            |mut cursor| cursor.f64().ok(),
            |constant| match constant {
                Constant::Float(value) => Some(value),
                Constant::Int(value) => Some(value as f64),
                _ => None,
            },
        )
    }

    /// Returns an argument as a float. Integers are converted.
    pub fn f64(&self, name: &str) -> Result<f64, Fault> {
        self.opt_f64(name)?
            .ok_or_else(|| self.wrong(name, python::FLOAT, python::NONE))
    }

    /// Returns an argument as an integer, or `None` for null.
    pub fn opt_i64(&self, name: &str) -> Result<Option<i64>, Fault> {
        self.read(
            name,
            python::INT,
            |mut cursor| cursor.i64().ok(),
            |constant| {
                if let Constant::Int(value) = constant {
                    Some(value)
                } else {
                    None
                }
            },
        )
    }

    /// Returns an argument as an integer.
    pub fn i64(&self, name: &str) -> Result<i64, Fault> {
        self.opt_i64(name)?
            .ok_or_else(|| self.wrong(name, python::INT, python::NONE))
    }

    /// Returns an argument as an integer from 0 to `u32::MAX`, or `None` for null.
    pub fn opt_u32(&self, name: &str) -> Result<Option<u32>, Fault> {
        let Some(value) = self.opt_i64(name)? else {
            return Ok(None);
        };
        u32::try_from(value).map(Some).map_err(|_| {
            let method = self.method.name;
            Fault::value(format_args!(
                "{method}() argument '{name}' is out of range: {value}"
            ))
        })
    }

    /// Returns an argument as an integer from 0 to `u32::MAX`.
    pub fn u32(&self, name: &str) -> Result<u32, Fault> {
        self.opt_u32(name)?
            .ok_or_else(|| self.wrong(name, python::INT, python::NONE))
    }

    /// Returns an argument as a boolean, or `None` for null.
    pub fn opt_bool(&self, name: &str) -> Result<Option<bool>, Fault> {
        self.read(
            name,
            python::BOOL,
            |mut cursor| cursor.bool().ok(),
            |constant| {
                if let Constant::Bool(value) = constant {
                    Some(value)
                } else {
                    None
                }
            },
        )
    }

    /// Returns an argument as a boolean.
    pub fn bool(&self, name: &str) -> Result<bool, Fault> {
        self.opt_bool(name)?
            .ok_or_else(|| self.wrong(name, python::BOOL, python::NONE))
    }

    /// Returns an argument as a text, or `None` for null.
    pub fn opt_str(&self, name: &str) -> Result<Option<Cow<'c, str>>, Fault> {
        self.read(
            name,
            python::STR,
            |mut cursor| cursor.str().ok(),
            |constant| {
                if let Constant::Str(text) = constant {
                    Some(text.into())
                } else {
                    None
                }
            },
        )
    }

    /// Returns an argument as a text.
    pub fn str(&self, name: &str) -> Result<Cow<'c, str>, Fault> {
        self.opt_str(name)?
            .ok_or_else(|| self.wrong(name, python::STR, python::NONE))
    }

    /// Returns an argument as a value of any kind.
    pub fn value(&self, name: &str) -> Result<Value, Fault> {
        Ok(match self.bound(name)? {
            Bound::Given(mut cursor) => cursor.value()?,
            Bound::Default(Constant::Null) => Value::Null,
            Bound::Default(Constant::Bool(value)) => Value::Bool(value),
            Bound::Default(Constant::Int(value)) => Value::Int(value),
            Bound::Default(Constant::Float(value)) => Value::Float(value),
            Bound::Default(Constant::Str(text)) => Value::Str(text.to_owned()),
        })
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
