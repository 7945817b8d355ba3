//! Dry runs of `twotone tune` and `twotone sweep`: the requests that would be sent.

use twotone::campaign::{BoardSetup, Campaign, DryRunOf, DryRunReport};
use twotone::run::Traffic;

use super::Exit;
use super::exit::complain_of_refusal;
use super::output::{say, say_json};
use super::table::{Table, shown};

/// Executes a dry run, and prints its report.
pub(crate) fn dry_run(campaign: &Campaign, of: DryRunOf, json: bool) -> Exit {
    let report = match campaign.dry_run(of).wait() {
        Ok(report) => report,
        Err(error) => return complain_of_refusal(&error),
    };
    if json {
        say_json(&report);
    } else {
        say(&table(&report));
    }
    report.completion().into()
}

/// Returns the table of a report: a line for each module, with remarks below it, and the totals.
fn table(report: &DryRunReport) -> String {
    let mut table = Table::new([
        "board",
        "module",
        "resonances",
        "requests",
        "tones set",
        "NCO set",
        "samples",
        "samples/s",
        "time/s",
    ]);
    let counts = |traffic: &Traffic| {
        [
            traffic.requests.to_string(),
            traffic.tones_set.to_string(),
            traffic.ncos_set.to_string(),
            traffic.samples.to_string(),
            shown(traffic.acquiring_s, 1),
        ]
    };
    for board in &report.boards {
        if board.modules.is_empty() {
            table.row([&board.name]);
        }
        let error = board.error.iter();
        error.for_each(|error| table.note(error.to_string()));
        for module in &board.modules {
            let mut cells = vec![board.name.clone(), module.module.to_string()];
            cells.push(module.resonances.to_string());
            cells.extend(counts(&module.traffic));
            cells.push(shown(module.estimated_s, 1));
            table.row(cells);
            let error = module.error.iter();
            error.for_each(|error| table.note(error.to_string()));
        }
        let setup = board.setup.iter();
        let setup = setup.flat_map(BoardSetup::in_words);
        setup.for_each(|text| table.note(text));
        board.doubts.iter().for_each(|doubt| table.note(doubt));
    }
    let mut cells = vec!["all".to_owned(), String::new(), String::new()];
    cells.extend(counts(&report.total));
    cells.push(shown(report.estimated_s, 1));
    table.row(cells);
    let mut text = table.to_string();
    text.push_str(
        "dry run: nothing was set on any board. The time is that of the samples, and of a round trip \
         for each request; the time in which a board sets tones is not in it",
    );
    let modules = || report.boards.iter().flat_map(|board| &board.modules);
    if modules().any(|module| module.resonances == 0) {
        text.push_str(
            "\nmodules without detectors in the map: the steps of a tune for each resonance are not \
             counted",
        );
    }
    text
}
