//! Target that reads fault scripts of the simulator.

use twotone_sim::fault::FaultScript;

use super::check::twice;

pub(super) fn run(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match twice(|| FaultScript::parse(&text)) {
        Ok(script) => {
            format!("{script:?}")
        }
        Err(error) => {
            let line = text.split('\n').nth(error.line.wrapping_sub(1));
            let line = line.unwrap_or_else(|| panic!("no line {}: {error}", error.line));
            let columns = line.chars().count() + 1;
            assert!(
                (1..=columns).contains(&error.column),
                "{error}, of {columns} columns"
            );
            let length = error.message.chars().count();
            assert!(
                (1..2000).contains(&length),
                "a message of {length} characters"
            );
            error.message
        }
    }
}
