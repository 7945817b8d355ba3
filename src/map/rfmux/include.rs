//! Inclusion of further YAML files in a Python hardware map. An entry such as `!include
//! boards.yaml` stands for the document in this file.

use std::collections::HashMap;
use std::path::PathBuf;

use super::document::{self, ALIASED, Content, Item, LEVELS, Node};
use super::files::Files;
use super::keys::safe;
use crate::map::section::Findings;

/// Largest number of files that include each other in a row, with the map itself.
const DEEPEST: usize = 16;

pub(super) const INCLUDE: &str = "!include";
const NAMELESS: &str = "an !include names a file: write `!include boards.yaml`";

/// Replaces the `!include` entries of a document by the documents that they name.
pub(super) struct Inclusion<'i, 'f, 't> {
    files: &'i mut Files<'f>,
    findings: &'i mut Findings<'t>,
    /// The files that are being read: the map, a file that it includes, and so on.
    open: Vec<PathBuf>,
    /// The nodes that were looked over, with what stands in their places. The node itself is kept,
    /// because its address is the key.
    replaced: HashMap<*const Node, (Item, Item)>,
    /// Number of nodes that the aliases of all documents represent.
    aliased: usize,
    /// Number of levels above the node that is looked over.
    depth: usize,
    /// The first included file with tags.
    pub(super) tagged: Option<(usize, String)>,
}

impl<'i, 'f, 't> Inclusion<'i, 'f, 't> {
    pub(super) fn new(files: &'i mut Files<'f>, findings: &'i mut Findings<'t>) -> Self {
        let open = vec![files.path(0).to_owned()];
        Self {
            files,
            findings,
            open,
            replaced: HashMap::new(),
            aliased: 0,
            depth: 0,
            tagged: None,
        }
    }

    /// Returns the nodes that were replaced, for those who know the document as it was.
    pub(super) fn replaced(self) -> HashMap<*const Node, (Item, Item)> {
        let changed = |(old, new): &(Item, Item)| old.identity() != new.identity();
        let mut replaced = self.replaced;
        replaced.retain(|_, pair| changed(pair));
        replaced
    }

    /// Returns `item` with the included documents in it. An entry whose file cannot be included is
    /// reported, and stays as it is.
    pub(super) fn expand(&mut self, item: &Item) -> Item {
        if let Some((_, new)) = self.replaced.get(&item.identity()) {
            let new = new.clone();
            self.aliased = self.aliased.saturating_add(new.size);
            return match new.identity() == item.identity() {
                true => item.clone(),
                false => new,
            };
        }
        if self.depth >= LEVELS {
            self.findings.say(item.at, too_deep());
            return item.emptied();
        }
        self.depth += 1;
        let new = match &item.content {
            Content::Scalar { .. } if item.own_tag() == Some(INCLUDE) => self.included(item),
            Content::List(_) if item.own_tag() == Some(INCLUDE) => {
                self.findings.say(item.at, NAMELESS);
                None
            }
            Content::Scalar { .. } => None,
            Content::List(items) => self.list(item, items),
            Content::Map(entries) => self.mapping(item, entries),
        };
        self.depth -= 1;
        let new = new.unwrap_or_else(|| item.clone());
        self.replaced
            .insert(item.identity(), (item.clone(), new.clone()));
        new
    }

    fn list(&mut self, item: &Item, items: &[Item]) -> Option<Item> {
        let new: Vec<_> = items.iter().map(|item| self.expand(item)).collect();
        let changed = new
            .iter()
            .zip(items)
            .any(|(new, old)| new.identity() != old.identity());
        changed.then(|| self.rebuilt(item, Content::List(new)))
    }

    fn mapping(&mut self, item: &Item, entries: &[(Item, Item)]) -> Option<Item> {
        let mut changed = false;
        let mut new = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let pair = (self.expand(key), self.expand(value));
            changed |= pair.0.identity() != key.identity();
            changed |= pair.1.identity() != value.identity();
            new.push(pair);
        }
        changed.then(|| self.rebuilt(item, Content::Map(new)))
    }

    /// Returns `item` with another content, or an empty entry if this would be too much.
    fn rebuilt(&mut self, item: &Item, content: Content) -> Item {
        let new = item.with(content);
        let what = if self.aliased > ALIASED {
            self.aliased = 0;
            format!(
                "the aliases up to here stand for more than {ALIASED} values, with the included files"
            )
        } else if new.depth > LEVELS {
            too_deep()
        } else {
            return new;
        };
        self.findings.say(item.at, what);
        item.emptied()
    }

    /// Returns the document that an `!include` entry names.
    fn included(&mut self, item: &Item) -> Option<Item> {
        let (name, _) = item.scalar()?;
        if name.is_empty() {
            self.findings.say(item.at, NAMELESS);
            return None;
        }
        let path = self.files.named(item.at, name);
        if let Some(first) = self.open.iter().position(|open| *open == path) {
            let chain = self.open[first..].iter().chain([&path]);
            let chain: Vec<_> = chain
                .map(|path| format!("{:?}", self.files.shown(path)))
                .collect();
            let what = format!("a file cannot include itself: {}", chain.join(" includes "));
            self.findings.say(item.at, what);
            return None;
        }
        if self.open.len() >= DEEPEST {
            let what = format!(
                "{name:?} is not included: no more than {DEEPEST} files can include each other in a row"
            );
            self.findings.say(item.at, what);
            return None;
        }
        let opened = match self.files.open(path, self.findings) {
            Ok(opened) => opened,
            Err(wrong) => {
                self.findings.say(item.at, wrong);
                return None;
            }
        };
        let document = match document::read(&opened.text, opened.begin) {
            Ok(document) => document,
            Err((at, wrong)) => {
                self.findings.say(at, wrong);
                return None;
            }
        };
        if let (None, Some(tag)) = (&self.tagged, &document.tag) {
            let what = format!(
                "Python reads an included file without a schema, and refuses its tags, such as {}: \
                 {name:?} is imported as if it stood here",
                safe(tag)
            );
            self.tagged = Some((item.at, what));
        }
        let Some(root) = document.root else {
            self.findings.say(item.at, format!("{name:?} is empty"));
            return None;
        };
        self.open.push(opened.path);
        let root = self.expand(&root);
        self.open.pop();
        Some(root)
    }
}

fn too_deep() -> String {
    format!("this has more than {LEVELS} levels, with the included files")
}
