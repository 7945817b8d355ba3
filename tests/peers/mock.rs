//! Tests of the program and of its stream receiver with a board that the Python client rfmux
//! simulates.
//!
//! A *tune* sets a tone on the resonance of each detector. The hardware map is the file that lists
//! the boards.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use twotone::hal::{ChannelId, Complex64, ModuleId, ReceiveOptions};
use twotone::transport::readout::{Receiver, Source, Take};
use twotone::transport::wire::tuber::{ParamKind, Value as TuberValue};
use twotone::transport::{ConnectOptions, TuberClient};
use twotone::tworoutine::Wait;

use crate::program::Program;
use crate::python::{Peer, Script, python};

const RESONATORS: usize = 8;
/// Serial number of the simulated board.
const SERIAL: u16 = 0;
const STREAMED: usize = 3000;

/// Hardware map with a low power of the tones. At this power the nonlinearity parameter `a` of the
/// resonators is about 0.001. The simulated noise hides so small a value from a fit, so a linear
/// fit describes the resonances too.
const MAP: &str = r#"
[[board]]
name = "mock"
kind = "crs"
address = "ADDRESS"
serial = "0000"

[[board.module]]
number = 1
f_min = 1.0e9
f_max = 1.1e9
max_tone_dbm = -70.0
max_total_dbm = -40.0
start_power_dbm = -80.0
"#;

/// Parameters with 5 kHz between the points of the network analysis. The resonances are 70 kHz
/// wide.
const PARAMS: &str = "[network_analysis]\npoints = 20000\nqr_max = 1e5\n";

#[test]
fn the_program_tunes_the_simulated_board_of_rfmux_as_rfmux_fits_it() {
    let Some(python) = python() else { return };
    let mock = Script::new(&python, "rfmux_mock.py")
        .args(["--resonators", &RESONATORS.to_string()])
        .start();
    describes_itself_by_names(&mock);

    let map = MAP.replace("ADDRESS", mock.said["address"].as_str().unwrap());
    let program = Program::with(&map);
    let (run, params) = (program.path("run"), program.path("params.toml"));
    std::fs::write(&params, PARAMS).unwrap();
    let more = ["--params", &params, "--deadline", "200", "--out", &run];
    let said = program.report("tune", &more);
    let channels = said["boards"][0]["channels"].as_array().unwrap();
    let good = channels.iter().filter(|one| one["status"] == "tuned");
    assert_eq!(good.count(), RESONATORS, "{said:#}");

    agrees_with_rfmux(&python, run.as_ref());
    is_captured_without_loss(&mock, &program);
    streams_without_loss(&mock, run.as_ref());
}

/// Captures the stream of the board to disk. The samples are calibrated in Hz with the results of
/// `tune`, which must be valid before and after the capture.
fn is_captured_without_loss(mock: &Peer, program: &Program) {
    let port = mock.said["stream_port"].to_string();
    let (run, samples) = (program.path("run"), program.path("samples"));
    let more = ["--seconds", "3", "--tune", &run, "--out", &samples];
    let whence = ["--port", &port, "--interface", "127.0.0.1"];
    let said = program.report("capture", &[&more[..], &whence].concat());
    let module = &said["boards"][0]["modules"][0];
    assert!(module["received"].as_u64() > Some(1000), "{said}");
    for none in ["lost", "gaps", "late", "duplicate", "foreign", "malformed"] {
        assert_eq!(module[none], 0, "{said}");
    }
    assert_eq!(said["kernel_drops"], 0, "{said}");
    assert_eq!(module["calibrated"], RESONATORS, "{said}");
    assert_eq!(module["tune_after"]["state"], "holds", "{said}");
}

/// Compares the fits of this project with the fits of rfmux to the same points.
fn agrees_with_rfmux(python: &str, run: &Path) {
    let sweeps = run.join("sweeps/mock.arrow");
    let theirs = Script::new(python, "rfmux_fit.py").args([&sweeps]).run();
    let ours = tune(run);
    assert_eq!(ours.len(), RESONATORS);
    for channel in &ours {
        let number = channel["channel"].as_integer().unwrap();
        let value = |name: &str| channel[name].as_float().unwrap();
        let (fr, qr) = (value("fr_hz"), value("qr"));
        let theirs = &theirs[number.to_string()];
        assert_eq!(theirs["points"], 41, "{theirs}");
        assert!(value("a") < 0.05, "channel {number}: a is {}", value("a"));
        for fit in ["skewed", "nonlinear"] {
            let value = |name: &str| theirs[fit][name].as_f64().unwrap_or(f64::NAN);
            let offset_lw = (fr - value("fr_hz")) / (fr / qr);
            let ratio = qr / value("qr");
            println!("channel {number}, {fit}: {offset_lw:+.5} linewidths, Qr x {ratio:.5}");
            assert!(offset_lw.abs() <= 0.1, "channel {number}: {offset_lw} lw");
            assert!((ratio - 1.0).abs() <= 0.1, "channel {number}: Qr x {ratio}");
        }
    }
}

