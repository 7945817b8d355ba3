//! Scripts of faults. A script is a file with the faults of a [`Farm`](crate::Farm) (a group of
//! simulated boards). It says for each fault which boards have it, and at which calls or times.

use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Fault, Scheduled};

/// Faults of a farm, read from a file in TOML.
///
/// ```
/// use twotone_sim::fault::FaultScript;
///
/// let script = FaultScript::parse(
///     r#"
///     seed = 7
///
///     [[fault]]
///     kind = "packet-loss" # on all boards, from the start to the end
///     rate = 0.01
///
///     [[fault]]
///     kind = "slow"
///     boards = ["crs0003"]
///     delay_ms = 200
///     from_s = 10.0 # since the farm started
///     for_s = 5.0
///
///     [[fault]]
///     kind = "error-on-call"
///     message = "no good"
///     first = 100 # the board's hundred and first call, and nine more
///     count = 10
///     "#,
/// )?;
/// assert_eq!(script.len(), 3);
/// # Ok::<(), twotone_sim::fault::ScriptError>(())
/// ```
///
/// `kind` is one of [`Fault::KINDS`], and the fields of that fault are further keys. `first` and
/// `count` are the fields of [`Scheduled`]. If a fault has a window of time (`from_s`, `for_s`),
/// its calls are counted from the beginning of the window. Times are real times, even if the time
/// of the farm is accelerated. Faults of the streams, which count packets, have either a window or
/// `first` and `count`, not both. `seed` (1 by default) applies to all faults that draw random
/// numbers and set no seed. A fault without `boards` is a fault of every board.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FaultScript {
    pub(crate) entries: Vec<Entry>,
}

/// One fault of a script.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Names of the boards; `None` for all boards.
    pub(crate) boards: Option<Vec<String>>,
    pub(crate) scheduled: Scheduled,
    pub(crate) window: Option<Window>,
}

/// Window of time in which a fault acts, counted from the start of the farm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub(crate) from: Duration,
    /// Length of the window, or `None` if it has no end.
    pub(crate) lasting: Option<Duration>,
}

/// Error in a script, with its position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ScriptError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Description of the error.
    pub message: String,
}

/// Keys that every fault of a script may have.
#[derive(Deserialize)]
struct Common {
    kind: Spanned<String>,
    boards: Option<Vec<String>>,
    #[serde(default)]
    first: u64,
    count: Option<u64>,
    from_s: Option<Spanned<f64>>,
    for_s: Option<Spanned<f64>>,
}

const COMMON: [&str; 6] = ["kind", "boards", "first", "count", "from_s", "for_s"];

/// Position of an error in the text, and its description.
struct Wrong(Range<usize>, String);

impl From<toml::de::Error> for Wrong {
    fn from(error: toml::de::Error) -> Self {
        Self(error.span().unwrap_or(0..0), error.message().to_owned())
    }
}

impl FaultScript {
    /// Reads a script.
    ///
    /// # Errors
    /// [`ScriptError`] if the text is no valid TOML, if a key or a kind is unknown, or if a value
    /// is wrong.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        read(text).map_err(|Wrong(at, message)| {
            let before = text.get(..at.start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let in_line = before.rsplit('\n').next().unwrap_or_default();
            ScriptError {
                line,
                column: in_line.chars().count() + 1,
                message: shortened(message),
            }
        })
    }

    /// Number of faults.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there are no faults.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Largest number of characters of a message. A longer message contains a very long name, so the
/// middle of the message is left out.
const LONGEST: usize = 1000;

fn shortened(message: String) -> String {
    let length = message.chars().count();
    if length <= LONGEST {
        return message;
    }
    let begin: String = message.chars().take(LONGEST / 2).collect();
    let end: String = message.chars().skip(length - LONGEST / 4).collect();
    format!("{begin} ... {end} (of {length} characters)")
}

fn read(text: &str) -> Result<FaultScript, Wrong> {
    let mut seed = 1;
    let mut faults = Vec::new();
    for (key, value) in DeTable::parse(text)?.into_inner() {
        match key.get_ref().as_ref() {
            "seed" => seed = u64::deserialize(value.into_deserializer())?,
            "fault" => faults = entries(value)?,
            other => {
                let message = format!("unknown key `{other}`, expected `seed` or `fault`");
                return Err(Wrong(key.span(), message));
            }
        }
    }
    let entries = faults.into_iter().map(|fault| entry(fault, seed));
    Ok(FaultScript {
        entries: entries.collect::<Result<_, _>>()?,
    })
}

