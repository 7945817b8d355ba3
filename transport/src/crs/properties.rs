//! Properties of CRS boards: clocks, decimation and the analog path.

use tokio::time::Instant;
use twotone_hal::{
    Certainty, Error, ErrorKind, ModuleId, Op, PropertyKey, PropertyValue, PropertyValues,
    RepliesBuilder, Result, Safety,
};
use twotone_wire::crs::MODULES_IN_BANK;
use twotone_wire::tuber::{Answer, BatchWriter, Call, Limits, Value};

use super::CrsBoard;
use super::describe::{HIGHEST_NCO, OBJECT, Survey};
use super::question::{self, Question, label, odd};
use super::reader::Reader;
use super::survey::names;
use crate::http::{Answer as Received, Post};
use crate::link::Link;
use crate::plan::{BoardPlan, Conflict, ModulePlan};
use crate::tuber::broken;

pub(crate) const ANALOG_BANK: &str = "analog_bank";
const DAC_SCALE: &str = "dac_scale_dbm";
const NYQUIST_ZONE: &str = "nyquist_zone";
/// Words for the two banks of modules.
const BANKS: [&str; 2] = ["low", "high"];
/// Lowest decimation stage with packets of 1024 channels. The network is too slow for them at lower
/// stages.
const LOWEST_LONG_STAGE: f64 = 3.0;
/// Width of a Nyquist zone.
const ZONE_HZ: f64 = 2.5e9;

/// Table of the properties, in the order in which they must be set: a bank has scales of its own.
pub(crate) const PROPERTIES: &[PropertyKey] = &[
    word("clock_source", &["VCXO", "SMA", "BACKPLANE"], true),
    word(
        "timestamp_port",
        &["BACKPLANE", "TEST", "SMA", "AUX_SMA"],
        false,
    ),
    word(ANALOG_BANK, &BANKS, true),
    PropertyKey {
        of_module: false,
        ..number("decimation", 0.0, 6.0, "", true, 0.0)
    },
    // The range covers that of any balun.
    number(DAC_SCALE, -20.0, 10.0, "dBm", false, 0.1),
    number("adc_attenuator_db", 0.0, 27.0, "dB", true, 0.5),
    number(NYQUIST_ZONE, 1.0, 3.0, "", true, 0.0),
    number("cable_length_m", 0.0, 2000.0, "m", false, 1e-3),
];

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

/// Method that sets a property, and method that reads it.
struct Methods {
    set: &'static str,
    get: &'static str,
    /// Property of the Tuber object that lists the names and values of the words.
    words: Option<&'static str>,
    /// True if the description of the board depends on the property.
    is_described: bool,
}

fn methods(name: &str) -> Option<Methods> {
    let (set, get, words, is_described) = match name {
        "clock_source" => (
            "set_clock_source",
            "get_clock_source",
            Some("CLOCKSOURCE"),
            false,
        ),
        "timestamp_port" => (
            "set_timestamp_port",
            "get_timestamp_port",
            Some("TIMESTAMP_PORT"),
            false,
        ),
        ANALOG_BANK => ("set_analog_bank", "get_analog_bank", None, true),
        "decimation" => ("set_decimation", "get_decimation", None, true),
        DAC_SCALE => ("set_dac_scale", "get_dac_scale", Some("UNITS"), true),
        "adc_attenuator_db" => ("set_adc_attenuator", "get_adc_attenuator", None, false),
        NYQUIST_ZONE => ("set_nyquist_zone", "get_nyquist_zone", None, false),
        "cable_length_m" => ("set_cable_length", "get_cable_length", None, false),
        _ => return None,
    };
    Some(Methods {
        set,
        get,
        words,
        is_described,
    })
}

