//! Properties of CRS boards: clocks, decimation and the analog path.

use std::sync::{Arc, PoisonError};

use tokio::time::Instant;
use twotone_hal::{
    Certainty, Error, ErrorKind, ModuleId, Op, PropertyKey, PropertyValue, PropertyValues,
    RepliesBuilder, Result, Safety,
};
use twotone_wire::crs::MODULES_IN_BANK;
use twotone_wire::tuber::{Answer, BatchWriter, Call, Limits, Value};

use super::CrsBoard;
use super::describe::{OBJECT, Survey};
use super::question::{self, Question, label, odd};
use super::reader::Reader;
use super::survey::names;
use crate::http::{Answer as Received, Post};
use crate::link::Link;
use crate::plan::{BoardPlan, Conflict, ModulePlan};
use crate::tuber::broken;

const ANALOG_BANK: &str = "analog_bank";
const NYQUIST_ZONE: &str = "nyquist_zone";
/// Words for the two banks of modules.
const BANKS: [&str; 2] = ["low", "high"];
/// Lowest decimation stage with packets of 1024 channels. The network is too slow for them at lower
/// stages.
const LOWEST_LONG_STAGE: f64 = 3.0;
/// Width of a Nyquist zone.
const ZONE_HZ: f64 = 2.5e9;

/// A property, and the way in which it is set and read.
struct Entry {
    key: PropertyKey,
    set: &'static str,
    get: &'static str,
    form: Form,
    /// Property of the Tuber object that lists the names and values of words or units.
    words: Option<&'static str>,
    /// True if the description of the board depends on the property.
    is_described: bool,
}

/// Form of a value in the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A word, in the words of the board.
    Word,
    /// True for the high bank.
    Bank,
    /// A whole number, with the length of the packets.
    Stage,
    /// A number with its unit.
    Power,
    Whole,
    Real,
}

/// Table of the properties, in the order in which they must be set: a bank has scales of its own.
const TABLE: [Entry; 8] = [
    Entry {
        key: word("clock_source", &["VCXO", "SMA", "BACKPLANE"], true),
        set: "set_clock_source",
        get: "get_clock_source",
        form: Form::Word,
        words: Some("CLOCKSOURCE"),
        is_described: false,
    },
    Entry {
        key: word(
            "timestamp_port",
            &["BACKPLANE", "TEST", "SMA", "AUX_SMA"],
            false,
        ),
        set: "set_timestamp_port",
        get: "get_timestamp_port",
        form: Form::Word,
        words: Some("TIMESTAMP_PORT"),
        is_described: false,
    },
    Entry {
        key: word(ANALOG_BANK, &BANKS, true),
        set: "set_analog_bank",
        get: "get_analog_bank",
        form: Form::Bank,
        words: None,
        is_described: true,
    },
    Entry {
        key: PropertyKey {
            of_module: false,
            ..number("decimation", 0.0, 6.0, "", true, 0.0)
        },
        set: "set_decimation",
        get: "get_decimation",
        form: Form::Stage,
        words: None,
        is_described: true,
    },
    Entry {
        // The range covers that of any balun.
        key: number("dac_scale_dbm", -20.0, 10.0, "dBm", false, 0.1),
        set: "set_dac_scale",
        get: "get_dac_scale",
        form: Form::Power,
        words: Some("UNITS"),
        is_described: true,
    },
    Entry {
        key: number("adc_attenuator_db", 0.0, 27.0, "dB", true, 0.5),
        set: "set_adc_attenuator",
        get: "get_adc_attenuator",
        form: Form::Whole,
        words: None,
        is_described: false,
    },
    Entry {
        key: number(NYQUIST_ZONE, 1.0, 3.0, "", true, 0.0),
        set: "set_nyquist_zone",
        get: "get_nyquist_zone",
        form: Form::Whole,
        words: None,
        is_described: false,
    },
    Entry {
        key: number("cable_length_m", 0.0, 2000.0, "m", false, 1e-3),
        set: "set_cable_length",
        get: "get_cable_length",
        form: Form::Real,
        words: None,
        is_described: false,
    },
];

/// The properties of [`TABLE`], in its order.
pub(crate) const PROPERTIES: &[PropertyKey] = &{
    let mut keys = [TABLE[0].key; TABLE.len()];
    let mut index = 1;
    while index < keys.len() {
        keys[index] = TABLE[index].key;
        index += 1;
    }
    keys
};

