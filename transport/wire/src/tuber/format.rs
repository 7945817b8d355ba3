//! The two encodings of a body, and the options header.

/// Path that every request is posted to.
pub const PATH: &str = "/tuber";

/// Name of the header that carries [`Options`].
pub const OPTIONS_HEADER: &str = "x-tuber-options";

/// Encoding of a request or answer body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// `application/json`: every server reads it. Arrays of numbers are nested lists.
    #[default]
    Json,
    /// `application/cbor`: arrays of numbers travel as typed arrays, eight bytes a value.
    Cbor,
}

impl Format {
    /// Both formats.
    pub const ALL: [Self; 2] = [Self::Json, Self::Cbor];

    /// The media type, as it stands in `Content-Type` and `Accept`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Cbor => "application/cbor",
        }
    }

    /// The format of a request by its media type. The match is exact, as on a real board: a
    /// parameter such as `; charset=utf-8` makes it unknown.
    pub fn of_request(content_type: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.content_type() == content_type)
    }

    /// The format of an answer by its `Content-Type`, read leniently: case and parameters do not
    /// matter, and an absent header means JSON.
    pub fn of_answer(content_type: Option<&str>) -> Option<Self> {
        let Some(text) = content_type else {
            return Some(Self::Json);
        };
        let media_type = text.split(';').next().unwrap_or_default().trim();
        Self::ALL
            .into_iter()
            .find(|format| format.content_type().eq_ignore_ascii_case(media_type))
    }

    /// The value of `Accept` for a client that reads both formats and prefers this one.
    pub const fn accept_preferring(self) -> &'static str {
        match self {
            Self::Json => "application/json, application/cbor",
            Self::Cbor => "application/cbor, application/json",
        }
    }
}

/// Options that the header of a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// True if the rest of a batch is to be run after a call in it has failed.
    pub continue_on_error: bool,
}

impl Options {
    /// Reads the header: names split at commas, unknown ones ignored.
    pub fn parse(header: Option<&str>) -> Self {
        let mut names = header.unwrap_or_default().split(',').map(str::trim);
        Self {
            continue_on_error: names.any(|name| name == "continue-on-error"),
        }
    }

    /// The header's value, or `None` if no option is set and the header is to be left out.
    pub const fn header(self) -> Option<&'static str> {
        if self.continue_on_error {
            Some("continue-on-error")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_recognised_leniently() {
        assert_eq!(Format::of_answer(None), Some(Format::Json));
        assert_eq!(
            Format::of_answer(Some("Application/JSON; charset=utf-8")),
            Some(Format::Json)
        );
        assert_eq!(
            Format::of_answer(Some("application/cbor")),
            Some(Format::Cbor)
        );
        assert_eq!(Format::of_answer(Some("text/html")), None);
    }

    #[test]
    fn options_are_a_list_of_names() {
        assert!(Options::parse(Some("x, continue-on-error")).continue_on_error);
        assert!(!Options::parse(Some("continue")).continue_on_error);
        assert!(!Options::parse(None).continue_on_error);
        let asked = Options {
            continue_on_error: true,
        };
        assert_eq!(Options::parse(asked.header()), asked);
        assert_eq!(Options::default().header(), None);
    }
}
