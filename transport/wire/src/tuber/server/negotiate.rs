//! Choice of the formats of an exchange (a request and its answer) from the headers of the request.

use super::fault::Fault;
use crate::tuber::format::Format;

/// Formats of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// Format of the request body.
    pub request: Format,
    /// Format of the answer.
    pub answer: Format,
}

/// Error if no format satisfies the headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotNegotiable {
    /// Format of the answer that holds the fault.
    pub answer: Format,
    /// The fault, with the text of a real server.
    pub fault: Fault,
}

/// Chooses the formats of an exchange from its headers.
///
/// An absent or empty `Content-Type` means JSON. Any other value must be exactly the media type of
/// a known format. The answer has the first known type in `Accept`, in which types are separated by
/// commas. If `Accept` is absent or empty, or contains `*/*` or `application/*`, the answer has the
/// format of the request.
pub fn negotiate(
    content_type: Option<&str>,
    accept: Option<&str>,
) -> Result<Negotiated, NotNegotiable> {
    let request = match content_type {
        None | Some("") => Format::Json,
        Some(text) => Format::of_request(text).ok_or_else(|| NotNegotiable {
            answer: Format::Json,
            fault: Fault::value(format_args!("Not able to decode media type {text}")),
        })?,
    };
    let accept = accept.unwrap_or_default();
    let mut wanted = accept.split(',').map(str::trim);
    if accept.is_empty() || wanted.clone().any(|t| t == "*/*" || t == "application/*") {
        return Ok(Negotiated {
            request,
            answer: request,
        });
    }
    match wanted.find_map(Format::of_request) {
        Some(answer) => Ok(Negotiated { request, answer }),
        None => Err(NotNegotiable {
            answer: request,
            fault: Fault::value(format_args!(
                "Not able to encode any media type matching {accept}"
            )),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        content_type: Option<&str>,
        accept: Option<&str>,
        expected: Result<(Format, Format), &str>,
    ) {
        let got = negotiate(content_type, accept);
        let got = got
            .as_ref()
            .map(|n| (n.request, n.answer))
            .map_err(|e| e.fault.message());
        assert_eq!(got, expected, "{content_type:?} {accept:?}");
    }

    #[test]
    fn headers_choose_the_formats() {
        use Format::{Cbor, Json};
        const JSON: &str = "application/json";
        const CBOR: &str = "application/cbor";
        check(None, None, Ok((Json, Json)));
        check(Some(""), Some(""), Ok((Json, Json)));
        check(Some(CBOR), None, Ok((Cbor, Cbor)));
        check(Some(CBOR), Some("*/*"), Ok((Cbor, Cbor)));
        check(
            Some(CBOR),
            Some("application/json, application/*"),
            Ok((Cbor, Cbor)),
        );
        check(
            Some(JSON),
            Some("text/html,application/cbor , application/json"),
            Ok((Json, Cbor)),
        );
        check(Some(CBOR), Some(JSON), Ok((Cbor, Json)));
        check(
            Some("application/json; charset=utf-8"),
            None,
            Err("ValueError: Not able to decode media type application/json; charset=utf-8"),
        );
        check(
            Some(JSON),
            Some("image/png"),
            Err("ValueError: Not able to encode any media type matching image/png"),
        );
        // Weights such as `q=0.5` are not part of the protocol, so this entry does not match.
        check(
            Some(JSON),
            Some("application/cbor;q=0.5"),
            Err("ValueError: Not able to encode any media type matching application/cbor;q=0.5"),
        );
    }

    #[test]
    fn a_refused_accept_is_answered_in_the_request_format() {
        assert_eq!(
            negotiate(Some("application/cbor"), Some("x"))
                .unwrap_err()
                .answer,
            Format::Cbor
        );
        assert_eq!(
            negotiate(Some("x"), Some("application/cbor"))
                .unwrap_err()
                .answer,
            Format::Json
        );
    }
}
