//! Reports of boards, and their output.

use serde_json::{Value, json};

use super::super::site::Site;
use super::image::{Described, Image};
use super::{Args, Board, shown};

/// Boards of a site, and what their hosts told.
#[derive(Default)]
pub(super) struct Told {
    pub(super) boards: Vec<Board>,
    /// Reasons that something could not be recorded, each with its host.
    pub(super) not_recorded: Vec<String>,
}

/// Returns the report of a board whose firmware was not changed. `found` are the facts about it.
pub(super) fn untouched(found: &Value, status: &str, error: Value) -> Value {
    let release = &found["release"];
    json!({
        "name": found["name"], "status": status, "before": release, "release": release,
        "power_loss": found["power_loss"], "writes": 0, "error": error,
    })
}

/// Returns the report of a board that was not begun.
pub(super) fn not_begun(found: &Value, why: &str) -> Value {
    let failure = json!({
        "kind": null, "certainty": "not_executed", "operation": "flash", "message": why,
    });
    untouched(found, "not_started", failure)
}

/// Returns the report of a board whose host has not reported a result.
pub(super) fn unknown(found: &Value, why: &str) -> Value {
    let failure = json!({
        "kind": null, "certainty": "unknown", "operation": "flash", "message": why,
        "advice": "KEEP THE POWER ON, and run the same command again: the host goes on by itself",
    });
    json!({
        "name": found["name"], "status": "failed", "before": found["release"], "release": null,
        "power_loss": "unknown", "writes": null, "error": failure,
    })
}

pub(super) fn is_well(report: &Value) -> bool {
    let status = report["status"].as_str();
    status.is_some_and(|status| ["already_done", "flashed", "verified"].contains(&status))
}

/// Prints the boards. Returns true if all are done and recorded, or if this is a dry run.
pub(super) fn print(site: &Site, image: &Image, told: &Told, args: &Args) -> bool {
    let why = match args.dry_run {
        true => "this is a dry run",
        false => "another board failed before",
    };
    let reports = told.boards.iter().map(|board| {
        let report = board.report.clone();
        let mut report = report.unwrap_or_else(|| not_begun(&board.found, why));
        report["host"] = json!(site.hosts[board.host].name);
        report
    });
    let reports: Vec<_> = reports.collect();
    let ok = args.dry_run || (told.not_recorded.is_empty() && reports.iter().all(is_well));
    if args.json {
        let Described {
            release, sha256, ..
        } = &image.described;
        println!(
            "{}",
            json!({
                "ok": ok, "release": release, "sha256": sha256, "boards": reports,
                "not_recorded": told.not_recorded,
            })
        );
        return ok;
    }
    for (board, report) in told.boards.iter().zip(&reports) {
        let status = report["status"].as_str().unwrap_or("not_started");
        let release = report["release"].as_str().unwrap_or("-");
        let status = status.replace('_', " ");
        println!("{}  {status}  {release}", shown(site, board));
        let error = &report["error"];
        let words = [&error["message"], &error["advice"]];
        let words: Vec<_> = words.iter().filter_map(|it| it.as_str()).collect();
        if !words.is_empty() {
            println!("    {}", words.join("; "));
        }
    }
    for why in &told.not_recorded {
        println!("{why}");
    }
    ok
}
