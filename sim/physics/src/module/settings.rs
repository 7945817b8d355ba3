//! Settings of a module, and the errors for refused settings.

use num_complex::Complex64;
use serde::{Deserialize, Serialize};

use super::{ModuleModel, epoch_phase};
use crate::conditions::Conditions;
use crate::converter;
use crate::units;

/// Settings of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Tone {
    /// Frequency relative to the NCO, Hz. The model rounds it to the frequency step of the board.
    pub frequency_hz: f64,
    /// Amplitude as a fraction of full scale, -1 to 1; 0 is off.
    pub amplitude: f64,
    /// Phase of the carrier, rad. It rotates samples forward.
    pub dac_phase_rad: f64,
    /// Phase of the demodulator, rad. It rotates samples backward.
    pub adc_phase_rad: f64,
}

/// Reason why a setting was refused. The model is unchanged.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum SettingError {
    /// There is no such channel. The value is the number of channels.
    NoChannel(usize),
    /// The amplitude is outside -1..1 or not a number.
    Amplitude(f64),
    /// A frequency, phase or other value is not finite.
    NotFinite,
    /// There is no such decimation stage.
    Stage(u8),
    /// There is no such Nyquist zone.
    Zone(u8),
}

impl std::fmt::Display for SettingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoChannel(n) => write!(f, "no such channel: the module has {n}"),
            Self::Amplitude(a) => write!(f, "amplitude {a} is not within -1..1"),
            Self::NotFinite => f.write_str("the value is not a finite number"),
            Self::Stage(s) => write!(f, "no decimation stage {s}: 0 to 6"),
            Self::Zone(zone) => write!(f, "no Nyquist zone {zone}: 1 to {}", converter::ZONES),
        }
    }
}

impl std::error::Error for SettingError {}

/// Bits of the quantities of a channel to which detectors respond.
const FREQUENCY: u8 = 1;
const AMPLITUDE: u8 = 2;

impl ModuleModel {
    /// Settings of a channel, as they were set. If there is no such channel, the settings of a tone
    /// that is off.
    pub fn tone(&self, channel: usize) -> Tone {
        self.slots
            .get(channel)
            .map(|slot| slot.tone)
            .unwrap_or_default()
    }

    /// Sets all settings of a channel.
    pub fn set_tone(&mut self, channel: usize, tone: Tone) -> Result<(), SettingError> {
        let channels = self.slots.len();
        let slot = self
            .slots
            .get(channel)
            .ok_or(SettingError::NoChannel(channels))?;
        let finite = [tone.frequency_hz, tone.dac_phase_rad, tone.adc_phase_rad];
        if !finite.iter().all(|value| value.is_finite()) {
            return Err(SettingError::NotFinite);
        }
        if tone.amplitude.is_nan() || tone.amplitude.abs() > 1.0 {
            return Err(SettingError::Amplitude(tone.amplitude));
        }
        let old = slot.tone;
        if old == tone {
            return Ok(());
        }
        let moved = if old.frequency_hz != tone.frequency_hz {
            FREQUENCY
        } else {
            0
        };
        let resized = if old.amplitude != tone.amplitude {
            AMPLITUDE
        } else {
            0
        };
        let writes = moved | resized;
        if slot.written & writes != 0 {
            // Before the same quantity is set a second time, the detectors must follow the first
            // step.
            self.follow(channel);
        }
        let slot = &mut self.slots[channel];
        slot.written |= writes;
        slot.base_known &= moved == 0;
        slot.tone = tone;
        self.stale.tones = true;
        Ok(())
    }

    /// Sets the frequency of a channel relative to the NCO, Hz.
    pub fn set_frequency(&mut self, channel: usize, hz: f64) -> Result<(), SettingError> {
        self.set_tone(
            channel,
            Tone {
                frequency_hz: hz,
                ..self.tone(channel)
            },
        )
    }

    /// Sets the amplitude of a channel as a fraction of full scale, -1 to 1.
    pub fn set_amplitude(&mut self, channel: usize, amplitude: f64) -> Result<(), SettingError> {
        self.set_tone(
            channel,
            Tone {
                amplitude,
                ..self.tone(channel)
            },
        )
    }

    /// Sets the phase of the carrier of a channel, rad.
    pub fn set_dac_phase(&mut self, channel: usize, rad: f64) -> Result<(), SettingError> {
        self.set_tone(
            channel,
            Tone {
                dac_phase_rad: rad,
                ..self.tone(channel)
            },
        )
    }

    /// Sets the phase of the demodulator of a channel, rad.
    pub fn set_adc_phase(&mut self, channel: usize, rad: f64) -> Result<(), SettingError> {
        self.set_tone(
            channel,
            Tone {
                adc_phase_rad: rad,
                ..self.tone(channel)
            },
        )
    }