type Table<'t> = (Range<usize>, DeTable<'t>);

fn entries(value: Spanned<DeValue<'_>>) -> Result<Vec<Table<'_>>, Wrong> {
    let span = value.span();
    let wrong = |span| Wrong(span, String::from("expected `[[fault]]` and its fields"));
    let DeValue::Array(array) = value.into_inner() else {
        return Err(wrong(span));
    };
    let tables = array.into_iter().map(|value| {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Ok((span, table)),
            _ => Err(wrong(span)),
        }
    });
    tables.collect()
}

fn entry((span, table): Table<'_>, seed: u64) -> Result<Entry, Wrong> {
    let (mut common, mut fields) = (DeTable::new(), DeTable::new());
    let mut has_seed = false;
    for (key, value) in table {
        has_seed |= key.get_ref() == "seed";
        let part = if COMMON.contains(&key.get_ref().as_ref()) {
            &mut common
        } else {
            &mut fields
        };
        part.insert(key, value);
    }
    let common = Common::deserialize(Spanned::new(span.clone(), common).into_deserializer())?;
    let kind = common.kind.get_ref();
    let fields = Spanned::new(span, fields).into_deserializer();
    let mut fault = Fault::read(kind, fields).ok_or_else(|| {
        let known = Fault::KINDS.join(", ");
        let message = format!("unknown kind of fault `{kind}`, expected one of {known}");
        Wrong(common.kind.span(), message)
    })??;
    if !has_seed {
        fault.rule_mut().set_seed(seed);
    }
    let window = window(common.from_s.as_ref(), common.for_s.as_ref())?;
    if window.is_some() && fault.counts_packets() && (common.first > 0 || common.count.is_some()) {
        let message = "packets are counted or timed, not both: leave out `first` and `count`, or \
                       `from_s` and `for_s`";
        return Err(Wrong(common.kind.span(), message.to_owned()));
    }
    Ok(Entry {
        boards: common.boards,
        scheduled: Scheduled {
            fault,
            first: common.first,
            count: common.count,
        },
        window,
    })
}

