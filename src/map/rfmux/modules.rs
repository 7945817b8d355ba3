//! The modules that a board of a Python hardware map declares.

use super::boards::{Board, Reading};
use super::document::{Content, Item};
use super::keys::{self, safe};
use super::python;
use crate::map::BoardKind;
use crate::map::section::Found;

const TAG: &str = "!ReadoutModule";

impl Reading<'_> {
    /// Reads the modules under `key` of a board: a list, or a mapping with the numbers of the
    /// modules as keys. A module in a list has its position as its number, unless it says another.
    pub(super) fn modules(&mut self, key: &str, value: &Item, board: &mut Board) {
        let entries: Vec<(Option<&Item>, usize, &Item)> = match &value.content {
            _ if value.is_null() => return,
            Content::List(items) => {
                let items = items.iter().enumerate();
                items.map(|(index, item)| (None, index + 1, item)).collect()
            }
            Content::Map(entries) => {
                let entries = entries.iter();
                entries.map(|(key, item)| (Some(key), 0, item)).collect()
            }
            Content::Scalar { .. } => {
                let what = format!("`{key}` holds modules: write `- {TAG} {{ module: 1 }}`");
                return self.findings.say(value.at, what);
            }
        };
        // A schema other than that of rfmux may have other classes of modules.
        let is_foreign = |item: &Item| item.own_tag().is_some_and(|tag| tag != TAG);
        if is_foreign(value) || entries.iter().any(|(.., item)| is_foreign(item)) {
            return board.left_out.push(key.to_owned());
        }
        let mut modules = board.modules.take().unwrap_or_default();
        for (number, position, item) in entries.iter().filter(|(.., item)| !item.is_null()) {
            let Some(module) = self.module(*number, *position, item, board) else {
                continue;
            };
            let first = modules.iter().find(|found| found.value == module.value);
            if let Some(first) = first {
                let place = self.findings.refer(module.at, first.at);
                let what = format!("module {} is declared already at {place}", module.value);
                self.findings.say(module.at, what);
            } else {
                modules.push(module);
            }
        }
        board.modules = Some(modules);
    }

    fn module(
        &mut self,
        key: Option<&Item>,
        position: usize,
        item: &Item,
        board: &mut Board,
    ) -> Option<Found<u8>> {
        let entries = item.entries().filter(|_| item.own_tag() == Some(TAG));
        let Some(entries) = entries else {
            let what = format!("a module is a {TAG}: write `{TAG} {{ module: 1 }}`");
            self.findings.say(item.at, what);
            return None;
        };
        let mut left_out = Vec::new();
        let (extended, findings) = (self.extended, &mut self.findings);
        let taken = keys::MODULE.of((TAG, item.at), &entries, extended, findings, &mut left_out);
        let own = taken.first().filter(|(_, value)| !value.is_null());
        let own = match own {
            Some((_, value)) => Some(self.module_number(value)?),
            None => None,
        };
        let number = match (key, own) {
            (Some(key), own) => {
                let number = self.module_number(key)?;
                if let Some(own) = own.filter(|own| own.value != number.value) {
                    let (there, says) = (number.value, own.value);
                    let what = format!("the module under {there} says that it is module {says}");
                    self.findings.say(own.at, what);
                }
                number
            }
            (None, Some(own)) => own,
            (None, None) => self.number_in_range(i64::try_from(position).ok(), item.at)?,
        };
        let parts = left_out.iter();
        let parts = parts.map(|(key, _)| format!("{} of module {}", safe(key), number.value));
        board.left_out.extend(parts);
        Some(number)
    }

    fn module_number(&mut self, value: &Item) -> Option<Found<u8>> {
        let scalar = value.scalar().filter(|_| value.own_tag().is_none());
        let number = match scalar {
            Some((text, true)) => python::integer(text),
            Some((text, false)) => text.parse().ok(),
            None => None,
        };
        self.number_in_range(number, value.at)
    }

    fn number_in_range(&mut self, number: Option<i64>, at: usize) -> Option<Found<u8>> {
        let highest = BoardKind::CRS.family().highest_module;
        let number = number.and_then(|number| u8::try_from(number).ok());
        let Some(value) = number.filter(|number| (1..=highest).contains(number)) else {
            let what = format!("`module` must be a whole number from 1 to {highest}");
            self.findings.say(at, what);
            return None;
        };
        Some(Found { value, at })
    }
}

impl Board {
    /// True if the board has this module in the Python map.
    pub(super) fn has_module(&self, number: u8) -> bool {
        match &self.modules {
            Some(modules) => modules.iter().any(|module| module.value == number),
            None => (1..=BoardKind::CRS.family().highest_module).contains(&number),
        }
    }
}
