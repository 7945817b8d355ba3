//! Wafers, lists of resonators and channel mappings of a Python hardware map. The lists and the
//! mappings are tables in files of their own.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use super::boards::Reading;
use super::csv::{self, Row, Table};
use super::document::{Content, Item, Node};
use super::keys::{self, safe};
use super::python;
use crate::map::section::Found;
use crate::map::suggest::nearest;

/// Wafers, resonators and mappings that have been read so far.
#[derive(Default)]
pub(super) struct Chains {
    pub(super) wafers: Vec<Wafer>,
    pub(super) resonators: Vec<Resonator>,
    pub(super) mappings: Vec<Mapping>,
    /// The resonators of each list that was read. Several entries can stand for one list.
    lists: HashMap<*const Node, Range<usize>>,
    read: HashSet<*const Node>,
}

pub(super) struct Wafer {
    /// The name as it is written.
    pub(super) name: String,
    /// The name that Python reads.
    pub(super) python: String,
}

pub(super) struct Resonator {
    /// Byte offset of its row.
    pub(super) at: usize,
    pub(super) wafer: Option<usize>,
    pub(super) name: Option<Found<String>>,
    pub(super) bias_hz: Option<Found<f64>>,
    pub(super) bias_amplitude: Option<f64>,
}

/// A row of a channel mapping.
pub(super) struct Mapping {
    /// The wafer and the name of a resonator: `w3/d0117`.
    pub(super) resonator: Found<String>,
    /// A channel: `0042/1/17` or, for a board in a crate, `001/3/1/17`.
    pub(super) channel: Found<String>,
    /// Byte offset of the map's entry that names the table of this row.
    pub(super) entry: usize,
    /// Numbers of boards and resonators that were read before this entry.
    pub(super) before: (usize, usize),
}

/// Columns of a table, and those without which a row says nothing.
struct Columns {
    known: &'static [&'static str],
    needed: &'static [&'static str],
}

const RESONATORS: Columns = Columns {
    known: &["name", "bias_freq", "bias_amplitude"],
    needed: &["name"],
};

const MAPPING: Columns = Columns {
    known: &["resonator", "readout_channel"],
    needed: &["resonator", "readout_channel"],
};