    /// Turns all channels off, and sets their frequencies and phases to 0.
    pub fn clear(&mut self) {
        for channel in 0..self.slots.len() {
            // This cannot be refused, because the channel exists and all values are in range.
            let _ = self.set_tone(channel, Tone::default());
        }
    }

    /// Frequency of the NCO, Hz.
    pub fn nco_hz(&self) -> f64 {
        self.nco_hz
    }

    /// Sets the frequency of the NCO. All tones move by the same amount. The DAC is set to the
    /// Nyquist zone of the NCO. A new phase epoch ([`phase_epoch`](Self::phase_epoch)) begins, even
    /// if the frequency is the same.
    pub fn set_nco(&mut self, hz: f64) -> Result<(), SettingError> {
        self.nco_hz = finite(hz)?;
        self.dac_zone = converter::zone_of(hz);
        self.begin_epoch();
        Ok(())
    }

    /// Sets the DAC to a Nyquist zone, 1 to 4, until the NCO is set again.
    pub fn set_dac_zone(&mut self, zone: u8) -> Result<(), SettingError> {
        if !(1..=converter::ZONES).contains(&zone) {
            return Err(SettingError::Zone(zone));
        }
        self.dac_zone = zone;
        self.forget_line();
        Ok(())
    }

    /// Number of the phase epoch, from 0. During an epoch, a constant phase is added to all tones.
    /// It is drawn from the seed and the number of the epoch.
    pub fn phase_epoch(&self) -> u64 {
        self.epoch
    }

    fn begin_epoch(&mut self) {
        self.epoch += 1;
        self.epoch_phase_rad = epoch_phase(self.key, self.epoch);
        self.forget_line();
    }

    fn forget_line(&mut self) {
        for slot in &mut self.slots {
            slot.base_known = false;
        }
        self.stale.tones = true;
    }

    /// Decimation stage.
    pub fn stage(&self) -> u8 {
        self.stage
    }

    /// Sets the decimation stage, 0 to 6. If the stage changes, samples are numbered at the new
    /// rate from then on, and the filters start settled.
    pub fn set_stage(&mut self, stage: u8) -> Result<(), SettingError> {
        if stage > units::MAX_STAGE {
            return Err(SettingError::Stage(stage));
        }
        if stage != self.stage {
            self.stage = stage;
            self.transients.clear();
            for slot in &mut self.slots {
                slot.last = Complex64::new(f64::NAN, f64::NAN);
            }
            self.stale.tones = true;
        }
        Ok(())
    }

    /// Power of a full-scale tone, dBm (before the back-off of 1.5 dB).
    pub fn dac_scale_dbm(&self) -> f64 {
        self.dac_scale_dbm
    }

    /// Sets the power of a full-scale tone, dBm (before the back-off of 1.5 dB).
    pub fn set_dac_scale_dbm(&mut self, dbm: f64) -> Result<(), SettingError> {
        self.dac_scale_dbm = finite(dbm)?;
        self.stale.tones = true;
        Ok(())
    }

    /// Attenuator before the ADC, dB.
    pub fn adc_attenuator_db(&self) -> f64 {
        self.attenuator_db
    }

    /// Sets the attenuator before the ADC, dB.
    pub fn set_adc_attenuator_db(&mut self, db: f64) -> Result<(), SettingError> {
        self.attenuator_db = finite(db)?;
        self.stale.tones = true;
        Ok(())
    }

    /// Length of cable for which the board corrects, m.
    pub fn cable_length_m(&self) -> f64 {
        self.cable_m
    }

    /// Sets the length of cable for which the board corrects, m at 0.66 c. The delay in the samples
    /// is shorter by the delay of this cable. A new phase epoch begins
    /// ([`phase_epoch`](Self::phase_epoch)).
    pub fn set_cable_length_m(&mut self, metres: f64) -> Result<(), SettingError> {
        self.cable_m = finite(metres)?;
        self.begin_epoch();
        Ok(())
    }

    /// Changes the conditions. Detectors and feedline respond as they respond to a change of
    /// settings. Values that are not finite count as no change.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions.finite();
        self.stale.world = true;
        self.forget_line();
    }

    /// Sets the time at which later settings take effect, in ticks
    /// ([`crate::units::TICK_RATE_HZ`]). The time is valid until the next samples are requested. If
    /// it is not set, settings take effect just after the last sample that was requested.
    pub fn set_time(&mut self, tick: f64) {
        self.set_at = tick.is_finite().then_some(tick);
    }
}

fn finite(value: f64) -> Result<f64, SettingError> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(SettingError::NotFinite)
    }
}
