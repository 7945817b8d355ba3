//! Serial number that a CRS board reports about itself.
//!
//! The public description of the board's protocol, Tuber, has no method that returns the serial
//! number. Some boards nevertheless have such a method or property, under one of a few obvious
//! names. A board is asked only for the names that it lists.

use twotone_hal::Result;
use twotone_wire::tuber::{Cursor, Kind, Value};

use super::names::serial_in_label;
use super::question::{Question, label};
use super::survey::Asker;
use crate::tuber::broken;

/// Methods and properties that hold a serial number, if a board has them.
const SERIALS: [&str; 7] = [
    "get_serial",
    "get_serial_number",
    "get_board_serial",
    "get_motherboard_serial",
    "serial",
    "serial_number",
    "SERIAL",
];
/// Methods and properties that hold a host name. The serial number is part of the host name.
const HOST_NAMES: [&str; 3] = ["get_hostname", "hostname", "HOSTNAME"];

/// Names of the methods and properties in the description of a Tuber object, as a list of texts. A
/// method has `()` after its name. An entry that cannot be read is left out, with all that follow.
pub(super) fn names(description: Cursor<'_>) -> Value {
    let mut names = Vec::new();
    drop(collect(description, &mut names));
    Value::Array(names)
}

fn collect(mut description: Cursor<'_>, names: &mut Vec<Value>) -> Result<()> {
    let mut parts = description.entries().map_err(broken)?;
    while let Some((part, value)) = parts.next().map_err(broken)? {
        let call = match &*part {
            "methods" => "()",
            "properties" => "",
            _ => continue,
        };
        let mut add = |name: &str| names.push(Value::Str(format!("{name}{call}")));
        // Older servers list the names alone.
        match value.kind().map_err(broken)? {
            Kind::Map => {
                let mut named = value.entries().map_err(broken)?;
                while let Some((name, _)) = named.next().map_err(broken)? {
                    add(&name);
                }
            }
            Kind::Array => {
                let mut named = value.items().map_err(broken)?;
                while let Some(name) = named.next().map_err(broken)? {
                    add(&name.str().map_err(broken)?);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Questions about the serial number that a board with these methods and properties can answer.
pub(super) fn questions(names: &Value) -> Vec<Question<'static>> {
    let names = names.as_array().unwrap_or_default();
    let names = || names.iter().filter_map(Value::as_str);
    let known = SERIALS.into_iter().chain(HOST_NAMES);
    let asked = known.filter_map(|known| {
        let is_method = |name: &str| name.strip_suffix("()") == Some(known);
        if names().any(is_method) {
            return Some(Question::Call(known));
        }
        names()
            .any(|name| name == known)
            .then_some(Question::Property(known))
    });
    asked.collect()
}

/// Serial number that the board reports, or else the one in its host name. `None` if it reports
/// neither, or if the questions fail.
pub(super) async fn serial(asker: &Asker<'_>, questions: &[Question<'_>]) -> Option<String> {
    if questions.is_empty() {
        return None;
    }
    let answers = match asker.ask(questions).await {
        Ok((_, answers)) => answers,
        Err(error) => {
            tracing::warn!(error = %error.chain(), "the board did not say its serial number");
            return None;
        }
    };
    let (mut serial, mut of_host) = (None, None);
    for (question, value) in questions.iter().zip(answers) {
        let (Question::Call(name) | Question::Property(name), Ok(value)) = (question, value) else {
            continue;
        };
        match HOST_NAMES.contains(name) {
            true => of_host = of_host.or_else(|| serial_of_host(&value)),
            false => serial = serial.or_else(|| text(&value)),
        }
    }
    serial.or(of_host)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(label(text)).filter(|text| !text.is_empty()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The serial number in `rfmux0042` or `rfmux0042.local`.
fn serial_of_host(value: &Value) -> Option<String> {
    let host = text(value)?;
    let label = host.split('.').next()?;
    serial_in_label(label).map(str::to_owned)
}
