//! Reading of the descriptions of the objects that a server offers. A description is either full or
//! has names only.

use super::cursor::{Cursor, Kind};
use super::error::DecodeError;
use super::keys;
use super::value::Value;

/// Description of an object, as the server returns it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Description {
    /// Text about the object.
    pub doc: Option<String>,
    /// Methods of the object.
    pub methods: Vec<MethodInfo>,
    /// Properties by name. A value is `None` if the server gave only names.
    pub properties: Vec<(String, Option<Value>)>,
    /// Objects inside the object.
    pub objects: Vec<(String, Self)>,
    /// If the object is a container: the keys of its items, or their number.
    pub keys: Option<Value>,
    /// If the object is a container: the descriptions of its items. If the items are alike, there
    /// is one description for all.
    pub values: Vec<Self>,
    /// True if the server gave only names. The description of each method and the value of each
    /// property can then be asked for with
    /// [`BatchWriter::property`](super::BatchWriter::property).
    pub names_only: bool,
}

/// Description of a method.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MethodInfo {
    /// Name of the method.
    pub name: String,
    /// Text about the method.
    pub doc: Option<String>,
    /// Parameters without `self`; `None` if the signature is not known.
    pub params: Option<Vec<ParamInfo>>,
}

/// Description of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamInfo {
    /// Name of the parameter.
    pub name: String,
    /// Way in which an argument is passed to the parameter.
    pub kind: ParamKind,
    /// Default value, or its text if the signature is a text. `None` if there is no default.
    pub default: Option<Value>,
}

/// Way in which an argument is passed to a parameter, with its number in descriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    /// By position only.
    Positional = 0,
    /// By position or by name.
    Either = 1,
    /// All further positional arguments (`*args`).
    MorePositional = 2,
    /// By name only.
    Keyword = 3,
    /// All further named arguments (`**kwargs`).
    MoreKeyword = 4,
}

impl ParamKind {
    const ALL: [Self; 5] = [
        Self::Positional,
        Self::Either,
        Self::MorePositional,
        Self::Keyword,
        Self::MoreKeyword,
    ];
}

impl Description {
    /// Reads the answer to a request for a description. Unknown keys are ignored.
    pub fn read(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let mut description = Self::default();
        let mut entries = cursor.entries()?;
        while let Some((key, value)) = entries.next()? {
            if value.kind()? == Kind::Null {
                continue;
            }
            match &*key {
                keys::DOC => description.doc = text(value)?,
                keys::METHODS => description.read_methods(value)?,
                keys::PROPERTIES => description.read_properties(value)?,
                keys::OBJECTS => {
                    let mut objects = value.entries()?;
                    while let Some((name, object)) = objects.next()? {
                        let object = Self::read(object)?;
                        description.objects.push((name.into_owned(), object));
                    }
                }
                "keys" => description.keys = Some(value.value()?),
                "values" if value.kind()? == Kind::Map => {
                    description.values.push(Self::read(value)?);
                }
                "values" => {
                    let mut values = value.items()?;
                    while let Some(value) = values.next()? {
                        description.values.push(Self::read(value)?);
                    }
                }
                _ => {}
            }
        }
        Ok(description)
    }

    fn read_methods(&mut self, cursor: &mut Cursor<'_>) -> Result<(), DecodeError> {
        if cursor.kind()? == Kind::Map {
            let mut methods = cursor.entries()?;
            while let Some((name, method)) = methods.next()? {
                self.methods.push(MethodInfo::read(&name, method)?);
            }
            return Ok(());
        }
        self.names_only = true;
        let mut names = cursor.items()?;
        while let Some(name) = names.next()? {
            let name = name.str()?.into_owned();
            self.methods.push(MethodInfo {
                name,
                ..MethodInfo::default()
            });
        }
        Ok(())
    }

    fn read_properties(&mut self, cursor: &mut Cursor<'_>) -> Result<(), DecodeError> {
        if cursor.kind()? == Kind::Map {
            let mut properties = cursor.entries()?;
            while let Some((name, value)) = properties.next()? {
                self.properties
                    .push((name.into_owned(), Some(value.value()?)));
            }
            return Ok(());
        }
        self.names_only = true;
        let mut names = cursor.items()?;
        while let Some(name) = names.next()? {
            self.properties.push((name.str()?.into_owned(), None));
        }
        Ok(())
    }

    /// Returns the method with this name.
    pub fn method(&self, name: &str) -> Option<&MethodInfo> {
        self.methods.iter().find(|method| method.name == name)
    }

    /// Returns the value of a property, if it is known.
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.properties
            .iter()
            .find(|(own, _)| own == name)?
            .1
            .as_ref()
    }

    /// True if there is a method or property with this name.
    pub fn has(&self, name: &str) -> bool {
        self.method(name).is_some() || self.properties.iter().any(|(own, _)| own == name)
    }
}

