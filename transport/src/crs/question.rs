//! Questions to a board: calls that only read, each with an answer of its own. The calls are made
//! with Tuber, the protocol of the board's remote procedure calls.

use twotone_hal::{Error, ErrorKind, Result, legible_within};
use twotone_wire::tuber::{Answer, BatchWriter, Format, Limits, Value};

use super::describe::OBJECT;
use super::identity;
use super::reader::last_line;
use crate::http::Answer as Received;
use crate::tuber::broken;

/// Answer of a board to a question, or the reason why there is none.
pub(super) type BoardAnswer = Result<Value, String>;

/// Question to a board.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Question<'a> {
    /// The description of the board's Tuber object. The answer is the list of names from
    /// [`identity::names`].
    Object,
    /// The value of a property.
    Property(&'a str),
    /// The result of a method.
    Call(&'a str),
    /// The result of a method for a sensor or rail.
    Of(&'a str, &'a str),
    /// The result of a method for a module.
    OfModule(&'a str, u8),
    /// The amplitude of a module's channel.
    Amplitude(u8, u16),
}

/// Writes all questions into one request.
pub(super) fn write(questions: &[Question<'_>], out: &mut BatchWriter) {
    questions.iter().for_each(|question| question.write(out));
}

/// Reads the answers to all questions of a request. Returns them with the format of the answer.
pub(super) fn read(
    questions: &[Question<'_>],
    answer: &Received,
) -> Result<(Format, Vec<BoardAnswer>)> {
    let content_type = answer.content_type.as_deref();
    let format = Format::of_answer(content_type).unwrap_or(Format::Json);
    let mut read = Answer::new(content_type, &answer.body, &Limits::ANSWER).map_err(broken)?;
    let mut elements = read.elements(questions.len()).map_err(broken)?;
    if let Some(refusal) = elements.refusal() {
        return Err(Error::new(ErrorKind::Rejected, last_line(refusal)));
    }
    let mut answers = Vec::with_capacity(questions.len());
    for question in questions {
        let Some(element) = elements.next().map_err(broken)? else {
            answers.push(Err("no answer".to_owned()));
            continue;
        };
        answers.push(match (element.outcome, question) {
            (Ok(cursor), Question::Object) => Ok(identity::names(cursor)),
            (Ok(mut cursor), _) => cursor.value().map_err(|error| error.to_string()),
            (Err(message), _) => Err(last_line(&message).to_owned()),
        });
    }
    Ok((format, answers))
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

/// The answer as a finite number.
pub(super) fn number(answer: BoardAnswer) -> Result<f64, String> {
    let answer = answer?;
    let found = answer.as_f64().filter(|value| value.is_finite());
    found.ok_or_else(|| odd(&answer))
}

/// A text from the board, shortened and made safe to show in a table or a file.
pub(super) fn label(text: &str) -> String {
    const MOST: usize = 100;
    legible_within(text.trim(), MOST).into_owned()
}

/// Short message about an answer that cannot be used.
pub(super) fn odd(value: &Value) -> String {
    const MOST: usize = 40;
    let text = match value {
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
