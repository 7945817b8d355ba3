//! Names that were probably meant.

/// Least likeness (Jaro-Winkler, 0 to 1) of two names for one to be offered for the other.
const ALIKE: f64 = 0.8;

/// The longest name that is compared, bytes. No key, value or name of a board is longer.
const LONGEST: usize = 100;

/// The one of `known` that is most like `found`, if any is like it at all.
pub(super) fn nearest<'a>(
    found: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if found.len() > LONGEST {
        return None;
    }
    let found = found.to_lowercase();
    known
        .into_iter()
        .map(|name| (likeness(&found, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        // The first of equals wins, so that the answer does not depend on anything else.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, name)| name)
}

/// Jaro-Winkler favours a common beginning. Two names that differ by a single mistyped character
/// count as likeness wherever it is, unless they are too short.
fn likeness(one: &str, other: &str) -> f64 {
    let long = one.chars().count().max(other.chars().count()) >= 3;
    if long && strsim::damerau_levenshtein(one, other) <= 1 {
        return 1.0;
    }
    strsim::jaro_winkler(one, other)
}

/// `known` as a list for a message: `` `a`, `b` ``.
pub(super) fn list<'a>(known: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = known.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
