//! Table of a command at all control hosts of a site: a row for each host with remarks below it,
//! and a last row with the totals.

use serde_json::Value;
use twotone::hal::ChannelId;
use twotone::run::HardwareState;

use super::notes;
use super::outcome::HostOutcome;
use crate::cli::table::{Table, WIDEST, shown};

/// A column of numbers.
struct Column {
    heading: &'static str,
    /// Returns the number from a report, or `None` if the report does not contain it.
    of: fn(&Value) -> Option<f64>,
    decimals: usize,
    total: Total,
}

/// Way to compute the number in the last row.
enum Total {
    Sum,
    Largest,
}

const fn sum(heading: &'static str, of: fn(&Value) -> Option<f64>) -> Column {
    Column {
        heading,
        of,
        decimals: 0,
        total: Total::Sum,
    }
}

const fn seconds(heading: &'static str, of: fn(&Value) -> Option<f64>) -> Column {
    Column {
        heading,
        of,
        decimals: 1,
        total: Total::Largest,
    }
}

/// Returns the columns for the kind of the reports (of tunes, of sweeps, of captures and so on). A
/// report has a field that no other kind has, in itself or in its boards, modules or channels.
fn columns(reports: &[&Value]) -> Vec<Column> {
    let boards = sum("boards", |report| count(report, &["boards"], |_| true));
    let modules = sum("modules", |report| count(report, &MODULES, |_| true));
    let time = seconds("time/s", |report| report["elapsed_s"].as_f64());
    let has = |path: &[&str], key: &str| {
        reports.iter().any(|report| {
            let has = |one: &&Value| one.get(key).is_some();
            all(report, path).iter().any(has)
        })
    };
    if has(&[], "dry_run") {
        vec![
            boards,
            modules,
            sum("requests", |report| report["total"]["requests"].as_f64()),
            sum("samples", |report| report["total"]["samples"].as_f64()),
            seconds("estimated/s", |report| report["estimated_s"].as_f64()),
        ]
    } else if has(&[], "received") {
        vec![
            boards,
            sum("received", |report| report["received"].as_f64()),
            sum("lost", |report| report["lost"].as_f64()),
            time,
        ]
    } else if has(&["boards"], "off") {
        let off = |report: &Value| count(report, &MODULES, |one| one["off"] == true);
        vec![boards, modules, sum("off", off)]
    } else if has(&["boards"], "channels") {
        vec![
            boards,
            sum("candidates", |report| total(report, "candidates")),
            sum("toned", |report| {
                Some(channels(report, |one| one["amplitude"] != 0.0))
            }),
            sum("tuned", |report| {
                Some(channels(report, |one| one["status"] == "tuned"))
            }),
            sum("failed", |report| {
                let all = count(report, &["boards", "channels"], |_| true)?;
                Some(all - channels(report, |one| one["status"] == "tuned"))
            }),
            time,
        ]
    } else if has(&MODULES, "points") {
        vec![
            boards,
            sum("points", |report| total(report, "points")),
            time,
        ]
    } else {
        let answered =
            |report: &Value| count(report, &["boards"], |board| board["kind"].is_string());
        vec![boards, sum("answered", answered)]
    }
}

/// Path of the modules in a report.
const MODULES: [&str; 2] = ["boards", "modules"];

/// Returns all values at the end of a path of field names. If a field is an array, the path goes on
/// in each of its elements.
fn all<'a>(value: &'a Value, path: &[&str]) -> Vec<&'a Value> {
    let Some((first, rest)) = path.split_first() else {
        return vec![value];
    };
    match &value[first] {
        Value::Array(list) => list.iter().flat_map(|one| all(one, rest)).collect(),
        Value::Null => Vec::new(),
        one => all(one, rest),
    }
}

/// Returns the number of values at the end of a path for which `is_so` is true. Returns `None` if
/// the report has no boards.
fn count(report: &Value, path: &[&str], is_so: fn(&Value) -> bool) -> Option<f64> {
    report.get("boards")?;
    Some(all(report, path).iter().filter(|one| is_so(one)).count() as f64)
}

