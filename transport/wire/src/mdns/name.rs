//! Names, as text.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use super::MdnsError;

/// Bytes of the longest part of a name.
const LONGEST_LABEL: usize = 63;
/// Bytes of the longest name in a message.
const LONGEST_NAME: usize = 255;

/// A name, as text in lower case without a dot at its end: `rfmux0042.local`. Letters of either
/// case are the same in DNS.
///
/// The parts of a name may contain any bytes. As in zone files (RFC 1035, section 5.1), `\.` and
/// `\\` stand for a dot and a backslash within a part, and `\DDD` for a byte with a decimal value:
/// a control character of ASCII, or a byte that is not UTF-8. Other characters of Unicode are kept
/// and may be invisible.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that consists of `first`, whose dots are part of it, and of the parts of `self`.
    ///
    /// # Errors
    /// [`MdnsError::Name`] if the name would be too long, or `first` is empty.
    pub fn with_first(&self, first: &str) -> Result<Self, MdnsError> {
        let mut text = String::new();
        push_label(first.as_bytes(), &mut text);
        format!("{text}.{}", self.0).parse()
    }

    /// The name of these parts.
    pub(super) fn of_labels<'l>(labels: impl Iterator<Item = &'l [u8]>) -> Self {
        let mut text = String::new();
        for label in labels {
            if !text.is_empty() {
                text.push('.');
            }
            push_label(label, &mut text);
        }
        Self(text)
    }

    /// The parts of the name, without escapes.
    pub(super) fn labels(&self) -> Vec<Vec<u8>> {
        labels(&self.0)
    }
}

impl FromStr for Name {
    type Err = MdnsError;

    /// Reads a name. A dot at its end makes no difference.
    fn from_str(text: &str) -> Result<Self, MdnsError> {
        let mut labels = labels(text);
        if labels.len() > 1 {
            // The end of a name that ends in a dot.
            labels.pop_if(|label| label.is_empty());
        }
        let fits = |label: &Vec<u8>| (1..=LONGEST_LABEL).contains(&label.len());
        // Each part has a byte for its length, and an empty part ends the name.
        let length = labels.iter().map(|label| label.len() + 1).sum::<usize>() + 1;
        if !labels.iter().all(fits) || length > LONGEST_NAME {
            return Err(MdnsError::Name(text.chars().take(LONGEST_NAME).collect()));
        }
        Ok(Self::of_labels(labels.iter().map(Vec::as_slice)))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Appends a part of a name in lower case, with escapes.
fn push_label(label: &[u8], text: &mut String) {
    for chunk in label.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '.' | '\\' => text.extend(['\\', char]),
                '\0'..='\u{1f}' | '\u{7f}' => push_byte(char as u8, text),
                _ => text.push(char.to_ascii_lowercase()),
            }
        }
        for byte in chunk.invalid() {
            push_byte(*byte, text);
        }
    }
}

fn push_byte(byte: u8, text: &mut String) {
    let _ = write!(text, "\\{byte:03}");
}

/// The parts of a text with escapes.
fn labels(text: &str) -> Vec<Vec<u8>> {
    let mut labels = vec![Vec::new()];
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let last = labels.len() - 1;
        match byte {
            b'.' => labels.push(Vec::new()),
            b'\\' => {
                let number = rest.get(..3).and_then(|digits| {
                    let digits = std::str::from_utf8(digits).ok()?;
                    let all = digits.bytes().all(|b| b.is_ascii_digit());
                    all.then(|| digits.parse::<u8>().ok())?
                });
                match (number, rest.split_first()) {
                    (Some(number), _) => {
                        labels[last].push(number);
                        rest = &rest[3..];
                    }
                    (None, Some((&escaped, after))) => {
                        labels[last].push(escaped);
                        rest = after;
                    }
                    (None, None) => labels[last].push(b'\\'),
                }
            }
            _ => labels[last].push(byte),
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_read_and_shown() {
        for (text, shown, labels) in [
            ("RFmux0042.Local.", "rfmux0042.local", 2),
            (r"a\.", r"a\.", 1),
            (
                r"my\.board\\._http._tcp.local",
                r"my\.board\\._http._tcp.local",
                4,
            ),
            (r"a\027[2J.local", r"a\027[2j.local", 2),
            (r"\255.local", r"\255.local", 2),
            ("bÜ 1.local", "bÜ 1.local", 2),
            (r"\065.local", "a.local", 2),
        ] {
            let name: Name = text.parse().unwrap();
            assert_eq!(name.as_str(), shown);
            assert_eq!(name.labels().len(), labels, "{text}");
        }
        let long = format!("{}.local", "x".repeat(64));
        let many = "x.".repeat(128);
        for text in ["", ".", "a..b", &long, &many] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
        let service: Name = "_http._tcp.local".parse().unwrap();
        let instance = service.with_first("Board 1.2").unwrap();
        assert_eq!(instance.as_str(), r"board 1\.2._http._tcp.local");
        assert!(service.with_first("").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_kept_and_none_acts_on_a_terminal(
            labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..5),
        ) {
            let name = Name::of_labels(labels.iter().map(Vec::as_slice));
            prop_assert!(!name.as_str().contains(|c: char| c.is_ascii_control()));
            let lower: Vec<_> = labels.iter().map(|label| label.to_ascii_lowercase()).collect();
            prop_assert_eq!(name.labels(), lower);
            prop_assert_eq!(name.as_str().parse::<Name>().unwrap(), name);
        }
    }
}