/// A property of the board that is one of some words.
const fn word(name: &'static str, words: &'static [&'static str], silent: bool) -> PropertyKey {
    PropertyKey {
        name,
        of_module: false,
        values: PropertyValues::Words(words),
        needs_silence: silent,
    }
}

/// A property of a module that is a number and changes the power or the phase of its tones.
const fn number(
    name: &'static str,
    low: f64,
    high: f64,
    unit: &'static str,
    is_whole: bool,
    rounding: f64,
) -> PropertyKey {
    PropertyKey {
        name,
        of_module: true,
        values: PropertyValues::Numbers {
            low,
            high,
            unit,
            is_whole,
            rounding,
        },
        needs_silence: true,
    }
}

/// Refuses properties that CRS boards do not have, and values that are out of their ranges.
pub(super) fn check(op: &Op) -> Result<()> {
    asked(op).map(drop)
}

/// An operation on a property.
struct Asked<'o> {
    entry: &'static Entry,
    module: Option<ModuleId>,
    /// Value to set; `None` if the property is only read.
    value: Option<&'o PropertyValue>,
}

/// Returns the operation on a property that `op` is, if it is one.
fn asked(op: &Op) -> Result<Option<Asked<'_>>> {
    let (module, name, value) = match op {
        Op::SetProperty {
            module,
            name,
            value,
        } => (*module, *name, Some(value)),
        Op::ReadProperty { module, name } => (*module, *name, None),
        _ => return Ok(None),
    };
    static ENTRIES: [Entry; TABLE.len()] = TABLE;
    let entry = ENTRIES.iter().find(|entry| entry.key.name == name);
    let entry = entry.filter(|entry| entry.key.of_module == module.is_some());
    let Some(entry) = entry else {
        let of = module.map_or("the board", |_| "a module");
        let why = format!("a CRS board has no property `{name}` of {of}");
        return Err(Error::new(ErrorKind::Unsupported, why));
    };
    if let Some(value) = value {
        entry.key.check(value)?;
    }
    Ok(Some(Asked {
        entry,
        module,
        value,
    }))
}

/// True for operations on properties.
pub(super) fn is_one(op: &Op) -> bool {
    matches!(op, Op::SetProperty { .. } | Op::ReadProperty { .. })
}

impl CrsBoard {
    /// Sets or reads a property, and replies with the value that was read. The connection is that
    /// of the board as a whole, since the module need not be in use.
    pub(super) async fn property(
        &self,
        op: &Op,
        survey: &Survey,
        deadline: Instant,
        replies: &mut RepliesBuilder<'_>,
    ) -> Result<()> {
        let Some(Asked {
            entry,
            module,
            value: set,
        }) = asked(op)?
        else {
            return Ok(());
        };
        let link = self.link(None)?;
        let words = words(&link, survey, entry, deadline).await?;
        let mut writer = BatchWriter::new(survey.format);
        if let Some(value) = set {
            write_set(&mut writer, entry, module, value, &words);
        }
        call_of(writer.call(OBJECT, entry.get), module);
        let calls = writer.calls();
        let post = Post::new(writer.finish(), survey.format);
        let answer = link.exchange(post, op.safety(), deadline).await;
        let value = answer.and_then(|answer| {
            replies.repeated(answer.repeats);
            found(&answer, calls, replies)
        });
        let is_unchanged = |error: &Error| error.certainty() == Certainty::NotExecuted;
        if set.is_some() && entry.is_described && !value.as_ref().is_err_and(is_unchanged) {
            let why = format!("this program has set `{}` of the board", entry.key.name);
            self.life.epochs().end_by_this_program(survey.epoch, why);
        }
        replies.property(property(entry.form, &value?, &words)?)
    }
}

/// Value of the property: the answer to the last of the calls. If there is a call before, it has
/// set the property.
fn found(received: &Received, calls: usize, replies: &mut RepliesBuilder<'_>) -> Result<Value> {
    let content_type = received.content_type.as_deref();
    let mut read = Answer::new(content_type, &received.body, &Limits::ANSWER).map_err(broken)?;
    let mut elements = read.elements(calls).map_err(broken)?;
    if let Some(refusal) = elements.refusal() {
        return Err(Error::new(ErrorKind::Rejected, refusal));
    }
    let mut reader = Reader::new(&mut elements);
    let mut last = || {
        for _ in 1..calls {
            reader.done()?;
        }
        reader.result()?.value().map_err(broken)
    };
    let value = last();
    reader.pass_warnings_to(replies);
    value
}

/// Names and values of the words of a property; empty if it has none, or if the board does not list
/// them. The board is asked once in an epoch.
async fn words(
    link: &Link,
    survey: &Survey,
    entry: &Entry,
    deadline: Instant,
) -> Result<Arc<Vec<(String, String)>>> {
    let Some(list) = entry.words else {
        return Ok(Arc::default());
    };
    let known = || survey.words.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(words) = known().get(list) {
        return Ok(Arc::clone(words));
    }
    let asked = [Question::Property(list)];
    let mut writer = BatchWriter::new(survey.format);
    question::write(&asked, &mut writer);
    let post = Post::new(writer.finish(), survey.format);
    let answer = link.exchange(post, Safety::Read, deadline).await?;
    let (_, answers) = question::read(&asked, &answer)?;
    let words = answers.into_iter().next().map(names).unwrap_or_default();
    let words = Arc::new(words);
    if !words.is_empty() {
        known().insert(list, Arc::clone(&words));
    }
    Ok(words)
}

