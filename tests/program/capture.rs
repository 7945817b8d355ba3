//! Tests of `twotone capture`, which writes the sample streams of boards to files. The tests check
//! the content of the files, and losses.

/// Calls a method of a simulated board that the program itself never calls.
macro_rules! tell {
    ($board:expr, $method:literal $(, $arg:expr)*) => {{
        let host: twotone::map::Host = $board.address().to_string().parse().unwrap();
        let options = twotone::transport::ConnectOptions::new();
        let client = twotone::transport::TuberClient::new(host, options);
        let called = client.call(|calls| {
            calls.call("Dfmux", $method)$(.arg($arg))*;
        });
        tworoutine::wait(called).unwrap();
    }};
}

mod clocks;
mod doubts;
mod endings;
mod fast;
mod stages;
mod stopped;

use std::f64::consts::TAU;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type, TimestampNanosecondType, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::FileReader;
use rustix::process::Signal;
use serde_json::Value;
use twotone::sim::fault::{Fault, PacketLoss, PacketReorder};
use twotone::sim::{Conditions, Farm, Modulation, TruthDetector};

use super::process::{error_of, rest, run_json, signal_to, twotone, write};

/// Rate of the samples at the default decimation, in Hz.
const RATE_HZ: f64 = 625e6 / 256.0 / 64.0 / 64.0;
/// Start of the year 2026, in seconds since 1970. The clocks of simulated boards begin with this
/// time.
const YEAR_2026_S: i64 = 1_767_225_600;

/// Modulation of all simulated resonances.
const MODULATION: Modulation = Modulation {
    amplitude_lw: 0.01,
    frequency_hz: 1.0,
    phase_rad: 0.7,
};

pub(crate) fn batches(run: &Path, file: &str) -> Vec<RecordBatch> {
    let file = File::open(run.join(file)).expect("the file is there");
    let reader = FileReader::try_new(file, None).expect("an Arrow file");
    reader.map(|batch| batch.expect("a whole batch")).collect()
}

/// Times of the rows of a file, in seconds by the clocks of the boards.
fn times(batches: &[RecordBatch]) -> Vec<f64> {
    let mut times = Vec::new();
    for batch in batches {
        let column = batch["time"].as_primitive::<TimestampNanosecondType>();
        assert_eq!(column.null_count(), 0);
        let of_year = |ns: &i64| (ns - YEAR_2026_S * 1_000_000_000) as f64 * 1e-9;
        times.extend(column.values().iter().map(of_year));
    }
    times
}

/// Values of one channel, which is at the index `at` of the lists in a column.
fn channel(batches: &[RecordBatch], column: &str, at: usize) -> Vec<f64> {
    let mut values = Vec::new();
    for batch in batches {
        let list = batch[column].as_fixed_size_list();
        let length = list.value_length() as usize;
        assert_eq!(list.values().null_count(), 0);
        let all: Vec<f64> = match column {
            "df_hz" => list
                .values()
                .as_primitive::<Float32Type>()
                .values()
                .iter()
                .map(|v| f64::from(*v))
                .collect(),
            _ => list
                .values()
                .as_primitive::<Int32Type>()
                .values()
                .iter()
                .map(|v| f64::from(*v))
                .collect(),
        };
        values.extend(all.iter().skip(at).step_by(length));
    }
    values
}

/// Numbers that the metadata of a column has under the key `key`.
fn noted(batches: &[RecordBatch], column: &str, key: &str) -> Vec<f64> {
    let schema = batches[0].schema();
    let field = schema.field_with_name(column).expect("the column");
    serde_json::from_str(&field.metadata()[key]).expect("a list of numbers")
}

/// Asserts that the sequence numbers, losses and time stamps of the rows agree, so that rows are in
/// order and none is invented. Returns the number of rows.
fn check_rows(batches: &[RecordBatch]) -> usize {
    check_rows_at(RATE_HZ, 1e-3, batches)
}

/// As [`check_rows`], of samples at `rate_hz` with times that are right to within the fraction
/// `within` of a period.
fn check_rows_at(rate_hz: f64, within: f64, batches: &[RecordBatch]) -> usize {
    let (mut sequence, mut lost) = (Vec::<u32>::new(), Vec::<u64>::new());
    for batch in batches {
        sequence.extend(batch["sequence"].as_primitive::<UInt32Type>().values());
        lost.extend(batch["lost_before"].as_primitive::<UInt64Type>().values());
    }
    let times = times(batches);
    for row in 1..times.len() {
        let step = f64::from(sequence[row].wrapping_sub(sequence[row - 1]));
        assert_eq!(step, 1.0 + lost[row] as f64, "row {row}");
        let apart = (times[row] - times[row - 1]) * rate_hz;
        assert!(
            (apart - step).abs() < within,
            "row {row}: {apart} for {step}"
        );
    }
    times.len()
}

