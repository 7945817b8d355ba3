//! Tests of the known settings of a module, whose values may be in doubt: a setting is in doubt if
//! the outcome of a write is not known.

use super::*;
use crate::Radians;

const ROUNDING: Rounding = Rounding {
    frequency: Hertz(1.0),
    amplitude: 1.0 / 65_536.0,
    angle: Radians(2e-4),
};

fn channel(number: u16) -> ChannelId {
    ChannelId::new(number).unwrap()
}

fn key(number: u16) -> SettingKey {
    SettingKey::tone(channel(number), Setting::Amplitude)
}

fn amplitude(number: u16, amplitude: f64) -> Change {
    Change::Tone(ToneUpdate::new(channel(number)).amplitude(amplitude))
}

fn differs(settings: &mut ModuleSettings, key: SettingKey, found: Option<f64>) -> bool {
    settings.compare(&[(key, found)], &ROUNDING).is_some()
}

fn surely(settings: &mut ModuleSettings, changes: &[Change]) {
    settings.apply(changes.iter().copied(), Certainty::Executed);
}

fn perhaps(settings: &mut ModuleSettings, changes: &[Change]) {
    settings.apply(changes.iter().copied(), Certainty::Unknown);
}

#[test]
fn settings_in_doubt_are_settled_by_later_changes() {
    let mut settings = ModuleSettings::default();
    let key = key(3);
    // A setting that was never surely set is not compared.
    perhaps(&mut settings, &[amplitude(3, 0.5)]);
    assert!(!differs(&mut settings, key, Some(0.7)));
    surely(&mut settings, &[amplitude(3, 0.1)]);
    assert!(differs(&mut settings, key, Some(0.5)));
    perhaps(&mut settings, &[amplitude(3, 0.2), Change::ClearTones]);
    let cases = [
        (Some(0.1), true),
        (Some(0.2), true),
        (Some(0.0), true),
        (None, true),
        (Some(0.3), false),
    ];
    for (found, right) in cases {
        assert_eq!(!differs(&mut settings, key, found), right, "{found:?}");
    }
    settings.learn_reading(&[(key, Some(0.2))], &ROUNDING);
    assert!(differs(&mut settings, key, Some(0.1)));
    assert!(!differs(&mut settings, key, Some(0.2)));
    perhaps(&mut settings, &[amplitude(3, 0.4)]);
    surely(&mut settings, &[Change::ClearTones]);
    assert!(differs(&mut settings, key, Some(0.4)));
    assert!(!differs(&mut settings, key, None));
}

#[test]
fn settings_made_for_the_first_time_or_not_are_learnt_as_they_are_found() {
    for found in [0.0, 0.5] {
        let mut settings = ModuleSettings::default();
        perhaps(&mut settings, &[amplitude(3, 0.5)]);
        settings.learn_reading(&[(key(3), Some(found)), (key(4), Some(0.7))], &ROUNDING);
        assert_eq!(settings.expected(key(3)), Some(found));
        assert!(differs(&mut settings, key(3), Some(0.5 - found)));
        // Another program has set channel 4, so this program expects no value of it.
        assert_eq!(settings.expected(key(4)), None);
    }
}

#[test]
fn a_doubt_that_was_settled_does_not_come_back() {
    let mut settings = ModuleSettings::default();
    surely(&mut settings, &[amplitude(1, 0.1), amplitude(2, 0.1)]);
    perhaps(&mut settings, &[amplitude(1, 0.2), amplitude(2, 0.2)]);
    surely(&mut settings, &[amplitude(1, 0.3)]);
    perhaps(&mut settings, &[amplitude(1, 0.4)]);
    for (found, right) in [(0.1, false), (0.2, false), (0.3, true), (0.4, true)] {
        assert_eq!(
            !differs(&mut settings, key(1), Some(found)),
            right,
            "{found}"
        );
    }
    for (found, right) in [(0.1, true), (0.2, true), (0.3, false)] {
        assert_eq!(
            !differs(&mut settings, key(2), Some(found)),
            right,
            "{found}"
        );
    }
    assert_eq!(settings.expected(key(1)), Some(0.3));
    settings.lose();
    assert_eq!(settings.expected(key(1)), None);
}

#[test]
fn a_difference_tells_the_values_and_the_numbers() {
    let mut settings = ModuleSettings::default();
    surely(
        &mut settings,
        &[amplitude(1, 0.1), amplitude(2, 0.1), amplitude(3, 0.1)],
    );
    perhaps(&mut settings, &[amplitude(2, 0.2)]);
    let reading = [
        (key(1), Some(0.1)),
        (key(2), None),
        (key(3), Some(0.0)),
        (key(9), Some(0.5)),
    ];
    let difference = settings.compare(&reading, &ROUNDING).unwrap();
    let right = Difference {
        first: key(2),
        found: None,
        expected: 0.1,
        or: Some(0.2),
        differ: 2,
        compared: 3,
        all_lost: true,
    };
    assert_eq!(difference, right);
}

