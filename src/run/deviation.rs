//! Comparison of the channels of a module with the *safe state* that its target declares: the state
//! in which a run is to leave the module. The [`Journal`] of the module is the record of the
//! settings that its channels have, or may have.

use twotone_hal::{ChannelId, Hertz, Radians, ToneSettings, ToneState};

use super::journal::{Journal, Record, extent};
use super::{Channels, HardwareState, SafeState};
use crate::record::Failure;

/// Largest rounding error of an amplitude that was read back and set again, as a fraction of full
/// scale. [`ANGLE_STEP`] is that of an angle, in rad.
const AMPLITUDE_STEP: f64 = 1e-6;
const ANGLE_STEP: f64 = 1e-6;

impl Journal {
    /// Returns the state of a module that is not in `safe_state`: the channels that differ or may
    /// differ, and `reason`.
    pub(super) fn left(&self, safe_state: SafeState, reason: Failure) -> HardwareState {
        let record = self.locked();
        let (step, suspect) = (self.described().frequency_step, record.suspect.is_some());
        let unread = Unread::IsUnknown;
        let deviation = record.deviation(safe_state, step, suspect, unread);
        let deviation = deviation.unwrap_or_default();
        HardwareState::Left {
            left_on: deviation.left_on,
            unknown: deviation.unknown,
            not_restored: deviation.not_restored,
            nco: deviation.nco,
            reason,
        }
    }

    /// Returns the settings of each channel, or `None` for a channel whose settings are not
    /// certain.
    pub(super) fn settings(&self) -> Vec<Option<ToneState>> {
        let record = self.locked();
        let tones = record.now.tones().iter();
        tones
            .map(|tone| (!tone.is_in_doubt()).then_some(tone.last()))
            .collect()
    }

    /// Returns the frequency of the NCO, if it is certain.
    pub(super) fn nco(&self) -> Option<Hertz> {
        let record = self.locked();
        record.now.nco().filter(|_| !record.now.nco_is_in_doubt())
    }

    /// Marks every channel as not read back, before a new read-back.
    pub(super) fn read_anew(&self) {
        self.locked().now.read_anew();
    }

    /// Returns the first channel that may differ from its state before the run, and the number of
    /// channels from there to the last one that may differ. Returns `None` if no channel may
    /// differ.
    pub(super) fn extent_set(&self) -> Option<(ChannelId, u16)> {
        let record = self.locked();
        let tones = record.now.tones().iter();
        let set = tones.filter(|tone| tone.is_touched() || tone.is_in_doubt());
        let (low, high) = extent(set.map(ToneSettings::channel))?;
        Some((low, high.number() - low.number() + 1))
    }

    pub(super) fn is_in_doubt(&self) -> bool {
        let record = self.locked();
        record.now.tones().iter().any(ToneSettings::is_in_doubt)
    }

    /// True if a request to change a setting was sent, even if the board may not have executed it.
    pub(super) fn has_written(&self) -> bool {
        self.locked().written
    }

    /// True if the settings that were last read or set agree with `safe_state`. Requests that the
    /// board may still execute after the loss of a link are not considered.
    pub(super) fn is_settled(&self, safe_state: SafeState) -> bool {
        let record = self.locked();
        record
            .deviation(
                safe_state,
                self.described().frequency_step,
                false,
                Unread::AsSet,
            )
            .is_none()
    }

    pub(super) fn deviation(&self, safe_state: SafeState) -> Option<Deviation> {
        let record = self.locked();
        let suspect = record.suspect.is_some();
        let step = self.described().frequency_step;
        record.deviation(safe_state, step, suspect, Unread::AsSet)
    }
}

/// Channels that are not, or may not be, in the safe state.
#[derive(Debug, Default)]
pub(super) struct Deviation {
    left_on: Channels,
    unknown: Channels,
    not_restored: Channels,
    /// Present and earlier frequency of the NCO, in words, if they differ.
    nco: Option<String>,
}

/// Assumption about a tone that was not read back since it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unread {
    AsSet,
    IsUnknown,
}

enum Agreement {
    AsDeclared,
    LeftOn,
    Unknown,
    NotRestored,
}