/// Fits a sine of 1 Hz, `amplitude * sin(2 pi t + phase)`, to values by least squares. The values
/// may also drift. Returns amplitude and phase.
fn sine(times: &[f64], values: &[f64]) -> (f64, f64) {
    const TERMS: usize = 4;
    let middle = times[times.len() / 2];
    let mut normal = [[0.0; TERMS + 1]; TERMS];
    for (t, value) in times.iter().zip(values) {
        let (sin, cos) = (TAU * t.fract()).sin_cos();
        let terms = [sin, cos, 1.0, t - middle];
        for (row, term) in normal.iter_mut().zip(terms) {
            row.iter_mut()
                .zip(terms)
                .for_each(|(sum, other)| *sum += term * other);
            row[TERMS] += term * value;
        }
    }
    for pivot in 0..TERMS {
        for row in 0..TERMS {
            if row != pivot {
                let factor = normal[row][pivot] / normal[pivot][pivot];
                let from = normal[pivot];
                normal[row]
                    .iter_mut()
                    .zip(from)
                    .for_each(|(value, by)| *value -= factor * by);
            }
        }
    }
    let solved = |term: usize| normal[term][TERMS] / normal[term][term];
    let (sin, cos) = (solved(0), solved(1));
    (sin.hypot(cos), cos.atan2(sin))
}

fn nearest(detectors: &[TruthDetector], f_hz: f64) -> &TruthDetector {
    let distance = |detector: &&TruthDetector| (detector.fr_hz - f_hz).abs();
    let nearest = detectors
        .iter()
        .min_by(|a, b| distance(a).total_cmp(&distance(b)));
    nearest.expect("a detector")
}

struct Lab {
    farm: Farm,
    folder: tempfile::TempDir,
    map: String,
}

impl Lab {
    fn new(detectors: usize, seed: u64) -> Self {
        let farm = Farm::builder().boards(2).detectors(detectors).seed(seed);
        Self::of(farm.start_blocking().expect("a farm"))
    }

    fn of(farm: Farm) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let map = write(folder.path(), "map.toml", &farm.map_toml());
        Self { farm, folder, map }
    }

    /// Starts a farm (a group of simulated boards) and tunes it (sets its tones on the resonances).
    /// Returns the farm, and the path of the run directory (the folder of results) of `tune`.
    fn tuned(detectors: usize, seed: u64) -> (Self, String) {
        let lab = Self::new(detectors, seed);
        let tune = lab.text_path("tune");
        let (status, report) = run_json(&["tune", &lab.map, "--out", &tune]);
        assert_eq!(status, 0, "{report}");
        (lab, tune)
    }

    /// Runs `capture` with `--json`. Returns the exit status and the report.
    fn capture(&self, seconds: &str, more: &[&str]) -> (i32, Value) {
        let args = ["capture", &self.map, "--seconds", seconds];
        run_json(&[&args[..], more].concat())
    }

    fn text_path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

#[test]
fn a_modulation_is_captured_in_hertz_with_its_sign_and_at_its_time() {
    let (lab, tune) = Lab::tuned(16, 41);
    for board in lab.farm.boards() {
        let conditions = Conditions {
            modulation: Some(MODULATION),
            ..Conditions::default()
        };
        board.set_conditions(1, conditions);
    }
    let out = lab.text_path("samples");
    let args = [
        "capture",
        &lab.map,
        "--seconds",
        "5",
        "--out",
        &out,
        "--tune",
        &tune,
    ];
    let (status, report) = run_json(&args);
    // If the machine is too busy to simulate the boards in time, samples are lost, and the report
    // says so.
    assert!(
        status == 0 || (status == 3 && report["lost"] != 0),
        "{report}"
    );

    let truth = lab.farm.truth();
    let mut late = Vec::new();
    for (board, known) in truth.boards.iter().enumerate() {
        let module = &report["boards"][board]["modules"][0];
        assert_eq!(module["calibrated"], 16, "{module}");
        assert_eq!(module["tune_after"]["state"], "holds", "{module}");
        let batches = batches(Path::new(&out), module["file"].as_str().unwrap());
        let rows = check_rows(&batches);
        assert_eq!(module["received"], rows, "{module}");
        assert!(rows as f64 > 2.5 * RATE_HZ, "{rows} rows");
        let times = times(&batches);
        for (at, tone_hz) in noted(&batches, "df_hz", "tone_hz").into_iter().enumerate() {
            let detector = nearest(&known.modules[0].detectors, tone_hz);
            let (amplitude, phase) = sine(&times, &channel(&batches, "df_hz", at));
            let ratio = amplitude / (MODULATION.amplitude_lw * detector.linewidth_hz);
            // A wrong sign of the calibrated samples would shift the phase by half a period.
            let samples = (phase - MODULATION.phase_rad) / TAU * RATE_HZ;
            let id = (board, at, detector.id);
            assert!(
                (ratio - 1.0).abs() < 0.03,
                "{id:?}: amplitude {ratio} of what it is"
            );
            assert!(samples.abs() < 1.0, "{id:?}: {samples} samples off");
            late.push(samples);
        }
    }
    assert_eq!(late.len(), 32);
    let mean = late.iter().sum::<f64>() / late.len() as f64;
    println!("stamps are {mean:.3} samples off in the mean");
    assert!(mean.abs() < 0.25, "{mean} samples off in the mean");
}

