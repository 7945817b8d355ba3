//! Texts of others, as they can be shown.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Largest number of characters of a text that is shown.
const MOST: usize = 2000;

/// So many more are shown before a text is cut, so that a text that was cut is not cut again.
const SLACK: usize = 60;

/// Returns `text` so that it can be shown to a person: in one line, and bounded.
///
/// Texts of a board, a map or another file are data. Shown as it came, one could clear a terminal,
/// change its title, turn the direction of writing, or forge a line of ours. So each character that
/// is no visible one (control characters, line ends, marks of direction, characters without a
/// width) becomes its escape, such as `\n` and `\u{1b}`. Of a text of more than 2000 characters, the
/// beginning is shown, and the number of the others. Shown twice, a text stays as it is.
///
/// ```
/// use twotone_hal::legible;
///
/// assert_eq!(legible("1.6 \u{3bc}s"), "1.6 \u{3bc}s");
/// assert_eq!(legible("\u{1b}[2J\nboard b1: off"), r"\u{1b}[2J\nboard b1: off");
/// assert!(legible(&"x".repeat(5000)).ends_with("... (3000 more characters)"));
/// ```
pub fn legible(text: &str) -> Cow<'_, str> {
    legible_within(text, MOST)
}

/// As [`legible`], with another largest number of characters.
pub fn legible_within(text: &str, most: usize) -> Cow<'_, str> {
    let slack = most.saturating_add(SLACK);
    if text.len() <= slack && text.chars().all(is_visible) {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut length, mut kept) = (String::new(), 0, None);
    for (index, char) in text.chars().enumerate() {
        let from = shown.len();
        escape(char, &mut shown);
        length += shown[from..].chars().count();
        if length > most && kept.is_none() {
            kept = Some((from, index));
        }
        if length > slack {
            break;
        }
    }
    if let Some((end, index)) = kept
        && length > slack
    {
        shown.truncate(end);
        let more = text.chars().count() - index;
        let _ = write!(shown, "... ({more} more characters)");
    }
    Cow::Owned(shown)
}

/// Writes a character as it can be shown.
fn escape(char: char, to: &mut String) {
    if is_visible(char) {
        to.push(char);
    } else {
        // `\n`, `\r` and `\t`, and `\u{...}` for all others.
        to.extend(char.escape_default());
    }
}

/// True if a character takes a place of its own, and changes nothing around it.
fn is_visible(char: char) -> bool {
    if char.is_control() {
        return false;
    }
    !matches!(
        char,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_acts_on_a_terminal() {
        for code in (0..0x30000_u32).chain(0xe0000..0xe1000) {
            let Some(char) = char::from_u32(code) else {
                continue;
            };
            let text = format!("a{char}b");
            let shown = legible(&text);
            assert!(!shown.contains(|c: char| c.is_control()), "{code:x}");
            assert_eq!(shown.lines().count(), 1, "{code:x}");
            assert_eq!(legible(&shown), shown, "{code:x}: shown twice");
        }
        for mark in [
            '\u{202e}', '\u{2066}', '\u{200b}', '\u{2029}', '\u{9b}', '\u{85}',
        ] {
            assert!(!legible(&mark.to_string()).contains(mark), "{mark:?}");
        }
        for text in ["", "plain", "Î¼ ü 漢 \u{301}", r"a\b"] {
            assert_eq!(legible(text), text);
        }
    }

    #[test]
    fn a_long_text_is_cut_once() {
        for text in ["x", "\u{1b}", "漢", "a\n"] {
            for times in [1, 30, 1999, 2000, 2001, 2059, 2061, 10_000, 1_000_000] {
                let text = text.repeat(times);
                let shown = legible(&text).into_owned();
                assert!(shown.chars().count() <= MOST + SLACK, "{times}");
                assert_eq!(legible(&shown), shown, "{times}");
            }
        }
    }
}
