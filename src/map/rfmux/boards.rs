//! The boards and the other entries of a Python hardware map, which is a YAML document. A node of
//! the document can be at several places, if aliases refer to it.

use std::collections::{HashMap, HashSet};

use twotone_transport::BoardPlace;

use super::MAP_TAG;
use super::document::{Content, Item, Node};
use super::files::Files;
use super::include::INCLUDE;
use super::keys::{self, BESIDE, BOARDS, safe, shown};
use super::python;
use super::resonators::Chains;
use super::values::SLOTS;
use crate::map::section::{Findings, Found};
use crate::map::{address, same_serial};

/// Contents of the map that have been read so far.
pub(super) struct Reading<'t> {
    pub(super) findings: Findings<'t>,
    pub(super) files: Files<'t>,
    pub(super) boards: Vec<Board>,
    pub(super) left_out: Vec<String>,
    pub(super) doubts: Vec<(usize, String)>,
    /// Additional notes for the messages about serial numbers that cannot be parts of host names.
    /// Each says that Python reads the serial number as another value, such as a number. The keys
    /// are the byte offsets of the serial numbers.
    pub(super) misread: HashMap<usize, String>,
    /// Serial numbers and names that Python stores as other texts, by their byte offsets.
    pub(super) stored: HashMap<usize, String>,
    pub(super) chains: Chains,
    /// True if the map names a schema (the Python classes of its entries) other than that of
    /// rfmux. Entries of another schema may have more columns (keys).
    pub(super) extended: bool,
    /// Nodes of the document that were replaced, because they include other files.
    pub(super) replaced: HashMap<*const Node, (Item, Item)>,
    /// Index in `boards` of the board that was read at each node. A node at several places is one
    /// board.
    read: HashMap<*const Node, usize>,
    crates: HashMap<*const Node, Option<Found<String>>>,
    /// The crates to which boards refer.
    named: HashSet<*const Node>,
    /// The crates that list no boards, each with the index of its note in `left_out`.
    bare: Vec<(*const Node, usize)>,
    walked: HashSet<*const Node>,
}

/// A board in the Python map.
pub(super) struct Board {
    /// Byte offset of the board in the YAML text.
    pub(super) at: usize,
    pub(super) serial: Option<Found<String>>,
    pub(super) hostname: Option<Found<String>>,
    pub(super) slot: Option<Found<u8>>,
    /// The modules that the map declares, if it declares any.
    pub(super) modules: Option<Vec<Found<u8>>>,
    /// `Some` if the board is in a crate, with the serial number of the crate if the crate has
    /// one.
    pub(super) in_crate: Option<Option<Found<String>>>,
    /// True if the map marks the board as offline.
    pub(super) offline: bool,
    /// Entries of the board that are left out, without the name of the board. The name is added
    /// when the TOML map is made.
    pub(super) left_out: Vec<String>,
}

impl<'t> Reading<'t> {
    pub(super) fn new(findings: Findings<'t>, files: Files<'t>) -> Self {
        Self {
            findings,
            files,
            boards: Vec::new(),
            left_out: Vec::new(),
            doubts: Vec::new(),
            misread: HashMap::new(),
            stored: HashMap::new(),
            chains: Chains::default(),
            extended: false,
            replaced: HashMap::new(),
            read: HashMap::new(),
            crates: HashMap::new(),
            named: HashSet::new(),
            bare: Vec::new(),
            walked: HashSet::new(),
        }
    }

    /// Reads an item of the map. As in Python, boards may also be in nested lists and mappings.
    pub(super) fn item(&mut self, item: &Item) {
        let before = self.found();
        let known = self.part(item) || before != self.found();
        // An unknown item is usually a board whose tag was forgotten, so it is noted.
        if !known {
            let place = self.findings.refer(0, item.at);
            let what = format!("{} without a tag at {place}", shown(item));
            self.left_out.push(what);
        }
    }

