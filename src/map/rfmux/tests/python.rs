//! Tests of scalars that Python reads as another value than the written one.

use super::*;

#[test]
fn serial_numbers_that_python_reads_as_others_are_told() {
    for (written, read) in [
        ("0x2B", "43"),
        ("0b11", "3"),
        ("-010", "-8"),
        ("1_000", "1000"),
        ("12:30", "750"),
        ("1:00:05", "3605"),
        ("4.0e+1", "40.0"),
        ("4.50", "4.5"),
        ("1:30.5", "90.5"),
        ("yes", "True"),
        ("2026-01-31", "a date"),
    ] {
        let said = format!("Python reads {written} without quotes as {read}");
        let yaml = format!("!HardwareMap\n- !CRS {{ serial: {written}, hostname: b1 }}\n");
        let doubts = imported(&yaml).doubts.join("\n");
        assert!(
            doubts.starts_with("lab.yaml:2:18: ") && doubts.contains(&said),
            "{doubts}"
        );
        // Without a host, those that are no labels are refused: the reason is there too.
        let yaml = format!("!HardwareMap\n- !CRS {{ serial: {written} }}\n");
        let all = match import_rfmux(&yaml, "lab.yaml", no_file) {
            Ok(imported) => imported.doubts.join("\n"),
            Err(error) => error.to_string(),
        };
        assert!(all.contains(&said), "{written}: {all}");
        // In quotes, nothing is read otherwise.
        let yaml = format!("!HardwareMap\n- !CRS {{ serial: '{written}', hostname: b1 }}\n");
        let doubts = imported(&yaml).doubts.concat();
        assert!(!doubts.contains("Python reads"), "{doubts}");
    }
    for same in [
        "42", "-7", "SN7", "a-1", "09", "1-2", "7f", "4e1", "12:70", "4.0e1",
    ] {
        let yaml = format!("!HardwareMap [ !CRS {{ serial: {same}, hostname: b1 }} ]");
        let doubts = imported(&yaml).doubts.concat();
        assert!(!doubts.contains("Python reads"), "{doubts}");
    }
    check_refused(
        "!HardwareMap\n- !CRS { serial: 1_000 }\n",
        &[
            "lab.yaml:2:18: `serial` must have 1 to 32 characters: letters, digits and `-`. Python reads 1_000 without quotes as 1000",
        ],
    );
}
