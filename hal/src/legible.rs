//! Texts from boards and files, made safe to show.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Largest number of characters of a text that is shown.
const MOST: usize = 2000;

/// Number of characters by which a text may exceed [`MOST`] without being cut. A text that was cut
/// ends with a note and may therefore exceed [`MOST`]. Without this allowance it would be cut again
/// when it is shown again.
const SLACK: usize = 60;

/// Returns `text` in a form that is safe to show: one line of limited length.
///
/// Texts from a board, a hardware map or another file are data. If such a text were shown
/// unchanged, it could clear a terminal, change its title, reverse the direction of writing, or
/// imitate a line or a name of this program. So each invisible character is replaced by its escape,
/// such as `\n` and `\u{1b}`. Invisible characters are control characters, line ends, marks of
/// direction and of format, joiners, selectors of variants, fillers, and blanks that are not
/// spaces. Spaces stay, and so do marks that are drawn on the character before them, such as
/// accents. A text that would be longer than 2060 characters in this form is cut to 2000 or a few
/// less, and a note with the number of the other characters follows. If `legible` is called with a
/// text that it has returned, it returns this text unchanged.
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

/// As [`legible`], with `most` in place of 2000 characters and `most + 60` in place of 2060.
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

/// Writes a character, or its escape if it is not visible.
fn escape(char: char, to: &mut String) {
    if is_visible(char) {
        to.push(char);
    } else {
        // Gives `\n`, `\r` and `\t`, and `\u{...}` for all other characters.
        to.extend(char.escape_default());
    }
}

/// True if a character is a space or can be seen, and does not change how other characters are
/// shown.
///
/// This function is false for the characters that Unicode calls control, format or
/// default-ignorable characters, except the few of them that are drawn. It is also false for
/// letters and symbols that are blank.
fn is_visible(char: char) -> bool {
    if char.is_control() {
        return false;
    }
    !matches!(
        char,
        // A soft hyphen, and a joiner of graphemes.
        '\u{ad}' | '\u{34f}'
            // Marks of direction, of Arabic and of all writing.
            | '\u{61c}'
            | '\u{200e}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            // Fillers of Hangul and of Khitan, vowels of Khmer without a form, a blank of Braille.
            | '\u{115f}'..='\u{1160}'
            | '\u{3164}'
            | '\u{ffa0}'
            | '\u{16fe4}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{2800}'
            // Selectors of variants, of Mongolian and of all writing.
            | '\u{180b}'..='\u{180f}'
            | '\u{fe00}'..='\u{fe0f}'
            // Spaces and joiners without a width, ends of lines and paragraphs, marks of format.
            | '\u{200b}'..='\u{200d}'
            | '\u{2028}'..='\u{2029}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff0}'..='\u{fffb}'
            // Joiners of Brahmi, and the format of hieroglyphs, shorthand and music.
            | '\u{1107f}'
            | '\u{13430}'..='\u{13446}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d159}'
            | '\u{1d173}'..='\u{1d17a}'
            // Tags, and more selectors of variants.
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
        for text in ["", "plain", "Î¼ ü 漢 e\u{301}", r"a\b", "1\u{a0}m\u{3000}"] {
            assert_eq!(legible(text), text);
        }
    }

    #[test]
    fn characters_that_cannot_be_seen_are_escaped() {
        // The default-ignorable characters of Unicode 16, and the blank characters that are not
        // among them.
        for range in [
            0xad..=0xad,
            0x34f..=0x34f,
            0x61c..=0x61c,
            0x115f..=0x1160,
            0x17b4..=0x17b5,
            0x180b..=0x180f,
            0x200b..=0x200f,
            0x2028..=0x202e,
            0x2060..=0x206f,
            0x2800..=0x2800,
            0x3164..=0x3164,
            0xfe00..=0xfe0f,
            0xfeff..=0xfeff,
            0xffa0..=0xffa0,
            0xfff0..=0xfffb,
            0x1d159..=0x1d159,
            0x1bca0..=0x1bca3,
            0x1d173..=0x1d17a,
            0xe0000..=0xe0fff,
        ] {
            for char in range.filter_map(char::from_u32) {
                let shown = legible(&format!("b1{char}")).into_owned();
                assert_eq!(shown, format!("b1{}", char.escape_unicode()));
            }
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