    /// Numbers of entries of each kind that were found so far.
    fn found(&self) -> [usize; 4] {
        let (boards, left_out) = (self.boards.len(), self.left_out.len());
        let chains = &self.chains;
        [
            boards,
            left_out,
            chains.resonators.len(),
            chains.mappings.len(),
        ]
    }

    /// Reads an item of the map, or a part of an item. Returns true if the item has a tag, is
    /// empty, or was read before.
    fn part(&mut self, item: &Item) -> bool {
        match item.own_tag() {
            Some("!CRS") => drop(self.board(item)),
            Some("!Crate") => drop(self.crate_serial(item)),
            Some("!Wafer") => self.wafer(item),
            Some("!Resonators") => drop(self.resonators(item)),
            Some("!ChannelMappings") => self.mapping(item),
            // A file that is included may be a whole map.
            Some(MAP_TAG) if item.home > 0 && matches!(item.content, Content::List(_)) => {
                if self.walked.insert(item.identity()) {
                    self.parts(item);
                }
            }
            Some(tag) if BESIDE.contains(&tag) => self.beside(tag, item),
            Some(tag) => {
                let what = format!("unknown tag `{}`", safe(tag));
                let known = [&BOARDS[..], &BESIDE[..5]].concat();
                self.findings
                    .unknown(item.at, &what, known.iter().copied(), tag);
            }
            None if item.is_null() || !self.walked.insert(item.identity()) => {}
            None => {
                self.parts(item);
                return false;
            }
        }
        true
    }

    fn parts(&mut self, item: &Item) {
        match &item.content {
            Content::Scalar { .. } => {}
            Content::List(items) => {
                for item in items {
                    self.part(item);
                }
            }
            Content::Map(entries) => {
                for (_, item) in entries {
                    self.part(item);
                }
            }
        }
    }

    /// Notes an entry that is no board as left out.
    fn beside(&mut self, tag: &str, item: &Item) {
        let name = item.scalar().map(|(text, _)| text.to_owned());
        let named = name.or_else(|| item.under("name"));
        let called = match &named {
            Some(named) => format!("{tag} {named:?}"),
            None => tag.to_owned(),
        };
        match (tag, &named) {
            (INCLUDE, _) => {
                let place = self.findings.refer(0, item.at);
                let database = item.under("save_database");
                let of = database.map(|database| format!(" of the database {database:?}"));
                let of = of.unwrap_or_default();
                return self.left_out.push(format!("{INCLUDE}{of} at {place}"));
            }
            ("!flavour", Some(named)) => {
                self.extended = named != "rfmux" && !named.starts_with("rfmux.");
                if named == "rfmux.mock" {
                    let what = "!flavour \"rfmux.mock\" has Python simulate the boards after it: \
                                they answer while it does";
                    self.doubts.push((item.at, what.to_owned()));
                }
            }
            _ => {}
        }
        self.left_out.push(called);
    }

