//! Table of a tune: a line for each module of each board, with remarks below it, and the totals.

use std::collections::BTreeMap;

use twotone::algorithms::ChannelStatus;
use twotone::campaign::{
    BoardSetup, TuneReport, TunedBoard, board_warnings_in_words, repeats_in_words,
    taken_over_in_words,
};
use twotone::hal::legible;
use twotone::identity::Identity;
use twotone::score::Score;

use crate::cli::job::off_command;
use crate::cli::table::{Table, median, shown};

/// Returns the table of a report. `map` is the file of the map. It is `None` if this program
/// simulates the boards: these end with the program.
pub(super) fn table(report: &TuneReport, score: Option<&Score>, map: Option<&str>) -> String {
    let mut table = Table::new([
        "board",
        "module",
        "status",
        "candidates",
        "toned",
        "tuned",
        "failed",
        "delay/ns",
        "median Qr",
        "median Qi",
        "time/s",
    ]);
    let mut totals = [0; 4];
    for board in &report.boards {
        if board.modules.is_empty() {
            table.row([&board.name, "", &spaced(board.status.as_str())]);
        }
        for (index, module) in board.modules.iter().enumerate() {
            let name = if index == 0 { &board.name } else { "" };
            let channels = || board.channels.iter().filter(|c| c.module == module.module);
            let tuned = || channels().filter(|c| board.is_tuned(c));
            let toned = channels().filter(|c| c.amplitude != 0.0 && board.holds(c));
            let toned = toned.count();
            let (all, good) = (channels().count(), tuned().count());
            let counts = [module.candidates, toned, good, all - good];
            totals
                .iter_mut()
                .zip(counts)
                .for_each(|(total, count)| *total += count);
            let mut cells = vec![name.to_owned(), module.module.to_string()];
            cells.push(spaced(module.status(all == good).as_str()));
            cells.extend(counts.map(|count| count.to_string()));
            cells.push(shown(module.tau_s.map(|tau_s| tau_s * 1e9), 1));
            cells.push(shown(median(tuned().filter_map(|c| c.qr)), 0));
            cells.push(shown(median(tuned().filter_map(|c| c.qi)), 0));
            cells.push(shown(Some(module.elapsed_s), 1));
            table.row(cells);
        }
        sentences(board)
            .into_iter()
            .for_each(|text| table.note(text));
    }
    let mut cells = vec!["all".to_owned(), String::new(), String::new()];
    cells.extend(totals.map(|count| count.to_string()));
    cells.extend([String::new(), String::new(), String::new()]);
    cells.push(shown(Some(report.elapsed_s), 1));
    table.row(cells);
    let mut text = table.to_string();
    if let Some(score) = score {
        text.push_str(&format!(
            "\nscore against the truth: {} of {} detectors tuned; {} of {} isolated ones found, \
             {} false, {} reported tuned and not\n(the truth has detectors as drawn, at low \
             power: if their loss depends on power, as in the profiles lab and harsh, tunes \
             that are right at the power of their tones count as wrong)\n",
            score.tuned,
            score.detectors,
            score.found,
            score.isolated,
            score.false_found,
            score.wrong
        ));
    }
    if let Some(map) = map
        && report.boards.iter().any(TunedBoard::has_left_tones_on)
    {
        text.push_str(&format!(
            "tones are left on where tuned; {} switches them off\n",
            off_command(map)
        ));
    }
    if let Some(directory) = &report.record.run_directory {
        text.push_str(&format!("run directory: {}\n", legible(directory)));
    }
    text.truncate(text.trim_end().len());
    text
}

/// Returns the remarks about a board that an operator must read in addition to the counts.
fn sentences(board: &TunedBoard) -> Vec<String> {
    let mut sentences = Vec::new();
    if board.modules.is_empty() {
        sentences.extend(board.error.as_ref().map(ToString::to_string));
    }
    sentences.extend(board.doubts.clone());
    sentences.extend(board.identity.as_ref().and_then(Identity::doubt));
    sentences.extend(board.setup.iter().flat_map(BoardSetup::in_words));
    sentences.extend(board.taken_over.as_ref().map(taken_over_in_words));
    for module in &board.modules {
        sentences.extend(module.error.as_ref().map(ToString::to_string));
        let number = module.module;
        sentences.extend(
            repeats_in_words(module.repeats).map(|text| format!("module {number}: {text}")),
        );
        sentences.extend(
            module
                .warnings
                .iter()
                .map(|text| format!("module {number}: {text}")),
        );
        sentences.extend(
            board_warnings_in_words(&module.board_warnings)
                .map(|text| format!("module {number}: {text}")),
        );
        if !module.hardware.is_settled() {
            sentences.push(format!("module {number}: {}", module.hardware));
        }
        if module.not_toned > 0 {
            let why = listed(&module.not_toned_reasons);
            let found = module.not_toned;
            sentences.push(format!(
                "module {number}: {found} found and without a tone: {why}"
            ));
        }
    }
    sentences.extend(board.detectors_in_words());
    let failed = board
        .channels
        .iter()
        .filter(|channel| channel.status != ChannelStatus::Tuned);
    let reasons = count(failed.map(|channel| channel.reason.as_str()));
    if !reasons.is_empty() {
        sentences.push(listed(&reasons));
    }
    sentences
}

/// Returns the number of times that each name occurs.
fn count<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_insert(0) += 1);
    counts
}

/// Returns counts as a readable list: `2 collided, 1 no channel`.
fn listed(counts: &BTreeMap<&str, usize>) -> String {
    let each = counts.iter();
    let each = each.map(|(name, count)| format!("{count} {}", spaced(name)));
    each.collect::<Vec<_>>().join(", ")
}

/// Returns a name with spaces instead of underscores.
fn spaced(name: &str) -> String {
    name.replace('_', " ")
}
