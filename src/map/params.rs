//! Parameter files: TOML for any type that serde can read. Each error has the place of the wrong
//! key or value, and a suggestion if there is one.

use std::borrow::Cow;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::MapError;
use super::section::{Findings, TOLD};
use crate::input;

/// Reads parameters from the TOML file at `path`, as [`parse_params`] does.
///
/// # Errors
/// If the file cannot be read, or as [`parse_params`].
pub fn load_params<T: DeserializeOwned>(path: impl AsRef<Path>) -> Result<T, MapError> {
    let path = path.as_ref();
    let file = path.display().to_string();
    parse_params(&read_params(path)?, &file)
}

/// Reads the text of the parameter file at `path`, for callers that need the text in addition to
/// the parameters.
///
/// # Errors
/// As [`input::read_text`].
pub fn read_params(path: impl AsRef<Path>) -> Result<String, MapError> {
    let path = path.as_ref();
    input::read_text(path, input::PARAMS_BYTES)
        .map_err(|error| MapError::unreadable(&path.display().to_string(), &error))
}

/// Reads parameters from TOML. `file` is the name of the text in errors. `T` should have serde's
/// attribute `deny_unknown_fields`. Without it, misspelt keys go unnoticed.
///
/// ```
/// #[derive(Debug, Default, serde::Deserialize)]
/// #[serde(default, deny_unknown_fields)]
/// struct Params {
///     span_hz: f64,
///     points: u32,
/// }
/// let error = twotone::map::parse_params::<Params>("pionts = 3\nspan_hz = true", "p.toml");
/// assert_eq!(
///     error.unwrap_err().to_string(),
///     "p.toml:1:1: unknown key `pionts`; did you mean `points`?\n\
///      p.toml:2:11: invalid type: boolean `true`, expected f64"
/// );
/// ```
///
/// # Errors
/// Every unknown key and every value of the wrong type, each with its line and column. Missing keys
/// are reported only if there is no other problem.
pub fn parse_params<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, MapError> {
    let mut findings = Findings::new(text, file);
    let mut root = findings.toml()?;
    // Serde stops at the first error. The key or value that causes it is reported and removed, and
    // the rest is read again, until there is nothing to remove or enough problems are reported.
    let mut tries = 0;
    loop {
        let error = match T::deserialize(Deserializer::from(root.clone())) {
            Ok(params) => return findings.done().map(|()| params),
            Err(error) => error,
        };
        // The span is the place of the wrong key or value. For a missing key, it is the place of
        // the table that lacks the key, or the beginning of the document.
        let span = error.span().unwrap_or_default();
        let message = SerdeMessage::of(error.message());
        // A key may be missing only because this loop has removed it, so it is reported only if
        // nothing else was.
        if !(message.is_missing && findings.any()) {
            message.report(&mut findings, span.start);
        }
        let Some((table, key)) = holder(root.get_mut(), span.start) else {
            break;
        };
        let is_key = key.span().start == span.start;
        table.remove(&key);
        if message.is_missing {
            break;
        }
        // Each attempt reads the whole file again, so all unknown keys of a table are handled in
        // one attempt.
        if let (true, Some((_, _, known))) = (is_key, &message.unknown) {
            let unknown = |key: &Spanned<Cow<'_, str>>| !known.contains(&key.get_ref().as_ref());
            let others: Vec<_> = table.keys().filter(|key| unknown(key)).cloned().collect();
            for key in others {
                message.report_key(&mut findings, key.span().start, key.get_ref());
                table.remove(&key);
            }
        }
        tries += 1;
        if tries == TOLD {
            findings.stop();
            break;
        }
    }
    findings.done()?;
    Err(MapError::whole(file, "cannot be read as parameters"))
}

/// Returns the table with the entry whose key or value begins at byte `at`, and the key of that
/// entry.
fn holder<'t, 'i>(
    table: &'t mut DeTable<'i>,
    at: usize,
) -> Option<(&'t mut DeTable<'i>, Spanned<Cow<'i, str>>)> {
    let begins_there = |(key, value): &(&Spanned<_>, &Spanned<_>)| {
        [key.span().start, value.span().start].contains(&at)
    };
    match table.iter().find(begins_there).map(|(key, _)| key.clone()) {
        Some(key) => Some((table, key)),
        None => table
            .iter_mut()
            .find_map(|(_, value)| holder_within(value.get_mut(), at)),
    }
}

fn holder_within<'t, 'i>(
    value: &'t mut DeValue<'i>,
    at: usize,
) -> Option<(&'t mut DeTable<'i>, Spanned<Cow<'i, str>>)> {
    match value {
        DeValue::Table(table) => holder(table, at),
        DeValue::Array(array) => array
            .iter_mut()
            .find_map(|item| holder_within(item.get_mut(), at)),
        _ => None,
    }
}

