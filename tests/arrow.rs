//! Tests that Python can open the files of sweeps and of samples.
//!
//! The tests need a Python with pyarrow, pandas and polars. The environment variable
//! `TWOTONE_PYTHON` names it. If it is not set, the tests say so and pass.
#![cfg(feature = "arrow")]

use std::collections::BTreeMap;
use std::process::Command;

use twotone::algorithms::calibration::Calibration;
use twotone::record::{
    RunDirectory, SampleColumns, SampleRows, SampleWriter, SweepHead, SweepKind, SweepTable,
};
use twotone_hal::{ChannelId, Complex64, Hertz, ModuleId, TimeOrigin};

/// Number of rows of the network analysis. They do not fit into one record batch.
const ANALYSIS: usize = 70_000;

/// Script that prints the content of a file of sweeps, as pandas and polars read it.
const READER: &str = r#"
import sys
import pandas, polars, pyarrow

path = sys.argv[1]
with pyarrow.ipc.open_file(path) as file:
    schema = file.schema
    frames = {
        "pandas": file.read_all().to_pandas(),
        "polars": polars.read_ipc(path).to_pandas(),
        "feather": pandas.read_feather(path),
    }
units = {name: (schema.field(name).metadata or {}).get(b"unit", b"").decode() for name in schema.names}
print("units", units)
print("board", schema.metadata[b"board"].decode())
for name, frame in frames.items():
    counts = frame["sweep"].astype(str).value_counts().sort_index().to_dict()
    print(name, len(frame), counts, int(frame["channel"].isna().sum()), int(frame["noise"].isna().sum()))
    last = frame.iloc[-1]
    values = [float(last[key]) for key in ("module", "channel", "frequency_hz", "nco_hz", "i", "q", "noise")]
    print(name, values)
"#;

#[test]
fn pandas_and_polars_open_sweeps() {
    let Some(python) = std::env::var_os("TWOTONE_PYTHON") else {
        eprintln!("left out: TWOTONE_PYTHON names no Python");
        return;
    };
    let parent = tempfile::tempdir().unwrap();
    let run = RunDirectory::prepare(parent.path().join("run")).unwrap();
    run.write("b1.arrow", |writer| sweeps().write_arrow(writer))
        .unwrap();
    let file = run.commit().unwrap().join("b1.arrow");

    let output = Command::new(python)
        .args(["-c", READER])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let mut expected = vec![
        "units {'module': '', 'channel': '', 'sweep': '', 'frequency_hz': 'Hz', \
         'nco_hz': 'Hz', 'i': 'count', 'q': 'count', 'noise': 'count'}"
            .to_owned(),
        "board b1".to_owned(),
    ];
    for name in ["pandas", "polars", "feather"] {
        expected.push(format!(
            "{name} 70002 {{'fine_down': 1, 'fine_up': 1, 'network_analysis': 70000}} 70000 1"
        ));
        expected.push(format!(
            "{name} [4.0, 1024.0, 4150000000.125, 4250000000.0, 1000000.5, -3.0, 0.25]"
        ));
    }
    assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{complaint}");
}

/// Script that prints the samples of a file, which it reads as the project's documents describe.
const SAMPLES_READER: &str = r#"
import sys, json
import pandas, polars, pyarrow

path = sys.argv[1]
with pyarrow.ipc.open_file(path) as file:
    batches = file.num_record_batches
    table = file.read_all()
def channels(name):
    return json.loads(table.schema.field(name).metadata[b"channels"])
def matrix(name):
    return table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, len(channels(name)))
print(batches, channels("i"), matrix("i").tolist(), matrix("q").tolist())
print(channels("df_hz"), json.loads(table.schema.field("df_hz").metadata[b"tone_hz"]), matrix("df_hz").tolist())
for frame in (pandas.read_feather(path), polars.read_ipc(path).to_pandas()):
    print([str(time) for time in frame["time"]], frame["sequence"].tolist(), frame["lost_before"].tolist())
    print([[int(value) for value in row] for row in frame["i"]], frame["overrange"].tolist(), table.schema.metadata[b"board"].decode())
"#;

