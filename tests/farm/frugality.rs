//! Test of the calls that the tuning of a module sends to the board: none is repeated, and nothing
//! is set that is already set.

use twotone::sim::Farm;

use super::{BAND_HZ, connect, params, tune_all};

#[test]
fn settings_that_do_not_change_are_not_sent() {
    let farm = Farm::builder()
        .boards(1)
        .detectors(10)
        .seed(4)
        .band(BAND_HZ.0, BAND_HZ.1);
    let farm = farm.start_blocking().unwrap();
    let array = connect(&farm);
    let before = farm.boards()[0].counters();
    let outcomes = tune_all(&array, &params());
    let tune = outcomes[0].result.as_ref().unwrap();
    assert_eq!(tune.tuned(), 10);
    let after = farm.boards()[0].counters();
    let calls = |method: &str| {
        let count = |counters: &twotone::sim::Counters| {
            counters.by_method.get(method).copied().unwrap_or(0)
        };
        count(&after) - count(&before)
    };

    // Tones are cleared once before the first tone is set, and once when the final tones replace
    // the many tones (the comb) of the network analysis. One call takes the place of a thousand
    // amplitudes.
    assert_eq!(calls("clear_channels"), 2);
    // Each frequency is set once: those of the network analysis, of the cable delay and of the fine
    // sweep, and those of the final tones. After each clear and each connection, one more frequency
    // is set. It is a marker that shows if the board has restarted.
    let points = tune.network_analysis.frequency_hz.len() as u64;
    let steps = params().fine_sweep.points as u64;
    let tones = (tune.channels.len() + tune.references.len()) as u64;
    let delay = 2 * 1024;
    let most = points + delay + steps * 10 + 3 * tones + 2;
    assert!(
        calls("set_frequency") >= points + steps * 10,
        "{}",
        calls("set_frequency")
    );
    assert!(
        calls("set_frequency") <= most,
        "{} of {most}",
        calls("set_frequency")
    );
    // Amplitudes and phases stay during a sweep. They are set at most once for the comb, once for
    // the final tones, and once to 0 for the channels that are left over.
    assert!(
        calls("set_amplitude") <= 4 * 1024,
        "{}",
        calls("set_amplitude")
    );
    assert!(
        calls("set_phase") <= 2 * 1024 + 4 * tones,
        "{}",
        calls("set_phase")
    );
    assert_eq!(calls("set_nco_frequency"), 1);
}
