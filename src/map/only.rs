//! Parts of a map: some of its boards and modules.

use std::collections::{HashMap, HashSet};

use twotone_hal::ModuleId;

use super::{BoardEntry, HardwareMap, ModuleEntry};

impl HardwareMap {
    /// Returns the part of the map that consists of the modules `modules` of the boards named in
    /// `boards`. An empty list selects all. The file and the text of the part are those of the
    /// whole map.
    ///
    /// If `modules` is not empty, a board for which the map lists no modules gets these modules,
    /// each with conservative limits. A board for which the map lists only other modules is left
    /// out. Detectors of boards and modules that are not in the part are left out too.
    ///
    /// # Errors
    /// A sentence that names the first board that the map does not have, or the first module that
    /// none of the selected boards has.
    pub fn only(&self, boards: &[String], modules: &[ModuleId]) -> Result<Self, String> {
        let mut part = self.clone();
        let known: HashSet<&str> = self
            .boards
            .iter()
            .map(|board| board.name.as_str())
            .collect();
        if let Some(name) = boards.iter().find(|name| !known.contains(name.as_str())) {
            return Err(format!("the map has no board {name:?}"));
        }
        if !boards.is_empty() {
            let named: HashSet<&String> = boards.iter().collect();
            part.boards.retain(|board| named.contains(&board.name));
        }
        if !modules.is_empty() {
            let has = |module: &ModuleId| part.boards.iter().any(|b| b.module(*module).is_some());
            if let Some(module) = modules.iter().find(|module| !has(module)) {
                return Err(format!("the map has no module {module}"));
            }
            for board in &mut part.boards {
                let named = modules.iter().filter_map(|module| board.module(*module));
                let mut named: Vec<ModuleEntry> = named.collect();
                named.sort_by_key(|entry| entry.module);
                named.dedup_by_key(|entry| entry.module);
                board.modules = named;
            }
            part.boards.retain(|board| !board.modules.is_empty());
        }
        let boards = part.boards.iter().map(|board| (board.name.as_str(), board));
        let boards: HashMap<&str, &BoardEntry> = boards.collect();
        part.detectors.retain(|detector| {
            let board = boards.get(detector.board.as_str());
            board.is_some_and(|board| board.module(detector.module).is_some())
        });
        Ok(part)
    }
}

impl HardwareMap {
    /// Returns the map without modules and detectors, for work on boards as a whole. The file and
    /// the text are those of the whole map.
    pub(crate) fn of_boards_alone(&self) -> Self {
        let mut alone = self.clone();
        alone.detectors.clear();
        for board in &mut alone.boards {
            board.modules.clear();
        }
        alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = r#"
[[board]]
name = "lists"
kind = "crs"
serial = "1"
[[board.module]]
number = 1
[[board.module]]
number = 3
max_tone_dbm = -40

[[board]]
name = "bare"
kind = "crs"
serial = "2"

[[detector]]
id = "d1"
board = "lists"
module = 1
f_hz = 1e9

[[detector]]
id = "d3"
board = "lists"
module = 3
f_hz = 1e9
"#;

    /// Returns a text with the boards of a part, the numbers of their modules, and the detectors of
    /// the part.
    fn part(boards: &[&str], modules: &[u8]) -> Result<String, String> {
        let map = HardwareMap::parse(MAP, "map.toml").unwrap();
        let boards: Vec<_> = boards.iter().map(|name| (*name).to_owned()).collect();
        let modules: Vec<_> = modules.iter().map(|n| ModuleId::new(*n).unwrap()).collect();
        let part = map.only(&boards, &modules)?;
        assert_eq!(part.text(), MAP);
        let boards = part.boards().iter().map(|board| {
            let numbers = board.modules.iter().map(|entry| entry.module.to_string());
            board.name.clone() + &numbers.collect::<String>()
        });
        let detectors = part.detectors().iter().map(|detector| detector.id.clone());
        Ok(boards.chain(detectors).collect::<Vec<_>>().join(" "))
    }

    fn check(boards: &[&str], modules: &[u8], expected: &str) {
        let part = part(boards, modules);
        assert_eq!(part.as_deref(), Ok(expected), "{boards:?} {modules:?}");
    }

    #[test]
    fn a_part_has_what_was_named() {
        check(&[], &[], "lists13 bare d1 d3");
        check(&["bare"], &[], "bare");
        check(&[], &[3, 3], "lists3 bare3 d3");
        check(&[], &[4, 2], "bare24");
        check(&["lists"], &[3, 1], "lists13 d1 d3");
    }

    #[test]
    fn unknown_boards_and_modules_are_errors() {
        assert_eq!(
            part(&["other"], &[]).unwrap_err(),
            "the map has no board \"other\""
        );
        assert_eq!(
            part(&["lists"], &[2]).unwrap_err(),
            "the map has no module 2"
        );
    }
}
