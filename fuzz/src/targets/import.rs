//! Target that imports hardware maps of the Python client rfmux.

use twotone::map::{HardwareMap, import_rfmux};

use super::check::{map_error, twice};

pub(super) fn run(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let imported = match twice(|| import_rfmux(&text, "any.yaml")) {
        Ok(imported) => imported,
        Err(error) => return map_error(&error, &text),
    };
    let map = HardwareMap::parse(&imported.toml, "imported").expect("an imported map is one");
    for line in imported.doubts.iter().chain(&imported.left_out) {
        let length = line.chars().count();
        assert!((1..2000).contains(&length), "a line of {length} characters");
    }
    format!(
        "imported {} {} {}",
        "b".repeat(map.boards().len().min(6)),
        imported.left_out.join(" "),
        imported.doubts.join(" ")
    )
}
