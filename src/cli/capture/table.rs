//! Table of a capture: a line for each module of each board, with remarks below it, and the totals.

use twotone::campaign::{CaptureReport, CapturedBoard};
use twotone::hal::legible;

use crate::cli::table::Table;

/// Returns the table of a report.
pub(super) fn table(report: &CaptureReport) -> String {
    let mut table = Table::new([
        "board",
        "module",
        "channels",
        "calibrated",
        "due",
        "received",
        "lost",
        "missing",
        "gaps",
        "late",
        "duplicate",
        "unwritten",
    ]);
    for board in &report.boards {
        for module in &board.modules {
            let row = &module.counters;
            let due = module.due.map_or_else(String::new, |due| due.to_string());
            let head = [module.channels, module.calibrated].map(|count| count.to_string());
            let numbers = [
                row.received,
                row.lost,
                module.missing,
                row.gaps,
                row.late,
                row.duplicate,
                row.unwritten,
            ];
            let place = [board.name.clone(), row.module.to_string()];
            let numbers = numbers.map(|number| number.to_string());
            let cells = place.into_iter().chain(head).chain([due]).chain(numbers);
            table.row(cells);
            for doubt in CapturedBoard::doubts(module) {
                table.note(doubt);
            }
        }
        if board.modules.is_empty() {
            table.row([board.name.clone()]);
        }
        if let Some(error) = &board.error {
            table.note(error.to_string());
        }
        board.remarks().for_each(|remark| table.note(remark));
    }
    let mut text = table.to_string();
    text += &match (report.received, report.lost) {
        (0, _) => "nothing came\n".to_owned(),
        (_, 0) => format!("no sample lost in {:.1} s\n", report.elapsed_s),
        (_, lost) => format!(
            "{lost} samples lost, missing or not written in {:.1} s\n",
            report.elapsed_s
        ),
    };
    for remark in report.kernel_remarks() {
        text += &format!("{remark}\n");
    }
    if let Some(path) = &report.run_directory {
        text += &format!("run directory: {}", legible(path));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_and_a_buffer_that_is_too_small_are_in_the_table() {
        let report = CaptureReport {
            received: 1,
            kernel_drops: 7,
            buffer_shortfall: Some("the kernel grants 1 of 2 bytes".to_owned()),
            ..CaptureReport::default()
        };
        let table = table(&report);
        for words in [
            "7 datagrams were dropped by the kernel",
            "the kernel grants 1 of 2 bytes",
        ] {
            assert!(table.contains(&format!("\n{words}\n")), "{table}");
        }
    }
}