/// Writes the call that sets a property.
fn write_set(
    writer: &mut BatchWriter,
    entry: &Entry,
    module: Option<ModuleId>,
    value: &PropertyValue,
    words: &[(String, String)],
) {
    let call = writer.call(OBJECT, entry.set);
    match (value, entry.form) {
        (PropertyValue::Word(word), Form::Bank) => call_of(call.arg(*word == *BANKS[1]), module),
        (PropertyValue::Word(word), _) => call_of(call.arg(sent(words, word)), module),
        (PropertyValue::Number(stage), Form::Stage) => {
            let is_short = *stage < LOWEST_LONG_STAGE;
            call.arg(*stage as i64).kwarg("short", is_short);
        }
        (PropertyValue::Number(dbm), Form::Power) => {
            let call = call.arg(*dbm).kwarg("units", sent(words, "DBM"));
            if let Some(module) = module {
                call.kwarg("module", module.number());
            }
        }
        (PropertyValue::Number(number), Form::Real) => call_of(call.arg(*number), module),
        (PropertyValue::Number(number), _) => call_of(call.arg(*number as i64), module),
    }
}

/// Completes a call with the module.
fn call_of(call: Call<'_>, module: Option<ModuleId>) {
    if let Some(module) = module {
        call.kwarg("module", module.number());
    }
}

/// Value that the board expects for a word.
fn sent<'w>(words: &'w [(String, String)], word: &'w str) -> &'w str {
    let listed = words.iter().find(|(name, _)| name == word);
    listed.map_or(word, |(_, value)| value)
}

/// Property in the form of [`PROPERTIES`], from the value that the board reports; `None` if it
/// reports none.
fn property(
    form: Form,
    value: &Value,
    words: &[(String, String)],
) -> Result<Option<PropertyValue>> {
    if let Value::Null = value {
        return Ok(None);
    }
    let found = match (form, value) {
        (Form::Bank, Value::Bool(high)) => Some(BANKS[usize::from(*high)].into()),
        (Form::Word, Value::Str(text)) => {
            let listed = words.iter().find(|(_, value)| value == text);
            let word = listed.map_or(text, |(name, _)| name);
            Some(PropertyValue::Word(label(word)))
        }
        (Form::Bank | Form::Word, _) => None,
        (_, value) => value
            .as_f64()
            .filter(|number| number.is_finite())
            .map(PropertyValue::Number),
    };
    match found {
        Some(found) => Ok(Some(found)),
        None => Err(Error::new(
            ErrorKind::Protocol,
            format!("the value cannot be used: {}", odd(value)),
        )),
    }
}

/// Reasons that no CRS board can be set up as a map says.
pub(crate) fn conflicts(plan: &BoardPlan<'_>) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let is_high = |module: ModuleId| module.number() > MODULES_IN_BANK;
    let said = match plan.property(ANALOG_BANK) {
        Some(PropertyValue::Word(bank)) => Some(*bank == *BANKS[1]),
        _ => None,
    };
    for module in &plan.modules {
        let high = is_high(module.module);
        // A map that does not say the bank may have modules of both, as it always could.
        let message = said.filter(|said| *said != high).map(|said| {
            format!(
                "module {} is on the {} analog bank, and the map has {ANALOG_BANK} = \"{}\"",
                module.module,
                BANKS[usize::from(high)],
                BANKS[usize::from(said)],
            )
        });
        let wrong_bank = message.map(|message| Conflict {
            module: Some(module.module),
            key: "number",
            message,
        });
        conflicts.extend(wrong_bank);
        conflicts.extend(other_zone(module));
    }
    conflicts
}

/// Conflict of a module that is to be set to a zone beyond which its range reaches. The converters
/// follow the NCO into its zone, so such a setting would not last.
fn other_zone(module: &ModulePlan<'_>) -> Option<Conflict> {
    let PropertyValue::Number(zone) = module.properties.get(NYQUIST_ZONE)? else {
        return None;
    };
    let (f_min, f_max) = (module.f_min?.0, module.f_max?.0);
    let (low, high) = ((zone - 1.0) * ZONE_HZ, zone * ZONE_HZ);
    if f_min >= low && f_max <= high {
        return None;
    }
    Some(Conflict {
        module: Some(module.module),
        key: NYQUIST_ZONE,
        message: format!(
            "`{NYQUIST_ZONE}` = {zone} is from {} to {} GHz, and the range of the module from {} to \
             {} GHz reaches beyond it; the converters follow the NCO into its zone, so the key can \
             be left out",
            low / 1e9,
            high / 1e9,
            f_min / 1e9,
            f_max / 1e9,
        ),
    })
}
