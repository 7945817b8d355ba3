//! Reading of answers. A batch is a list of calls in one message. Its answer has one element for
//! each call, in order.

use std::borrow::Cow;

use super::cursor::{Cursor, Kind};
use super::error::{DecodeError, DecodeErrorKind, Limits};
use super::format::Format;
use super::keys;
use super::nested::Items;
use super::value::Value;

/// Answer to a batch, or to a single call that was not in a batch.
///
/// ```
/// use twotone_wire::tuber::{Answer, Limits};
///
/// let body = br#"[{"result": 1.5}, {"error": {"message": "ValueError: no"}}]"#;
/// let mut answer = Answer::new(Some("application/json"), body, &Limits::ANSWER)?;
/// let mut elements = answer.elements(2)?;
/// let first = elements.next()?.unwrap();
/// assert_eq!(first.outcome.unwrap().f64()?, 1.5);
/// let second = elements.next()?.unwrap();
/// assert_eq!(second.outcome.unwrap_err(), "ValueError: no");
/// assert!(elements.next()?.is_none());
/// # Ok::<(), twotone_wire::tuber::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Answer<'a> {
    start: Cursor<'a>,
    cursor: Cursor<'a>,
}

/// One element of an answer.
#[derive(Debug, Clone)]
pub struct Element<'a> {
    /// Cursor at the result if the call succeeded. If it failed, or was not executed after an
    /// earlier failure, the error text of the server. The protocol does not fix the wording.
    pub outcome: Result<Cursor<'a>, Cow<'a, str>>,
    /// Warnings of the server about the call.
    pub warnings: Warnings<'a>,
}

/// Text of the error that answers the calls that were not executed after a failure.
pub const NOT_RUN: &str = "Something went wrong in a preceding call";

impl<'a> Answer<'a> {
    /// Takes an answer, whose bytes are `body`. `content_type` is the value of its header
    /// `Content-Type`, of which the case and the parameters are ignored; `None` means JSON.
    ///
    /// # Errors
    ///
    /// If the content type is neither JSON nor CBOR, or if the body is longer than the limit.
    pub fn new(
        content_type: Option<&str>,
        body: &'a [u8],
        limits: &Limits,
    ) -> Result<Self, DecodeError> {
        let Some(format) = Format::of_answer(content_type) else {
            let text: String = content_type.unwrap_or_default().chars().take(80).collect();
            return Err(DecodeError::new(0, DecodeErrorKind::ContentType(text)));
        };
        let cursor = Cursor::new(format, body, limits)?;
        Ok(Answer {
            start: cursor,
            cursor,
        })
    }

    /// Elements of the answer to a batch of `calls` calls.
    ///
    /// If the server refused the batch as a whole, [`Elements::refusal`] is its error, and there
    /// are no elements. If the number of elements is wrong, [`Elements::next`] returns an error at
    /// the first surplus or missing element.
    pub fn elements(&mut self, calls: usize) -> Result<Elements<'_, 'a>, DecodeError> {
        self.cursor = self.start;
        match self.cursor.kind()? {
            Kind::Map => {
                let element = Element::read(&mut self.cursor)?;
                self.cursor.end()?;
                match element.outcome {
                    Err(text) => Ok(Elements {
                        items: None,
                        refusal: Some(text),
                        calls,
                        read: 0,
                    }),
                    Ok(_) => Err(self
                        .start
                        .wrong_type("a list of answers", "a single result")),
                }
            }
            _ => {
                let items = Some(self.cursor.items()?);
                Ok(Elements {
                    items,
                    refusal: None,
                    calls,
                    read: 0,
                })
            }
        }
    }

    /// The answer to a single call that was not in a batch.
    pub fn single(&mut self) -> Result<Element<'a>, DecodeError> {
        self.cursor = self.start;
        let element = Element::read(&mut self.cursor)?;
        self.cursor.end()?;
        Ok(element)
    }
}

/// The elements of the answer to a batch.
#[derive(Debug)]
pub struct Elements<'c, 'a> {
    items: Option<Items<'c, 'a>>,
    refusal: Option<Cow<'a, str>>,
    calls: usize,
    read: usize,
}

impl<'a> Elements<'_, 'a> {
    /// The error with which the server refused the batch as a whole, if it did.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Returns the next element, or `None` after the last. There is no element if the server
    /// refused the batch as a whole.
    ///
    /// An element with neither a result nor an error gives [`DecodeErrorKind::NoOutcome`]. After
    /// this error the next element can be read, but not after any other error.
    #[expect(clippy::should_implement_trait, reason = "it can fail")]
    pub fn next(&mut self) -> Result<Option<Element<'a>>, DecodeError> {
        let Some(items) = &mut self.items else {
            return Ok(None);
        };
        let (expected, found) = (self.calls, self.read);
        match items.next()? {
            Some(cursor) if found == expected => Err(cursor.fail(DecodeErrorKind::Count {
                expected,
                found: found + 1,
            })),
            Some(cursor) => {
                self.read += 1;
                Element::read(cursor).map(Some)
            }
            None if found < expected => {
                let kind = DecodeErrorKind::Count { expected, found };
                Err(items.cursor().fail(kind))
            }
            None => items.cursor().end().map(|()| None),
        }
    }
}

impl<'a> Element<'a> {
    /// Reads one element. The call has failed if `error` is truthy in Python: some servers send a
    /// null `error` with each result. Keys may come in any order.
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let start = *cursor;
        let (mut result, mut error, mut warnings) = (None, None, None);
        let mut entries = cursor.entries()?;
        while let Some((key, value)) = entries.next()? {
            match &*key {
                keys::RESULT => result = Some(*value),
                keys::ERROR => error = Some(*value),
                keys::WARNINGS => warnings = Some(*value),
                _ => {}
            }
            value.skip()?;
        }
        let error = match error {
            Some(value) => error_text(value)?,
            None => None,
        };
        let outcome = match (error, result) {
            (Some(text), _) => Err(text),
            (None, Some(value)) => Ok(value),
            (None, None) => return Err(start.fail(DecodeErrorKind::NoOutcome)),
        };
        Ok(Element {
            outcome,
            warnings: Warnings(warnings),
        })
    }
}

/// Text of an error, or `None` if the value is falsy in Python.
fn error_text<'a>(mut cursor: Cursor<'a>) -> Result<Option<Cow<'a, str>>, DecodeError> {
    let mut inner = cursor;
    match cursor.kind()? {
        Kind::Null => return Ok(None),
        Kind::Str => return Ok(Some(cursor.str()?).filter(|text| !text.is_empty())),
        Kind::Map => {
            let mut entries = inner.entries()?;
            while let Some((key, value)) = entries.next()? {
                if key == keys::MESSAGE && value.kind()? == Kind::Str {
                    return value.str().map(Some);
                }
            }
        }
        _ => {}
    }
    let value = Value::read(&mut cursor)?;
    Ok(value.truthy().then(|| Cow::Owned(format!("{value:?}"))))
}

/// Warnings of an element, in the order in which the server gave them.
#[derive(Debug, Clone, Copy)]
pub struct Warnings<'a>(Option<Cursor<'a>>);

impl<'a> Warnings<'a> {
    /// True if the server sent no `warnings`; false if it sent an empty list.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Calls `each` with every warning. Values that are not texts are ignored.
    pub fn for_each(&self, mut each: impl FnMut(Cow<'a, str>)) {
        let Some(mut cursor) = self.0 else { return };
        let Ok(mut items) = cursor.items() else {
            return;
        };
        while let Ok(Some(item)) = items.next() {
            if let Ok(text) = item.str() {
                each(text);
            }
        }
    }
}
