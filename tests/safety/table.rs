//! The table `tests/safety/table.md`, which shows how each case of the safety test ends. A case is
//! a fault at one request of a run of an algorithm.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::fault;

/// Allowed end of a case. The *declared* state of the tones is the one that the algorithm asks for
/// in case it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// The result is, to the byte, that of a run without the fault.
    Same,
    /// Some samples were taken later or a second time. So the result has different noise, but the
    /// same statuses.
    Again,
    /// The detectors have changed, and the result says so. The tones are those in the result.
    Other,
    /// The algorithm failed, and the tones are in the declared state.
    Restored,
    /// The algorithm failed. The outcome lists the channels that may not be in the declared state.
    Listed,
    /// The algorithm succeeded, and its tones were lost afterwards. The outcome lists their
    /// channels.
    DoneAndListed,
}

impl End {
    /// Every end, with its letter in the table and its name.
    const ALL: [(Self, char, &str); 6] = [
        (Self::Same, 's', "same"),
        (Self::Again, 'a', "again"),
        (Self::Other, 'o', "other"),
        (Self::Restored, 'r', "restored"),
        (Self::Listed, 'l', "listed"),
        (Self::DoneAndListed, 'd', "done, listed"),
    ];

    fn letter(self) -> char {
        let found = Self::ALL.iter().find(|(end, ..)| *end == self);
        found.expect("it is listed").1
    }
}

/// Ends of the cases in a row of the table: a letter for each case, in order, or `.` for a case
/// that was not tried.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Ends(String);

impl Ends {
    pub(crate) fn add(&mut self, end: Option<End>) {
        self.0.push(end.map_or('.', End::letter));
    }

    /// True if each case that was tried ended as in the row `kept` of the stored table.
    fn agrees(&self, kept: &str) -> bool {
        let mut both = self.0.chars().zip(kept.chars());
        self.0.len() == kept.len() && both.all(|(is, was)| is == '.' || is == was)
    }

    fn counts(&self) -> String {
        let counts = End::ALL.iter().filter_map(|(_, letter, name)| {
            let count = self.0.matches(*letter).count();
            (count > 0).then(|| format!("{count} {name}"))
        });
        counts.collect::<Vec<_>>().join(", ")
    }
}

const HEAD: &str = "\
# Faults against algorithms

Each fault happens once, at each request of each algorithm on one of two boards: each is a case. A cell counts the cases
by their ends. In every one, the run ended by its deadline, the other board's result was to the byte that of a run
without the fault, and afterwards `off` switched everything off and a rerun gave the result of a run without the fault
but for noise. The last column has the end of each case, by its first letter, in the order of the requests or moments.

- **same**: the result is to the byte that of a run without the fault.
- **again**: samples were taken later or again, so the noise is other; statuses, settings and numbers are the same but
  for it.
- **other**: detectors are other than without the fault, and so are statuses; the tones are those that the result names.
- **restored**: the algorithm failed, and the tones are as declared.
- **listed**: the algorithm failed, and the channels that may not be as declared are listed.
- **done, listed**: the algorithm was done when its tones were lost, and they are listed.

Some faults are not at a request, and have tests of their own. Packets that are lost, doubled, reordered or wrong, and
clocks of boards: `tests/program/capture`. Output that nobody reads: `tests/program/unread.rs`. A full disk and folders
that vanish: `tests/program/record.rs`. Few threads, files or memory: `tests/program/limits.rs`,
`tests/program/inputs.rs`. A second program on a board: `tests/program/lock.rs`. The clock of the host is read in one
place, for names and stamps of results, and `cargo xtask tidy` keeps it so; no deadline looks at it.

`cargo nextest run --test safety` tries a sample of the cases and compares their ends with this table. The sample has
each fault at every twelfth request of a tune, at every fifth of a sweep, and at every third of the others. With
`TWOTONE_SAFETY=all` it tries all cases. `TWOTONE_WRITE_TABLE=1` with that writes the table anew.
";

/// True if every case is tried. Otherwise only a sample of them is tried.
pub(crate) fn is_whole() -> bool {
    std::env::var_os("TWOTONE_SAFETY").is_some_and(|which| which == "all")
}

/// Lock with which the tests of this process write the table one after the other.
static WRITING: Mutex<()> = Mutex::new(());

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/safety/table.md")
}

/// Cells of the table in the repository, by algorithm and by the name of the fault.
fn kept() -> BTreeMap<String, BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let mut tables = BTreeMap::<String, BTreeMap<_, _>>::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            name = heading.to_owned();
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let ["", fault, _, cell, ""] = cells[..]
            && !fault.starts_with("---")
            && fault != "fault"
        {
            let table = tables.entry(name.clone()).or_default();
            table.insert(fault.to_owned(), cell.to_owned());
        }
    }
    tables
}

/// Compares the cells of an algorithm with the table in the repository. If the environment asks for
/// it, writes them into the table instead.
pub(crate) fn compare(name: &str, rows: &[(&str, Ends)]) {
    if std::env::var_os("TWOTONE_WRITE_TABLE").is_none() {
        let kept = kept().remove(name).unwrap_or_default();
        for (fault, ends) in rows {
            let kept = kept.get(*fault).map_or("", String::as_str);
            assert!(!ends.counts().is_empty(), "{name}: {fault} has no case");
            assert!(ends.agrees(kept), "{name}: {fault}: {} was {kept}", ends.0);
        }
        return;
    }
    assert!(is_whole(), "a table is written with TWOTONE_SAFETY=all");
    let rows = rows
        .iter()
        .map(|(fault, ends)| ((*fault).to_owned(), ends.0.clone()));
    let rows = rows.collect();
    let _writing = WRITING.lock();
    // Nextest runs each test in a process of its own, so a lock of a file is needed too.
    let lock = std::fs::File::create(std::env::temp_dir().join("twotone-safety-table.lock"))
        .expect("a lock");
    lock.lock().expect("a lock");
    let mut tables = kept();
    tables.insert(name.to_owned(), rows);
    let mut text = HEAD.to_owned();
    for (name, rows) in &tables {
        text += &format!("\n## {name}\n\n| fault | ends | each |\n|---|---|---|\n");
        for fault in fault::names() {
            if let Some(cell) = rows.get(fault) {
                let counts = Ends(cell.clone()).counts();
                text += &format!("| {fault} | {counts} | {cell} |\n");
            }
        }
    }
    std::fs::write(path(), text).expect("the table");
}

/// Asserts that the table in the repository has these algorithms, and no others.
pub(crate) fn compare_names(names: &[&str]) {
    if std::env::var_os("TWOTONE_WRITE_TABLE").is_some() {
        return;
    }
    let kept = kept();
    let mut names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    names.sort();
    assert_eq!(kept.keys().cloned().collect::<Vec<_>>(), names);
    for (name, rows) in &kept {
        assert_eq!(
            rows.len(),
            fault::names().count(),
            "{name}: a row for each fault"
        );
    }
}
