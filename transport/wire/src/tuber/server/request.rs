//! Parsing of one request.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::fault::Fault;
use super::python;
use super::service::Invocation;
use crate::tuber::cursor::{Cursor, Kind};
use crate::tuber::keys;

/// Parts of a request.
#[derive(Default)]
pub(super) struct RequestParts<'a> {
    pub(super) object: Option<Cursor<'a>>,
    pub(super) method: Option<Cow<'a, str>>,
    pub(super) property: Option<Cow<'a, str>>,
    pub(super) args: Option<Cursor<'a>>,
    pub(super) kwargs: Option<Cursor<'a>>,
    pub(super) resolve: bool,
}

impl<'a> RequestParts<'a> {
    /// Reads a request and moves the cursor past it.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, Fault> {
        let kind = cursor.kind()?;
        if kind != Kind::Map {
            let what = format_args!(
                "a request must be a {}, not {}",
                python::DICT,
                python::type_of(cursor)
            );
            return Err(Fault::type_error(what));
        }
        let mut parts = RequestParts::default();
        let mut entries = cursor.entries()?;
        while let Some((key, value)) = entries.next()? {
            let is_null = value.kind()? == Kind::Null;
            match &*key {
                keys::ARGS => parts.args = Some(*value),
                keys::KWARGS => parts.kwargs = Some(*value),
                _ if is_null => {}
                keys::OBJECT => parts.object = Some(*value),
                keys::METHOD => parts.method = Some(name(value, "a method")?),
                keys::PROPERTY => parts.property = Some(name(value, "a property")?),
                keys::RESOLVE => parts.resolve = value.bool()?,
                _ => {}
            }
        }
        // An empty name means that no property is asked for.
        parts.property = parts.property.filter(|name| !name.is_empty());
        Ok(parts)
    }

    /// Returns the call of a method with the arguments of the request.
    pub(super) fn call<'m>(&self, object: &'m str, method: &'m str) -> Result<Invocation<'m>, Fault>
    where
        'a: 'm,
    {
        let check = |cursor: Option<Cursor<'a>>, kind, what, python| match cursor {
            Some(cursor) if cursor.kind()? != kind => Err(Fault::type_error(format_args!(
                "Argument '{what}' for method {object}.{method} must be a {python}."
            ))),
            _ => Ok(()),
        };
        check(self.args, Kind::Array, keys::ARGS, python::LIST)?;
        check(self.kwargs, Kind::Map, keys::KWARGS, python::DICT)?;
        Ok(Invocation {
            object,
            method,
            args: self.args,
            kwargs: self.kwargs,
        })
    }
}

fn name<'a>(value: &mut Cursor<'a>, what: &str) -> Result<Cow<'a, str>, Fault> {
    match value.kind()? {
        Kind::Str => Ok(value.str()?),
        _ => Err(Fault::type_error(format_args!(
            "{what}'s name must be {}, not {}",
            python::STR,
            python::type_of(value)
        ))),
    }
}

/// Writes the name or path of an object as one text, such as `Board.mods[0]`.
pub(super) fn write_object(text: &mut String, mut object: Cursor<'_>) -> Result<(), Fault> {
    text.clear();
    if object.kind()? != Kind::Array {
        text.push_str(&name(&mut object, "an object")?);
        return Ok(());
    }
    let mut steps = object.items()?;
    while let Some(step) = steps.next()? {
        if !text.is_empty() {
            text.push('.');
        }
        if step.kind()? != Kind::Array {
            text.push_str(&name(step, "an object")?);
            continue;
        }
        let mut parts = step.items()?;
        if let Some(attribute) = parts.next()? {
            text.push_str(&name(attribute, "an object")?);
        }
        while let Some(index) = parts.next()? {
            // Writing to a `String` cannot fail.
            let _ = match index.kind()? {
                Kind::Number => write!(text, "[{}]", index.i64()?),
                _ => write!(text, "[{:?}]", name(index, "an item")?),
            };
        }
    }
    Ok(())
}
