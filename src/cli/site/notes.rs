//! Remarks about every problem in a report that a command with `--json` has printed.
//!
//! `docs/json.md` describes the fields of a report: errors are objects, doubts and warnings are
//! sentences.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use twotone::campaign::{
    BoardSetup, board_warnings_in_words, detectors_in_words, repeats_in_words, taken_over_in_words,
};
use twotone::lock::Holder;
use twotone::record::{DetectorTune, Failure};
use twotone::run::HardwareState;

/// Fields that contain an error, each with a text that is put before the error.
const ERRORS: [(&str, &str); 5] = [
    ("error", ""),
    ("record_error", "the run could not be recorded as asked: "),
    ("lock_error", "it could not be locked: "),
    ("clock_error", "clock: "),
    ("housekeeping_error", "sensors and rails: "),
];

/// Fields of a capture that contain a number, which is 0 if all is well.
const COUNTS: [&str; 11] = [
    "lost",
    "missing",
    "gaps",
    "late",
    "duplicate",
    "restarts",
    "unwritten",
    "overrange",
    "overvoltage",
    "malformed",
    "kernel_drops",
];

/// Returns remarks about everything that is wrong in a report, its boards and their modules.
pub(super) fn notes(report: &Value) -> Vec<String> {
    let mut notes = about(report);
    for file in list(report, "missing_files") {
        let reason = failure(&file["reason"]).map_or_else(String::new, |why| why.to_string());
        notes.push(format!(
            "a file of the run is missing: {}: {reason}",
            text(&file["file"])
        ));
    }
    if let Some(score) = report.get("score").filter(|score| score.is_object()) {
        let number = |key: &str| score[key].as_u64().unwrap_or(0);
        notes.push(format!(
            "score against the truth: {} of {} detectors tuned; {} of {} isolated ones found, {} \
             false, {} reported tuned and not",
            number("tuned"),
            number("detectors"),
            number("found"),
            number("isolated"),
            number("false"),
            number("wrong")
        ));
    }
    for board in list(report, "boards") {
        let name = text(&board["name"]);
        notes.extend(
            of_board(board)
                .into_iter()
                .map(|note| format!("{name}: {note}")),
        );
    }
    notes
}

fn of_board(board: &Value) -> Vec<String> {
    let modules = list(board, "modules");
    let mut notes = about(board);
    let error = &board["error"];
    if modules.iter().any(|module| module["error"] == *error) {
        // The error of the board is also that of one of its modules, and is reported with the
        // module.
        let told = failure(error).map(|error| error.to_string());
        notes.retain(|note| Some(note) != told.as_ref());
    }
    match text(&board["identity"]["state"]).as_str() {
        "another" => notes.push(format!(
            "NOT THE BOARD OF THE MAP: {}",
            text(&board["identity"]["why"])
        )),
        "unknown" => notes.push(format!(
            "it is not known if it is the board of the map: {}",
            text(&board["identity"]["why"])
        )),
        _ => {}
    }
    let readings = list(board, "housekeeping").iter();
    notes.extend(
        readings
            .filter(|one| one["problem"].is_string())
            .map(|one| {
                format!(
                    "not read: {}: {}",
                    text(&one["name"]),
                    text(&one["problem"])
                )
            }),
    );
    let left_alone = list(board, "not_in_map").iter().map(Value::to_string);
    let left_alone: Vec<_> = left_alone.collect();
    if !left_alone.is_empty() {
        let modules = left_alone.join(", ");
        notes.push(format!(
            "modules that the map does not list were left alone: {modules}"
        ));
    }
    for module in modules {
        let number = &module["module"];
        let of_module = about(module).into_iter();
        notes.extend(of_module.map(|note| format!("module {number}: {note}")));
    }
    let failed = list(board, "channels").iter();
    let failed = failed.filter(|one| one["status"] != "tuned");
    notes.extend(counted(
        failed.map(|one| text(&one["reason"])),
        "channels are not tuned",
    ));
    let detectors: Result<Vec<DetectorTune>, _> = parsed(&board["detectors"]);
    notes.extend(detectors.iter().flat_map(|all| detectors_in_words(all)));
    notes
}

