//! Tests of `twotone fit`, which fits resonances to sweeps that were measured earlier.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;
use twotone::hal::ModuleId;
use twotone::record::{ModuleTune, TuneRecord};

use super::process::{SimProcess, run, run_json, write};

/// Returns the resonances of a module.
fn resonances<'a>(report: &'a Value, board: &str) -> &'a Vec<Value> {
    let modules = report["modules"].as_array().unwrap();
    let module = modules.iter().find(|one| one["board"] == board).unwrap();
    module["resonances"].as_array().unwrap()
}

/// Returns the distance of two frequencies in linewidths.
fn linewidths(a_hz: f64, b_hz: f64, qr: f64) -> f64 {
    (a_hz - b_hz).abs() * qr / b_hz
}

/// Checks that sweeps of a network analysis alone give nearly the resonances of a tune.
fn check_wide(report: &Value, board: &str, tune: &ModuleTune) {
    let found = resonances(report, board);
    let tuned = tune
        .channel
        .iter()
        .filter_map(|one| Some((one.fr_hz?, one.qr?)));
    let tuned: Vec<_> = tuned.collect();
    assert!(tuned.len() >= 10, "{tuned:?}");
    for (fr_hz, qr) in tuned {
        let near = found
            .iter()
            .filter(|one| one["status"] == "success" && one["channel"].is_null())
            .map(|one| linewidths(one["fr_hz"].as_f64().unwrap(), fr_hz, qr))
            .fold(f64::INFINITY, f64::min);
        assert!(near < 0.2, "{fr_hz} Hz is {near} linewidths away");
    }
}

#[test]
fn the_sweeps_of_runs_are_fitted_as_the_tune_fitted_them() {
    let mut sim = SimProcess::start(&["--boards", "2", "--detectors", "12", "--seed", "7"]);
    let (map, run_dir, swept) = (sim.map(), sim.text_path("run"), sim.text_path("swept"));
    let (status, report) = run_json(&["tune", &map, "--out", &run_dir]);
    assert_eq!(status, 0, "{report}");
    let (status, report) = run_json(&["sweep", &map, "--out", &swept, "--format", "csv"]);
    assert_eq!(status, 0, "{report}");
    let tune = TuneRecord::read(&run_dir).unwrap();
    // The boards are not needed any more.
    sim.signal(Signal::KILL);
    sim.wait();

    let (status, report) = run_json(&["fit", &run_dir]);
    assert_eq!(status, 0, "{report}");
    for board in ["crs0001", "crs0002"] {
        let tune = tune.module(board, ModuleId::FIRST).unwrap();
        let fitted = resonances(&report, board);
        let mut compared = 0;
        for channel in &tune.channel {
            let (Some(fr_hz), Some(qr), Some(a)) = (channel.fr_hz, channel.qr, channel.a) else {
                continue;
            };
            let number = channel.channel.number();
            let one = fitted.iter().find(|one| one["channel"] == number).unwrap();
            assert_eq!(one["status"], "success", "{one}");
            let away = linewidths(one["fr_hz"].as_f64().unwrap(), fr_hz, qr);
            assert!(away < 1e-3, "channel {number}: {away} linewidths");
            let ratio = one["qr"].as_f64().unwrap() / qr;
            assert!(
                (ratio - 1.0).abs() < 1e-3,
                "channel {number}: Qr by {ratio}"
            );
            let by = one["a"].as_f64().unwrap() - a;
            assert!(by.abs() < 1e-3, "channel {number}: a by {by}");
            compared += 1;
        }
        assert_eq!(compared, 12);
    }
    let module = &report["modules"][0];
    assert_eq!(module["geometry"], "notch");
    // The delay was recorded with the sweeps, and is not estimated again.
    assert_eq!(module["delay_status"], Value::Null);
    let recorded = tune.module("crs0001", ModuleId::FIRST).unwrap().tau_s;
    assert_eq!(module["tau_s"].as_f64(), recorded);

    // A file of the run is fitted like the run, and CSV has no metadata, so the delay is estimated.
    let (status, report) = run_json(&["fit", &format!("{swept}/sweeps/crs0002.csv")]);
    assert_eq!(status, 0, "{report}");
    assert_eq!(report["modules"][0]["delay_status"], "success");
    let of = |board: &str| tune.module(board, ModuleId::FIRST).unwrap();
    let estimated = report["modules"][0]["tau_s"].as_f64().unwrap();
    let measured = of("crs0002").tau_s.unwrap();
    assert!(
        (estimated - measured).abs() < 0.5e-9,
        "{estimated} {measured}"
    );
    check_wide(&report, "crs0002", of("crs0002"));
    let (_, report) = run_json(&["fit", &swept]);
    check_wide(&report, "crs0001", of("crs0001"));

    let (status, table, err) = run(&["fit", &run_dir]);
    assert_eq!(status, 0, "{err}");
    assert!(
        table.contains("crs0001 module 1: notch, delay of the line"),
        "{table}"
    );
    assert!(table.contains("12 of 12 resonances fitted"), "{table}");

    // Notches are not peaks.
    let (status, report) = run_json(&["fit", &run_dir, "--geometry", "peak"]);
    assert_eq!(status, 3, "{report}");
    assert_eq!(report["fitted"], 0, "{report}");
}

