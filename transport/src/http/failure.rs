//! Failures of a request, and the messages about them to the operator.

use std::error::Error as StdError;

use hyper::StatusCode;
use twotone_hal::{Certainty, Error, ErrorKind, legible};

/// Reason why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The request was not sent. It may be sent again, whatever its effect.
    #[error("the connection was closed before the request was sent")]
    NotSent(hyper::Error),
    /// The connection was lost before the answer was complete.
    #[error("the connection was closed before the answer was whole")]
    Lost {
        /// Cause of the loss.
        source: Box<dyn StdError + Send + Sync>,
        /// True if no part of the answer had come.
        unanswered: bool,
    },
    /// The deadline passed before the answer was complete.
    #[error("no answer came before the deadline")]
    Late,
    /// The server answered with a status other than 200. The text is the `Location` header, if the
    /// answer has one.
    #[error("HTTP {0}")]
    Status(StatusCode, Option<String>),
    /// The answer is larger than this limit, in bytes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The answer is compressed with this method, although the request asked for no compression.
    #[error("the answer is {0}-compressed")]
    Compressed(String),
    /// The answer is a page of HTML.
    #[error("the answer is a web page, neither JSON nor CBOR")]
    Page,
}

/// Cause of the error for an HTTP status other than 200.
#[derive(Debug, thiserror::Error)]
#[error("{advice}")]
pub(crate) struct StatusAnswer {
    advice: String,
}

impl Failure {
    /// True if the server may have executed the request, or parts of it.
    pub(crate) fn may_have_run(&self) -> bool {
        !matches!(self, Self::NotSent(_))
    }

    /// The error of a request to `authority`, with the steps to take.
    pub(crate) fn into_error(self, authority: &str) -> Error {
        self.into_error_after("", authority)
    }

    /// Error of a request to `authority` that was not sent, because the settings could not be read
    /// back before it.
    pub(crate) fn into_reading_error(self, authority: &str) -> Error {
        self.into_error_after("the board could not be read back: ", authority)
            .certainty_is(Certainty::NotExecuted)
    }

    fn into_error_after(self, before: &str, authority: &str) -> Error {
        let new = |kind, message: String| Error::new(kind, format!("{before}{message}"));
        let lost = |message: &str| new(ErrorKind::ConnectionLost, format!("{authority} {message}"));
        let protocol = |message: String| new(ErrorKind::Protocol, message);
        match self {
            Self::NotSent(error) => lost("closed the connection")
                .certainty_is(Certainty::NotExecuted)
                .caused_by(error),
            Self::Lost { source, .. } => {
                lost("closed the connection before its answer was whole").caused_by(source)
            }
            Self::Late => new(ErrorKind::Timeout, self.to_string()),
            Self::Status(status, location) => {
                let advice = legible(&advice(status, location.as_deref())).into_owned();
                protocol(format!("{authority} answered HTTP {status}"))
                    .caused_by(StatusAnswer { advice })
            }
            Self::TooLarge(limit) => protocol(format!(
                "the answer of {authority} is larger than {limit} bytes"
            )),
            Self::Compressed(how) => protocol(format!(
                "the answer of {authority} is {how}-compressed, which was not asked for: something \
                 between here and the board, such as a proxy, compresses; switch that off there, or \
                 connect past it"
            )),
            Self::Page => protocol(format!(
                "the answer of {authority} is a web page, neither JSON nor CBOR: a web server or a \
                 login page answers in the place of the board; check the address and the port"
            )),
        }
    }
}

/// Meaning of an HTTP status from the address of a board, and the steps to take.
fn advice(status: StatusCode, location: Option<&str>) -> String {
    match status.as_u16() {
        300..=399 => {
            let elsewhere = location.map_or_else(String::new, |to| format!(", to {to}"));
            format!(
                "it redirects{elsewhere}, which no board does; give the address of the board \
                 itself, or connect past the proxy or the login page that answers"
            )
        }
        401 | 403 | 407 => "it wants a login, which no board does; connect past the proxy that \
                            answers, or have it let this host through"
            .to_owned(),
        404 | 405 => {
            "is it a Tuber server? Another program may answer; check the address and the port"
                .to_owned()
        }
        502..=504 => "a proxy answers, and the board behind it does not; is the board switched \
                      on and its server running?"
            .to_owned(),
        500..=599 => "the server failed; its own log says why. Is it a Tuber server?".to_owned(),
        _ => "is it a Tuber server?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_happened_and_what_to_do() {
        for (status, location, words) in [
            (
                302,
                Some("http://login/"),
                "to http://login/, which no board",
            ),
            (301, None, "redirects, which no board"),
            (401, None, "wants a login"),
            (403, None, "wants a login"),
            (407, None, "connect past the proxy"),
            (404, None, "check the address and the port"),
            (500, None, "its own log"),
            (502, None, "the board behind it does not"),
            (503, None, "is the board switched on"),
            (418, None, "is it a Tuber server?"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let location = location.map(str::to_owned);
            let error = Failure::Status(status, location).into_error("b1:80");
            let text = error.chain().to_string();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{text}");
            assert!(text.contains("b1:80 answered HTTP"), "{text}");
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