impl MethodInfo {
    /// Reads the description of a method, whose signature may be a map or a text. If the value is
    /// not a map, the description has only the name.
    pub fn read(name: &str, cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let mut method = Self {
            name: name.to_owned(),
            ..Self::default()
        };
        if cursor.kind()? != Kind::Map {
            cursor.skip()?;
            return Ok(method);
        }
        let mut entries = cursor.entries()?;
        while let Some((key, value)) = entries.next()? {
            match (&*key, value.kind()?) {
                (keys::DOC, Kind::Str) => method.doc = text(value)?,
                (keys::SIGNATURE, Kind::Str) => method.params = Some(read_signature(&value.str()?)),
                (keys::SIGNATURE, Kind::Map) => {
                    let mut entries = value.entries()?;
                    while let Some((key, value)) = entries.next()? {
                        if key == keys::PARAMETERS {
                            method.params = Some(read_params(value)?);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(method)
    }
}

fn text(cursor: &mut Cursor<'_>) -> Result<Option<String>, DecodeError> {
    Ok(Some(cursor.str()?.into_owned()))
}

fn read_params(cursor: &mut Cursor<'_>) -> Result<Vec<ParamInfo>, DecodeError> {
    let mut params = Vec::new();
    let mut items = cursor.items()?;
    while let Some(item) = items.next()? {
        let mut param = ParamInfo {
            name: String::new(),
            kind: ParamKind::Either,
            default: None,
        };
        let mut entries = item.entries()?;
        while let Some((key, value)) = entries.next()? {
            match &*key {
                keys::NAME => param.name = value.str()?.into_owned(),
                keys::KIND => param.kind = kind(value.i64()?),
                keys::DEFAULT => param.default = Some(value.value()?),
                _ => {}
            }
        }
        // A first parameter `self` is the object itself, not an argument of a call.
        let is_self = params.is_empty() && param.name == keys::SELF;
        if !is_self {
            params.push(param);
        }
    }
    Ok(params)
}

fn kind(number: i64) -> ParamKind {
    ParamKind::ALL
        .into_iter()
        .find(|kind| *kind as i64 == number)
        .unwrap_or(ParamKind::Either)
}

/// Reads a signature in Python syntax: `(a, b: int = None, *args, c=1) -> float`.
pub(super) fn read_signature(text: &str) -> Vec<ParamInfo> {
    let mut params: Vec<ParamInfo> = Vec::new();
    let mut named_only = false;
    for part in top_level_parts(text) {
        let (stars, kind) = match part.as_bytes() {
            [b'*', b'*', ..] => (2, ParamKind::MoreKeyword),
            [b'*', ..] => (1, ParamKind::MorePositional),
            _ => (
                0,
                if named_only {
                    ParamKind::Keyword
                } else {
                    ParamKind::Either
                },
            ),
        };
        named_only |= stars == 1;
        if part == "/" {
            params
                .iter_mut()
                .for_each(|param| param.kind = ParamKind::Positional);
            continue;
        }
        let (declared, default) = match part[stars..].split_once('=') {
            Some((declared, default)) => (declared, Some(Value::Str(default.trim().to_owned()))),
            None => (&part[stars..], None),
        };
        let name = declared.split(':').next().unwrap_or_default().trim();
        let is_self = params.is_empty() && name == keys::SELF;
        if !name.is_empty() && !is_self {
            params.push(ParamInfo {
                name: name.to_owned(),
                kind,
                default,
            });
        }
    }
    params
}

/// Parts of the text inside the outermost brackets, split at commas that are not inside inner
/// brackets or quotes.
fn top_level_parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start, mut quote) = (0_usize, 0, None);
    for (i, c) in text.char_indices() {
        match c {
            _ if quote.is_some() => quote = quote.filter(|open| *open != c),
            '\'' | '"' => quote = Some(c),
            '(' | '[' | '{' => {
                depth += 1;
                if depth == 1 {
                    start = i + 1;
                }
            }
            ',' | ')' | ']' | '}' if depth == 1 => {
                parts.push(text[start..i].trim());
                start = i + 1;
                if c != ',' {
                    break;
                }
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_read_as_python_writes_them() {
        use ParamKind::*;
        let check = |text: &str, expected: &[(&str, ParamKind, Option<&str>)]| {
            let params = read_signature(text);
            let got: Vec<_> = params
                .iter()
                .map(|param| {
                    let default = param.default.as_ref().and_then(Value::as_str);
                    (param.name.as_str(), param.kind, default)
                })
                .collect();
            assert_eq!(got, expected, "{text}");
        };
        check("()", &[]);
        check("(self)", &[]);
        check(
            "(self, a, self)",
            &[("a", Either, None), ("self", Either, None)],
        );
        check(
            "(amplitude, channel=None, module=None)",
            &[
                ("amplitude", Either, None),
                ("channel", Either, Some("None")),
                ("module", Either, Some("None")),
            ],
        );
        check(
            "(a: int, b: dict[str, int] = {'x': (1, 2), 'y': [3]}, /, c='),', *, d, **rest) -> tuple[int, int]",
            &[
                ("a", Positional, None),
                ("b", Positional, Some("{'x': (1, 2), 'y': [3]}")),
                ("c", Either, Some("'),'")),
                ("d", Keyword, None),
                ("rest", MoreKeyword, None),
            ],
        );
        check(
            "(*args, k=1)",
            &[("args", MorePositional, None), ("k", Keyword, Some("1"))],
        );
        for text in [
            "", "(", ")", "(a", "((((", "(a,,b)", "('", "(...)", "(=)", "(é=ü)",
        ] {
            read_signature(text);
        }
    }
}