#[test]
fn the_geometry_and_the_delay_are_those_of_the_sweeps() {
    let sim = SimProcess::start(&[
        "--boards",
        "1",
        "--detectors",
        "9",
        "--seed",
        "11",
        "--geometry",
        "reflection",
    ]);
    let (map, swept) = (sim.map(), sim.text_path("swept"));
    let (status, report) = run_json(&["sweep", &map, "--out", &swept]);
    assert_eq!(status, 0, "{report}");
    let (_, report) = run_json(&["fit", &swept]);
    let module = &report["modules"][0];
    assert_eq!(module["geometry"], "reflection", "{report}");
    assert_eq!(module["delay_status"], Value::Null);
    assert_eq!(report["fitted"], 9, "{report}");
    // As notches the loops are larger than a notch without any loss.
    let (status, report) = run_json(&["fit", &swept, "--geometry", "notch"]);
    assert_eq!(status, 3);
    let of_notches = report["fitted"].as_u64().unwrap();
    assert!(of_notches < 9, "{report}");
}

#[test]
fn files_that_are_no_sweeps_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let heading = "module,channel,sweep,frequency_hz,nco_hz,i,q,noise\n";
    let files = [
        (
            "a.csv",
            "x,y\n1,2\n".to_owned(),
            "the column `module` is missing",
        ),
        (
            "b.csv",
            format!("{heading}1,,network_analysis,1e9,,x,0,\n"),
            "line 2: `x` is no number",
        ),
        (
            "c.csv",
            format!("{heading}0,,network_analysis,1e9,,1,0,\n"),
            "line 2: `0` is no module",
        ),
        (
            "d.csv",
            format!("{heading}1,,fine,1e9,,1,0,\n"),
            "line 2: `fine` is no kind of sweep",
        ),
        ("e.csv", format!("{heading}1,,fine_up\n"), "line"),
        (
            "f.csv",
            "# Amplitude:,0.01\nFrequency (Hz),Phase (deg)\n".to_owned(),
            "--module",
        ),
        (
            "f_module1_idx0_counts.csv",
            "# Amplitude:,0.01\nFrequency (Hz),Phase (deg)\n".to_owned(),
            "`Amplitude (counts)` or",
        ),
        (
            "g_metadata.csv",
            "Parameter,Value\nx,y\n".to_owned(),
            "and no samples",
        ),
        ("h.arrow", "ARROW1".to_owned(), "h.arrow"),
    ];
    for (name, text, words) in files {
        let path = write(folder, name, &text);
        let (status, out, err) = run(&["fit", &path]);
        assert_eq!((status, out.as_str()), (2, ""), "{name}: {err}");
        assert!(err.contains(words), "{name}: {err}");
    }
    fs::create_dir(folder.join("run")).unwrap();
    let (status, _, err) = run(&["fit", &folder.join("run").display().to_string()]);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("the run has no sweeps"), "{err}");
}
