//! A YAML document as a tree of nodes with their tags and places. In YAML, a node can have an
//! *anchor*, and an *alias* of this anchor repeats the node at another place.

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::rc::Rc;

use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, Tag};

/// A node, which several places can share through an alias.
pub(super) struct Node {
    /// The tag as it was written, such as `!CRS`. Tags of YAML itself begin with [`YAML`].
    pub(super) tag: Option<String>,
    pub(super) content: Content,
    /// Byte offset at which the text of the node's document begins.
    pub(super) home: usize,
    /// Number of nodes in the tree below this node, including the node itself and the nodes that
    /// aliases repeat.
    pub(super) size: usize,
    /// Number of levels of the tree below this node, including the node itself.
    pub(super) depth: usize,
}

pub(super) enum Content {
    /// A single value. `plain` is true if the text is without quotes. Only then can it be a number,
    /// a truth value or null.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Item>),
    Map(Vec<(Item, Item)>),
}

/// A node at one of its places.
#[derive(Clone)]
pub(super) struct Item {
    node: Rc<Node>,
    /// Byte offset at which the tag of the node, or the node itself, begins. If an alias repeats
    /// the node, this is the offset of the alias.
    pub(super) at: usize,
}

/// Largest number of nodes that the aliases of a document represent together. A few lines of nested
/// aliases can represent billions of nodes.
pub(super) const ALIASED: usize = 1_000_000;

/// Largest number of levels of a document, with aliases expanded.
pub(super) const LEVELS: usize = 256;

/// Prefix of the full names of YAML's own tags.
const YAML: &str = "tag:yaml.org,2002:";

impl Deref for Item {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Node {
    fn new(tag: Option<String>, content: Content, home: usize) -> Self {
        let (mut size, mut depth) = (1_usize, 0);
        let mut add = |item: &Item| {
            size = size.saturating_add(item.size);
            depth = depth.max(item.depth);
        };
        match &content {
            Content::Scalar { .. } => {}
            Content::List(items) => items.iter().for_each(add),
            Content::Map(entries) => entries.iter().for_each(|(key, value)| {
                add(key);
                add(value);
            }),
        }
        Self {
            tag,
            content,
            home,
            size,
            depth: depth + 1,
        }
    }
}

impl Item {
    /// Returns this item with another content.
    pub(super) fn with(&self, content: Content) -> Self {
        let node = Node::new(self.tag.clone(), content, self.home);
        Self {
            node: Rc::new(node),
            at: self.at,
        }
    }

    /// Returns this item as an empty one.
    pub(super) fn emptied(&self) -> Self {
        let content = Content::Scalar {
            text: String::new(),
            plain: true,
        };
        Self {
            node: Rc::new(Node::new(None, content, self.home)),
            at: self.at,
        }
    }

    /// Returns an identifier that is the same for all places of a node.
    pub(super) fn identity(&self) -> *const Node {
        Rc::as_ptr(&self.node)
    }

    /// Returns the tag, unless it is one of YAML's own.
    pub(super) fn own_tag(&self) -> Option<&str> {
        self.tag.as_deref().filter(|tag| !tag.starts_with(YAML))
    }

    /// Returns the text of a scalar, and true if the text is without quotes. Returns `None` if the
    /// node is no scalar.
    pub(super) fn scalar(&self) -> Option<(&str, bool)> {
        match &self.content {
            Content::Scalar { text, plain } => Some((text, *plain)),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        let nulls = ["", "~", "null", "Null", "NULL"];
        let scalar = self.scalar().filter(|_| self.own_tag().is_none());
        scalar.is_some_and(|(text, plain)| plain && nulls.contains(&text))
    }

    /// Returns the text under `key`, if the node is a mapping that has one.
    pub(super) fn under(&self, key: &str) -> Option<String> {
        let entries = self.entries()?;
        let is_key = |entry: &Self| entry.scalar().is_some_and(|(text, _)| text == key);
        let (_, value) = entries.iter().find(|(entry, _)| is_key(entry))?;
        value.scalar().map(|(text, _)| text.to_owned())
    }

    /// Returns the entries of a mapping, including those merged by `<<`, which adds the entries of
    /// another mapping. An entry of the mapping itself takes precedence over a merged one, and an
    /// earlier merge over a later one. The place of a merged value is that of the merge. Returns
    /// `None` if the node is no mapping.
    pub(super) fn entries(&self) -> Option<Vec<(Self, Self)>> {
        let Content::Map(_) = &self.content else {
            return None;
        };
        let mut entries = Vec::new();
        merge(self, None, &mut Merged::default(), &mut entries);
        Some(entries)
    }
}

/// Mappings whose entries were added, and the keys of these entries.
#[derive(Default)]
struct Merged<'i> {
    mappings: HashSet<*const Node>,
    keys: HashSet<&'i str>,
}

/// Adds those entries of the mapping `item` whose keys are not in `entries` yet. If `item` is
/// merged into another mapping, `place` is the place of the merge, and becomes the place of the
/// entries. Each mapping is added only once.
fn merge<'i>(
    item: &'i Item,
    place: Option<usize>,
    merged: &mut Merged<'i>,
    entries: &mut Vec<(Item, Item)>,
) {
    let Content::Map(own) = &item.content else {
        return;
    };
    if !merged.mappings.insert(item.identity()) {
        return;
    }
    let is_merge = |key: &Item| key.scalar() == Some(("<<", true));
    let own_keys = || own.iter().filter(|(key, _)| !is_merge(key));
    for (key, value) in own_keys() {
        let there = key
            .scalar()
            .is_some_and(|(key, _)| merged.keys.contains(key));
        // Two equal keys of one mapping are both kept, so that they can be reported.
        if !there {
            let at = |item: &Item| Item {
                node: item.node.clone(),
                at: place.unwrap_or(item.at),
            };
            entries.push((at(key), at(value)));
        }
    }
    let names = own_keys().filter_map(|(key, _)| key.scalar());
    merged.keys.extend(names.map(|(name, _)| name));
    for (_, value) in own.iter().filter(|(key, _)| is_merge(key)) {
        match &value.content {
            Content::List(several) => {
                for one in several {
                    merge(one, place.or(Some(one.at)), merged, entries);
                }
            }
            _ => merge(value, place.or(Some(value.at)), merged, entries),
        }
    }
}

