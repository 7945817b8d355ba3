//! Declaration of the methods and properties of a served object, and the descriptions that follow
//! from it.

use crate::tuber::describe::ParamKind;
use crate::tuber::emit::{Encode, Map, Slot};
use crate::tuber::keys;

/// Methods and properties that an object offers.
///
/// ```
/// use twotone_wire::tuber::{Interface, Method, Param, Property};
///
/// static BOARD: Interface = Interface {
///     name: "Dfmux",
///     doc: "A readout board.",
///     methods: &[Method {
///         name: "set_frequency",
///         doc: "Sets a tone's frequency relative to the NCO, in Hz.",
///         params: &[Param::required("frequency"), Param::required("channel"), Param::null("module")],
///     }],
///     properties: &[Property::members("UNITS", &[("HZ", "hz"), ("DBM", "dbm")])],
/// };
/// assert_eq!(BOARD.method("set_frequency").unwrap().signature(), "(frequency, channel, module=None)");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interface {
    /// Name of the object in requests.
    pub name: &'static str,
    /// Description of the object. Empty if there is none.
    pub doc: &'static str,
    /// Methods, in the order in which they are described.
    pub methods: &'static [Method],
    /// Properties, in the order in which they are described.
    pub properties: &'static [Property],
}

/// A method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Method {
    /// Name in calls.
    pub name: &'static str,
    /// Description of the method. Empty if there is none.
    pub doc: &'static str,
    /// Parameters without `self`, at most [`Method::MAX_PARAMS`]. Further parameters never get an
    /// argument.
    pub params: &'static [Param],
}

/// A parameter of a method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Param {
    /// Name in calls and descriptions.
    pub name: &'static str,
    /// Way in which an argument is passed to the parameter.
    pub kind: ParamKind,
    /// Value if no argument is given. `None` if the argument is required, or for `*args` and
    /// `**kwargs`.
    pub default: Option<Constant>,
}

/// Default value of a parameter, or constant value of a property.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Constant {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A text.
    Str(&'static str),
}

/// A property.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Property {
    /// Name in requests.
    pub name: &'static str,
    /// Source of the value.
    pub value: PropertyValue,
}

/// Source of the value of a property.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PropertyValue {
    /// A constant.
    Constant(Constant),
    /// An enumeration: names, with the texts that represent them in calls.
    Members(&'static [(&'static str, &'static str)]),
    /// The object computes the value at each request.
    Asked,
}

/// Form of a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DescribeForm {
    /// Full: methods with their parameters, and properties with their values.
    #[default]
    Full,
    /// Only names, as Tuber servers up to version 0.15 answer. A client then asks for each name,
    /// and gets the signature of a method as a text.
    Names,
}

impl Param {
    /// Creates a required parameter.
    pub const fn required(name: &'static str) -> Self {
        Self {
            name,
            kind: ParamKind::Either,
            default: None,
        }
    }

    /// Creates an optional parameter.
    pub const fn optional(name: &'static str, default: Constant) -> Self {
        Self {
            name,
            kind: ParamKind::Either,
            default: Some(default),
        }
    }

    /// Creates a parameter that is null if it is left out.
    pub const fn null(name: &'static str) -> Self {
        Self::optional(name, Constant::Null)
    }

    /// Returns the same parameter, but an argument can be passed to it by name only.
    #[must_use]
    pub const fn keyword(self) -> Self {
        Self {
            kind: ParamKind::Keyword,
            ..self
        }
    }
}

impl Property {
    /// Creates a property that is an enumeration.
    pub const fn members(
        name: &'static str,
        members: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self {
            name,
            value: PropertyValue::Members(members),
        }
    }

    /// Creates a property whose value the object computes.
    pub const fn asked(name: &'static str) -> Self {
        Self {
            name,
            value: PropertyValue::Asked,
        }
    }
}

impl Interface {
    /// Returns the method with this name.
    pub fn method(&self, name: &str) -> Option<&'static Method> {
        self.methods.iter().find(|method| method.name == name)
    }

    /// Returns the property with this name.
    pub fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties
            .iter()
            .find(|property| property.name == name)
    }

    /// Writes the names of methods and properties.
    pub(super) fn describe_names(&self, slot: Slot<'_>) {
        let mut map = slot.map();
        map.entry(keys::DOC, &doc(self.doc));
        let mut names = map.key(keys::METHODS).seq();
        self.methods
            .iter()
            .for_each(|method| names.item().str(method.name));
        drop(names);
        let mut names = map.key(keys::PROPERTIES).seq();
        self.properties
            .iter()
            .for_each(|property| names.item().str(property.name));
    }

    /// Writes the text and the methods of a full description. The caller adds the properties.
    pub(super) fn describe_methods(&self, map: &mut Map<'_>) {
        map.entry(keys::DOC, &doc(self.doc));
        let mut methods = map.key(keys::METHODS).map();
        for method in self.methods {
            method.describe(methods.key(method.name), DescribeForm::Full);
        }
    }
}

