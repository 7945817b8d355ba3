//! Formats of the body of a request or answer, and the header with options.

/// Path of all requests.
pub const PATH: &str = "/tuber";

/// Name of the header that holds [`Options`].
pub const OPTIONS_HEADER: &str = "x-tuber-options";

/// Format of the body of a request or answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// `application/json`, which every server reads. Arrays of numbers are nested lists.
    #[default]
    Json,
    /// `application/cbor`. Arrays of numbers are typed arrays: packed numbers of one type.
    Cbor,
}

impl Format {
    /// Both formats.
    pub const ALL: [Self; 2] = [Self::Json, Self::Cbor];

    /// Media type in `Content-Type` and `Accept`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Cbor => "application/cbor",
        }
    }

    /// Format of a request with this media type. The match is exact, as on a real board: a media
    /// type with a parameter such as `; charset=utf-8` is unknown.
    pub fn of_request(content_type: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.content_type() == content_type)
    }

    /// Format of an answer with this `Content-Type`. Case and parameters are ignored, and an absent
    /// header means JSON.
    pub fn of_answer(content_type: Option<&str>) -> Option<Self> {
        let Some(text) = content_type else {
            return Some(Self::Json);
        };
        let media_type = text.split(';').next().unwrap_or_default().trim();
        Self::ALL
            .into_iter()
            .find(|format| format.content_type().eq_ignore_ascii_case(media_type))
    }

    /// Value of `Accept` for a client that reads both formats and prefers this format.
    pub const fn accept_preferring(self) -> &'static str {
        match self {
            Self::Json => "application/json, application/cbor",
            Self::Cbor => "application/cbor, application/json",
        }
    }
}

/// Options in the header of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// True if the server executes the remaining calls of a batch (the calls in one request) after
    /// one has failed.
    pub continue_on_error: bool,
}

impl Options {
    /// Reads the header: a list of names separated by commas. Unknown names are ignored.
    pub fn parse(header: Option<&str>) -> Self {
        let mut names = header.unwrap_or_default().split(',').map(str::trim);
        Self {
            continue_on_error: names.any(|name| name == "continue-on-error"),
        }
    }

    /// Value of the header, or `None` if no option is set and the header is left out.
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
