//! The keys and tags that Python hardware maps have, and values as Python reads them.

use super::document::{Content, Item};
use crate::map::section::Findings;
use crate::map::suggest::nearest;

/// The keys of a tag. Python takes them all; `taken` are those that mean something here.
pub(super) struct Known {
    pub(super) taken: &'static [&'static str],
    pub(super) left_out: &'static [&'static str],
}

/// The columns of a board, as the Python schema has them.
pub(super) const BOARD: Known = Known {
    taken: &["serial", "hostname", "slot", "crate"],
    left_out: &["online", "backplane_serial", "modules", "module"],
};

pub(super) const CRATE: Known = Known {
    taken: &["serial", "slots", "slot"],
    left_out: &[],
};

pub(super) const WAFER: Known = Known {
    taken: &["name"],
    left_out: &["resonators", "resonator"],
};

/// The tags that stand for boards.
pub(super) const BOARDS: [&str; 2] = ["!CRS", "!Crate"];

/// The tags that stand beside boards in a map. Those after `!include` are of the schema, and of
/// programs that add them to it.
pub(super) const BESIDE: [&str; 10] = [
    "!Wafer",
    "!Resonators",
    "!ChannelMappings",
    "!flavour",
    "!include",
    "!HWMLookup",
    "!Resonator",
    "!ChannelMapping",
    "!ReadoutModule",
    "!ReadoutChannel",
];

impl Known {
    fn all(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.taken.iter().chain(self.left_out).copied()
    }

    /// The `entries` that are taken, in their order; those that are left out go to `left_out`.
    /// Unknown keys and keys that stand twice are findings. They are reported with the tag and the
    /// place of the mapping that they are in. With a schema of somebody else's (`extended`), only
    /// keys that look misspelt are unknown.
    pub(super) fn of<'i>(
        &self,
        (tag, at): (&str, usize),
        entries: &'i [(Item, Item)],
        extended: bool,
        findings: &mut Findings<'_>,
        left_out: &mut Vec<(String, &'i Item)>,
    ) -> Vec<(&'static str, &'i Item)> {
        let mut taken: Vec<(&str, &Item)> = Vec::new();
        let mut seen: Vec<(&str, usize)> = Vec::new();
        for (key, value) in entries {
            let name = match key.scalar() {
                Some((name, _)) => name,
                None => "",
            };
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == name) {
                let place = findings.place(*first);
                let what = format!(
                    "`{}` stands twice in this {tag}: also at {place}",
                    safe(name)
                );
                findings.say(key.at, what);
                continue;
            }
            seen.push((name, key.at));
            if let Some(known) = self.taken.iter().find(|known| **known == name) {
                taken.push((known, value));
                continue;
            }
            // Columns with an underscore before them are the schema's own.
            let own = name.starts_with('_') || self.left_out.contains(&name);
            if own || (extended && nearest(name, self.all()).is_none()) {
                left_out.push((safe(name), value));
                continue;
            }
            let place = findings.place(at);
            let what = format!("unknown key `{}` in the {tag} at {place}", safe(name));
            findings.unknown(key.at, &what, self.all(), name);
        }
        taken
    }
}

/// A text of the file as it can be shown on a terminal.
pub(super) fn safe(text: &str) -> String {
    text.escape_debug().to_string()
}

/// A scalar in quotes, as it can be shown; the kind of the node if it is no scalar.
pub(super) fn shown(item: &Item) -> String {
    match &item.content {
        Content::Scalar { text, .. } => format!("{text:?}"),
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "a mapping".to_owned(),
    }
}

/// The whole number that Python reads in a scalar without quotes: with a zero before it is octal.
pub(super) fn python_integer(text: &str) -> Option<i64> {
    let text = text.replace('_', "");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(&text)),
    };
    // A further sign is no digit.
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
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

/// The truth value that Python reads in a scalar, for a column of truth values.
pub(super) fn python_truth(text: &str, plain: bool) -> Option<bool> {
    let text = text.to_lowercase();
    let is = |words: &[&str]| words.contains(&text.as_str());
    if is(&["true"]) || (plain && is(&["yes", "on", "1"])) {
        return Some(true);
    }
    (is(&["false"]) || (plain && is(&["no", "off", "0"]))).then_some(false)
}