/// The text, or `None` if it is empty.
fn doc(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

impl Method {
    /// Largest number of parameters that can get an argument.
    pub const MAX_PARAMS: usize = 16;

    /// Signature in Python syntax, without `self`.
    pub fn signature(&self) -> String {
        let mut text = String::from("(");
        let mut keywords = false;
        for (i, param) in self.params.iter().enumerate() {
            if i > 0 {
                text.push_str(", ");
            }
            let star = match param.kind {
                ParamKind::MorePositional => "*",
                ParamKind::MoreKeyword => "**",
                ParamKind::Keyword if !keywords => "*, ",
                _ => "",
            };
            keywords |= matches!(param.kind, ParamKind::Keyword | ParamKind::MorePositional);
            text.push_str(star);
            text.push_str(param.name);
            if let Some(default) = param.default {
                text.push('=');
                text.push_str(&default.python());
            }
            let last_positional = param.kind == ParamKind::Positional
                && self
                    .params
                    .get(i + 1)
                    .is_none_or(|next| next.kind != ParamKind::Positional);
            if last_positional {
                text.push_str(", /");
            }
        }
        text.push(')');
        text
    }

    /// Writes a description of the method.
    pub(super) fn describe(&self, slot: Slot<'_>, form: DescribeForm) {
        let mut map = slot.map();
        if form == DescribeForm::Names {
            map.entry("__name__", self.name)
                .entry(keys::DOC, &doc(self.doc));
            map.entry(keys::SIGNATURE, &self.signature());
            return;
        }
        map.entry(keys::DOC, &doc(self.doc));
        let mut signature = map.key(keys::SIGNATURE).map();
        let mut params = signature.key(keys::PARAMETERS).seq();
        params
            .item()
            .map()
            .entry(keys::NAME, keys::SELF)
            .entry(keys::KIND, &(ParamKind::Either as u64));
        for param in self.params {
            let mut map = params.item().map();
            map.entry(keys::NAME, param.name)
                .entry(keys::KIND, &(param.kind as u64));
            if let Some(default) = param.default {
                map.entry(keys::DEFAULT, &default);
            }
        }
    }
}

impl Constant {
    fn python(&self) -> String {
        match self {
            Self::Null => String::from("None"),
            Self::Bool(true) => String::from("True"),
            Self::Bool(false) => String::from("False"),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => zmij::Buffer::new().format(*value).to_owned(),
            Self::Str(text) => format!("'{}'", text.escape_default()),
        }
    }
}

impl Encode for Constant {
    fn encode(&self, slot: Slot<'_>) {
        match self {
            Self::Null => slot.null(),
            Self::Bool(value) => slot.bool(*value),
            Self::Int(value) => slot.i64(*value),
            Self::Float(value) => slot.f64(*value),
            Self::Str(text) => slot.str(text),
        }
    }
}

impl Encode for PropertyValue {
    /// Writes the value, or null if the object computes it.
    fn encode(&self, slot: Slot<'_>) {
        match self {
            Self::Constant(value) => value.encode(slot),
            Self::Members(members) => {
                let mut map = slot.map();
                for (name, text) in *members {
                    map.entry(name, *text);
                }
            }
            Self::Asked => slot.null(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuber::describe::{ParamInfo, read_signature};

    #[test]
    fn a_declared_method_is_read_back_from_its_signature() {
        static METHOD: Method = Method {
            name: "f",
            doc: "",
            params: &[
                Param {
                    name: "a",
                    kind: ParamKind::Positional,
                    default: None,
                },
                Param::required("b"),
                Param::optional("c", Constant::Str("x, y")),
                Param::null("d").keyword(),
                Param {
                    name: "rest",
                    kind: ParamKind::MoreKeyword,
                    default: None,
                },
            ],
        };
        assert_eq!(METHOD.signature(), "(a, /, b, c='x, y', *, d=None, **rest)");
        let read = read_signature(&METHOD.signature());
        let kinds = |params: &[ParamInfo]| params.iter().map(|p| p.kind).collect::<Vec<_>>();
        assert_eq!(
            kinds(&read),
            METHOD.params.iter().map(|p| p.kind).collect::<Vec<_>>()
        );
    }
}
