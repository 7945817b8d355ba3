//! What a CRS board says of itself when it is connected.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use twotone_hal::{
    Acquire, ChannelId, Dbm, Description, Epoch, Error, ErrorKind, Hertz, ModuleDescription,
    ModuleId, ModuleLimits, OperationKind, Result, Volts,
};
use twotone_wire::crs::{MODULES_IN_BANK, PFB_SAMPLE_RATE_HZ, sample_rate_hz};
use twotone_wire::tuber::{Answer, BatchWriter, Cursor, Format, Limits};

use super::filters;
use super::leaves::{Key, Setting};
use crate::deadline;
use crate::http::Post;
use crate::link::{Link, Repeat, Unwatched};
use crate::tuber::broken;
use crate::{ConnectOptions, Connector};

/// The one object of a CRS board.
pub(super) const OBJECT: &str = "Dfmux";

/// Modules of both analog banks.
pub(super) const MODULES: u8 = 2 * MODULES_IN_BANK;
/// Volts (peak) for one readout count. Empirical; whether it depends on the attenuator is untested.
const VOLTS_PER_COUNT: f64 = 1.374_542_590_8e-7;
/// Loss between the DAC's scale and the connector.
const DAC_LOSS_DB: f64 = 1.5;
/// Width of one Nyquist zone.
const NYQUIST_HZ: f64 = 2.5e9;
/// How far from the NCO a tone may lie without the extended module bandwidth.
const MAX_OFFSET_HZ: f64 = 250e6;
/// Frequencies are multiples of the channelizer's slot over 2^32.
const FREQUENCY_STEP_HZ: f64 = PFB_SAMPLE_RATE_HZ / 4_294_967_296.0;
/// Bytes of an answer for one sample of one channel, at the most.
const BYTES_A_SAMPLE: usize = 64;

/// What was found out in one life of a board, and what follows from it.
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
    pub(super) stage: u8,
    modules: Vec<ModuleDescription>,
}

/// What was found out about a module.
#[derive(Debug, Clone, Copy, Default)]
struct Module {
    dac_scale: Option<f64>,
    zone: Option<f64>,
}