#[test]
fn lost_samples_are_counted_in_the_report_and_in_the_rows() {
    let lab = Lab::new(2, 43);
    let board = &lab.farm.boards()[0];
    board.inject(Fault::from(PacketLoss {
        rate: 0.05,
        seed: 3,
    }));
    let out = lab.text_path("samples");
    let args = [
        "capture",
        &lab.map,
        "--seconds",
        "2",
        "--out",
        &out,
        "--channels",
        "8",
    ];
    let (status, report) = run_json(&args);
    assert_eq!(status, 3, "{report}");
    let module = &report["boards"][0]["modules"][0];
    assert!(module["lost"].as_u64().unwrap() > 10, "{module}");
    assert_eq!(module["channels"], 8);
    let found = batches(Path::new(&out), module["file"].as_str().unwrap());
    let rows = check_rows(&found);
    assert_eq!(module["received"], rows);
    let lost: u64 = found
        .iter()
        .flat_map(|batch| batch["lost_before"].as_primitive::<UInt64Type>().values())
        .sum();
    assert_eq!(module["lost"], lost);
    // The last counters in the file are those of the report.
    let counted = batches(Path::new(&out), "counters/crs0001.arrow");
    let last = counted.last().unwrap();
    for key in ["expected", "received", "lost", "gaps"] {
        let column = last[key].as_primitive::<UInt64Type>();
        assert_eq!(module[key], column.value(column.len() - 1), "{key}");
    }
}

#[test]
fn an_interrupt_ends_a_capture_and_leaves_it_whole() {
    let lab = Lab::new(2, 44);
    let board = &lab.farm.boards()[1];
    board.inject(Fault::from(PacketReorder {
        rate: 0.1,
        depth: 3,
        seed: 1,
    }));
    let out = lab.text_path("samples");
    let args = [
        "capture",
        &lab.map,
        "--seconds",
        "600",
        "--out",
        &out,
        "--json",
    ];
    let mut capture = twotone(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while lab
        .farm
        .boards()
        .iter()
        .any(|board| board.stream_counters("readout")[0].made < 300)
    {
        assert!(capture.try_wait().unwrap().is_none(), "it ended by itself");
        std::process::Command::new("sleep")
            .arg("0.05")
            .status()
            .unwrap();
    }
    assert!(!Path::new(&out).exists());
    signal_to(&capture, Signal::INT);
    let status = capture.wait().unwrap().code();
    let (said, err) = (rest(capture.stdout.take()), rest(capture.stderr.take()));
    assert_eq!(status, Some(130), "{said}\n{err}");
    assert!(err.contains("ended early"), "{err}");
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    for board in 0..2 {
        let module = &report["boards"][board]["modules"][0];
        assert_eq!(module["channels"], 1024);
        let batches = batches(Path::new(&out), module["file"].as_str().unwrap());
        assert_eq!(module["received"], check_rows(&batches));
    }
}

#[test]
fn nothing_that_can_be_listened_to_is_told_as_such() {
    let lab = Lab::new(2, 45);
    let map = std::fs::read_to_string(&lab.map).unwrap();
    drop(lab.farm);
    let out = lab.folder.path().join("samples").display().to_string();
    let silent = write(lab.folder.path(), "silent.toml", &map);
    let unnamed = map.replacen("serial = ", "# serial = ", 1);
    let unnamed = write(lab.folder.path(), "unnamed.toml", &unnamed);
    for (map, words) in [
        (silent, "nothing came from it"),
        (unnamed, "no serial number"),
    ] {
        let (status, report) = run_json(&["capture", &map, "--seconds", "1", "--out", &out]);
        assert_eq!(status, 4, "{report}");
        let error = error_of(&report["boards"][0]);
        assert!(error.contains(words), "{error}");
        assert!(!Path::new(&out).exists());
    }
}
