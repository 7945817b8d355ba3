//! Checks of the source files of faults, and of the table of faults in `docs/simulated-farms.md`.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use twotone_sim::Fault;

/// Page with the table, relative to this package.
const PAGE: &str = "../docs/simulated-farms.md";

/// Head of the table.
const HEAD: &str = "| kind | its own keys | effect |\n|---|---|---|\n";

fn table() -> String {
    let mut table = String::from(HEAD);
    for fault in Fault::DESCRIPTIONS {
        let (name, keys, about) = (fault.name, fault.keys, fault.about);
        writeln!(table, "| `{name}` | {keys} | {about} |").unwrap();
    }
    table.replace("|  |", "| |")
}

/// If `TWOTONE_WRITE_TABLE` is set in the environment, the test writes the table instead of
/// comparing it.
#[test]
fn the_page_has_the_table_of_faults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page
        .split_once(HEAD)
        .expect("the page has the table's head");
    let (_, after) = rest.split_once("\n\n").expect("text follows the table");
    let wanted = format!("{before}{}\n{after}", table());
    if std::env::var_os("TWOTONE_WRITE_TABLE").is_some() {
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    let advice =
        "write the table with `TWOTONE_WRITE_TABLE=1 cargo test -p twotone-sim --test fault_files`";
    assert!(
        page == wanted,
        "the table of {PAGE} is not that of the code: {advice}"
    );
}

#[test]
fn the_page_on_adding_a_fault_has_the_code_of_one() {
    let page = include_str!("../../docs/how-to/add-a-fault.md");
    let code = page.split("```rust,ignore\n").skip(1);
    let code: Vec<_> = code.filter_map(|block| block.split("```").next()).collect();
    let files = [
        include_str!("../src/fault/kinds/garbled_answer.rs"),
        include_str!("../src/fault/kinds.rs"),
        include_str!("faults.rs"),
    ];
    assert_eq!(code.len(), files.len());
    assert_eq!(code[0], files[0], "the whole file");
    for (code, file) in code.into_iter().zip(files) {
        assert!(file.contains(code), "{code}");
    }
}

#[test]
fn descriptions_are_whole() {
    for fault in Fault::DESCRIPTIONS {
        let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(fault.name.chars().all(is_name), "{fault:?}");
        assert!(
            !fault.about.is_empty() && !fault.about.ends_with('.'),
            "{fault:?}"
        );
    }
}

/// Checks the formatting of the files of faults. `cargo fmt` only finds files that `mod` lines
/// declare, but a macro declares these files.
#[test]
fn the_files_of_faults_are_formatted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/fault/kinds");
    let files = std::fs::read_dir(&folder).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let files: Vec<_> = files.filter(|path| !path.ends_with("mod.rs")).collect();
    assert_eq!(
        files.len(),
        Fault::KINDS.len(),
        "a file a fault in {}",
        folder.display()
    );
    let status = Command::new("rustfmt")
        .args(["--check", "--edition", "2024"])
        .args(&files)
        .status()
        .expect("rustfmt is part of the toolchain");
    assert!(
        status.success(),
        "format them with `rustfmt sim/src/fault/kinds/*.rs`"
    );
}
