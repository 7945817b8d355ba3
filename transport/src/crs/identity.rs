//! Serial number that a CRS board says of itself.
//!
//! The public description of the protocol has no serial number. Boards that say theirs all the same
//! have it under a name that speaks for itself; only what a board lists is asked for, so that no
//! server is troubled with questions that it does not know.

use twotone_hal::Result;
use twotone_wire::tuber::{Cursor, Kind, Value};

use super::question::{Question, label};
use super::survey::Asker;
use crate::tuber::broken;

/// Methods and properties that tell a serial number, if a board has them.
const SERIALS: [&str; 7] = [
    "get_serial",
    "get_serial_number",
    "get_board_serial",
    "get_motherboard_serial",
    "serial",
    "serial_number",
    "SERIAL",
];
/// Methods and properties that tell a host name, which the serial number is a part of.
const HOST_NAMES: [&str; 3] = ["get_hostname", "hostname", "HOSTNAME"];

/// The names of the methods and properties of an object that describes itself so, as a list of
/// texts, methods with `()` behind them. Entries that cannot be read are ignored.
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

/// The questions about itself that a board with these names has answers to.
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

/// The serial number that the board says, if it says one. If these questions fail, it stays
/// unknown.
pub(super) async fn serial(asker: &Asker<'_>, questions: &[Question<'_>]) -> Option<String> {
    if questions.is_empty() {
        return None;
    }
    let said = match asker.ask(questions).await {
        Ok((_, said)) => said,
        Err(error) => {
            tracing::warn!(error = %error.chain(), "the board did not say its serial number");
            return None;
        }
    };
    let (mut serial, mut of_host) = (None, None);
    for (question, value) in questions.iter().zip(said) {
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
    let serial = label.strip_prefix("rfmux")?;
    (!serial.is_empty()).then(|| serial.to_owned())
}
