//! Tests of the forms of bias dictionaries.

use serde_json::json;
use twotone_algorithms::{ChannelStatus, Reason};
use twotone_hal::{ChannelId, Complex64, ModuleId};

use super::{BiasFile, Pair, Place, TONE_GRID_HZ};
use crate::campaign::CampaignParams;
use crate::map::HardwareMap;

fn place() -> Option<Place> {
    Some(Place {
        board: "b1".to_owned(),
        module: ModuleId::new(3).unwrap(),
        nco_hz: Some(1.2e9),
    })
}

fn map() -> HardwareMap {
    let text = "[[board]]\nkind = \"crs\"\nname = \"b1\"\naddress = \"127.0.0.2:8\"\n[[board.module]]\nnumber = 3\n\
                [[detector]]\nid = \"east\"\nboard = \"b1\"\nmodule = 3\nf_hz = 1.1e9\n";
    HardwareMap::parse(text, "map.toml").unwrap()
}

#[test]
fn what_python_writes_for_numbers_that_json_lacks_is_unknown() {
    let text = r#"{"2": {"bias_frequency": 1.1e9, "sweep_amplitude": 0.001,
        "nonlinear_fit_residual": Infinity, "nonlinear_fit_params": {"fr": NaN},
        "why": "NaN \" -Infinity", "detector": "a NaN",
        "frequencies": [1.0e9, NaN, 1.2e9], "iq_complex": [[1, 2], [3, 4], null]}}"#;
    let biases = BiasFile::parse(text, place()).unwrap();
    let module = &biases.boards["b1"].modules[&ModuleId::new(3).unwrap()];
    let bias = &module.detectors[&ChannelId::new(2).unwrap()];
    assert_eq!(bias.detector.as_deref(), Some("a NaN"));
    assert_eq!(bias.frequencies, [Some(1e9), None, Some(1.2e9)]);
    // One point is left of the sweep, so the fit fails and says so.
    let mut doubts = Vec::new();
    let tunes = biases.tunes(&map(), &CampaignParams::default(), &mut doubts);
    assert!(doubts.is_empty(), "{doubts:?}");
    assert_eq!(tunes[0].sweeps[0].z.len(), 1);
    let channel = &tunes[0].tune.channel[0];
    assert_eq!(channel.status, ChannelStatus::Failed);
}

#[test]
fn sweeps_that_contradict_themselves_are_told() {
    let sweep = json!({"bias_channel": 4, "bias_frequency": 1.1e9, "sweep_amplitude": 0.001,
                       "frequencies": [1.1e9], "iq_complex": [[1, 2]]});
    let mut short = sweep.clone();
    short["iq_complex"] = json!([]);
    short["bias_channel"] = json!(5);
    let text = json!({"1": sweep, "2": sweep, "3": short}).to_string();
    let biases = BiasFile::parse(&text, place()).unwrap();
    let mut doubts = Vec::new();
    let tunes = biases.tunes(&map(), &CampaignParams::default(), &mut doubts);
    assert_eq!(doubts.len(), 2, "{doubts:?}");
    assert!(
        doubts[0].contains("channel 4 has two detectors"),
        "{doubts:?}"
    );
    assert!(
        doubts[1].contains("1 frequencies and 0 samples"),
        "{doubts:?}"
    );
    assert_eq!(tunes[0].tune.channel.len(), 2);
    // The map names the detector at this frequency.
    let [detector] = tunes[0].tune.detector.as_slice() else {
        panic!("{:?}", tunes[0].tune.detector);
    };
    assert_eq!(detector.id, "east");
}

#[test]
fn complex_numbers_have_many_forms() {
    for text in [
        "[1.5, -2]",
        r#"{"real": 1.5, "imag": -2}"#,
        r#"{"im": -2, "re": 1.5, "unit": "V"}"#,
        r#""(1.5-2j)""#,
        r#""1.5-2i""#,
    ] {
        let Pair(read) = serde_json::from_str(text).unwrap();
        assert_eq!(read, Complex64::new(1.5, -2.0), "{text}");
    }
    let written = serde_json::to_string(&Pair(Complex64::new(1.5, -2.0))).unwrap();
    assert_eq!(written, "[1.5,-2.0]");
    for text in ["[1]", "[1, 2, 3]", r#"{"real": 1}"#, r#""j2x""#, "true"] {
        assert!(serde_json::from_str::<Pair>(text).is_err(), "{text}");
    }
}

#[test]
fn a_dictionary_without_sweeps_has_tones_and_doubts() {
    let text = json!({
        "12": {"bias_channel": 4, "bias_frequency": 1.1e9, "sweep_amplitude": 0.001,
               "df_calibration": "(1+2j)", "rotation_tod": null, "anything": [1, 2]},
        "7": {"bias_frequency": 1.2e9},
    });
    let biases = BiasFile::parse(&text.to_string(), place()).unwrap();
    let mut doubts = Vec::new();
    let tunes = biases.tunes(&map(), &CampaignParams::default(), &mut doubts);
    assert_eq!(doubts.len(), 3, "{doubts:?}");
    for (at, words) in [
        (
            0,
            "b1 module 3: channel 4 has no fit and no calibration: it has no sweep",
        ),
        (1, "channel 7 has no fit"),
        (2, "channel 7 has no frequency or no amplitude"),
    ] {
        assert!(doubts[at].contains(words), "{doubts:?}");
    }
    let [channel] = tunes[0].tune.channel.as_slice() else {
        panic!("{tunes:?}");
    };
    assert_eq!(channel.channel, ChannelId::new(4).unwrap());
    assert_eq!(channel.status, ChannelStatus::Failed);
    assert_ne!(channel.reason, Reason::Ok);
    assert!(channel.calibration.is_none() && channel.fr_hz.is_none());
    // The tone is on the grid of rfmux, and within half a step of the frequency.
    assert_eq!((channel.tone_hz / TONE_GRID_HZ).fract(), 0.0);
    assert!((channel.tone_hz - 1.1e9).abs() <= 0.5 * TONE_GRID_HZ);
    assert!((channel.rounding_hz - (channel.tone_hz - 1.1e9)).abs() < 1e-6);
}

#[test]
fn texts_that_are_no_dictionaries_are_refused_with_the_reason() {
    let refused = |text: &str, place| BiasFile::parse(text, place).unwrap_err();
    assert!(refused("{}", place()).contains("no detectors"));
    assert!(refused("[]", place()).contains("no bias dictionary"));
    assert!(refused("{", place()).contains("line 1"));
    assert!(refused(r#"{"0": {}}"#, place()).contains("no bias dictionary"));
    assert!(refused(r#"{"1": {"bias_frequency": "x"}}"#, place()).contains("line 1"));
    assert!(refused(r#"{"1": {}}"#, None).contains("--module"));
    let later = r#"{"format": "bias dictionary", "format_version": 2, "boards": {}}"#;
    assert!(refused(later, None).contains("update twotone"));
}
