//! Target that imports hardware maps of the Python client rfmux.

use std::io;
use std::path::Path;

use twotone::map::{HardwareMap, import_rfmux};

use super::check::{map_errors, twice};

/// Line before the name of a further file of the map, which ends with the line. The text of the
/// file follows.
const FILE: &str = "\n==> ";

pub(super) fn run(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split(FILE);
    let map = parts.next().unwrap_or_default();
    let files: Vec<_> = parts.filter_map(|part| part.split_once('\n')).collect();
    let text_of = |path: &Path| {
        let file = files.iter().find(|(name, _)| Path::new(name) == path);
        file.map(|(_, text)| *text)
    };
    let read = |path: &Path| {
        let text = text_of(path).map(str::to_owned);
        text.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    let imported = match twice(|| import_rfmux(map, "any.yaml", read)) {
        Ok(imported) => imported,
        Err(error) => {
            return map_errors(&error, |file| match file {
                None => Some(map),
                Some(file) => text_of(Path::new(file)),
            });
        }
    };
    let map = HardwareMap::parse(&imported.toml, "imported").expect("an imported map is one");
    for line in imported.doubts.iter().chain(&imported.left_out) {
        let length = line.chars().count();
        assert!((1..2000).contains(&length), "a line of {length} characters");
    }
    format!(
        "imported {} {} {} {}",
        "b".repeat(map.boards().len().min(6)),
        "d".repeat(map.detectors().len().min(6)),
        imported.left_out.join(" "),
        imported.doubts.join(" ")
    )
}