/// Returns the sum of a field over all modules.
fn total(report: &Value, key: &str) -> Option<f64> {
    let modules = all(report, &MODULES);
    Some(modules.iter().filter_map(|one| one[key].as_f64()).sum())
}

/// Returns the number of channels in the report of a tune for which `is_so` is true. Channels whose
/// settings are not as the tune has left them are not counted.
fn channels(report: &Value, is_so: fn(&Value) -> bool) -> f64 {
    let boards = all(report, &["boards"]).into_iter();
    let of_board = |board: &Value| {
        let states = all(board, &["modules"]).into_iter();
        let states: Vec<(Value, HardwareState)> = states
            .filter_map(|one| Some((one["module"].clone(), notes::hardware(one)?)))
            .collect();
        let holds = |channel: &Value| {
            let number = channel["channel"].as_u64();
            let number = number.and_then(|number| u16::try_from(number).ok());
            let id = number.and_then(|number| ChannelId::new(number).ok());
            let mut states = states.iter();
            id.is_some_and(|id| {
                states.all(|(module, state)| {
                    let lists = [state.left_on(), state.unknown(), state.not_restored()];
                    *module != channel["module"] || !lists.iter().any(|list| list.contains(id))
                })
            })
        };
        let channels = all(board, &["channels"]).into_iter();
        channels.filter(|one| is_so(one) && holds(one)).count() as f64
    };
    boards.map(of_board).sum()
}

/// Returns the table of the outcomes at all hosts.
pub(super) fn table(outcomes: &[HostOutcome]) -> Table {
    let reports = outcomes
        .iter()
        .filter_map(|outcome| outcome.report.as_ref());
    let reports: Vec<_> = reports.collect();
    let columns = match reports.is_empty() {
        true => Vec::new(),
        false => columns(&reports),
    };
    let head = ["host", "job", "status"].into_iter();
    let heading = head.chain(columns.iter().map(|column| column.heading));
    let has_directory = reports
        .iter()
        .any(|report| report["run_directory"].is_string());
    let last = has_directory.then_some("run directory");
    let mut table = Table::new(heading.chain(last));
    for outcome in outcomes {
        let job = outcome.job.map_or_else(String::new, |job| job.to_string());
        let head = [outcome.host.clone(), job, outcome.state().to_owned()];
        let report = outcome.report.as_ref();
        let numbers = columns.iter().map(|column| {
            let number = report.and_then(column.of);
            shown(number, column.decimals)
        });
        let directory = report.and_then(|report| report["run_directory"].as_str());
        let directory = directory.map(|path| format!("{}:{path}", outcome.host));
        // The table cuts a cell that is too long, so a long path becomes a remark, which is not
        // cut.
        let (cell, sentence) = match directory {
            Some(path) if path.chars().count() > WIDEST => {
                (String::new(), Some(format!("run directory: {path}")))
            }
            directory => (directory.unwrap_or_default(), None),
        };
        table.row(head.into_iter().chain(numbers).chain([cell]));
        let notes = report.map(notes::notes).unwrap_or_default();
        let sentences = outcome.sentences().into_iter().chain(sentence).chain(notes);
        sentences.for_each(|text| table.note(text));
    }
    if reports.len() > 1 {
        let (some, all) = (
            reports.len(),
            outcomes.iter().filter(|one| !one.left_out).count(),
        );
        let name = match some == all {
            true => "all".to_owned(),
            false => format!("{some} of {all}"),
        };
        let head = [name, String::new(), String::new()];
        let totals = columns.iter().map(|column| {
            // If one report lacks the number, the total is not known.
            let numbers = reports.iter().map(|report| (column.of)(report));
            let numbers: Option<Vec<f64>> = numbers.collect();
            let total = numbers.map(|numbers| match column.total {
                Total::Sum => numbers.iter().sum(),
                Total::Largest => numbers.into_iter().fold(0.0, f64::max),
            });
            shown(total, column.decimals)
        });
        table.row(head.into_iter().chain(totals));
    }
    table
}