/// Parsed error message of serde. A message about an unknown key or value names it, and then the
/// known ones, each in backticks.
struct SerdeMessage<'m> {
    message: &'m str,
    is_missing: bool,
    unknown: Option<(&'static str, &'m str, Vec<&'m str>)>,
}

impl<'m> SerdeMessage<'m> {
    fn of(message: &'m str) -> Self {
        let unknown = [
            ("unknown field `", "unknown key"),
            ("unknown variant `", "unknown value"),
        ]
        .iter()
        .find_map(|(start, what)| {
            let (found, rest) = message.strip_prefix(start)?.split_once("`, ")?;
            Some((*what, found, rest.split('`').skip(1).step_by(2).collect()))
        });
        Self {
            message,
            is_missing: message.starts_with("missing field"),
            unknown,
        }
    }

    fn report(&self, findings: &mut Findings<'_>, at: usize) {
        match &self.unknown {
            Some((_, found, _)) => self.report_key(findings, at, found),
            None if self.is_missing => {
                findings.say(at, self.message.replacen("missing field", "missing key", 1));
            }
            None => findings.say(at, self.message),
        }
    }

    /// Reports the key `found` as unknown, with the list of known keys from serde's message.
    fn report_key(&self, findings: &mut Findings<'_>, at: usize, found: &str) {
        let Some((what, _, known)) = &self.unknown else {
            return;
        };
        let what = format!("{what} `{found}`");
        match known.is_empty() {
            true => findings.say(at, what),
            false => drop(findings.unknown(at, &what, known.iter().copied(), found)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::parse_params;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Tune {
        points: u32,
        span: twotone_hal::Hertz,
        search: Search,
        steps: Vec<Step>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Search {
        method: Method,
        threshold: f64,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Method {
        #[default]
        MatchedFilter,
        Prominence,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Step {
        power_dbm: f64,
    }

    fn check(text: &str, errors: &[&str]) {
        let error = parse_params::<Tune>(text, "tune.toml")
            .expect_err(text)
            .to_string();
        assert_eq!(error.lines().collect::<Vec<_>>(), errors, "{text}");
    }

    #[test]
    fn good_parameters_are_read() {
        let text =
            "points = 5\nspan = 3\n[search]\nmethod = \"prominence\"\n[[steps]]\npower_dbm = -3";
        let expected = Tune {
            points: 5,
            span: twotone_hal::Hertz(3.0),
            search: Search {
                method: Method::Prominence,
                threshold: 0.0,
            },
            steps: vec![Step { power_dbm: -3.0 }],
        };
        assert_eq!(parse_params::<Tune>(text, "tune.toml").unwrap(), expected);
        assert_eq!(
            parse_params::<Tune>("", "tune.toml").unwrap(),
            Tune::default()
        );
    }

    #[test]
    fn every_wrong_key_and_value_is_told() {
        check(
            "pointz = 5",
            &["tune.toml:1:1: unknown key `pointz`; did you mean `points`?"],
        );
        check(
            "x = 5",
            &["tune.toml:1:1: unknown key `x`; known: `points`, `span`, `search`, `steps`"],
        );
        check(
            "points = -1\n[search]\n  treshold = 2\n  method = \"matched_filtr\"\n[[steps]]\npower_dbm = true\n[sarch]\n",
            &[
                "tune.toml:1:10: invalid value: integer `-1`, expected u32",
                "tune.toml:3:3: unknown key `treshold`; did you mean `threshold`?",
                "tune.toml:4:12: unknown value `matched_filtr`; did you mean `matched_filter`?",
                "tune.toml:6:13: invalid type: boolean `true`, expected f64",
                "tune.toml:7:2: unknown key `sarch`; did you mean `search`?",
            ],
        );
        check(
            "search.method = \"speed\"",
            &["tune.toml:1:17: unknown value `speed`; known: `matched_filter`, `prominence`"],
        );
        check(
            "search = { treshold = 1 }",
            &["tune.toml:1:12: unknown key `treshold`; did you mean `threshold`?"],
        );
        check(
            "[[steps]]\n\n[[steps]]\npower_dbm = 1",
            &["tune.toml:1:1: missing key `power_dbm`"],
        );
        // The key is missing because it is misspelt. This is reported only once.
        check(
            "[[steps]]\npower_db = 1",
            &["tune.toml:2:1: unknown key `power_db`; did you mean `power_dbm`?"],
        );
        check(
            "points = 1e",
            &["tune.toml:1:12: invalid exponent, expected digits"],
        );
        check(
            "points = 99999999999999999999999999999999999999999999",
            &["tune.toml:1:10: integer number overflowed"],
        );
    }
}