/// Asks a server whether it is a CRS board, and what it has in the life `epoch` of its state: two
/// round trips, on a connection of their own.
pub(super) async fn survey(
    connector: &Connector,
    options: &ConnectOptions,
    runtime: &Handle,
    epoch: Epoch,
) -> Result<Survey> {
    let link = Link::new(
        connector.clone(),
        options.clone(),
        Unwatched,
        runtime.clone(),
    );
    let deadline = deadline::within(options.request_timeout);
    let mut writer = BatchWriter::new(Format::Json);
    writer.resolve(OBJECT);
    for property in ["UNITS", "TARGET", "TEMPERATURE_SENSOR", "RAIL"] {
        writer.property(OBJECT, property);
    }
    for method in ["get_decimation", "get_analog_bank", "get_firmware_release"] {
        writer.call(OBJECT, method);
    }
    for module in 1..=MODULES {
        writer.call(OBJECT, "get_dac_scale").kwarg("module", module);
        writer
            .call(OBJECT, "get_nyquist_zone")
            .kwarg("module", module);
    }
    let calls = writer.calls();
    let post = Post::new(writer.finish(), Format::Json).continue_on_error();
    let answer = link.exchange(post, Repeat::Freely, deadline).await?;

    let content_type = answer.content_type.as_deref();
    let format = Format::of_answer(content_type).unwrap_or(Format::Json);
    let mut read = Answer::new(content_type, &answer.body, &Limits::ANSWER).map_err(broken)?;
    let mut elements = read.elements(calls).map_err(broken)?;
    if let Some(refusal) = elements.refusal() {
        return Err(Error::new(ErrorKind::Rejected, refusal));
    }
    let mut next = || -> Result<Option<Cursor<'_>>> {
        Ok(elements
            .next()
            .map_err(broken)?
            .and_then(|element| element.outcome.ok()))
    };
    if next()?.is_none() {
        return Err(Error::new(
            ErrorKind::Protocol,
            format!("the server has no object {OBJECT}: it is no CRS board"),
        ));
    }
    let units = names(next()?);
    let target = names(next()?);
    let sensors = names(next()?).into_iter().map(|(_, value)| value).collect();
    let rails = names(next()?).into_iter().map(|(_, value)| value).collect();
    let stage = number(next()?).unwrap_or(6.0).clamp(0.0, 6.0) as u8;
    let high_bank = next()?
        .and_then(|mut value| value.bool().ok())
        .unwrap_or(false);
    let firmware = next()?.map(firmware).unwrap_or_default();
    let mut banks = Vec::new();
    for _ in 1..=MODULES {
        banks.push(Module {
            dac_scale: number(next()?),
            zone: number(next()?),
        });
    }

    let first = if high_bank { MODULES_IN_BANK + 1 } else { 1 };
    let channels = count_channels(&link, format, first, deadline).await?;
    let most = options.answer_limit / BYTES_A_SAMPLE / usize::from(channels.max(1));
    let shared = Shared {
        channels,
        stage,
        max_samples: u32::try_from(most).unwrap_or(u32::MAX).max(1),
    };
    let bank = (1u8..).zip(banks).skip(usize::from(first) - 1);
    Ok(Survey {
        epoch,
        format,
        units_degrees: named(&units, "DEGREES"),
        target_dac: named(&target, "DAC"),
        target_adc: named(&target, "ADC"),
        sensors,
        rails,
        settle_samples: filters::settle_samples(stage),
        firmware,
        stage,
        modules: bank
            .take(usize::from(MODULES_IN_BANK))
            .filter_map(|(number, found)| describe_module(number, found, shared))
            .collect(),
    })
}

/// How many channels the samples of a module have: short packets leave 128 of 1024, and no method
/// says so.
async fn count_channels(link: &Link, format: Format, module: u8, deadline: Instant) -> Result<u16> {
    let mut writer = BatchWriter::new(format);
    writer
        .call(OBJECT, "get_samples")
        .arg(1u32)
        .kwarg("module", module);
    let post = Post::new(writer.finish(), format);
    let answer = link.exchange(post, Repeat::Freely, deadline).await?;
    let content_type = answer.content_type.as_deref();
    let mut read = Answer::new(content_type, &answer.body, &Limits::ANSWER).map_err(broken)?;
    let mut elements = read.elements(1).map_err(broken)?;
    let Some(element) = elements.next().map_err(broken)? else {
        let refusal = elements.refusal().unwrap_or("no answer").to_owned();
        return Err(Error::new(ErrorKind::Rejected, refusal).during("count the channels"));
    };
    let mut samples = element
        .outcome
        .map_err(|message| Error::new(ErrorKind::Rejected, message).during("count the channels"))?;
    let mut values = Vec::new();
    let mut entries = samples.entries().map_err(broken)?;
    while let Some((key, value)) = entries.next().map_err(broken)? {
        if key == "i" {
            value.f64_into(&mut values).map_err(broken)?;
        }
    }
    u16::try_from(values.len())
        .ok()
        .filter(|channels| *channels > 0)
        .ok_or_else(|| {
            let message = format!("a sample has {} channels", values.len());
            Error::new(ErrorKind::Protocol, message).during("count the channels")
        })
}

/// The names and values of an enumeration.
fn names(cursor: Option<Cursor<'_>>) -> Vec<(String, String)> {
    let Some(mut cursor) = cursor else {
        return Vec::new();
    };
    let Ok(mut entries) = cursor.entries() else {
        return Vec::new();
    };
    let mut names = Vec::new();
    while let Ok(Some((key, value))) = entries.next() {
        if let Ok(value) = value.str() {
            names.push((key.into_owned(), value.into_owned()));
        }
    }
    names
}