fn window(
    from: Option<&Spanned<f64>>,
    lasting: Option<&Spanned<f64>>,
) -> Result<Option<Window>, Wrong> {
    let time = |seconds: &Spanned<f64>| {
        Duration::try_from_secs_f64(*seconds.get_ref())
            .map_err(|_| Wrong(seconds.span(), String::from("expected seconds, 0 or more")))
    };
    if from.is_none() && lasting.is_none() {
        return Ok(None);
    }
    Ok(Some(Window {
        from: from.map(time).transpose()?.unwrap_or_default(),
        lasting: lasting.map(time).transpose()?,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::{PacketLoss, Slow};
    use super::*;

    #[test]
    fn a_script_says_what_where_and_when() {
        let text = r#"
            seed = 9
            [[fault]]
            kind = "slow"
            boards = ["crs0002", "crs0003"]
            delay_ms = 5
            from_s = 2
            [[fault]]
            kind = "packet-loss"
            rate = 0.5
            first = 3
            count = 4
            [[fault]]
            kind = "packet-loss"
            rate = 0.5
            seed = 1
            for_s = 0.25
        "#;
        let loss = |seed| Fault::from(PacketLoss { rate: 0.5, seed });
        let expected = [
            Entry {
                boards: Some(vec!["crs0002".into(), "crs0003".into()]),
                scheduled: Slow { delay_ms: 5 }.into(),
                window: Some(Window {
                    from: Duration::from_secs(2),
                    lasting: None,
                }),
            },
            Entry {
                boards: None,
                scheduled: loss(9).during(3, 4),
                window: None,
            },
            Entry {
                boards: None,
                scheduled: loss(1).into(),
                window: Some(Window {
                    from: Duration::ZERO,
                    lasting: Some(Duration::from_millis(250)),
                }),
            },
        ];
        assert_eq!(FaultScript::parse(text).unwrap().entries, expected);
        assert!(FaultScript::parse("").unwrap().is_empty());
    }

    #[test]
    fn every_kind_is_known_by_the_name_that_it_is_written_with() {
        for kind in Fault::KINDS {
            let fields = DeTable::parse("").unwrap().into_deserializer();
            assert!(Fault::read(kind, fields).is_some(), "{kind}");
        }
        for fault in [
            Fault::from(Slow { delay_ms: 1 }),
            PacketLoss::default().into(),
            super::super::CloseMidAnswer::default().into(),
        ] {
            let written = toml::Table::try_from(&fault).unwrap();
            let kind = written["kind"].as_str().unwrap();
            assert!(Fault::KINDS.contains(&kind), "{kind}");
        }
    }

    #[test]
    fn a_value_out_of_range_is_refused_at_its_place() {
        let check = |fault: &str, wrong: Option<(usize, &str)>| {
            let text = format!("[[fault]]\n{fault}");
            match (FaultScript::parse(&text), wrong) {
                (Ok(_), None) => {}
                (Err(error), Some((column, what))) => {
                    assert_eq!((error.line, error.column), (3, column), "{text}: {error}");
                    assert!(error.message.contains(what), "{text}: {error}");
                }
                (parsed, _) => panic!("{text}: {parsed:?}"),
            }
        };
        for kind in ["loss", "duplicate", "reorder", "corrupt"] {
            for rate in ["0", "1", "0.0", "1.0", "0.25", "-0.0"] {
                check(&format!("kind = \"packet-{kind}\"\nrate = {rate}"), None);
            }
            for rate in ["1.5", "-0.1", "nan", "inf", "-inf", "2"] {
                let fault = format!("kind = \"packet-{kind}\"\nrate = {rate}\nfirst = 1");
                check(&fault, Some((8, "0 to 1, not ")));
            }
        }
        let reorder = |depth: &str| format!("kind = \"packet-reorder\"\ndepth = {depth}\nrate = 1");
        check(&reorder("1"), None);
        check(&reorder("7"), None);
        check(&reorder("1000"), None);
        check(&reorder("0"), Some((9, "1 to 1000, not 0")));
        check(&reorder("1001"), Some((9, "1 to 1000, not 1001")));
        check(&reorder("-1"), Some((9, "")));
    }

    #[test]
    fn errors_have_their_places() {
        let check = |text: &str, line: usize, column: usize, what: &str| {
            let error = FaultScript::parse(text).unwrap_err();
            assert_eq!(
                (error.line, error.column),
                (line, column),
                "{text}: {error}"
            );
            assert!(error.message.contains(what), "{text}: {error}");
            assert!(error.message.len() < 1000, "{error}");
        };
        check("seed = \"a\"", 1, 8, "invalid type");
        check("sed = 1", 1, 1, "unknown key `sed`");
        check("[[fault]\n", 1, 9, "");
        let long = "x".repeat(5000);
        check(
            &format!("{long} = 1"),
            1,
            1,
            "expected `seed` or `fault` (of 5",
        );
        check("fault = 3", 1, 9, "expected `[[fault]]`");
        check("fault = [3]", 1, 10, "expected `[[fault]]`");
        check("\n[[fault]]\nrate = 1", 2, 1, "missing field `kind`");
        check(
            "[[fault]]\nkind = \"slw\"",
            2,
            8,
            "unknown kind of fault `slw`",
        );
        check(
            "[[fault]]\nkind = \"slow\"",
            1,
            1,
            "missing field `delay_ms`",
        );
        check(
            "[[fault]]\nkind = \"slow\"\ndelay = 1\ndelay_ms = 1",
            3,
            1,
            "unknown field `delay`",
        );
        check("[[fault]]\nkind = \"slow\"\ndelay_ms = -1", 3, 12, "");
        check(
            "[[fault]]\nkind = \"refuse\"\nfor_s = -1",
            3,
            9,
            "0 or more",
        );
        check(
            "[[fault]]\nkind = \"refuse\"\nboards = \"a\"",
            3,
            10,
            "invalid type",
        );
        check(
            "# é\n[[fault]]\nkind = \"packet-loss\"\nrate = 1\nfrom_s = 1\nfirst = 2",
            3,
            8,
            "counted or timed",
        );
    }
}
