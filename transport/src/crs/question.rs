//! Questions to a board that only read, each by itself.

use tokio::time::Instant;
use twotone_hal::{Error, ErrorKind, Result, Safety, legible_within};
use twotone_wire::tuber::{Answer, BatchWriter, Format, Limits, Value};

use super::describe::OBJECT;
use super::identity;
use super::reader::last_line;
use crate::http::Post;
use crate::link::Link;
use crate::tuber::broken;

/// Answer of a board to a question, or the reason that there is none.
pub(super) type Said = Result<Value, String>;

/// One question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Question<'a> {
    /// The one object of a CRS board, if there is one. The answer has the names of its methods and
    /// properties, as pairs of texts.
    Object,
    /// The value of the property.
    Property(&'a str),
    /// The answer of the method.
    Call(&'a str),
    /// The answer of the method for the sensor or rail.
    Of(&'a str, &'a str),
    /// The answer of the method for the module.
    OfModule(&'a str, u8),
    /// The amplitude of the channel of the module.
    Amplitude(u8, u16),
}

/// Asks all questions in one round trip. The questions behind one that fails are asked all the
/// same.
pub(super) async fn ask(
    link: &Link,
    format: Format,
    deadline: Instant,
    questions: &[Question<'_>],
) -> Result<(Format, Vec<Said>)> {
    let mut writer = BatchWriter::new(format);
    for question in questions {
        question.write(&mut writer);
    }
    let calls = writer.calls();
    let post = Post::new(writer.finish(), format).continue_on_error();
    let answer = link.exchange(post, Safety::Read, deadline).await?;
    let content_type = answer.content_type.as_deref();
    let format = Format::of_answer(content_type).unwrap_or(Format::Json);
    let mut read = Answer::new(content_type, &answer.body, &Limits::ANSWER).map_err(broken)?;
    let mut elements = read.elements(calls).map_err(broken)?;
    if let Some(refusal) = elements.refusal() {
        return Err(Error::new(ErrorKind::Rejected, last_line(refusal)));
    }
    let mut said = Vec::with_capacity(calls);
    for question in questions {
        let Some(element) = elements.next().map_err(broken)? else {
            said.push(Err("no answer".to_owned()));
            continue;
        };
        said.push(match (element.outcome, question) {
            (Ok(cursor), Question::Object) => Ok(identity::names(cursor)),
            (Ok(mut cursor), _) => cursor.value().map_err(|error| error.to_string()),
            (Err(message), _) => Err(last_line(&message).to_owned()),
        });
    }
    Ok((format, said))
}

impl Question<'_> {
    fn write(self, out: &mut BatchWriter) {
        match self {
            Self::Object => out.resolve(OBJECT),
            Self::Property(name) => out.property(OBJECT, name),
            Self::Call(method) => {
                out.call(OBJECT, method);
            }
            Self::Of(method, name) => {
                out.call(OBJECT, method).arg(name);
            }
            Self::OfModule(method, module) => {
                out.call(OBJECT, method).kwarg("module", module);
            }
            Self::Amplitude(module, channel) => {
                let call = out.call(OBJECT, "get_amplitude");
                call.kwarg("channel", channel).kwarg("module", module);
            }
        }
    }
}

/// A finite number.
pub(super) fn number(said: Said) -> Result<f64, String> {
    let said = said?;
    let found = said.as_f64().filter(|value| value.is_finite());
    found.ok_or_else(|| odd(&said))
}

/// A short text that the board says of itself, as it can be shown in a table and a file.
pub(super) fn label(said: &str) -> String {
    const MOST: usize = 100;
    legible_within(said.trim(), MOST).into_owned()
}

/// Message about an answer that cannot be used, in few words.
pub(super) fn odd(said: &Value) -> String {
    const MOST: usize = 40;
    let text = match said {
        Value::Null => return "it says nothing".to_owned(),
        Value::Str(text) => format!("{text:?}"),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(true) => "true".to_owned(),
        Value::Bool(false) => "false".to_owned(),
        other if other.as_map().is_some() => "a map with other keys".to_owned(),
        _ => "a list".to_owned(),
    };
    let short: String = text.chars().take(MOST).collect();
    let more = if short.len() < text.len() { "..." } else { "" };
    format!("it says {short}{more}")
}
