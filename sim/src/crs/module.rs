//! A readout module: the settings of its channels, and the model of its detectors.

mod outlet;
mod pipeline;
mod taps;

use std::collections::BTreeMap;
use std::fmt;

use twotone_physics::converter::zone_of;
use twotone_physics::units::{DEFAULT_DAC_SCALE_DBM, MAX_STAGE};
use twotone_physics::{Conditions, ModuleModel, SettingError, TruthDetector};

use self::outlet::Outlet;
pub(crate) use self::outlet::{Rows, on_the_wire};
use self::pipeline::Sequence;
use self::taps::Tap;
pub(crate) use self::taps::{Acquired, First};
use super::settings::LONG_CHANNELS;
use super::tuber::names;
use crate::board::Origin;

/// Settings of a channel. A field is `None` if it was not set since the last start of the board or
/// since the channel was cleared.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Channel {
    /// Frequency relative to the NCO, Hz, rounded to the step of the board.
    pub(crate) frequency_hz: Option<f64>,
    pub(crate) amplitude: Option<f64>,
    pub(crate) adc_phase_deg: Option<f64>,
    pub(crate) dac_phase_deg: Option<f64>,
}

/// Settings of the analog path of a module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Analog {
    pub(crate) dac_scale_dbm: f64,
    pub(crate) adc_attenuation_db: f64,
    pub(crate) cable_length_m: f64,
    pub(crate) dac_nyquist_zone: u8,
    pub(crate) adc_nyquist_zone: u8,
    pub(crate) adc_autocal: bool,
    pub(crate) adc_calibration_mode: &'static str,
    /// Calibration coefficients that a client has set, by block.
    pub(crate) adc_calibration: BTreeMap<&'static str, Vec<f64>>,
}

impl Default for Analog {
    fn default() -> Self {
        Self {
            dac_scale_dbm: DEFAULT_DAC_SCALE_DBM,
            adc_attenuation_db: 0.0,
            cable_length_m: 0.0,
            dac_nyquist_zone: 1,
            adc_nyquist_zone: 1,
            adc_autocal: true,
            adc_calibration_mode: names::AUTO,
            adc_calibration: BTreeMap::new(),
        }
    }
}

/// Draws the model of a module, with the NCO at its value after power-up.
fn draw(origin: &Origin) -> ModuleModel {
    let mut model = ModuleModel::draw(
        origin.seed,
        origin.board,
        origin.module,
        origin.detectors,
        origin.band,
        LONG_CHANNELS,
        &origin.params,
    );
    log_refusal(model.set_nco(0.0));
    model
}

/// A module of a board.
pub(crate) struct Module {
    origin: Origin,
    channels: Vec<Channel>,
    analog: Analog,
    stage: u8,
    /// Model of the detectors. It is created when the module is first used, because most modules
    /// of a farm are never used.
    model: Option<ModuleModel>,
    /// True if a setting of the model was ever changed. The model must then be kept, because a
    /// newly drawn model would lack the change.
    is_set: bool,
    /// First time that has not been acquired or skipped yet, in ticks of the model (periods of
    /// [`twotone_physics::units::TICK_RATE_HZ`]).
    tick: u64,
    /// Number of the last request that used the module.
    request: u64,
    /// Tick of the last setting, if no sample has been made since.
    set_at: Option<u64>,
    sequence: Sequence,
    taps: Vec<Tap>,
    next_tap: u64,
    outlet: Option<Outlet>,
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("module", &self.origin.module)
            .finish_non_exhaustive()
    }
}

impl Module {
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            sequence: Sequence::new(origin.first_sequence, 0),
            origin,
            channels: Vec::new(),
            analog: Analog::default(),
            stage: MAX_STAGE,
            model: None,
            is_set: false,
            tick: 0,
            request: 0,
            set_at: None,
            taps: Vec::new(),
            next_tap: 0,
            outlet: None,
        }
    }

    fn model(&mut self) -> &mut ModuleModel {
        self.model.get_or_insert_with(|| {
            let mut model = draw(&self.origin);
            log_refusal(model.set_stage(self.stage));
            model
        })
    }

    /// The model, to change a setting that takes effect at the present tick.
    fn change(&mut self) -> &mut ModuleModel {
        let tick = self.tick;
        self.set_at = Some(tick);
        self.is_set = true;
        let model = self.model();
        model.set_time(tick as f64);
        model
    }

    /// True parameters of the detectors.
    pub(crate) fn truth(&self) -> Vec<TruthDetector> {
        match &self.model {
            Some(model) => model.truth(),
            None => draw(&self.origin).truth(),
        }
    }

    /// Changes the conditions of the detectors.
    pub(crate) fn set_conditions(&mut self, conditions: Conditions) {
        self.change().set_conditions(conditions);
    }

    /// Full scale of the ADC, counts.
    pub(crate) fn adc_full_scale(&self) -> f64 {
        self.origin.params.adc_full_scale
    }

    /// Restores the settings after power-up, with new phase references. The time continues.
    pub(crate) fn reboot(&mut self) {
        self.channels.clear();
        self.analog = Analog::default();
        self.stage = MAX_STAGE;
        self.sequence = Sequence::new(self.origin.first_sequence, self.next_sample());
        if self.model.is_some() {
            let analog = Analog::default();
            let model = self.change();
            model.clear();
            log_refusal(model.set_stage(MAX_STAGE));
            log_refusal(model.set_dac_scale_dbm(analog.dac_scale_dbm));
            log_refusal(model.set_adc_attenuator_db(analog.adc_attenuation_db));
            log_refusal(model.set_cable_length_m(analog.cable_length_m));
            log_refusal(model.set_nco(0.0));
        }
    }
}

