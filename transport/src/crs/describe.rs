//! Description of a CRS board, from its answers to questions about itself. A board has two *analog
//! banks*, groups of four modules each, of which one is in use.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use twotone_hal::{
    Acquire, ChannelId, Dbm, Description, Epoch, Error, ErrorKind, Hertz, ModuleDescription,
    ModuleId, ModuleLimits, NcoRange, OperationKind, Result, Setting, SettingKey, Volts,
};
use twotone_wire::crs::{MODULES_IN_BANK, PFB_SAMPLE_RATE_HZ, sample_rate_hz};
use twotone_wire::tuber::{BatchWriter, Format};

use super::filters;

/// Name of the only Tuber object of a CRS board.
pub(super) const OBJECT: &str = "Dfmux";

/// Number of modules of both analog banks.
pub(super) const MODULES: u8 = 2 * MODULES_IN_BANK;
/// Loss of power, in dB, between the DAC and the output connector.
const DAC_LOSS_DB: f64 = 1.5;
/// Highest frequency of the NCO: the end of the fourth Nyquist zone of the converters, whose sample
/// rate is 5 GHz. The converters follow the NCO into its zone (Montgomery et al. 2024,
/// arXiv:2406.16266, for the range from 0 to 10 GHz).
const HIGHEST_NCO: Hertz = Hertz(10e9);
/// Largest distance of a tone from the NCO without the extended module bandwidth.
const MAX_OFFSET_HZ: f64 = 250e6;
/// Smallest step of a frequency: the width of a frequency slot of the filter bank that separates
/// the channels, divided by 2^32.
const FREQUENCY_STEP_HZ: f64 = PFB_SAMPLE_RATE_HZ / 4_294_967_296.0;
/// The decimation stage with the lowest sample rate.
const SLOWEST: u8 = 6;
/// Largest number of bytes of an answer for one sample of one channel.
const BYTES_A_SAMPLE: usize = 64;

/// Lists of words of a board.
type Words = BTreeMap<&'static str, Arc<Vec<(String, String)>>>;

/// Properties of a board, as far as it has reported them, and the descriptions that follow from
/// them. They belong to one epoch, a period in which the board keeps its settings.
#[derive(Debug, Clone)]
pub(super) struct Survey {
    pub(super) epoch: Epoch,
    pub(super) format: Format,
    pub(super) units_degrees: String,
    pub(super) target_dac: String,
    pub(super) target_adc: String,
    pub(super) sensors: Vec<String>,
    pub(super) rails: Vec<String>,
    pub(super) settle_samples: u32,
    firmware: String,
    /// Serial number that the board reports; empty if it reports none.
    serial: String,
    /// The decimation stage, if the board reports it.
    pub(super) stage: Option<u8>,
    modules: Vec<ModuleDescription>,
    /// True if the board has reported the analog bank in use; false if the bank is an assumption.
    bank_is_known: bool,
    doubts: Vec<String>,
    lacks: Vec<String>,
    /// Names and values of the words of properties, by their list, as far as the board was asked.
    pub(super) words: Arc<Mutex<Words>>,
    /// Number of questions that were asked again.
    pub(super) repeats: u32,
}

/// Answers of a module about itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Module {
    /// Power of a tone of full scale at the DAC, in dBm.
    pub(super) dac_scale: Option<f64>,
}

impl Survey {
    /// Survey of a board whose `modules` (by number) have `channels` channels each.
    pub(super) fn new(
        epoch: Epoch,
        format: Format,
        stage: Option<u8>,
        channels: u16,
        answer_limit: usize,
        modules: Vec<(u8, Module)>,
    ) -> Self {
        let most = answer_limit / BYTES_A_SAMPLE / usize::from(channels.max(1));
        let shared = Shared {
            channels,
            stage,
            max_samples: u32::try_from(most).unwrap_or(u32::MAX).max(1),
        };
        let modules = modules.into_iter();
        Self {
            epoch,
            format,
            units_degrees: String::new(),
            target_dac: String::new(),
            target_adc: String::new(),
            sensors: Vec::new(),
            rails: Vec::new(),
            settle_samples: shared.settle_samples(),
            firmware: String::new(),
            serial: String::new(),
            stage,
            modules: modules
                .filter_map(|(number, found)| describe_module(number, found, shared))
                .collect(),
            bank_is_known: true,
            doubts: Vec::new(),
            lacks: Vec::new(),
            words: Arc::default(),
            repeats: 0,
        }
    }

    /// Sets the names that the board uses for units, for targets (the converters that a phase
    /// applies to), for sensors and for supply rails. For a unit or target that the board does not
    /// list, the usual name is assumed.
    pub(super) fn with_names(
        self,
        units: &[(String, String)],
        target: &[(String, String)],
        sensors: Vec<String>,
        rails: Vec<String>,
    ) -> Self {
        Self {
            units_degrees: named(units, "DEGREES"),
            target_dac: named(target, "DAC"),
            target_adc: named(target, "ADC"),
            sensors,
            rails,
            ..self
        }
    }

    /// Sets the serial number; empty if the board reports none.
    pub(super) fn with_serial(self, serial: String) -> Self {
        Self { serial, ..self }
    }

    /// Sets the firmware release, and the doubts about properties that the board did not report.
    pub(super) fn with_firmware(
        self,
        firmware: String,
        bank_is_known: bool,
        doubts: Vec<String>,
    ) -> Self {
        Self {
            firmware,
            bank_is_known,
            doubts,
            ..self
        }
    }