/// True if a report says that tones were left on in some module.
pub(super) fn has_tones_on(outcomes: &[HostOutcome]) -> bool {
    let reports = outcomes
        .iter()
        .filter_map(|outcome| outcome.report.as_ref());
    let mut modules = reports.flat_map(|report| all(report, &MODULES));
    modules.any(|module| module["hardware"]["state"] == "kept")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::serve::Site;

    fn outcome(name: &str, report: Option<Value>) -> HostOutcome {
        let mut site = Site::of("unix:/a".parse().unwrap());
        site.hosts[0].name = name.to_owned();
        let mut outcome = HostOutcome::of(&site.hosts[0]);
        outcome.job = Some(7);
        outcome.ended(
            0,
            &report.map_or_else(String::new, |report| report.to_string()),
        );
        outcome
    }

    fn tune(left_on: Value) -> Value {
        let channel = |number: u16, status: &str, amplitude: f64| {
            json!({"module": 1, "channel": number, "status": status, "reason": "edge",
                   "amplitude": amplitude})
        };
        let hardware = match left_on.is_null() {
            true => json!({"state": "kept"}),
            false => json!({"state": "left", "left_on": left_on, "unknown": [],
                            "not_restored": [], "reason": {"message": "gone"}}),
        };
        json!({
            "elapsed_s": 2.0, "run_directory": "/runs/a", "boards": [{
                "name": "b", "error": null, "detectors": [],
                "modules": [{"module": 1, "candidates": 4, "hardware": hardware}],
                "channels": [channel(1, "tuned", 0.1), channel(2, "tuned", 0.1),
                             channel(3, "failed", 0.0)],
            }],
        })
    }

    #[test]
    fn channels_that_are_not_as_their_tune_left_them_count_as_failed() {
        let outcomes = [
            outcome("north", Some(tune(Value::Null))),
            outcome("south", Some(tune(json!([2])))),
            outcome("east", None),
        ];
        let table = table(&outcomes).to_string();
        let rows: Vec<_> = table
            .lines()
            .filter(|row| !row.starts_with("   "))
            .collect();
        let cells = |row: &str| row.split_whitespace().skip(3).map(str::to_owned).collect();
        let cells: Vec<Vec<_>> = rows[1..].iter().map(|row| cells(row)).collect();
        assert_eq!(
            cells[0],
            ["1", "4", "2", "2", "1", "2.0", "north:/runs/a"],
            "{table}"
        );
        assert_eq!(
            cells[1],
            ["1", "4", "1", "1", "2", "2.0", "south:/runs/a"],
            "{table}"
        );
        assert!(rows[4].starts_with("2 of 3"), "{table}");
        assert!(
            table.contains("b: 1 channels are not tuned: 1 edge"),
            "{table}"
        );
        assert!(has_tones_on(&outcomes[..1]) && !has_tones_on(&outcomes[1..]));
    }

    #[test]
    fn a_total_with_an_unknown_part_is_not_shown() {
        let run = |estimated_s: Value| {
            json!({"dry_run": true, "total": {"requests": 3, "samples": 5},
                   "estimated_s": estimated_s, "boards": []})
        };
        let known = outcome("a", Some(run(json!(1.5))));
        let unknown = outcome("b", Some(run(Value::Null)));
        let last = |outcomes: &[HostOutcome]| {
            let table = table(outcomes).to_string();
            let last = table.lines().last().unwrap().split_whitespace();
            last.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(
            last(&[known.clone(), known.clone()]),
            ["all", "0", "0", "6", "10", "1.5"]
        );
        assert_eq!(last(&[known, unknown]), ["all", "0", "0", "6", "10"]);
    }

    #[test]
    fn a_place_that_is_too_long_for_a_cell_is_a_sentence() {
        let long = format!("/runs/{}", "x".repeat(WIDEST));
        let report = json!({"received": 1, "run_directory": long, "boards": []});
        let table = table(&[outcome("a", Some(report))]).to_string();
        assert!(
            table.contains(&format!("run directory: a:{long}")),
            "{table}"
        );
    }
}