#[test]
fn an_nco_is_expected_where_the_board_has_put_it() {
    let mut settings = ModuleSettings::default();
    let put = Hertz(1e9 + 400.0);
    surely(&mut settings, &[Change::Nco(Hertz(1e9)), Change::Nco(put)]);
    assert!(!differs(&mut settings, SettingKey::NCO, Some(put.0)));
    assert!(differs(&mut settings, SettingKey::NCO, Some(1e9)));
}

#[test]
fn phases_are_the_same_full_turns_apart() {
    let degrees = [
        (0.0, 360.0, true),
        (-90.0, 270.0, true),
        (179.999, -179.999, true),
        (359.999, 0.0, true),
        (10.0, 10.1, false),
        (f64::NAN, 0.0, false),
    ];
    for (one, other, same) in degrees {
        let (a, b) = (f64::to_radians(one), f64::to_radians(other));
        assert_eq!(
            ROUNDING.is_same(Setting::Phase, a, b),
            same,
            "{one} {other}"
        );
    }
}

#[test]
fn the_values_in_doubt_do_not_grow_for_ever() {
    let mut settings = ModuleSettings::default();
    let all =
        |value: f64| -> Vec<Change> { (1..=1024).map(|number| amplitude(number, value)).collect() };
    surely(&mut settings, &all(0.5));
    surely(&mut settings, &[Change::Nco(Hertz(1e9))]);
    for step in 0..1000 {
        perhaps(&mut settings, &all(f64::from(step % 5)));
    }
    assert!(settings.doubts() <= MOST_DOUBTS);
    assert!(differs(&mut settings, key(7), Some(0.25)));
    assert!(!differs(&mut settings, key(7), Some(0.5)));
    for step in 0..100 {
        perhaps(&mut settings, &all(f64::from(step)));
        assert!(settings.doubts() <= MOST_DOUBTS);
    }
    // There are now too many possible values, so the amplitudes are no longer compared. The other
    // settings still are.
    assert!(!differs(&mut settings, key(7), Some(0.25)));
    assert!(differs(&mut settings, SettingKey::NCO, Some(0.0)));
    let tone = settings.tone(channel(7)).unwrap();
    assert!(tone.is_in_doubt() && tone.amplitude().high >= 99.0);
}

#[test]
fn a_tone_is_surely_off_surely_on_or_in_doubt() {
    let mut settings = ModuleSettings::unknown(2);
    let is = |settings: &ModuleSettings| {
        let tone = settings.tone(channel(1)).unwrap();
        (
            tone.is_surely_off(),
            tone.is_surely_on(),
            tone.is_in_doubt(),
        )
    };
    assert_eq!(is(&settings), (false, false, true));
    surely(&mut settings, &[amplitude(1, -0.25)]);
    assert_eq!(is(&settings), (false, true, false));
    perhaps(&mut settings, &[Change::ClearTones]);
    assert_eq!(is(&settings), (false, false, true));
    surely(&mut settings, &[Change::ClearTones]);
    assert_eq!(is(&settings), (true, false, false));
    surely(&mut settings, &[Change::Anything]);
    assert_eq!(is(&settings), (false, false, true));
    surely(&mut settings, &[amplitude(1, 0.1), Change::Anything]);
    assert_eq!(is(&settings), (false, false, true));
    let fields = ToneFields::AMPLITUDE;
    let state = |amplitude| ToneState {
        channel: channel(1),
        offset: None,
        amplitude: Some(amplitude),
        phase: None,
        rotation: None,
    };
    assert_eq!(
        settings.learn_tones(&[state(f64::NAN)], fields),
        [channel(1)]
    );
    assert_eq!(is(&settings), (false, false, true));
    assert!(settings.learn_tones(&[state(0.0)], fields).is_empty());
    assert_eq!(is(&settings), (true, false, false));
    assert!(settings.tone(channel(1)).unwrap().is_read_back());
}

#[test]
fn offsets_have_the_range_of_all_that_they_may_be() {
    let mut settings = ModuleSettings::unknown(1);
    let offset = |hz| Change::Tone(ToneUpdate::new(channel(1)).offset(Hertz(hz)));
    let span = |settings: &ModuleSettings| settings.tone(channel(1)).unwrap().offset();
    assert!(!span(&settings).is_bounded());
    surely(&mut settings, &[offset(5.0)]);
    perhaps(&mut settings, &[offset(-3.0), offset(1.0)]);
    assert_eq!((span(&settings).low, span(&settings).high), (-3.0, 5.0));
    surely(&mut settings, &[offset(7.0), Change::ClearTones]);
    // A board may keep the offset of a tone that is off, or set it to 0.
    assert_eq!((span(&settings).low, span(&settings).high), (0.0, 7.0));
    assert_eq!(settings.tone(channel(1)).unwrap().last().offset, None);
}

