//! Suggestions for misspelt names in hardware maps and parameter files: the known name that was
//! probably meant.

/// Smallest similarity (Jaro-Winkler, 0 to 1) between a misspelt name and the name that is
/// suggested for it.
const ALIKE: f64 = 0.8;

/// Length in bytes of the longest misspelt name that is compared. No known name is longer.
const LONGEST: usize = 100;

/// Returns the one of `known` that is most similar to `found`, if any is similar enough.
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
        // Of equally similar names the first counts, so that the result is deterministic.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, name)| name)
}

/// Returns the Jaro-Winkler similarity of two names, in which a common beginning counts more.
/// Returns 1 if the names differ only by one typing error, wherever it is, unless both have at most
/// two characters.
fn likeness(one: &str, other: &str) -> f64 {
    let long = one.chars().count().max(other.chars().count()) >= 3;
    if long && strsim::damerau_levenshtein(one, other) <= 1 {
        return 1.0;
    }
    strsim::jaro_winkler(one, other)
}

/// Returns `known` as a list for a message: `` `a`, `b` ``.
pub(super) fn list<'a>(known: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = known.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
