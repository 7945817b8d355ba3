//! A table, which is kept, of the ends of the cases.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::fault;

/// End of a case, of those that are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// The result is to the byte that of a run without the fault.
    Same,
    /// Some samples were taken again: the result has other noise and the same statuses.
    Again,
    /// The detectors are others, and the result says so; the tones are those that it names.
    Other,
    /// The algorithm failed, and the tones are as declared.
    Restored,
    /// The algorithm failed, and the channels that may not be as declared are listed.
    Listed,
    /// The algorithm was done, and then its tones were lost: they are listed.
    DoneAndListed,
}

/// Number of cases by their ends.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Ends(BTreeMap<End, usize>);

impl Ends {
    pub(crate) fn count(&mut self, end: End) {
        *self.0.entry(end).or_default() += 1;
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (End::Same, "same"),
            (End::Again, "again"),
            (End::Other, "other"),
            (End::Restored, "restored"),
            (End::Listed, "listed"),
            (End::DoneAndListed, "done, listed"),
        ];
        let counts = named.iter().filter_map(|(end, name)| {
            let count = self.0.get(end)?;
            Some(format!("{count} {name}"))
        });
        f.write_str(&counts.collect::<Vec<_>>().join(", "))
    }
}

const HEAD: &str = "\
# Faults against algorithms

Each fault happens once, at each request of each algorithm on one of two boards: each is a case. A cell counts the cases
by their ends. In every one, the run ended by its deadline, the other board's result was to the byte that of a run
without the fault, and afterwards `off` switched everything off and a rerun gave the statuses of a run without the fault.

- **same**: the result is to the byte that of a run without the fault.
- **again**: samples were taken again, so the noise is other, and the statuses are the same.
- **other**: detectors are other than without the fault, and so are statuses; the tones are those that the result names.
- **restored**: the algorithm failed, and the tones are as declared.
- **listed**: the algorithm failed, and the channels that may not be as declared are listed.
- **done, listed**: the algorithm was done when its tones were lost, and they are listed.

Some faults are not at a request, and have tests of their own. Packets that are lost, doubled, reordered or wrong, and
clocks of boards: `tests/program/capture`. Output that nobody reads: `tests/program/unread.rs`. A full disk and folders
that vanish: `tests/program/record.rs`. Few threads, files or memory: `tests/program/limits.rs`, `tests/program/inputs.rs`. A second program on a
board: `tests/program/lock.rs`. The clock of the host is read in one place, for names and stamps of results, and
`cargo xtask tidy` keeps it so; no deadline looks at it.

`cargo nextest run --test safety` compares; `TWOTONE_WRITE_TABLE=1 cargo nextest run --test safety` writes it anew.
";

/// One test writes at a time; nextest runs each in a process of its own.
static WRITING: Mutex<()> = Mutex::new(());

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/safety/table.md")
}

/// The rows that are kept: by algorithm, each fault and its cell.
fn kept() -> BTreeMap<String, BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let mut tables = BTreeMap::<String, BTreeMap<_, _>>::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            name = heading.to_owned();
        }
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if let ["", fault, cell, ""] = cells[..]
            && !fault.starts_with("---")
            && fault != "fault"
        {
            let table = tables.entry(name.clone()).or_default();
            table.insert(fault.to_owned(), cell.to_owned());
        }
    }
    tables
}

/// Compares the cells of an algorithm with those that are kept, or keeps them.
pub(crate) fn compare(name: &str, rows: &[(&str, Ends)]) {
    let rows: BTreeMap<String, String> = rows
        .iter()
        .map(|(fault, ends)| ((*fault).to_owned(), ends.to_string()))
        .collect();
    if std::env::var_os("TWOTONE_WRITE_TABLE").is_none() {
        let kept = kept().remove(name).unwrap_or_default();
        for (fault, cell) in &rows {
            assert!(!cell.is_empty(), "{name}: {fault} has no case");
            assert_eq!(Some(cell), kept.get(fault), "{name}: {fault}");
        }
        return;
    }
    let _writing = WRITING.lock();
    // Other tests are other processes.
    let lock = std::fs::File::create(std::env::temp_dir().join("twotone-safety-table.lock"))
        .expect("a lock");
    lock.lock().expect("a lock");
    let mut tables = kept();
    tables.insert(name.to_owned(), rows);
    let mut text = HEAD.to_owned();
    for (name, rows) in &tables {
        text += &format!("\n## {name}\n\n| fault | ends |\n|---|---|\n");
        for fault in fault::names() {
            if let Some(cell) = rows.get(fault) {
                text += &format!("| {fault} | {cell} |\n");
            }
        }
    }
    std::fs::write(path(), text).expect("the table");
}

/// The table has these algorithms, and no others.
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