    /// Reads a board, unless it was read before. Returns its index, or `None` if it cannot be used.
    fn board(&mut self, item: &Item) -> Option<usize> {
        if let Some(index) = self.read.get(&item.identity()) {
            return Some(*index);
        }
        let Some(entries) = item.entries() else {
            let what = "a !CRS is a mapping: write `!CRS { serial: \"0042\" }`";
            self.findings.say(item.at, what);
            return None;
        };
        let mut left_out = Vec::new();
        let (extended, findings) = (self.extended, &mut self.findings);
        let taken = keys::BOARD.of(
            ("!CRS", item.at),
            &entries,
            extended,
            findings,
            &mut left_out,
        );
        let mut board = Board {
            at: item.at,
            serial: None,
            hostname: None,
            slot: None,
            modules: None,
            in_crate: None,
            offline: false,
            left_out: Vec::new(),
        };
        for (key, value) in taken {
            match key {
                "serial" => board.serial = self.serial(key, value),
                "hostname" => {
                    board.hostname = self.text(key, value);
                    let host = board.hostname.as_ref();
                    if let Some(Err(wrong)) = host.map(|host| address::parse(&host.value, 80)) {
                        self.findings.say(value.at, wrong);
                    }
                }
                "slot" => board.slot = self.slot(value),
                "modules" | "module" => self.modules(key, value, &mut board),
                "crate" if value.is_null() => {}
                "crate" if value.own_tag() == Some("!Crate") => {
                    self.named.insert(value.identity());
                    board.in_crate = Some(self.crate_serial(value));
                }
                _ => self.findings.say(value.at, "`crate` is a !Crate"),
            }
        }
        for (key, value) in left_out {
            match (key.as_str(), value.scalar()) {
                ("online", Some((text, plain))) => match python::truth(text, plain) {
                    Some(false) => {
                        board.offline = true;
                        board.left_out.push("online: false".to_owned());
                    }
                    Some(true) => {}
                    None if value.is_null() => {}
                    None => self.findings.say(value.at, "`online` is true or false"),
                },
                ("online", None) => self.findings.say(value.at, "`online` is true or false"),
                ("backplane_serial", Some((text, _))) if !value.is_null() => {
                    board.left_out.push(format!("{key} {text:?}"));
                }
                _ => board.left_out.push(key),
            }
        }
        let index = self.boards.len();
        self.read.insert(item.identity(), index);
        self.boards.push(board);
        Some(index)
    }

    /// Reads a crate and the boards in it, unless it was read before. Returns the crate's serial
    /// number, if it has one.
    fn crate_serial(&mut self, item: &Item) -> Option<Found<String>> {
        if let Some(serial) = self.crates.get(&item.identity()) {
            return serial.clone();
        }
        let Some(entries) = item.entries() else {
            let what = "a !Crate is a mapping: write `!Crate { serial: \"001\", slots: { .. } }`";
            self.findings.say(item.at, what);
            return None;
        };
        let mut left_out = Vec::new();
        let (extended, findings) = (self.extended, &mut self.findings);
        let taken = keys::CRATE.of(
            ("!Crate", item.at),
            &entries,
            extended,
            findings,
            &mut left_out,
        );
        let serial = taken.iter().find(|(key, _)| *key == "serial");
        let serial = serial.and_then(|(key, value)| self.serial(key, value));
        self.crates.insert(item.identity(), serial.clone());
        let called = match &serial {
            Some(serial) => format!("!Crate {:?}", serial.value),
            None => "!Crate".to_owned(),
        };
        let before = self.boards.len();
        let mut placed = false;
        for (_, value) in taken.iter().filter(|(key, _)| *key != "serial") {
            match &value.content {
                _ if value.is_null() => {}
                Content::List(items) => {
                    for (index, board) in items.iter().enumerate() {
                        placed |= self.in_slot(board, None, index + 1, serial.as_ref());
                    }
                }
                Content::Map(slots) => {
                    for (key, board) in slots {
                        placed |= self.in_slot(board, Some(key), 0, serial.as_ref());
                    }
                }
                Content::Scalar { .. } => {
                    let what = "`slots` holds boards, as a list or by the numbers of their slots";
                    self.findings.say(value.at, what);
                }
            }
        }
        if !placed && before == self.boards.len() {
            self.bare.push((item.identity(), self.left_out.len()));
            self.left_out.push(format!("{called}, which has no boards"));
        }
        let parts = left_out.iter().map(|(key, _)| format!("{called}'s {key}"));
        self.left_out.extend(parts);
        serial
    }

