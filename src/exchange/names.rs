//! Names of fields in the files of other programs.

use std::fmt::Write as _;

/// Names that a field of a dirfile cannot have, as the format gives them another meaning.
const RESERVED: [&str; 2] = ["INDEX", "FILEFRAM"];

/// Returns the name under which a dirfile has the detector `id`. Letters, digits, `_` and `-` of
/// ASCII stay. Every other byte of the id is written as `%` and two hexadecimal digits, as in the
/// address of a page: different ids have different names, and the id follows from the name. If the
/// name would be one that dirfiles reserve, or empty, or that of a folder of a board, its first
/// character is written in this way too.
///
/// ```
/// use twotone::exchange::field_name;
///
/// assert_eq!(field_name("w1-0003"), "w1-0003");
/// assert_eq!(field_name("w1/d 3"), "w1%2Fd%203");
/// assert_eq!(field_name("INDEX"), "%49NDEX");
/// ```
pub fn field_name(id: &str) -> String {
    let is_taken = RESERVED.contains(&id) || id.starts_with("serial_") || id.starts_with("board_");
    let mut name = String::new();
    for (at, byte) in id.bytes().enumerate() {
        let is_plain = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if is_plain && !(is_taken && at == 0) {
            name.push(char::from(byte));
        } else {
            // Writing to a string never fails.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.is_empty() {
        name.push('%');
    }
    name
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn different_ids_have_different_names() {
        let ids = [
            "",
            "%",
            "%25",
            "a",
            "a.b",
            "a/b",
            "a b",
            "a%2Eb",
            "INDEX",
            "%49NDEX",
            "serial_0042",
            "ü",
            "u",
            "board_x",
            "a&b",
            "a|b",
            "m01_c0001",
        ];
        let names: BTreeSet<_> = ids.iter().map(|id| field_name(id)).collect();
        assert_eq!(names.len(), ids.len());
        for name in names {
            assert!(!name.contains(['&', '/', ';', '<', '>', '|', '.', ' ', '#', '"', '\\']));
            assert!(!name.starts_with("serial_") && !RESERVED.contains(&&*name));
        }
    }
}