fn named(names: &[(String, String)], name: &str) -> String {
    let found = names.iter().find(|(known, _)| known == name);
    found.map_or(name, |(_, value)| value).to_owned()
}

fn number(cursor: Option<Cursor<'_>>) -> Option<f64> {
    cursor.and_then(|mut value| value.opt_f64().ok().flatten())
}

/// A release is a text, or a map with a version in it.
fn firmware(mut cursor: Cursor<'_>) -> String {
    match cursor.value() {
        Ok(value) => {
            let version = value
                .get("version")
                .or_else(|| value.get("tag"))
                .unwrap_or(&value);
            version
                .as_str()
                .map_or_else(|| format!("{version:?}"), str::to_owned)
        }
        Err(_) => String::new(),
    }
}

impl Survey {
    /// How long the samples of an acquisition take on a board in real time.
    pub(super) fn acquisition_time(&self, acquire: &Acquire) -> Duration {
        let settling = if acquire.settle {
            self.settle_samples
        } else {
            0
        };
        let samples = f64::from(acquire.samples) + f64::from(settling);
        Duration::from_secs_f64(samples / sample_rate_hz(self.stage))
    }

    /// The modules of the analog bank in use.
    pub(super) fn modules(&self) -> &[ModuleDescription] {
        &self.modules
    }

    /// What module `id` is.
    pub(super) fn module(&self, id: ModuleId) -> Result<&ModuleDescription> {
        let known = self.modules.iter().find(|module| module.module == id);
        known.ok_or_else(|| {
            // The description names those it has.
            let refusal = self.description().module(id).err();
            refusal.unwrap_or_else(|| Error::new(ErrorKind::InvalidArgument, "no such module"))
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
            serial: String::new(),
            firmware: self.firmware.clone(),
            epoch: self.epoch,
            operations: vec![
                K::Describe,
                K::Tones,
                K::Nco,
                K::Samples,
                K::Clock,
                K::Housekeeping,
            ],
            modules: self.modules.clone(),
        }
    }

    /// Writes the call that reads one setting back.
    pub(super) fn write_get(&self, out: &mut BatchWriter, module: ModuleId, key: Key) {
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
        if key.setting != Setting::Nco {
            call = call.kwarg("channel", key.channel);
        }
        if let Some(target) = target {
            call.kwarg("units", self.units_degrees.as_str())
                .kwarg("target", target.as_str());
        }
    }
}

/// What all modules have in common.
#[derive(Debug, Clone, Copy)]
struct Shared {
    channels: u16,
    stage: u8,
    max_samples: u32,
}

fn describe_module(number: u8, found: Module, shared: Shared) -> Option<ModuleDescription> {
    let (low, high) = match found.zone {
        Some(zone) => ((zone - 1.0) * NYQUIST_HZ, zone * NYQUIST_HZ),
        None => (0.0, 3.0 * NYQUIST_HZ),
    };
    // Powers follow from the scale of the DAC: without it there are none, rather than wrong ones.
    let dac_scale = found.dac_scale.filter(|scale| scale.is_finite());
    Some(ModuleDescription {
        module: ModuleId::new(number).ok()?,
        channels: shared.channels,
        nco_min: Hertz(low),
        nco_max: Hertz(high),
        max_offset: Hertz(MAX_OFFSET_HZ),
        frequency_step: Hertz(FREQUENCY_STEP_HZ),
        sample_rate: Hertz(sample_rate_hz(shared.stage)),
        settle_samples: filters::settle_samples(shared.stage),
        noise_correlation: filters::noise_correlation(shared.stage),
        max_samples: shared.max_samples,
        full_scale: Dbm(dac_scale.map_or(f64::NAN, |scale| scale - DAC_LOSS_DB)),
        volts_per_count: Volts(VOLTS_PER_COUNT),
        limits: ModuleLimits::default(),
    })
}