    /// Sets the abilities that the server lacks.
    pub(super) fn with_lacks(self, lacks: Vec<String>) -> Self {
        Self { lacks, ..self }
    }

    /// Sets the number of questions that were asked again.
    pub(super) fn with_repeats(self, repeats: u32) -> Self {
        Self { repeats, ..self }
    }

    /// Time that a real board takes for the samples of an acquisition.
    pub(super) fn acquisition_time(&self, acquire: &Acquire) -> Duration {
        let settling = if acquire.settle {
            self.settle_samples
        } else {
            0
        };
        let samples = f64::from(acquire.samples) + f64::from(settling);
        Duration::from_secs_f64(samples / sample_rate_hz(self.stage.unwrap_or(SLOWEST)))
    }

    /// Description of module `id`.
    pub(super) fn module(&self, id: ModuleId) -> Result<&ModuleDescription> {
        let known = self.modules.iter().find(|module| module.module == id);
        known.ok_or_else(|| {
            // The message of the description lists the modules that the board has.
            let refusal = self.description().module(id).err();
            let refusal = refusal.map_or_else(String::new, |error| error.message().to_owned());
            let bank = if self.bank_is_known {
                ""
            } else {
                "; it does not say which analog bank is in use, so these are assumed"
            };
            Error::new(ErrorKind::InvalidArgument, format!("{refusal}{bank}"))
        })
    }

    /// The last channel of every module.
    pub(super) fn last_channel(&self) -> ChannelId {
        let channels = self.modules.first().map_or(1, |module| module.channels);
        ChannelId::from_index(usize::from(channels.max(1)) - 1)
            .expect("a channel count is not above 65535")
    }

    pub(super) fn description(&self) -> Description {
        use OperationKind as K;
        Description {
            kind: "crs".to_owned(),
            serial: self.serial.clone(),
            firmware: self.firmware.clone(),
            epoch: self.epoch,
            operations: [
                K::Describe,
                K::Tones,
                K::Nco,
                K::Samples,
                K::FastStream,
                K::Clock,
                K::Housekeeping,
                K::Properties,
            ]
            .into_iter()
            // To wait, the client acquires a number of samples, so it must know the sample rate.
            .chain(self.stage.map(|_| K::Wait))
            .collect(),
            modules: self.modules.clone(),
            doubts: self.doubts.clone(),
            lacks: self.lacks.clone(),
        }
    }

    /// Writes the call that reads one setting back.
    pub(super) fn write_get(&self, out: &mut BatchWriter, module: ModuleId, key: SettingKey) {
        let method = match key.setting {
            Setting::Nco => "get_nco_frequency",
            Setting::Offset => "get_frequency",
            Setting::Amplitude => "get_amplitude",
            Setting::Phase | Setting::Rotation => "get_phase",
        };
        let target = match key.setting {
            Setting::Phase => Some(&self.target_dac),
            Setting::Rotation => Some(&self.target_adc),
            _ => None,
        };
        let mut call = out.call(OBJECT, method).kwarg("module", module.number());
        if let Some(channel) = key.channel {
            call = call.kwarg("channel", channel.number());
        }
        if let Some(target) = target {
            call.kwarg("units", self.units_degrees.as_str())
                .kwarg("target", target.as_str());
        }
    }
}

fn named(names: &[(String, String)], name: &str) -> String {
    let found = names.iter().find(|(known, _)| known == name);
    found.map_or(name, |(_, value)| value).to_owned()
}

/// Properties that all modules have in common.
#[derive(Debug, Clone, Copy)]
struct Shared {
    channels: u16,
    stage: Option<u8>,
    max_samples: u32,
}

impl Shared {
    /// Number of samples to discard while the filters settle. If the rate is not known, it is the
    /// largest number at any rate.
    fn settle_samples(self) -> u32 {
        let most = (0..=SLOWEST).map(filters::settle_samples).max();
        self.stage
            .map_or(most.unwrap_or(0), filters::settle_samples)
    }
}

fn describe_module(number: u8, found: Module, shared: Shared) -> Option<ModuleDescription> {
    // Powers follow from the scale of the DAC. If the scale is not known, the description has no
    // power scale, since a wrong one would be worse. The sample rate is NaN if it is not known, for
    // the same reason. The correlation of the noise is largest at the lowest rate, so the lowest
    // rate is assumed if the rate is not known.
    let scale = found.dac_scale.filter(|scale| scale.is_finite());
    let rate = shared.stage.map_or(f64::NAN, sample_rate_hz);
    Some(ModuleDescription {
        module: ModuleId::new(number).ok()?,
        channels: shared.channels,
        nco: Some(NcoRange {
            min: Hertz(0.0),
            max: HIGHEST_NCO,
        }),
        max_offset: Hertz(MAX_OFFSET_HZ),
        frequency_step: Hertz(FREQUENCY_STEP_HZ),
        sample_rate: Hertz(rate),
        settle_samples: shared.settle_samples(),
        noise_correlation: filters::noise_correlation(shared.stage.unwrap_or(SLOWEST)),
        max_samples: shared.max_samples,
        full_scale: scale.map(|scale| Dbm(scale - DAC_LOSS_DB)),
        volts_per_count: Volts(super::CrsBoard::VOLTS_PER_COUNT),
        limits: ModuleLimits::default(),
    })
}
