//! Names of firmware releases, and their order.

use std::cmp::Ordering;
use std::fmt;

use serde::{Serialize, Serializer};

/// Name of a firmware release: numbers separated by points, and an optional suffix such as `rc2`.
///
/// A release with a suffix precedes the one without. In comparisons, the suffix `-sim` of simulated
/// boards and zeros at the end of the numbers are ignored. A leading `r` is not a part of the name.
///
/// ```
/// use twotone_hal::FirmwareRelease;
///
/// let release = |text: &str| FirmwareRelease::parse(text).unwrap();
/// assert_eq!(release("r1.7.0"), release("1.7"));
/// assert!(release("1.8.0rc2") < release("1.8.0"));
/// assert!(release("1.10.0") > release("1.9.9"));
/// assert!(FirmwareRelease::parse("latest").is_none());
/// ```
#[derive(Debug, Clone)]
pub struct FirmwareRelease {
    name: String,
    numbers: Vec<u32>,
    suffix: String,
}

impl FirmwareRelease {
    /// Parses the name of a release. Returns `None` if it does not begin, after an optional `r`,
    /// with numbers that are separated by points.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let name = text.strip_prefix('r').unwrap_or(text);
        let end = name.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (numbers, suffix) = name.split_at(end.unwrap_or(name.len()));
        let mut parsed: Vec<u32> = Vec::new();
        for number in numbers.trim_end_matches('.').split('.') {
            parsed.push(number.parse().ok()?);
        }
        while parsed.last() == Some(&0) {
            parsed.pop();
        }
        let suffix = suffix.trim_start_matches(['-', '_']);
        let suffix = if suffix == "sim" { "" } else { suffix };
        Some(Self {
            name: name.to_owned(),
            numbers: parsed,
            suffix: suffix.to_ascii_lowercase(),
        })
    }

    /// Returns the letters and the number of the suffix, so that `rc10` comes after `rc2`.
    fn suffix_parts(&self) -> (&str, u64) {
        let at = self.suffix.find(|c: char| c.is_ascii_digit());
        let (letters, number) = self.suffix.split_at(at.unwrap_or(self.suffix.len()));
        (letters, number.parse().unwrap_or(0))
    }
}

impl Ord for FirmwareRelease {
    fn cmp(&self, other: &Self) -> Ordering {
        // A release without a suffix comes last, because a candidate precedes its release.
        let final_ = |release: &Self| release.suffix.is_empty();
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| final_(self).cmp(&final_(other)))
            .then_with(|| self.suffix_parts().cmp(&other.suffix_parts()))
    }
}

impl PartialOrd for FirmwareRelease {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for FirmwareRelease {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for FirmwareRelease {}

impl fmt::Display for FirmwareRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
impl Serialize for FirmwareRelease {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_ordered_by_their_numbers_and_then_by_their_suffix() {
        let order = [
            "1.6.9",
            "1.7.0rc1",
            "1.7.0-rc2",
            "1.7.0rc10",
            "r1.7.0",
            "1.7.1",
            "1.10",
            "2",
        ];
        for (at, one) in order.iter().enumerate() {
            for (other_at, other) in order.iter().enumerate() {
                let found = FirmwareRelease::parse(one)
                    .unwrap()
                    .cmp(&FirmwareRelease::parse(other).unwrap());
                assert_eq!(found, at.cmp(&other_at), "{one} and {other}");
            }
        }
    }

    #[test]
    fn names_without_numbers_are_none() {
        for text in ["", "r", "latest", ".", "1..2", "-1", "99999999999"] {
            assert!(FirmwareRelease::parse(text).is_none(), "{text}");
        }
        assert_eq!(
            FirmwareRelease::parse("r1.7.0-sim"),
            FirmwareRelease::parse("1.7.0")
        );
    }
}