/// Returns remarks about `value`, which is a report, or a board or a module in a report. Considers
/// only the fields that all three may have.
fn about(value: &Value) -> Vec<String> {
    let mut notes = Vec::new();
    for (field, meaning) in ERRORS {
        let error = failure(&value[field]);
        notes.extend(error.map(|error| format!("{meaning}{error}")));
    }
    if let Some(another) = value["another"].as_str() {
        notes.push(format!("NOT THE BOARD OF THE MAP: {another}"));
    }
    let setup: Result<Option<BoardSetup>, _> = parsed(&value["setup"]);
    let setup = setup.ok().flatten();
    notes.extend(setup.iter().flat_map(BoardSetup::in_words));
    let holder: Result<Option<Holder>, _> = parsed(&value["taken_over"]);
    notes.extend(holder.ok().flatten().as_ref().map(taken_over_in_words));
    let repeats = value["repeats"].as_u64().unwrap_or(0);
    notes.extend(repeats_in_words(u32::try_from(repeats).unwrap_or(u32::MAX)));
    for field in ["warnings", "doubts"] {
        notes.extend(list(value, field).iter().map(text));
    }
    let lacks = list(value, "lacks").iter().map(text);
    notes.extend(lacks.map(|lack| format!("lacks {lack}")));
    let warned: Vec<_> = list(value, "board_warnings").iter().map(text).collect();
    notes.extend(board_warnings_in_words(&warned));
    let state = hardware(value).filter(|state| !state.is_settled());
    notes.extend(state.map(|state| state.to_string()));
    if let Some(not_toned) = value["not_toned"].as_u64().filter(|count| *count > 0) {
        let reasons = value["not_toned_reasons"].as_object().into_iter().flatten();
        let reasons = reasons.map(|(reason, count)| format!("{count} {}", spaced(reason)));
        let reasons: Vec<_> = reasons.collect();
        let reasons = reasons.join(", ");
        notes.push(format!("{not_toned} found and without a tone: {reasons}"));
    }
    for (field, when) in [("tune", "before"), ("tune_after", "after")] {
        let standing = &value[field];
        if standing["state"].is_string() && standing["state"] != "holds" {
            let why = failure(&standing["error"]).map(|error| error.to_string());
            let why = why.unwrap_or_else(|| text(&standing["why"]));
            let state = text(&standing["state"]);
            notes.push(format!("the tune {when} the capture: {state}: {why}"));
        }
    }
    if let Some(shortfall) = value["buffer_shortfall"].as_str() {
        notes.push(shortfall.to_owned());
    }
    let counts = COUNTS.iter().filter_map(|field| {
        let count = value[field].as_u64().filter(|count| *count > 0)?;
        Some(format!("{count} {}", spaced(field)))
    });
    let counts: Vec<_> = counts.collect();
    if !counts.is_empty() {
        notes.push(format!("of the samples: {}", counts.join(", ")));
    }
    notes
}

/// Returns a sentence with the number of all names, and the number of times that each name occurs.
/// Returns `None` if there are no names.
fn counted(names: impl Iterator<Item = String>, what: &str) -> Option<String> {
    let mut counts = BTreeMap::<_, usize>::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    let all: usize = counts.values().sum();
    let each = counts
        .iter()
        .map(|(name, count)| format!("{count} {}", spaced(name)));
    let each: Vec<_> = each.collect();
    (all > 0).then(|| format!("{all} {what}: {}", each.join(", ")))
}

/// Returns the state in which the hardware of a module was left, if the report contains it.
pub(super) fn hardware(module: &Value) -> Option<HardwareState> {
    parsed(&module["hardware"]).ok()
}

fn failure(value: &Value) -> Option<Failure> {
    parsed::<Option<Failure>>(value).ok()?
}