impl Record {
    fn deviation(
        &self,
        safe_state: SafeState,
        step: Hertz,
        suspect: bool,
        unread: Unread,
    ) -> Option<Deviation> {
        let start = self.start.as_ref();
        let nco_in_doubt = self.now.nco_is_in_doubt() || (suspect && self.now.nco_is_touched());
        let nco_was = start.and_then(|start| start.nco);
        let nco_away = nco_was.is_some_and(|was| (self.now.nco_span().low - was.0).abs() > step.0);
        let (mut left_on, mut unknown, mut not_restored) = (Vec::new(), Vec::new(), Vec::new());
        for (index, tone) in self.now.tones().iter().enumerate() {
            let before = start.and_then(|start| start.tones.get(index));
            let mut is = match (safe_state, before) {
                (SafeState::Off, _) => off(tone),
                (SafeState::Previous, Some(before)) => {
                    let is = previous(tone, before, step);
                    match is {
                        Agreement::AsDeclared
                            if !tone.is_surely_off() && self.now.nco_is_touched() =>
                        {
                            if nco_in_doubt {
                                Agreement::Unknown
                            } else if nco_away {
                                Agreement::LeftOn
                            } else {
                                is
                            }
                        }
                        _ => is,
                    }
                }
                (SafeState::Previous, None) | (SafeState::Hold, _) if tone.is_in_doubt() => {
                    Agreement::Unknown
                }
                _ => Agreement::AsDeclared,
            };
            let may_be_on = tone.is_touched() || !tone.is_surely_off();
            let not_read = unread == Unread::IsUnknown && !tone.is_read_back() && may_be_on;
            if (suspect && tone.is_touched() || not_read) && !matches!(is, Agreement::LeftOn) {
                is = Agreement::Unknown;
            }
            match is {
                Agreement::AsDeclared => {}
                Agreement::LeftOn => left_on.push(tone.channel()),
                Agreement::Unknown => unknown.push(tone.channel()),
                Agreement::NotRestored => not_restored.push(tone.channel()),
            }
        }
        // In the state `previous`, the NCO must be back at its earlier frequency, even if no tone
        // was on.
        let is_to_be_back = safe_state == SafeState::Previous && self.now.nco_is_touched();
        let nco = nco_was.filter(|_| is_to_be_back).and_then(|was| {
            if nco_in_doubt {
                Some(format!("it is not known where it is, and it was at {was}"))
            } else {
                let is = Hertz(self.now.nco_span().low);
                nco_away.then(|| format!("it is at {is} and was at {was}"))
            }
        });
        let all_well =
            left_on.is_empty() && unknown.is_empty() && not_restored.is_empty() && nco.is_none();
        (!all_well).then_some(Deviation {
            left_on: Channels::These(left_on),
            unknown: Channels::These(unknown),
            not_restored: Channels::These(not_restored),
            nco,
        })
    }
}

/// True if two settings differ by no more than `within`. A setting that was never made counts as 0.
fn near(one: Option<f64>, other: Option<f64>, within: f64) -> bool {
    (one.unwrap_or(0.0) - other.unwrap_or(0.0)).abs() <= within
}

fn off(tone: &ToneSettings) -> Agreement {
    if tone.is_surely_off() {
        Agreement::AsDeclared
    } else if tone.is_surely_on() {
        Agreement::LeftOn
    } else {
        Agreement::Unknown
    }
}

fn previous(tone: &ToneSettings, before: &ToneState, step: Hertz) -> Agreement {
    if !tone.is_touched() {
        return Agreement::AsDeclared;
    }
    if !before.is_on() {
        return off(tone);
    }
    if tone.is_surely_off() {
        return Agreement::NotRestored;
    }
    if tone.is_in_doubt() {
        return Agreement::Unknown;
    }
    if is_same(&tone.last(), before, step) {
        Agreement::AsDeclared
    } else {
        Agreement::LeftOn
    }
}

/// True if two tones are both off, or equal within the steps of the board.
pub(super) fn is_same(one: &ToneState, other: &ToneState, step: Hertz) -> bool {
    if !one.is_on() && !other.is_on() {
        return true;
    }
    let angle = |one: Option<Radians>, other: Option<Radians>| {
        near(one.map(|p| p.0), other.map(|p| p.0), ANGLE_STEP)
    };
    near(one.amplitude, other.amplitude, AMPLITUDE_STEP)
        && near(one.offset.map(|f| f.0), other.offset.map(|f| f.0), step.0)
        && angle(one.phase, other.phase)
        && angle(one.rotation, other.rotation)
}