/// Checks that no sample of the stream is missing, and that the stream has the tones that the tune
/// left on.
fn streams_without_loss(mock: &Peer, run: &Path) {
    let source = Source::new(Ipv4Addr::LOCALHOST, SERIAL);
    let port = mock.said["stream_port"].as_u64().unwrap();
    let options = ReceiveOptions::new()
        .port(port.try_into().unwrap())
        .interface(Ipv4Addr::LOCALHOST);
    let mut receiver = Receiver::open(&[source], &options).unwrap();
    let take = Take::new(STREAMED)
        .of(source, ModuleId::FIRST)
        .channels(ChannelId::FIRST, Some(RESONATORS as u16));
    let within = Duration::from_secs(60);
    let blocks = receiver.take(&take, within).wait().unwrap();
    let counters = receiver.counters();
    assert_eq!(blocks[0].samples(), STREAMED);
    assert_eq!(blocks[0].interruptions, 0, "{counters:?}");
    let board = counters.board(source).unwrap();
    let module = board.module(ModuleId::FIRST);
    assert!(module.received >= STREAMED as u64, "{counters:?}");
    assert_eq!((module.lost, module.late, module.duplicate), (0, 0, 0));
    assert_eq!((board.foreign, board.malformed), (0, 0), "{counters:?}");
    assert_eq!(counters.kernel_drops, 0, "{counters:?}");
    // Each time stamp is one sample period after the one before.
    let rate = 625e6 / 256.0 / 64.0 / 64.0;
    let times: Vec<_> = blocks[0].times.iter().map(|time| time.unwrap()).collect();
    let steps = times
        .windows(2)
        .map(|two| two[1].since(two[0]).as_secs_f64() * rate);
    let off = steps.map(|step| (step - 1.0).abs()).fold(0.0, f64::max);
    assert!(off < 0.01, "{off} samples between stamps");

    let means = blocks[0].means();
    for channel in tune(run) {
        let number = channel["channel"].as_integer().unwrap();
        let calibration = &channel["calibration"];
        let point = |name: &str| {
            let pair = calibration[name].as_array().unwrap();
            let part = |index: usize| pair[index].as_float().unwrap();
            Complex64::new(part(0), part(1))
        };
        // Drift of the samples by the simulated noise, as a fraction of the transmission off
        // resonance.
        let index = usize::try_from(number - 1).unwrap();
        let drift = (means[index] - point("z0")).norm() / point("line").norm();
        println!("channel {number}: {drift:.4} of the line off resonance");
        assert!(drift < 0.05, "channel {number} has drifted by {drift}");
    }
}

/// Entries of the tuned channels of a run.
fn tune(run: &Path) -> Vec<toml::Table> {
    let text = std::fs::read_to_string(run.join("tune.toml")).unwrap();
    let tune: toml::Table = text.parse().unwrap();
    let channels = tune["tune"][0]["channel"].as_array().unwrap();
    let tables = channels.iter().map(|one| one.as_table().unwrap().clone());
    tables.collect()
}

/// Checks the description of the simulated board. It only has names of objects, and the client asks
/// for the description of each object.
fn describes_itself_by_names(mock: &Peer) {
    let host = mock.said["address"].as_str().unwrap().parse().unwrap();
    let client = TuberClient::new(host, ConnectOptions::new());
    let found = client.describe("Dfmux").wait().unwrap();
    assert!(found.names_only);
    let set = found.method("set_frequency").unwrap();
    let names: Vec<_> = set.params.iter().flatten().map(|p| &p.name[..]).collect();
    assert_eq!(names, ["frequency", "channel", "module"]);
    let first = &set.params.as_ref().unwrap()[0];
    assert_eq!((first.kind, &first.default), (ParamKind::Either, &None));
    let units = found.property("UNITS").unwrap();
    assert_eq!(units.get("HZ"), Some(&TuberValue::Str("hz".to_owned())));
}