/// Refuses properties that CRS boards do not have, and values that are out of their ranges.
pub(super) fn check(op: &Op) -> Result<()> {
    let (module, name, value) = match op {
        Op::SetProperty {
            module,
            name,
            value,
        } => (module, *name, Some(value)),
        Op::ReadProperty { module, name } => (module, *name, None),
        _ => return Ok(()),
    };
    let key = PROPERTIES.iter().find(|key| key.name == name);
    match key.filter(|key| key.of_module == module.is_some()) {
        Some(key) => value.map_or(Ok(()), |value| key.check(value)),
        None => {
            let of = module.map_or("the board", |_| "a module");
            let why = format!("a CRS board has no property `{name}` of {of}");
            Err(Error::new(ErrorKind::Unsupported, why))
        }
    }
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
        let (module, name, set) = match op {
            Op::SetProperty {
                module,
                name,
                value,
            } => (*module, *name, Some(value)),
            Op::ReadProperty { module, name } => (*module, *name, None),
            _ => return Ok(()),
        };
        let Some(methods) = methods(name) else {
            return check(op);
        };
        let link = self.link(None)?;
        let words = words(&link, survey, &methods, deadline).await?;
        let mut writer = BatchWriter::new(survey.format);
        if let Some(value) = set {
            write_set(&mut writer, &methods, module, value, &words);
        }
        call_of(writer.call(OBJECT, methods.get), module);
        let calls = writer.calls();
        let post = Post::new(writer.finish(), survey.format);
        let answer = link.exchange(post, op.safety(), deadline).await;
        let value = answer.and_then(|answer| {
            replies.repeated(answer.repeats);
            found(&answer, calls, replies)
        });
        let is_unchanged = |error: &Error| error.certainty() == Certainty::NotExecuted;
        if set.is_some() && methods.is_described && !value.as_ref().is_err_and(is_unchanged) {
            let why = format!("this program has set `{name}` of the board");
            self.life.epochs().end_by_this_program(survey.epoch, why);
        }
        replies.property(property(name, &value?, &words)?)
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
/// them.
async fn words(
    link: &Link,
    survey: &Survey,
    methods: &Methods,
    deadline: Instant,
) -> Result<Vec<(String, String)>> {
    let Some(list) = methods.words else {
        return Ok(Vec::new());
    };
    let asked = [Question::Property(list)];
    let mut writer = BatchWriter::new(survey.format);
    question::write(&asked, &mut writer);
    let post = Post::new(writer.finish(), survey.format);
    let answer = link.exchange(post, Safety::Read, deadline).await?;
    let (_, answers) = question::read(&asked, &answer)?;
    Ok(answers.into_iter().next().map(names).unwrap_or_default())
}

/// Writes the call that sets a property.
fn write_set(
    writer: &mut BatchWriter,
    methods: &Methods,
    module: Option<ModuleId>,
    value: &PropertyValue,
    words: &[(String, String)],
) {
    let call = writer.call(OBJECT, methods.set);
    match (value, methods.set) {
        (PropertyValue::Word(word), "set_analog_bank") => {
            call_of(call.arg(*word == *BANKS[1]), module);
        }
        (PropertyValue::Word(word), _) => call_of(call.arg(sent(words, word)), module),
        (PropertyValue::Number(stage), "set_decimation") => {
            let is_short = *stage < LOWEST_LONG_STAGE;
            call.arg(*stage as i64).kwarg("short", is_short);
        }
        (PropertyValue::Number(dbm), "set_dac_scale") => {
            let call = call.arg(*dbm).kwarg("units", sent(words, "DBM"));
            if let Some(module) = module {
                call.kwarg("module", module.number());
            }
        }
        (PropertyValue::Number(metres), "set_cable_length") => call_of(call.arg(*metres), module),
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
    name: &str,
    value: &Value,
    words: &[(String, String)],
) -> Result<Option<PropertyValue>> {
    if let Value::Null = value {
        return Ok(None);
    }
    let found = match (name, value) {
        (ANALOG_BANK, Value::Bool(high)) => Some(BANKS[usize::from(*high)].into()),
        ("clock_source" | "timestamp_port", Value::Str(text)) => {
            let listed = words.iter().find(|(_, value)| value == text);
            let word = listed.map_or(text, |(name, _)| name);
            Some(PropertyValue::Word(label(word)))
        }
        (ANALOG_BANK | "clock_source" | "timestamp_port", _) => None,
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
        conflicts.extend(beyond(module));
        conflicts.extend(other_zone(module));
    }
    conflicts
}

/// Conflict of a module whose range no NCO reaches.
fn beyond(module: &ModulePlan<'_>) -> Option<Conflict> {
    let ends = [("f_min_hz", module.f_min), ("f_max_hz", module.f_max)];
    let (key, end) = ends
        .into_iter()
        .find_map(|(key, end)| Some((key, end.filter(|end| end.0 > HIGHEST_NCO.0)?)))?;
    Some(Conflict {
        module: Some(module.module),
        key,
        message: format!(
            "`{key}` = {} is out of reach: a CRS board has tones from 0 to {} GHz, in the Nyquist \
             zones 1 to 4 of its converters",
            end.0,
            HIGHEST_NCO.0 / 1e9,
        ),
    })
}

/// Conflict of a module that is to be set to a zone in which its range does not lie. The converters
/// follow the NCO into its zone, so such a setting would not last.
fn other_zone(module: &ModulePlan<'_>) -> Option<Conflict> {
    let PropertyValue::Number(zone) = module.properties.get(NYQUIST_ZONE)? else {
        return None;
    };
    let (f_min, f_max) = (module.f_min?.0, module.f_max?.0);
    let (low, high) = ((zone - 1.0) * ZONE_HZ, zone * ZONE_HZ);
    // A range that reaches into two zones may be set to either.
    if f_max > low && f_min < high {
        return None;
    }
    let first = (f_min / ZONE_HZ).floor() + 1.0;
    Some(Conflict {
        module: Some(module.module),
        key: NYQUIST_ZONE,
        message: format!(
            "`{NYQUIST_ZONE}` = {zone} is from {} to {} GHz, and the range of the module begins in \
             zone {first}; the converters follow the NCO into its zone, so the key can be left out",
            low / 1e9,
            high / 1e9,
        ),
    })
}
