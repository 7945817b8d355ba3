//! Arguments, bound to parameters as the language of the board's server binds
//! them, with its texts for what is wrong.

use std::borrow::Cow;
use std::fmt;

/// The most parameters that any method has.
pub(crate) const MAX_PARAMS: usize = 6;

/// A value in a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arg<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Cow<'a, str>),
    List(Vec<Arg<'a>>),
    /// Something that no method takes: the name of its type.
    Other(&'static str),
}

impl Arg<'_> {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::List(_) => "list",
            Self::Other(name) => name,
        }
    }
}

/// What a parameter is worth when it is not given.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Default {
    /// It must be given.
    Required,
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(&'static str),
}

impl Default {
    fn arg(self) -> Arg<'static> {
        match self {
            Self::Required | Self::None => Arg::Null,
            Self::Bool(value) => Arg::Bool(value),
            Self::Int(value) => Arg::Int(value),
            Self::Float(value) => Arg::Float(value),
            Self::Str(value) => Arg::Str(Cow::Borrowed(value)),
        }
    }
}

/// How a parameter can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In its place or by name.
    Either,
    /// By name alone.
    Keyword,
}

/// One parameter of a method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Default,
}

/// A parameter that must be given.
pub(crate) const fn required(name: &'static str) -> Param {
    Param {
        name,
        kind: Kind::Either,
        default: Default::Required,
    }
}

/// A parameter with a default.
pub(crate) const fn optional(name: &'static str, default: Default) -> Param {
    Param {
        name,
        kind: Kind::Either,
        default,
    }
}

/// An exception, as the server words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exception {
    class: &'static str,
    message: String,
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
}

pub(crate) fn value_error(message: impl Into<String>) -> Exception {
    Exception {
        class: "ValueError",
        message: message.into(),
    }
}

pub(crate) fn type_error(message: impl Into<String>) -> Exception {
    Exception {
        class: "TypeError",
        message: message.into(),
    }
}

/// What a method gives.
pub(crate) type Outcome<T> = Result<T, Exception>;

/// The arguments of one call, one for each parameter.
#[derive(Debug)]
pub(crate) struct Bound<'a> {
    params: &'static [Param],
    values: [Option<Arg<'a>>; MAX_PARAMS],
}

impl<'a> Bound<'a> {
    /// Binds positional and named arguments.
    pub(crate) fn bind(
        method: &str,
        params: &'static [Param],
        positional: impl Iterator<Item = Arg<'a>>,
        named: impl Iterator<Item = (Cow<'a, str>, Arg<'a>)>,
    ) -> Outcome<Self> {
        let mut values: [Option<Arg<'a>>; MAX_PARAMS] = [const { None }; MAX_PARAMS];
        let places = params
            .iter()
            .filter(|param| param.kind == Kind::Either)
            .count();
        let mut given = 0;
        for value in positional {
            if let Some(slot) = values[..places].get_mut(given) {
                *slot = Some(value);
            }
            given += 1;
        }
        if given > places {
            // The object itself counts as an argument, as it does in the
            // language that the texts are from.
            return Err(type_error(format!(
                "{method}() takes {} positional arguments but {} were given",
                places + 1,
                given + 1
            )));
        }
        for (name, value) in named {
            let Some(index) = params.iter().position(|param| param.name == name) else {
                return Err(type_error(format!(
                    "{method}() got an unexpected keyword argument '{name}'"
                )));
            };
            if values[index].replace(value).is_some() {
                return Err(type_error(format!(
                    "{method}() got multiple values for argument '{name}'"
                )));
            }
        }
        let missing = params
            .iter()
            .zip(&values)
            .find(|(param, value)| value.is_none() && param.default == Default::Required);
        if let Some((param, _)) = missing {
            return Err(type_error(format!(
                "{method}() missing 1 required positional argument: '{}'",
                param.name
            )));
        }
        Ok(Self { params, values })
    }

    /// The argument of a parameter, or its default. Parameters are named in
    /// the method table beside the function that asks, so that a name that is
    /// not there is a mistake of this crate; it is then null.
    pub(crate) fn get(&self, name: &str) -> Arg<'_> {
        let Some(index) = self.params.iter().position(|param| param.name == name) else {
            debug_assert!(false, "no parameter {name}");
            return Arg::Null;
        };
        match &self.values[index] {
            Some(Arg::Str(text)) => Arg::Str(Cow::Borrowed(text)),
            Some(value) => value.clone(),
            None => self.params[index].default.arg(),
        }
    }

    /// Older clients leave out `units`, where newer firmware has that
    /// parameter: then the arguments from there on are one place early.
    pub(crate) fn without_units(&mut self) {
        let Some(units) = self.params.iter().position(|param| param.name == "units") else {
            return;
        };
        if matches!(self.values[units], None | Some(Arg::Str(_) | Arg::Null)) {
            return;
        }
        let last = self.params.len() - 1;
        if self.values[last].is_none() || last == units + 1 {
            self.values[units..=last].rotate_right(1);
            self.values[units] = None;
        } else {
            // `f(value, channel, module=m)`: the name has filled the place
            // that a shift would take, so that one argument alone moves.
            self.values[units..last].rotate_right(1);
            self.values[units] = None;
        }
    }

    /// A number.
    pub(crate) fn float(&self, name: &str) -> Outcome<f64> {
        match self.get(name) {
            Arg::Int(value) => Ok(value as f64),
            Arg::Float(value) if value.is_finite() => Ok(value),
            Arg::Float(value) => Err(value_error(format!("{name} must be finite, not {value}"))),
            other => Err(type_error(format!(
                "{name} must be a number, not {}",
                other.type_name()
            ))),
        }
    }