/// The single document of a text.
pub(super) struct Document {
    /// The top of the tree, unless the document is empty.
    pub(super) root: Option<Item>,
    /// The first tag in the text that is not one of YAML's own.
    pub(super) tag: Option<String>,
}

/// Reads the single document in `text`, whose first byte has the offset `begin`.
///
/// # Errors
/// The place and the description of the first problem of the text.
pub(super) fn read(text: &str, begin: usize) -> Result<Document, (usize, String)> {
    let mut tree = Tree {
        home: begin,
        ..Tree::default()
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let at = begin + offset(text, error.marker());
                let what = match begin > 0 || text.contains(super::MAP_TAG) {
                    true => "this is no YAML".to_owned(),
                    false => super::no_map("it is no YAML"),
                };
                return Err((at, format!("{what}: {}", error.info())));
            }
        };
        let begins = span.tag_start().unwrap_or(span.start);
        let at = begin + offset(text, &begins);
        tree.take(event, at).map_err(|wrong| (at, wrong))?;
    }
    Ok(Document {
        root: tree.root,
        tag: tree.own_tag,
    })
}

/// Returns the byte offset of `marker`, a place that the parser reports.
fn offset(text: &str, marker: &Marker) -> usize {
    let counted = || text.char_indices().nth(marker.index()).map(|(at, _)| at);
    marker.byte_offset().or_else(counted).unwrap_or(text.len())
}

/// A tree that is being built.
#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    /// Number of nodes that the aliases read so far represent.
    aliased: usize,
    root: Option<Item>,
    /// The first tag that is not one of YAML's own.
    own_tag: Option<String>,
    home: usize,
}

/// A list or a mapping whose end has not been read. The items of a mapping are alternately keys and
/// values.
struct Open {
    is_map: bool,
    tag: Option<String>,
    anchor: usize,
    at: usize,
    items: Vec<Item>,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, at: usize) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref().map(name);
                let is_text = tag.as_deref() == Some("tag:yaml.org,2002:str");
                let content = Content::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain && !is_text,
                };
                self.add(tag, content, anchor, at)
            }
            Event::SequenceStart(_, anchor, tag) => self.begin(false, anchor, tag.as_deref(), at),
            Event::MappingStart(_, anchor, tag) => self.begin(true, anchor, tag.as_deref(), at),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => {
                    let content = match open.is_map {
                        true => Content::Map(pairs(open.items)),
                        false => Content::List(open.items),
                    };
                    self.add(open.tag, content, open.anchor, open.at)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => {
                    let node = node.clone();
                    self.aliased = self.aliased.saturating_add(node.size);
                    if self.aliased > ALIASED {
                        return Err(format!(
                            "the aliases up to here stand for more than {ALIASED} values: write \
                             what is meant in full, or in several files"
                        ));
                    }
                    self.put(Item { node, at })
                }
                None => Err("an alias stands for what it is a part of".to_owned()),
            },
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        is_map: bool,
        anchor: usize,
        tag: Option<&Tag>,
        at: usize,
    ) -> Result<(), String> {
        self.open.push(Open {
            is_map,
            tag: tag.map(name),
            anchor,
            at,
            items: Vec::new(),
        });
        Ok(())
    }

    fn add(
        &mut self,
        tag: Option<String>,
        content: Content,
        anchor: usize,
        at: usize,
    ) -> Result<(), String> {
        if self.own_tag.is_none() {
            self.own_tag = tag.clone().filter(|tag| !tag.starts_with(YAML));
        }
        let node = Node::new(tag, content, self.home);
        if node.depth > LEVELS {
            return Err(format!(
                "this has more than {LEVELS} levels, with what its aliases stand for"
            ));
        }
        let node = Rc::new(node);
        // The parser numbers anchors from 1, and 0 means no anchor.
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.put(Item { node, at })
    }

    fn put(&mut self, item: Item) -> Result<(), String> {
        match self.open.last_mut() {
            Some(open) => open.items.push(item),
            None if self.root.is_none() => self.root = Some(item),
            None => return Err("a second document begins here: make it a file".to_owned()),
        }
        Ok(())
    }
}

fn pairs(items: Vec<Item>) -> Vec<(Item, Item)> {
    let mut items = items.into_iter();
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        pairs.push((key, value));
    }
    pairs
}

fn name(tag: &Tag) -> String {
    format!("{}{}", tag.handle(), tag.suffix())
}
