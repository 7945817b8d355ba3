//! Spellings of serial numbers.

/// Returns the common form of all spellings of a serial number. Leading zeros of a number make no
/// difference. The case of letters makes no difference either, because serial numbers are parts of
/// host names.
pub fn same_serial(serial: &str) -> String {
    if serial.bytes().all(|b| b.is_ascii_digit()) {
        let number = serial.trim_start_matches('0');
        return if number.is_empty() { "0" } else { number }.to_owned();
    }
    serial.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_and_case_make_no_difference() {
        for (one, other, same) in [
            ("0042", "42", true),
            ("000", "0", true),
            ("AB-1", "ab-1", true),
            ("42", "420", false),
            ("0a", "a", false),
            ("00000000000000000000000000042", "42", true),
        ] {
            assert_eq!(
                same_serial(one) == same_serial(other),
                same,
                "{one} {other}"
            );
        }
    }
}