/// Tones. Channels are indices from 0 to 1023.
impl Module {
    /// Settings of a channel.
    pub(crate) fn channel(&self, index: usize) -> Channel {
        self.channels.get(index).copied().unwrap_or_default()
    }

    fn channel_mut(&mut self, index: usize) -> &mut Channel {
        if index >= self.channels.len() {
            self.channels.resize(index + 1, Channel::default());
        }
        &mut self.channels[index]
    }

    pub(crate) fn set_frequency(&mut self, channel: usize, hz: f64) {
        self.channel_mut(channel).frequency_hz = Some(hz);
        log_refusal(self.change().set_frequency(channel, hz));
    }

    pub(crate) fn set_amplitude(&mut self, channel: usize, amplitude: f64) {
        self.channel_mut(channel).amplitude = Some(amplitude);
        log_refusal(self.change().set_amplitude(channel, amplitude));
    }

    pub(crate) fn set_adc_phase(&mut self, channel: usize, degrees: f64) {
        self.channel_mut(channel).adc_phase_deg = Some(degrees);
        log_refusal(self.change().set_adc_phase(channel, degrees.to_radians()));
    }

    pub(crate) fn set_dac_phase(&mut self, channel: usize, degrees: f64) {
        self.channel_mut(channel).dac_phase_deg = Some(degrees);
        log_refusal(self.change().set_dac_phase(channel, degrees.to_radians()));
    }

    pub(crate) fn clear_channels(&mut self) {
        self.channels.clear();
        if self.model.is_some() {
            self.change().clear();
        }
    }

    pub(crate) fn nco_hz(&self) -> f64 {
        self.model.as_ref().map_or(0.0, ModuleModel::nco_hz)
    }

    /// Sets the NCO. Both converters follow it into its Nyquist zone.
    pub(crate) fn set_nco(&mut self, hz: f64) {
        let zone = zone_of(hz);
        self.analog.dac_nyquist_zone = zone;
        self.analog.adc_nyquist_zone = zone;
        log_refusal(self.change().set_nco(hz));
    }
}

/// The analog path.
impl Module {
    pub(crate) fn analog(&self) -> &Analog {
        &self.analog
    }

    /// Settings of the analog path, for changes that do not affect the model.
    pub(crate) fn analog_mut(&mut self) -> &mut Analog {
        &mut self.analog
    }

    pub(crate) fn set_dac_scale(&mut self, dbm: f64) {
        self.analog.dac_scale_dbm = dbm;
        log_refusal(self.change().set_dac_scale_dbm(dbm));
    }

    pub(crate) fn set_adc_attenuator(&mut self, db: f64) {
        self.analog.adc_attenuation_db = db;
        log_refusal(self.change().set_adc_attenuator_db(db));
    }

    /// Sets the Nyquist zone of the DAC, until the NCO is set again.
    pub(crate) fn set_dac_zone(&mut self, zone: u8) {
        self.analog.dac_nyquist_zone = zone;
        log_refusal(self.change().set_dac_zone(zone));
    }

    pub(crate) fn set_cable_length(&mut self, metres: f64) {
        self.analog.cable_length_m = metres;
        log_refusal(self.change().set_cable_length_m(metres));
    }
}

/// Logs a refusal by the model, which leaves the setting unchanged. The methods check all ranges
/// before they call the model, so a refusal is a bug of this crate.
fn log_refusal(set: Result<(), SettingError>) {
    if let Err(error) = set {
        debug_assert!(false, "the model refused a setting: {error}");
        tracing::error!(%error, "the model refused a setting");
    }
}