    /// A whole number. A float that is one counts too: clients whose numbers
    /// have no other type send them so.
    pub(crate) fn int(&self, name: &str) -> Outcome<i64> {
        match self.get(name) {
            Arg::Int(value) => Ok(value),
            Arg::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => Ok(value as i64),
            other => Err(type_error(format!(
                "{name} must be an integer, not {}",
                other.type_name()
            ))),
        }
    }

    /// A whole number or nothing.
    pub(crate) fn int_or_none(&self, name: &str) -> Outcome<Option<i64>> {
        if self.get(name) == Arg::Null {
            Ok(None)
        } else {
            self.int(name).map(Some)
        }
    }

    /// A truth value; numbers count as in the server's language.
    pub(crate) fn bool(&self, name: &str) -> Outcome<bool> {
        match self.get(name) {
            Arg::Bool(value) => Ok(value),
            Arg::Int(value) => Ok(value != 0),
            Arg::Null => Ok(false),
            other => Err(type_error(format!(
                "{name} must be a bool, not {}",
                other.type_name()
            ))),
        }
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> Outcome<String> {
        match self.get(name) {
            Arg::Str(value) => Ok(value.into_owned()),
            other => Err(type_error(format!(
                "{name} must be a str, not {}",
                other.type_name()
            ))),
        }
    }

    /// A whole number, a list of them, or nothing.
    pub(crate) fn ints_or_none(&self, name: &str) -> Outcome<Option<Vec<i64>>> {
        let wrong = || value_error(format!("Invalid '{name}' argument"));
        match self.get(name) {
            Arg::Null => Ok(None),
            Arg::Int(value) => Ok(Some(vec![value])),
            Arg::List(items) => items
                .iter()
                .map(|item| {
                    if let Arg::Int(value) = item {
                        Ok(*value)
                    } else {
                        Err(wrong())
                    }
                })
                .collect::<Outcome<_>>()
                .map(Some),
            _ => Err(wrong()),
        }
    }

    /// A list of numbers.
    pub(crate) fn floats(&self, name: &str) -> Outcome<Vec<f64>> {
        let wrong = || type_error(format!("{name} must be a list of numbers"));
        let Arg::List(items) = self.get(name) else {
            return Err(wrong());
        };
        items
            .iter()
            .map(|item| match item {
                Arg::Int(value) => Ok(*value as f64),
                Arg::Float(value) => Ok(*value),
                _ => Err(wrong()),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMPLITUDE: &[Param] = &[
        required("amplitude"),
        optional("units", Default::Str("normalized")),
        optional("channel", Default::None),
        optional("module", Default::None),
    ];

    fn bind(positional: &[Arg<'static>], named: &[(&'static str, i64)]) -> Outcome<Bound<'static>> {
        Bound::bind(
            "set_amplitude",
            AMPLITUDE,
            positional.to_vec().into_iter(),
            named
                .iter()
                .map(|(name, value)| (Cow::Borrowed(*name), Arg::Int(*value)))
                .collect::<Vec<_>>()
                .into_iter(),
        )
    }

    fn check(positional: &[Arg<'static>], named: &[(&'static str, i64)]) {
        let mut bound = bind(positional, named).unwrap();
        bound.without_units();
        assert_eq!(
            bound.float("amplitude"),
            Ok(0.5),
            "{positional:?} {named:?}"
        );
        assert_eq!(
            bound.get("units"),
            Arg::Str("normalized".into()),
            "{positional:?} {named:?}"
        );
        assert_eq!(bound.int("channel"), Ok(3), "{positional:?} {named:?}");
        assert_eq!(bound.int("module"), Ok(2), "{positional:?} {named:?}");
    }

    #[test]
    fn units_can_be_given_or_left_out() {
        let amplitude = Arg::Float(0.5);
        let units = Arg::Str("normalized".into());
        check(&[amplitude.clone()], &[("channel", 3), ("module", 2)]);
        check(
            &[amplitude.clone(), units.clone(), Arg::Int(3), Arg::Int(2)],
            &[],
        );
        check(
            &[amplitude.clone(), units.clone(), Arg::Int(3)],
            &[("module", 2)],
        );
        check(&[amplitude.clone(), Arg::Int(3), Arg::Int(2)], &[]);
        check(&[amplitude, Arg::Int(3)], &[("module", 2)]);
    }

    fn check_refused(positional: &[Arg<'static>], named: &[(&'static str, i64)], text: &str) {
        assert_eq!(bind(positional, named).unwrap_err().to_string(), text);
    }

    #[test]
    fn wrong_arguments_are_refused_in_the_servers_words() {
        check_refused(
            &[],
            &[],
            "TypeError: set_amplitude() missing 1 required positional argument: 'amplitude'",
        );
        check_refused(
            &[Arg::Null, Arg::Null, Arg::Null, Arg::Null, Arg::Null],
            &[],
            "TypeError: set_amplitude() takes 5 positional arguments but 6 were given",
        );
        check_refused(
            &[Arg::Int(1)],
            &[("modules", 1)],
            "TypeError: set_amplitude() got an unexpected keyword argument 'modules'",
        );
        check_refused(
            &[Arg::Int(1)],
            &[("amplitude", 1)],
            "TypeError: set_amplitude() got multiple values for argument 'amplitude'",
        );
    }
}
