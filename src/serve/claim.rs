//! The modules that a job (a command that the daemon carries out) uses, and the rules that decide
//! if two jobs can run at the same time.

use std::collections::{BTreeMap, BTreeSet};

use twotone_hal::ModuleId;

use crate::map::HardwareMap;

/// Kind of use that a job makes of its modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// The job only reads values that the boards report. It waits for no other job.
    Asks,
    /// The job reads samples. Other jobs may read samples too, but no job may change settings,
    /// except to switch tones off.
    Listens,
    /// The job changes settings. No other job may use the modules, except for jobs that only read
    /// values that the boards report.
    Sets,
    /// The job switches tones off. It ends earlier jobs that change settings of the same modules,
    /// and waits for their ends. It also waits for the ends of earlier jobs that switch the same
    /// tones off. It does not wait for jobs that read samples.
    SwitchesOff,
}

/// The modules that a job uses, and how it uses them.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    uses: Use,
    /// The modules of each board. `None` stands for all modules that the board has.
    boards: BTreeMap<String, Option<BTreeSet<ModuleId>>>,
}

impl Claim {
    /// Returns a claim of all modules of `map`.
    pub(crate) fn of(map: &HardwareMap, uses: Use) -> Self {
        let boards = map.boards().iter().map(|board| {
            let modules: BTreeSet<_> = board.modules.iter().map(|one| one.module).collect();
            (board.name.clone(), (!modules.is_empty()).then_some(modules))
        });
        Self {
            uses,
            boards: boards.collect(),
        }
    }

    /// Returns the claim of a tune or a sweep. A board that is set up is claimed with all of its
    /// modules, since a change of a property ends what other jobs measure on the board.
    pub(crate) fn of_run(map: &HardwareMap, dry_run: bool) -> Self {
        if dry_run {
            return Self::of(map, Use::Asks);
        }
        let mut claim = Self::of(map, Use::Sets);
        for board in map.boards().iter().filter(|board| board.has_properties()) {
            claim.boards.insert(board.name.clone(), None);
        }
        claim
    }

    /// Returns a claim of all modules that the boards of `map` have, listed or not.
    pub(crate) fn of_boards(map: &HardwareMap, uses: Use) -> Self {
        let boards = map.boards().iter().map(|board| (board.name.clone(), None));
        Self {
            uses,
            boards: boards.collect(),
        }
    }

    /// True if the job uses the board with this name in such a way that the daemon should not
    /// contact the board.
    pub(crate) fn occupies(&self, board: &str) -> bool {
        self.uses != Use::Asks && self.boards.contains_key(board)
    }

    /// Names of the boards that the job uses.
    pub(crate) fn boards(&self) -> impl Iterator<Item = &str> {
        self.boards.keys().map(String::as_str)
    }

    /// True if the job has to wait for the end of the job with the claim `earlier`.
    pub(crate) fn waits_for(&self, earlier: &Self) -> bool {
        let side_by_side = matches!(
            (self.uses, earlier.uses),
            (Use::Asks, _) | (_, Use::Asks) | (Use::Listens | Use::SwitchesOff, Use::Listens)
        );
        !side_by_side && self.shares_modules(earlier)
    }

    /// True if the job ends the job with the claim `earlier`.
    pub(crate) fn ends(&self, earlier: &Self) -> bool {
        self.uses == Use::SwitchesOff && earlier.uses == Use::Sets && self.shares_modules(earlier)
    }

    /// True if the job may start before jobs that already wait.
    pub(crate) fn is_urgent(&self) -> bool {
        self.uses == Use::SwitchesOff
    }

    fn shares_modules(&self, other: &Self) -> bool {
        self.boards.iter().any(|(board, mine)| {
            let theirs = other.boards.get(board);
            theirs.is_some_and(|theirs| match (mine, theirs) {
                (Some(mine), Some(theirs)) => !mine.is_disjoint(theirs),
                _ => true,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = r#"
[[board]]
name = "a"
kind = "crs"
serial = "1"
[[board.module]]
number = 1
[[board.module]]
number = 2

[[board]]
name = "bare"
kind = "crs"
serial = "2"
"#;

    /// Reads a claim from words: the kind of use, a board, and modules, as the options `--board`
    /// and `--module` give them. If boards or modules are left out, all are claimed.
    fn claim(words: &str) -> Claim {
        let mut words = words.split(' ');
        let uses = match words.next() {
            Some("asks") => Use::Asks,
            Some("listens") => Use::Listens,
            Some("sets") => Use::Sets,
            _ => Use::SwitchesOff,
        };
        let (mut boards, mut modules) = (Vec::new(), Vec::new());
        for word in words {
            match word.parse() {
                Ok(number) => modules.push(ModuleId::new(number).unwrap()),
                Err(_) => boards.push(word.to_owned()),
            }
        }
        let map = HardwareMap::parse(MAP, "map.toml").unwrap();
        Claim::of(&map.only(&boards, &modules).unwrap(), uses)
    }

    #[track_caller]
    fn check(later: &str, earlier: &str, waits: bool, ends: bool) {
        let (later, earlier) = (claim(later), claim(earlier));
        let found = (later.waits_for(&earlier), later.ends(&earlier));
        assert_eq!(found, (waits, ends));
    }

    #[test]
    fn jobs_on_one_module_take_turns_and_others_do_not() {
        check("sets a 1", "sets a 1", true, false);
        check("sets a 1", "sets a 2", false, false);
        check("sets a", "sets a 2", true, false);
        check("sets", "sets a 2", true, false);
        check("sets a", "sets bare", false, false);
        // The map lists no modules of the board `bare`. So a claim may name any module of it.
        check("sets bare 3", "sets bare 4", false, false);
        check("sets bare 3", "sets bare", true, false);
    }

    #[test]
    fn a_run_that_sets_up_a_board_has_all_of_it() {
        let map = MAP.replace("number = 2\n", "number = 2\ndac_scale_dbm = 1\n");
        let map = HardwareMap::parse(&map, "map.toml").unwrap();
        let part = |module| map.only(&["a".to_owned()], &[ModuleId::new(module).unwrap()]);
        let [one, other] = [1, 2].map(|module| part(module).unwrap());
        let runs = [&one, &other].map(|map| Claim::of_run(map, false));
        assert!(runs[1].waits_for(&runs[0]) && runs[0].waits_for(&runs[1]));
        // Module 1 has no properties, so its runs change nothing for others.
        assert!(!runs[0].waits_for(&claim("sets a 2")));
        assert!(!Claim::of_run(&other, true).waits_for(&runs[0]));
    }

    #[test]
    fn those_that_listen_wait_for_those_that_set_and_not_for_each_other() {
        check("listens a 1", "sets a 1", true, false);
        check("sets a 1", "listens a 1", true, false);
        check("listens a 1", "listens a 1", false, false);
        check("asks", "sets", false, false);
        check("sets", "asks", false, false);
    }

    #[test]
    fn a_switch_off_ends_what_sets_and_lets_listeners_be() {
        check("off", "sets a 1", true, true);
        check("off a", "sets bare", false, false);
        check("off", "listens a 1", false, false);
        check("off", "off", true, false);
        check("sets a 1", "off", true, false);
    }
}