#[test]
fn pandas_and_polars_open_samples() {
    let Some(python) = std::env::var_os("TWOTONE_PYTHON") else {
        eprintln!("left out: TWOTONE_PYTHON names no Python");
        return;
    };
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("samples.arrow");
    let file = std::fs::File::create(&path).unwrap();
    let provenance = BTreeMap::from([("board".to_owned(), "b1".to_owned())]);
    let mut samples = SampleWriter::new(file, "samples", columns(), &provenance).unwrap();
    for (sequence, lost) in [(u32::MAX, 0), (2, 2)] {
        samples.write(rows(sequence, lost)).unwrap();
    }
    // If some columns are shorter than others, none of the rows is written.
    let short = SampleRows {
        i: vec![1],
        ..rows(3, 0)
    };
    assert!(samples.write(short).is_err());
    samples.finish().unwrap();

    let output = Command::new(python)
        .args(["-c", SAMPLES_READER])
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let frame = [
        "['2026-11-22 12:37:27.123456789', 'NaT', '2026-11-22 12:37:27.123456789', 'NaT'] \
         [4294967295, 0, 2, 3] [0, 0, 2, 0]",
        "[[1, -2], [2147483647, 4], [1, -2], [2147483647, 4]] [False, True, False, True] b1",
    ];
    let expected = [
        "2 [3, 1024] [[1, -2], [2147483647, 4], [1, -2], [2147483647, 4]] \
         [[5, 6], [7, -2147483648], [5, 6], [7, -2147483648]]",
        "[1024] [1200000000.5] [[0.5], [nan], [0.5], [nan]]",
        frame[0],
        frame[1],
        frame[0],
        frame[1],
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{complaint}");
}

fn columns() -> SampleColumns {
    let channels = [3, 1024].map(|number| ChannelId::new(number).unwrap());
    let one = Complex64::new(1.0, 0.0);
    let calibration = Calibration {
        tone_hz: 1_200_000_000.5,
        fr_hz: 1.2e9,
        d: one,
        z0: one,
        line: one,
        coupling: one,
        off: one,
        qr: 2e4,
        a: 0.0,
        rotation_rad: 0.0,
    };
    SampleColumns {
        calibrated: vec![(channels[1], calibration)],
        channels: channels.to_vec(),
        ..SampleColumns::default()
    }
}

/// Makes two rows, the second without a time and with a sample that cannot be calibrated.
fn rows(sequence: u32, lost_before: u64) -> SampleRows {
    SampleRows {
        time_ns: vec![Some(1_795_351_047_123_456_789), None],
        time_source: vec![Some(TimeOrigin::Sequence), None],
        sequence: vec![sequence, sequence.wrapping_add(1)],
        lost_before: vec![lost_before, 0],
        stage: vec![6, 6],
        overrange: vec![false, true],
        overvoltage: vec![false, false],
        i: vec![1, -2, i32::MAX, 4],
        q: vec![5, 6, 7, i32::MIN],
        df_hz: vec![0.5, f32::NAN],
        dqi_inv: vec![1e-7, f32::NAN],
    }
}

fn sweeps() -> SweepTable {
    let provenance = BTreeMap::from([("board".to_owned(), "b1".to_owned())]);
    let mut table = SweepTable::new(provenance);
    let mut head = SweepHead {
        module: ModuleId::new(4).unwrap(),
        channel: None,
        kind: SweepKind::NetworkAnalysis,
        nco: Hertz(4.25e9),
    };
    let frequency_hz: Vec<_> = (0..ANALYSIS).map(|n| 4e9 + n as f64).collect();
    let mean = vec![Complex64::new(1.0, 2.0); ANALYSIS];
    table
        .push_sweep(head, &frequency_hz, &mean, Some(0.5))
        .unwrap();
    head.channel = ChannelId::new(1024).ok();
    for (kind, noise) in [(SweepKind::FineUp, None), (SweepKind::FineDown, Some(0.25))] {
        let mean = [Complex64::new(1_000_000.5, -3.0)];
        let head = SweepHead { kind, ..head };
        table
            .push_sweep(head, &[4_150_000_000.125], &mean, noise)
            .unwrap();
    }
    table
}