/// A drift of the values that are read back is detected, even if each step is small.
#[test]
fn a_drift_in_small_steps_is_found() {
    let mut settings = ModuleSettings::default();
    let phase = |rad| Change::Tone(ToneUpdate::new(channel(1)).phase(Radians(rad)));
    let key = SettingKey::tone(channel(1), Setting::Phase);
    surely(&mut settings, &[phase(0.5)]);
    let first = [(key, Some(0.5 + 1.5e-4))];
    assert_eq!(settings.compare(&first, &ROUNDING), None);
    settings.learn_reading(&first, &ROUNDING);
    assert!(differs(&mut settings, key, Some(0.5 + 3e-4)));
}

#[test]
fn an_nco_in_doubt_is_settled_as_tones_are() {
    let mut settings = ModuleSettings::unknown(1);
    let nco = |hz| Change::Nco(Hertz(hz));
    surely(&mut settings, &[nco(1e9)]);
    settings.apply([nco(3e9)], Certainty::NotExecuted);
    assert_eq!(settings.expected(SettingKey::NCO), Some(1e9));
    // One request set the NCO and read it back, and its answer was lost.
    perhaps(&mut settings, &[nco(2e9), nco(2e9 + 400.0)]);
    assert!(settings.nco_is_in_doubt());
    assert_eq!(
        (settings.nco_span().low, settings.nco_span().high),
        (1e9, 2e9 + 400.0)
    );
    for (found, right) in [
        (1e9, true),
        (2e9, true),
        (2e9 + 400.0, true),
        (1.5e9, false),
    ] {
        assert_eq!(
            !differs(&mut settings, SettingKey::NCO, Some(found)),
            right,
            "{found}"
        );
    }
    settings.learn_reading(&[(SettingKey::NCO, Some(2e9 + 400.0))], &ROUNDING);
    assert_eq!(settings.expected(SettingKey::NCO), Some(2e9 + 400.0));
    assert!(!settings.nco_is_in_doubt());
}

#[test]
fn a_module_without_an_nco_never_has_one_in_doubt() {
    let mut settings = ModuleSettings::unknown(1).without_nco();
    perhaps(&mut settings, &[Change::Nco(Hertz(1e9))]);
    surely(&mut settings, &[Change::Nco(Hertz(1e9)), Change::Anything]);
    settings.lose();
    assert!(!settings.nco_is_in_doubt() && !settings.nco_is_touched());
    assert_eq!(settings.nco(), Some(Hertz(0.0)));
    assert_eq!(
        (settings.nco_span().low, settings.nco_span().high),
        (0.0, 0.0)
    );
}

/// After a loss of settings, the span of a setting (the range of its possible values) contains the
/// earlier value and 0, so that limits are checked for both.
#[test]
fn lost_settings_may_be_zero() {
    let mut settings = ModuleSettings::unknown(1);
    let tone = ToneUpdate::tone(channel(1), Hertz(5e6), 0.1);
    surely(
        &mut settings,
        &[Change::Nco(Hertz(1e9)), Change::Tone(tone)],
    );
    settings.lose();
    let lost = settings.tone(channel(1)).unwrap();
    let spans = [settings.nco_span(), lost.offset(), lost.amplitude()];
    let ends = spans.map(|span| (span.low, span.high));
    assert_eq!(ends, [(0.0, 1e9), (0.0, 5e6), (0.0, 0.1)]);
    assert!(settings.is_in_doubt());
    surely(
        &mut settings,
        &[Change::Nco(Hertz(1e9)), Change::Tone(tone)],
    );
    let again = settings.tone(channel(1)).unwrap();
    assert!(
        again.is_surely_on() && again.is_in_doubt(),
        "its phases are not known"
    );
    assert_eq!(settings.nco_span(), Span::at(1e9));
}

#[test]
fn a_value_that_is_no_number_is_never_known() {
    for value in [f64::NAN, f64::INFINITY] {
        let mut settings = ModuleSettings::unknown(1);
        surely(&mut settings, &[amplitude(1, 0.1), amplitude(1, value)]);
        let tone = settings.tone(channel(1)).unwrap();
        assert!(tone.is_in_doubt() && !tone.is_surely_off() && !tone.is_surely_on());
        surely(&mut settings, &[Change::Nco(Hertz(value))]);
        assert!(settings.nco_is_in_doubt() && !settings.nco_span().is_bounded());
    }
}