/// Converts a part of a report from JSON back into its type.
fn parsed<T: DeserializeOwned>(value: &Value) -> Result<T, serde_json::Error> {
    T::deserialize(value)
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns a name with spaces instead of underscores.
fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(report: Value, expected: &[&str]) {
        assert_eq!(notes(&report), expected, "{report}");
    }

    /// A report with one board that has one module.
    fn with(board: Value, module: Value) -> Value {
        let mut board = board;
        board["name"] = json!("b");
        board["modules"] = json!([module]);
        json!({"boards": [board]})
    }

    #[test]
    fn everything_that_is_not_as_it_should_be_is_told_with_its_place() {
        let failure = json!({"kind": "timeout", "certainty": "not_executed", "operation": "read",
                             "message": "late", "advice": "wait"});
        let said = "read: timed out: late; wait";
        check(json!({"error": failure, "boards": []}), &[said]);
        check(
            json!({"record_error": failure, "missing_files": [{"file": "a", "reason": failure}],
                   "kernel_drops": 3, "buffer_shortfall": "too small"}),
            &[
                &format!("the run could not be recorded as asked: {said}"),
                "too small",
                "of the samples: 3 kernel drops",
                &format!("a file of the run is missing: a: {said}"),
            ],
        );
        // The error of a board is often that of a module. It is told only once.
        check(
            with(
                json!({"error": failure}),
                json!({"module": 2, "error": failure}),
            ),
            &[&format!("b: module 2: {said}")],
        );
        check(
            with(
                json!({"error": failure}),
                json!({"module": 2, "error": null}),
            ),
            &[&format!("b: {said}")],
        );
        check(
            with(
                json!({"another": "other serial", "not_in_map": [3, 4], "doubts": ["no rate"],
                       "taken_over": {"command": "x", "process": 7}, "lock_error": failure,
                       "clock_error": failure, "housekeeping_error": failure,
                       "housekeeping": [{"name": "t", "problem": "broken"}, {"name": "u"}]}),
                json!({"module": 1, "repeats": 1, "warnings": ["steep"], "not_toned": 2,
                       "not_toned_reasons": {"no_channel": 2},
                       "tune": {"state": "void", "why": "changed", "error": null},
                       "tune_after": {"state": "holds"}, "lost": 5, "gaps": 0,
                       "hardware": {"state": "left", "left_on": [3], "unknown": [],
                                    "not_restored": [], "reason": failure}}),
            ),
            &[
                &format!("b: it could not be locked: {said}"),
                &format!("b: clock: {said}"),
                &format!("b: sensors and rails: {said}"),
                "b: NOT THE BOARD OF THE MAP: other serial",
                "b: taken over from `x` (process 7)",
                "b: no rate",
                "b: not read: t: broken",
                "b: modules that the map does not list were left alone: 3, 4",
                "b: module 1: one question had to be asked again, as its answer failed",
                "b: module 1: steep",
                &format!("b: module 1: left on: channel 3; {said}"),
                "b: module 1: 2 found and without a tone: 2 no channel",
                "b: module 1: the tune before the capture: void: changed",
                "b: module 1: of the samples: 5 lost",
            ],
        );
        for (state, words) in [
            ("another", "NOT THE BOARD OF THE MAP: why"),
            (
                "unknown",
                "it is not known if it is the board of the map: why",
            ),
        ] {
            let board = json!({"identity": {"state": state, "why": "why"}});
            check(with(board, json!({})), &[&format!("b: {words}")]);
        }
        let board = json!({
            "channels": [{"status": "tuned"}, {"status": "failed", "reason": "no_signal"}],
            "detectors": [
                {"id": "d1", "module": 1, "expected_hz": 1e9, "status": "not_found"},
                {"id": "d2", "module": 1, "expected_hz": 2e9, "status": "tuned"},
            ],
        });
        check(
            with(board, json!({})),
            &[
                "b: 1 channels are not tuned: 1 no signal",
                "b: 1 of 2 detectors of the map are not found: d1",
            ],
        );
    }

    #[test]
    fn what_is_as_it_should_be_is_not_told() {
        let board = json!({"error": null, "identity": {"state": "confirmed", "why": "serial"},
                           "doubts": [], "taken_over": null, "another": null});
        let module = json!({"module": 1, "error": null, "repeats": 0, "not_toned": 0,
                            "hardware": {"state": "as_declared"}});
        check(with(board, module), &[]);
    }
}
