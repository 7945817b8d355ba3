//! The keys and tags that Python hardware maps have.

use std::collections::HashMap;

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
    /// place of the mapping that they are in. If the map names another schema (`extended`), only
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
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (key, value) in entries {
            let name = match key.scalar() {
                Some((name, _)) => name,
                None => "",
            };
            if let Some(first) = seen.get(name) {
                let place = findings.place(*first);
                let what = format!(
                    "`{}` stands twice in this {tag}: also at {place}",
                    safe(name)
                );
                findings.say(key.at, what);
                continue;
            }
            seen.insert(name, key.at);
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
