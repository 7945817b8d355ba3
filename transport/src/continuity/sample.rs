//! Selection of a few settings of a module to read back, for a quick check that the board still has
//! them.

use twotone_hal::{ModuleSettings, Setting, SettingKey};

/// Returns the keys of the NCO and of the settings of at most `most` channels. Channels that are on
/// come before channels that are off. The channels are evenly spaced, and each `turn` selects
/// different ones. Settings that no request has surely set are left out.
pub(super) fn sample(
    settings: &ModuleSettings,
    most: usize,
    turn: usize,
) -> impl Iterator<Item = SettingKey> + '_ {
    let (mut on, mut off) = (Vec::new(), Vec::new());
    for tone in settings.tones() {
        let channel = tone.channel();
        let expected = |setting| settings.expected(SettingKey::tone(channel, setting));
        if expected(Setting::Amplitude).is_some_and(|amplitude| amplitude != 0.0) {
            on.push(channel);
        } else if Setting::OF_TONES
            .into_iter()
            .any(|one| expected(one).is_some())
        {
            off.push(channel);
        }
    }
    let mut chosen = spread(&on, most, turn);
    chosen.extend(spread(&off, most - chosen.len(), turn));
    chosen.sort_unstable();
    let is_chosen = move |key: &SettingKey| {
        key.channel
            .is_none_or(|channel| chosen.binary_search(&channel).is_ok())
    };
    settings.known().filter(is_chosen)
}

/// At most `most` elements of `all`, evenly spaced. Successive turns select different ones, until
/// every element was selected.
fn spread<T: Copy>(all: &[T], most: usize, turn: usize) -> Vec<T> {
    if most == 0 {
        return Vec::new();
    }
    let stride = all.len().div_ceil(most).max(1);
    let chosen = all.iter().skip(turn % stride).step_by(stride);
    chosen.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_comes_round_to_every_channel() {
        for (channels, most) in [(0u16, 4), (3, 4), (4, 4), (5, 4), (1024, 16), (7, 0)] {
            let all: Vec<u16> = (1..=channels).collect();
            let mut seen = Vec::new();
            for turn in 0..1024usize.div_ceil(most.max(1)) {
                let some = spread(&all, most, turn);
                assert!(some.len() <= most);
                seen.extend(some);
            }
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, if most == 0 { Vec::new() } else { all });
        }
    }
}