impl Reading<'_> {
    /// Reads a wafer with its resonators.
    pub(super) fn wafer(&mut self, item: &Item) {
        if !self.chains.read.insert(item.identity()) {
            return;
        }
        let Some(entries) = item.entries() else {
            let what = "a !Wafer is a mapping: write `!Wafer { name: w3, resonators: !Resonators w3.csv }`";
            return self.findings.say(item.at, what);
        };
        let mut left_out = Vec::new();
        let (extended, findings) = (self.extended, &mut self.findings);
        let at = ("!Wafer", item.at);
        let taken = keys::WAFER.of(at, &entries, extended, findings, &mut left_out);
        let value = |key| {
            taken
                .iter()
                .find(|(name, _)| *name == key)
                .map(|(_, value)| *value)
        };
        let name = value("name").and_then(|value| self.name("name", value));
        let called = match &name {
            Some(name) => format!("!Wafer {:?}", name.value),
            None => "!Wafer".to_owned(),
        };
        match (name, value("resonators").filter(|value| !value.is_null())) {
            (None, _) if value("name").is_some_and(|value| !value.is_null()) => {}
            (None, _) => self.findings.say(item.at, "a !Wafer needs a `name`"),
            (Some(_), None) => self
                .left_out
                .push(format!("{called}, which has no resonators")),
            (Some(name), Some(list)) if list.own_tag() == Some("!Resonators") => {
                let wafer = self.chains.wafers.len();
                let python = self.python_text(&name);
                let name = name.value;
                self.chains.wafers.push(Wafer { name, python });
                let range = self.resonators(list);
                let resonators = self.chains.resonators.get_mut(range);
                let resonators = resonators.unwrap_or_default();
                resonators
                    .iter_mut()
                    .for_each(|one| one.wafer = Some(wafer));
            }
            (Some(_), Some(_)) => self.left_out.push(format!("{called}'s resonators")),
        }
        let parts = left_out.iter().map(|(key, value)| match value.own_tag() {
            Some(tag) => format!("{called}'s {}", safe(tag)),
            None => format!("{called}'s {key}"),
        });
        self.left_out.extend(parts);
    }

    /// Reads a list of resonators, unless it was read before. Returns their range.
    pub(super) fn resonators(&mut self, item: &Item) -> Range<usize> {
        let begin = self.chains.resonators.len();
        if let Some(range) = self.chains.lists.get(&item.identity()) {
            return range.clone();
        }
        if let Some(table) = self.table("!Resonators", item, &RESONATORS) {
            for row in &table.rows {
                let resonator = self.resonator(&table, row);
                self.chains.resonators.push(resonator);
            }
        }
        let range = begin..self.chains.resonators.len();
        self.chains.lists.insert(item.identity(), range.clone());
        range
    }

    fn resonator(&mut self, table: &Columned, row: &Row) -> Resonator {
        let mut number = |column: &str| {
            let field = row.field(table.index(column))?;
            let value = python::float(&field.value);
            if value.is_none() {
                let what = format!("`{column}` must be a number, not {:?}", field.value);
                self.findings.say(field.at, what);
            }
            value.map(|value| Found {
                value,
                at: field.at,
            })
        };
        Resonator {
            at: row.at,
            wafer: None,
            name: row.field(table.index("name")).cloned(),
            bias_hz: number("bias_freq"),
            bias_amplitude: number("bias_amplitude").map(|found| found.value),
        }
    }

    /// Reads a channel mapping.
    pub(super) fn mapping(&mut self, item: &Item) {
        if !self.chains.read.insert(item.identity()) {
            return;
        }
        let before = (self.boards.len(), self.chains.resonators.len());
        let Some(table) = self.table("!ChannelMappings", item, &MAPPING) else {
            return;
        };
        for row in &table.rows {
            let mut value = |column: &str| {
                let field = row.field(table.index(column));
                if field.is_none() && table.index(column).is_some() {
                    self.findings
                        .say(row.at, format!("this row has no `{column}`"));
                }
                field.cloned()
            };
            if let (Some(resonator), Some(channel)) = (value("resonator"), value("readout_channel"))
            {
                self.chains.mappings.push(Mapping {
                    resonator,
                    channel,
                    entry: item.at,
                    before,
                });
            }
        }
    }

    /// Reads the table whose file `item` names.
    fn table(&mut self, tag: &str, item: &Item, columns: &Columns) -> Option<Columned> {
        let named = match &item.content {
            Content::Scalar { text, .. } => Some(text.clone()),
            _ => item.under("csv_file"),
        };
        let Some(name) = named.filter(|name| !name.is_empty()) else {
            self.findings.say(
                item.at,
                format!("{tag} names a file: write `{tag} table.csv`"),
            );
            return None;
        };
        let path = self.files.named(item.home, &name);
        let opened = match self.files.open(path, &mut self.findings) {
            Ok(opened) => opened,
            Err(wrong) => {
                self.findings.say(item.at, wrong);
                return None;
            }
        };
        let text: Rc<str> = opened.text;
        let findings = &mut self.findings;
        let table = csv::read(&text, opened.begin, &mut |at, what| findings.say(at, what));
        if table.marked {
            let what = "Python takes the byte order mark at the beginning of this table for a part \
                        of the first column's name: save the table without it";
            self.doubts.push((opened.begin, what.to_owned()));
        }
        Some(self.columned(table, columns, opened.begin))
    }

    /// Finds the known columns of a table. Reports those that are missing, and rows that have more
    /// fields than there are columns. Notes unknown columns as left out.
    fn columned(&mut self, table: Table, columns: &Columns, begin: usize) -> Columned {
        let mut found: HashMap<&'static str, usize> = HashMap::new();
        let mut meant = Vec::new();
        for (index, column) in table.columns.iter().enumerate() {
            let name = column.value.as_str();
            if let Some(known) = columns.known.iter().find(|known| **known == name) {
                if let Some(first) = found.insert(known, index) {
                    let place = self.findings.refer(column.at, table.columns[first].at);
                    let what = format!("column `{known}` stands twice: also at {place}");
                    self.findings.say(column.at, what);
                }
                continue;
            }
            if !table
                .rows
                .iter()
                .any(|row| row.field(Some(index)).is_some())
            {
                continue;
            }
            let has = |known: &&str| table.columns.iter().any(|column| column.value == **known);
            let missing = columns.known.iter().copied().filter(|known| !has(known));
            // Several names with other separators are one name here.
            let near = nearest(name, missing).filter(|_| !name.contains([',', ';']));
            if let Some(near) = near {
                let what = format!("unknown column `{}`", safe(name));
                self.findings.suggest(column.at, what, Some(near));
                meant.push(near);
                continue;
            }
            let place = self.findings.refer(0, column.at);
            self.left_out.push(format!("column {name:?} at {place}"));
        }
        let fields = table
            .rows
            .iter()
            .filter_map(|row| row.fields.get(table.columns.len()));
        for field in fields {
            let what = format!(
                "this row has more fields than the {} columns",
                table.columns.len()
            );
            self.findings.say(field.at, what);
        }
        let missing = columns.needed.iter();
        for missing in missing.filter(|name| !found.contains_key(*name) && !meant.contains(*name)) {
            if table.rows.is_empty() {
                break;
            }
            let at = table.columns.first().map_or(begin, |column| column.at);
            let what = format!("this table has no column `{missing}`; tabs separate its columns");
            self.findings.say(at, what);
        }
        Columned {
            columns: found,
            rows: table.rows,
        }
    }
}

/// A table whose columns were found.
struct Columned {
    columns: HashMap<&'static str, usize>,
    rows: Vec<Row>,
}

impl Columned {
    fn index(&self, column: &str) -> Option<usize> {
        self.columns.get(column).copied()
    }
}
