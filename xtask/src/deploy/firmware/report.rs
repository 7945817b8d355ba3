//! Reports of boards, and their output.

use serde_json::{Value, json};

use super::super::site::Site;
use super::image::{Described, Image};
use super::{Args, Board, shown};

/// Returns the report of a board whose host has not begun.
pub(super) fn not_begun(name: &str, why: &str) -> Value {
    let failure = json!({
        "kind": null, "certainty": "not_executed", "operation": "flash", "message": why,
    });
    json!({
        "name": name, "status": "not_started", "before": null, "release": null,
        "power_loss": "harmless", "writes": 0, "error": failure,
    })
}

/// Returns the report of a board whose host has not reported a result.
pub(super) fn unknown(name: &str, why: &str) -> Value {
    let failure = json!({
        "kind": null, "certainty": "unknown", "operation": "flash", "message": why,
        "advice": "KEEP THE POWER ON, and run the same command again: the host goes on by itself",
    });
    json!({
        "name": name, "status": "failed", "before": null, "release": null,
        "power_loss": "unknown", "writes": null, "error": failure,
    })
}

pub(super) fn is_well(report: &Value) -> bool {
    let status = report["status"].as_str();
    status.is_some_and(|status| ["already_done", "flashed", "verified"].contains(&status))
}

/// Prints the boards. Returns true if all are done, or if this is a dry run.
pub(super) fn print(site: &Site, image: &Image, boards: &[Board], args: &Args) -> bool {
    let ok = args.dry_run
        || boards
            .iter()
            .all(|board| board.report.as_ref().is_some_and(is_well));
    if args.json {
        let boards = boards.iter().map(|board| {
            let mut report = board
                .report
                .clone()
                .unwrap_or_else(|| json!({ "name": board.name, "status": "not_started" }));
            report["host"] = json!(site.hosts[board.host].name);
            report
        });
        let boards: Vec<_> = boards.collect();
        let Described {
            release, sha256, ..
        } = &image.described;
        println!(
            "{}",
            json!({ "ok": ok, "release": release, "sha256": sha256, "boards": boards })
        );
        return ok;
    }
    for board in boards {
        let report = board.report.as_ref();
        let status = report.and_then(|report| report["status"].as_str());
        let status = status.unwrap_or("not_started").replace('_', " ");
        let release = report
            .and_then(|report| report["release"].as_str())
            .unwrap_or("-");
        println!("{}  {status}  {release}", shown(site, board));
        let error = report
            .map(|report| &report["error"])
            .filter(|error| !error.is_null());
        if let Some(error) = error {
            let words = [&error["message"], &error["advice"]];
            let words: Vec<_> = words.iter().filter_map(|it| it.as_str()).collect();
            println!("    {}", words.join("; "));
        }
    }
    ok
}
