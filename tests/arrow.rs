//! Sweep files as Python opens them.
//!
//! The test needs a Python with pyarrow, pandas and polars; the environment variable
//! `TWOTONE_PYTHON` names it. Without it the test says so and passes.
#![cfg(feature = "arrow")]

use std::collections::BTreeMap;
use std::process::Command;

use twotone::record::{RunDirectory, SweepHead, SweepKind, SweepTable};
use twotone_hal::{ChannelId, Complex64, Hertz, ModuleId};

/// Rows of the network analysis: more than one record batch.
const ANALYSIS: usize = 70_000;

/// Prints, for pandas and polars alike, what the file says.
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
    print(name, len(frame), counts, int(frame["channel"].isna().sum()), int(frame["scatter"].isna().sum()))
    last = frame.iloc[-1]
    values = [float(last[key]) for key in ("module", "channel", "detector", "frequency_hz", "nco_hz", "i", "q", "scatter")]
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
    run.write_sweeps("b1", &sweeps()).unwrap();
    let file = run.commit().unwrap().join("sweeps/b1.arrow");

    let output = Command::new(python)
        .args(["-c", READER])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let mut expected = vec![
        "units {'module': '', 'channel': '', 'detector': '', 'sweep': '', 'frequency_hz': 'Hz', \
         'nco_hz': 'Hz', 'i': 'count', 'q': 'count', 'scatter': 'count'}"
            .to_owned(),
        "board b1".to_owned(),
    ];
    for name in ["pandas", "polars", "feather"] {
        expected.push(format!(
            "{name} 70002 {{'fine_down': 1, 'fine_up': 1, 'network_analysis': 70000}} 70000 1"
        ));
        expected.push(format!(
            "{name} [4.0, 1024.0, 7.0, 4150000000.125, 4250000000.0, 1000000.5, -3.0, 0.25]"
        ));
    }
    assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{complaint}");
}

fn sweeps() -> SweepTable {
    let provenance = BTreeMap::from([("board".to_owned(), "b1".to_owned())]);
    let mut table = SweepTable::new(provenance);
    let mut head = SweepHead {
        module: ModuleId::new(4).unwrap(),
        channel: None,
        detector: None,
        kind: SweepKind::NetworkAnalysis,
        nco: Hertz(4.25e9),
    };
    let frequency_hz: Vec<_> = (0..ANALYSIS).map(|n| 4e9 + n as f64).collect();
    let mean = vec![Complex64::new(1.0, 2.0); ANALYSIS];
    table
        .push_sweep(head, &frequency_hz, &mean, &vec![0.5; ANALYSIS])
        .unwrap();
    head.channel = ChannelId::new(1024).ok();
    head.detector = Some(7);
    for (kind, scatter) in [(SweepKind::FineUp, f64::NAN), (SweepKind::FineDown, 0.25)] {
        let mean = [Complex64::new(1_000_000.5, -3.0)];
        let head = SweepHead { kind, ..head };
        table
            .push_sweep(head, &[4_150_000_000.125], &mean, &[scatter])
            .unwrap();
    }
    table
}
