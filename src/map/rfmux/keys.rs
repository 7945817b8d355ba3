//! Keys and tags of Python hardware maps, which are YAML documents. The schema of a map is the set
//! of Python classes for its entries: each tag is a class, and the keys of an entry are its
//! columns.

use std::collections::HashMap;

use super::document::{Content, Item};
use crate::map::section::Findings;
use crate::map::suggest::nearest;

/// The keys that Python accepts in an entry with a certain tag. Only the keys in `taken` are
/// imported.
pub(super) struct Known {
    pub(super) taken: &'static [&'static str],
    pub(super) left_out: &'static [&'static str],
}

/// The columns of a board in the Python schema.
pub(super) const BOARD: Known = Known {
    taken: &["serial", "hostname", "slot", "crate", "modules", "module"],
    left_out: &["online", "backplane_serial"],
};

pub(super) const MODULE: Known = Known {
    taken: &["module"],
    left_out: &["channels", "channel", "crs"],
};

pub(super) const CRATE: Known = Known {
    taken: &["serial", "slots", "slot"],
    left_out: &[],
};

pub(super) const WAFER: Known = Known {
    taken: &["name", "resonators"],
    left_out: &["resonator"],
};

/// The tags of entries that are boards or contain boards.
pub(super) const BOARDS: [&str; 2] = ["!CRS", "!Crate"];

/// The tags of the other entries of a map. The tags after `!include` are not part of the map's
/// format itself: the schema has them, or other programs add them.
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

    /// Returns those of `entries` that are imported, in their order, and adds the others that
    /// Python accepts to `left_out`. Reports unknown and duplicate keys in `findings`, with the tag
    /// and the place of their mapping. If the map names another schema than that of rfmux
    /// (`extended` is true), only keys that look like a misspelt known key are unknown.
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
                let place = findings.refer(key.at, *first);
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
            // A name that begins with an underscore belongs to the schema itself, and is no
            // mistake.
            let own = name.starts_with('_') || self.left_out.contains(&name);
            if own || (extended && nearest(name, self.all()).is_none()) {
                left_out.push((safe(name), value));
                continue;
            }
            let place = findings.refer(key.at, at);
            let what = format!("unknown key `{}` in the {tag} at {place}", safe(name));
            findings.unknown(key.at, &what, self.all(), name);
        }
        taken
    }
}

/// Returns a text of the file with its control characters escaped, so that it cannot act on a
/// terminal.
pub(super) fn safe(text: &str) -> String {
    text.escape_debug().to_string()
}

/// Returns a scalar in quotes, with its control characters escaped. Returns the kind of the node if
/// it is no scalar.
pub(super) fn shown(item: &Item) -> String {
    match &item.content {
        Content::Scalar { text, .. } => format!("{text:?}"),
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "a mapping".to_owned(),
    }
}
