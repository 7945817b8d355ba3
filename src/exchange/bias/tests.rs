//! Tests of the forms of bias dictionaries.

use serde_json::json;
use twotone_algorithms::{ChannelStatus, Reason};
use twotone_hal::{ChannelId, Complex64, ModuleId};

use super::{BiasFile, Pair, Place, TONE_GRID_HZ};
use crate::campaign::CampaignParams;

fn place() -> Option<Place> {
    Some(Place {
        board: "b1".to_owned(),
        module: ModuleId::new(3).unwrap(),
        nco_hz: Some(1.2e9),
    })
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
    let tunes = biases.tunes(&CampaignParams::default(), &mut doubts);
    assert_eq!(doubts.len(), 2, "{doubts:?}");
    assert!(
        doubts[0].contains("b1 module 3: 2 detectors have no sweep"),
        "{doubts:?}"
    );
    assert!(
        doubts[1].contains("detector 7 has no frequency or no amplitude"),
        "{doubts:?}"
    );
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
