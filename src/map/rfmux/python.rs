//! Interpretation of YAML scalars by Python. A scalar is a single value, as text. PyYAML follows
//! version 1.1 of YAML, in which more texts than in later versions are numbers or truth values.

/// Returns the value that Python reads from a scalar without quotes, in the form in which Python
/// prints it: a number, a truth value or a date. Returns `None` if Python reads a text.
pub(super) fn reading(text: &str) -> Option<String> {
    if let Some(number) = integer(text) {
        return Some(number.to_string());
    }
    if let Some(number) = real(text) {
        // Python prints a whole `float` with a digit after the point.
        return Some(format!("{number:?}"));
    }
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            Some("True".to_owned())
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            Some("False".to_owned())
        }
        _ => is_date(text).then(|| "a date".to_owned()),
    }
}

/// Returns the text that Python stores for a scalar without quotes where it wants a text.
pub(super) fn stored(text: &str) -> String {
    match reading(text).as_deref() {
        None | Some("a date") => text.to_owned(),
        Some("True") => "1".to_owned(),
        Some("False") => "0".to_owned(),
        Some(number) => number.to_owned(),
    }
}

/// Returns the number that Python's `float` makes of a text.
pub(super) fn float(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let mut before = None;
    for (at, c) in text.char_indices() {
        // An underscore stands between two digits.
        let after = text[at + c.len_utf8()..].chars().next();
        if c == '_' && !(is_digit(before) && is_digit(after)) {
            return None;
        }
        before = Some(c);
    }
    text.replace('_', "").parse().ok()
}

/// Splits the sign from `text`. Returns -1 or 1 for the sign, and the rest of the text.
fn signed(text: &str) -> (i64, &str) {
    match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// True if `part` has one or two digits and is below 60: a digit of a number in base 60.
fn is_sixtieth(part: &str) -> bool {
    let digits = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    digits && part.parse().is_ok_and(|number: u8| number < 60)
}

/// Parses a number with a decimal point. In YAML 1.1 an exponent must have a sign.
fn real(text: &str) -> Option<f64> {
    let text = text.replace('_', "");
    let (sign, digits) = signed(&text);
    let (whole, part) = digits.split_once('.')?;
    let are_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if let Some((first, rest)) = whole.split_once(':') {
        let sound = !first.is_empty() && are_digits(first) && are_digits(part);
        if !sound || !rest.split(':').all(is_sixtieth) {
            return None;
        }
        let last = format!("0.{part}0").parse::<f64>().ok()?;
        return Some(sign as f64 * (of_sixties(whole)? as f64 + last));
    }
    let (part, exponent) = part.split_once(['e', 'E']).unwrap_or((part, "+0"));
    let power = exponent.strip_prefix(['-', '+'])?;
    let some = !whole.is_empty() || !part.is_empty();
    if !(some && are_digits(whole) && are_digits(part) && !power.is_empty() && are_digits(power)) {
        return None;
    }
    let number = format!("{whole}.{part}e{exponent}").parse::<f64>().ok()?;
    Some(sign as f64 * number)
}

/// Parses a number in base 60, whose digits are separated by colons.
fn of_sixties(text: &str) -> Option<i64> {
    text.split(':').try_fold(0_i64, |sum, part| {
        sum.checked_mul(60)?.checked_add(part.parse().ok()?)
    })
}

/// True if `text` is a date such as `2026-01-31`. A date with a time cannot be a serial number, so
/// it is not recognized here.
fn is_date(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let digits = |part: &&str| part.bytes().all(|b| b.is_ascii_digit());
    let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
    lengths == [4, 2, 2] && parts.iter().all(digits)
}

/// Returns the integer that Python reads from a scalar without quotes. A number with a leading zero
/// is octal, and a number with colons is in base 60.
pub(super) fn integer(text: &str) -> Option<i64> {
    // A number does not begin with an underscore.
    if text.trim_start_matches(['-', '+']).starts_with('_') {
        return None;
    }
    let text = text.replace('_', "");
    let (sign, digits) = signed(&text);
    // The first sign was split off. A second one is not allowed.
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Some((first, rest)) = digits.split_once(':') {
        let sound = !first.starts_with('0') && rest.split(':').all(is_sixtieth);
        return of_sixties(digits).filter(|_| sound)?.checked_mul(sign);
    }
    let (radix, digits) = match (digits.get(..2), digits.strip_prefix('0')) {
        (Some("0x"), _) => (16, &digits[2..]),
        (Some("0b"), _) => (2, &digits[2..]),
        (_, Some(rest)) if !rest.is_empty() => (8, rest),
        _ => (10, digits),
    };
    let number = i64::from_str_radix(digits, radix).ok()?;
    Some(sign * number)
}

/// Returns the truth value that Python reads from a scalar where it expects one. `plain` is true if
/// the scalar is without quotes.
pub(super) fn truth(text: &str, plain: bool) -> Option<bool> {
    let text = text.to_lowercase();
    let is = |words: &[&str]| words.contains(&text.as_str());
    if is(&["true"]) || (plain && is(&["yes", "on", "1"])) {
        return Some(true);
    }
    (is(&["false"]) || (plain && is(&["no", "off", "0"]))).then_some(false)
}