    /// Every crate that lists no boards has a note in `left_out`. Removes the note if a board
    /// refers to the crate. Crate entries with the same serial number are the same crate.
    pub(super) fn drop_named_crates(&mut self) {
        let housings = self
            .boards
            .iter()
            .filter_map(|board| board.in_crate.as_ref());
        let serials = housings.flatten().map(|found| same_serial(&found.value));
        let serials: HashSet<String> = serials.collect();
        let mut dropped = HashSet::new();
        for (node, index) in std::mem::take(&mut self.bare) {
            let serial = self.crates.get(&node).and_then(Option::as_ref);
            let shared = serial.is_some_and(|found| serials.contains(&same_serial(&found.value)));
            if shared || self.named.contains(&node) {
                dropped.insert(index);
            }
        }
        let mut index = 0;
        self.left_out.retain(|_| {
            index += 1;
            !dropped.contains(&(index - 1))
        });
    }

    /// Reads the board in a slot of a crate. The number of the slot is `key`, or `position` if the
    /// crate has a list of boards. In a list, the board's own slot takes precedence over its
    /// position. Returns false if the slot is empty.
    fn in_slot(
        &mut self,
        item: &Item,
        key: Option<&Item>,
        position: usize,
        in_crate: Option<&Found<String>>,
    ) -> bool {
        if item.is_null() {
            return false;
        }
        if item.own_tag() != Some("!CRS") {
            self.findings
                .say(item.at, "a slot holds a !CRS, or nothing");
            return true;
        }
        let Some(index) = self.board(item) else {
            return true;
        };
        let own = self.boards[index].slot;
        let slot = match (key, own) {
            (Some(key), _) => self.slot(key),
            (None, Some(own)) => Some(own),
            (None, None) => match u8::try_from(position) {
                Ok(value) => Some(Found { value, at: item.at }),
                Err(_) => {
                    self.findings.say(item.at, SLOTS);
                    None
                }
            },
        };
        let board = &mut self.boards[index];
        let said = |board: &Board, slot: Option<Found<u8>>| {
            let in_crate = board.in_crate.as_ref().and_then(Option::as_ref);
            (
                slot.map(|slot| slot.value),
                in_crate.map(|in_crate| in_crate.value.clone()),
            )
        };
        let (before, wrong) = (said(board, own), board.called());
        let is_in_crate = board.in_crate.replace(in_crate.cloned()).is_some();
        if is_in_crate && before != said(board, slot) {
            self.findings
                .say(item.at, format!("{wrong} stands in two slots"));
        } else if let (Some(slot), Some(own), Some(_)) = (slot, own, key)
            && slot.value != own.value
        {
            let what = format!(
                "{wrong} stands in slot {} and says slot {}",
                slot.value, own.value
            );
            self.findings.say(own.at, what);
        }
        self.boards[index].slot = slot;
        true
    }

    /// Adds a doubt if `value`, a part of the document outside the map, has boards that the map
    /// does not have.
    pub(super) fn doubt_boards_in(&mut self, value: &Item, key: &str) {
        // What was replaced was a part of the map.
        let replaced = self.replaced.contains_key(&value.identity());
        if replaced || !self.walked.insert(value.identity()) {
            return;
        }
        let known = self.read.contains_key(&value.identity())
            || self.crates.contains_key(&value.identity());
        if known {
            return;
        }
        if value.own_tag().is_some_and(|tag| BOARDS.contains(&tag)) {
            let what = format!("boards under {key}, outside of !HardwareMap, are not imported");
            return self.doubts.push((value.at, what));
        }
        match &value.content {
            Content::Scalar { .. } => {}
            Content::List(items) => {
                for item in items {
                    self.doubt_boards_in(item, key);
                }
            }
            Content::Map(entries) => {
                for (_, item) in entries {
                    self.doubt_boards_in(item, key);
                }
            }
        }
    }
}

impl Board {
    /// Returns a name of the board for an error message.
    fn called(&self) -> String {
        match (&self.serial, &self.hostname) {
            (Some(serial), _) if BoardPlace::is_serial(&serial.value) => {
                format!("crs{}", serial.value)
            }
            (_, Some(host)) => format!("the board at {}", safe(&host.value)),
            _ => "the board".to_owned(),
        }
    }
}
