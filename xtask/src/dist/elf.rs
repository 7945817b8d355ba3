//! Reader of ELF files that finds the needs of a program: the shared libraries and the glibc that a
//! computer must have to run it.

use std::collections::BTreeSet;
use std::fmt;

/// Types of sections in the ELF format. The dynamic section lists the libraries, and the other one
/// the versions that the program needs of them.
const DYNAMIC: u32 = 6;
const VERSIONS_NEEDED: u32 = 0x6fff_fffe;

/// Tag of the entries of the dynamic section that name a library.
const NEEDED: u64 = 1;

/// Beginning of the names of glibc's versions.
const GLIBC: &str = "GLIBC_";

/// Needs of a program, from the tables in its file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Number of the processor in the ELF format: 62 for x86-64, 183 for arm64.
    pub(crate) machine: u16,
    /// Highest version of glibc that any symbol in the program requires. `None` if the program is
    /// linked statically.
    pub(crate) glibc: Option<Version>,
    /// Names of the shared libraries, sorted.
    pub(crate) libraries: BTreeSet<String>,
}

/// Version of glibc, such as 2.35.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// Reads a version such as `2.35`. Of `2.2.5`, only the first two numbers are kept. Returns
    /// `None` if the text is not a version.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(str::parse);
        Some(Self {
            major: numbers.next()?.ok()?,
            minor: numbers.next()?.ok()?,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A section of the file. `linked` is the index of the section with the strings that this one
/// refers to.
struct Section<'b> {
    kind: u32,
    bytes: &'b [u8],
    linked: usize,
    entries: u32,
}

impl Needs {
    /// Reads the tables of a 64-bit little-endian program. Returns `None` if the bytes are another
    /// kind of file, or are truncated.
    pub(crate) fn read(program: &[u8]) -> Option<Self> {
        let is_known = program.starts_with(b"\x7fELF\x02\x01");
        let machine = u16::from_le_bytes(is_known.then(|| array(program, 18))??);
        let sections = sections(program)?;
        let mut needs = Self {
            machine,
            glibc: None,
            libraries: BTreeSet::new(),
        };
        for section in &sections {
            let texts = || Some(sections.get(section.linked)?.bytes);
            match section.kind {
                DYNAMIC => needs.libraries.extend(libraries(section.bytes, texts()?)?),
                VERSIONS_NEEDED => {
                    let names = versions(section, texts()?)?;
                    let glibc = names.iter().filter_map(|name| name.strip_prefix(GLIBC));
                    needs.glibc = needs.glibc.max(glibc.filter_map(Version::read).max());
                }
                _ => {}
            }
        }
        Some(needs)
    }
}

/// Returns the sections of the file, from the table that the header points to.
fn sections(program: &[u8]) -> Option<Vec<Section<'_>>> {
    let table = place(program, 0x28)?;
    let size = usize::from(u16::from_le_bytes(array(program, 0x3a)?));
    let number = usize::from(u16::from_le_bytes(array(program, 0x3c)?));
    (0..number)
        .map(|index| {
            let header = program.get(table.checked_add(index * size)?..)?;
            let kind = word(header, 4)?;
            // A section of type 8 (NOBITS) has no bytes in the file.
            let length = if kind == 8 { 0 } else { place(header, 0x20)? };
            let start = place(header, 0x18)?;
            Some(Section {
                kind,
                bytes: program.get(start..start.checked_add(length)?)?,
                linked: usize::try_from(word(header, 0x28)?).ok()?,
                entries: word(header, 0x2c)?,
            })
        })
        .collect()
}

/// Returns the libraries that a dynamic section names.
fn libraries(dynamic: &[u8], texts: &[u8]) -> Option<Vec<String>> {
    let entries = dynamic.chunks_exact(16);
    let needed = entries.filter(|entry| array(entry, 0).map(u64::from_le_bytes) == Some(NEEDED));
    needed.map(|entry| text(texts, place(entry, 8)?)).collect()
}

/// Returns the versions of all its libraries that the symbols of a program require.
fn versions(section: &Section<'_>, texts: &[u8]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut library = section.bytes;
    for _ in 0..section.entries {
        let number = u16::from_le_bytes(array(library, 2)?);
        let mut version = library.get(usize::try_from(word(library, 8)?).ok()?..)?;
        for _ in 0..number {
            names.push(text(texts, usize::try_from(word(version, 8)?).ok()?)?);
            version = version.get(usize::try_from(word(version, 12)?).ok()?..)?;
        }
        library = library.get(usize::try_from(word(library, 12)?).ok()?..)?;
    }
    Some(names)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn place(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(array(bytes, at)?)).ok()
}

/// Returns the string that begins at `at` and ends before the next zero byte.
fn text(texts: &[u8], at: usize) -> Option<String> {
    let text = texts.get(at..)?.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn this_program() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let read = |text| Version::read(text).unwrap();
        assert!(read("2.4") < read("2.28") && read("2.28") < read("2.35"));
        assert!(read("2.99") < read("3.0"));
        assert_eq!(read("2.2.5").to_string(), "2.2");
        for no_version in ["", "2", "2.", "2.x", "PRIVATE"] {
            assert_eq!(Version::read(no_version), None, "{no_version}");
        }
    }

    /// Compares the result with the output of `readelf`, which is installed wherever programs are
    /// linked.
    #[test]
    fn a_program_says_what_it_needs() {
        let needs = Needs::read(&this_program()).unwrap();
        let output = Command::new("readelf")
            .args(["--dynamic", "--version-info", "--wide"])
            .arg(std::env::current_exe().unwrap())
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let after = |line: &str, before: &str, end: char| {
            let (_, rest) = line.split_once(before)?;
            Some(rest.split(end).next()?.to_owned())
        };
        let libraries: BTreeSet<_> = told
            .lines()
            .filter_map(|line| after(line, "Shared library: [", ']'))
            .collect();
        assert_eq!(needs.libraries, libraries);
        let glibc = told
            .lines()
            .filter_map(|line| Version::read(&after(line, "Name: GLIBC_", ' ')?))
            .max();
        assert!(glibc.is_some(), "{told}");
        assert_eq!(needs.glibc, glibc);
    }

    #[test]
    fn a_file_that_is_not_a_complete_program_has_no_needs() {
        let program = this_program();
        assert_eq!(Needs::read(b"#!/bin/sh\n"), None);
        assert_eq!(Needs::read(&[]), None);
        for length in [4, 6, 18, 64, 1000, program.len() / 2, program.len() - 64] {
            assert_eq!(Needs::read(&program[..length]), None, "{length} bytes");
        }
    }
}
