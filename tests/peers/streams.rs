//! Test that the unmodified Python client reads the sample streams of simulated boards.

use twotone::sim::{Conditions, Farm, Modulation};

use crate::python::{Script, python};

const MODULATION_HZ: f64 = 40.0;

#[test]
fn rfmux_reads_samples_spectra_and_pfb_samples() {
    let Some(python) = python() else { return };
    let farm = Farm::builder()
        .boards(2)
        .detectors(4)
        .seed(3)
        .start_blocking()
        .unwrap();
    let boards = farm.boards();
    // A detector without a near neighbour, on the first board.
    let truth = boards[0].truth();
    let detectors = &truth.modules[0].detectors;
    let lonely = |fr: f64| {
        detectors
            .iter()
            .all(|d| d.fr_hz == fr || (d.fr_hz - fr).abs() > 1e6)
    };
    let detector = detectors.iter().find(|d| lonely(d.fr_hz)).unwrap();
    boards[0].set_conditions(
        1,
        Conditions {
            modulation: Some(Modulation {
                amplitude_lw: 0.05,
                frequency_hz: MODULATION_HZ,
                phase_rad: 0.0,
            }),
            ..Conditions::default()
        },
    );

    let serials_and_addresses = boards
        .iter()
        .map(|board| format!("{}={}", board.serial(), board.address()));
    let report = Script::new(&python, "rfmux_streams.py")
        .args(serials_and_addresses)
        .args(["--detector", &detector.fr_hz.to_string()])
        .args(["--modulation", &MODULATION_HZ.to_string()])
        .run();
    println!("{report:#}");
    assert_eq!(report["failures"].as_array().unwrap().len(), 0);
    for board in boards {
        let read = &report["measured"][format!("packets of {}", board.serial())];
        assert_eq!(read, 200, "{report:#}");
        // The packets that the script has read are from this board. The script has checked that the
        // samples are complete.
        let sent = board.stream_counters("readout")[0];
        assert!(sent.made > 600 && sent.foreign == 0, "{sent:?}");
    }
    let pfb = boards[0].stream_counters("pfb")[0];
    assert!(pfb.made > 100, "{pfb:?}");
    assert_eq!(boards[1].stream_counters("pfb")[0].made, 0);
}

#[test]
fn a_capture_of_a_fast_stream_has_the_samples_and_spectra_of_rfmux() {
    let Some(python) = python() else { return };
    let farm = Farm::builder().detectors(0).seed(4).start_blocking();
    let farm = farm.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map.toml");
    std::fs::write(&map, farm.map_toml()).unwrap();
    let board = &farm.boards()[0];
    let report = Script::new(&python, "rfmux_fast.py")
        .args([format!("{}={}", board.serial(), board.address())])
        .args(["--twotone", env!("CARGO_BIN_EXE_twotone")])
        .args(["--map".as_ref(), map.as_os_str()])
        .args(["--out".as_ref(), folder.path().as_os_str()])
        .run();
    println!("{report:#}");
    assert_eq!(report["failures"].as_array().unwrap().len(), 0);
    let measured = report["measured"].as_object().unwrap();
    let read = measured
        .iter()
        .filter(|(name, _)| name.ends_with("samples of rfmux"));
    let read: Vec<_> = read.map(|(_, samples)| samples.as_u64().unwrap()).collect();
    assert_eq!(read.len(), 3);
    assert!(read.iter().all(|samples| *samples > 100_000), "{read:?}");
}
