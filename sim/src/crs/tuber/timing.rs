//! Methods of clocks, time stamps, decimation and streams.

use twotone_physics::units::MAX_STAGE;
use twotone_wire::tuber::{Slot, Value};

use super::call::{Call, Outcome, value_error};
use super::names;
use crate::crs::MODULES;
use crate::crs::settings::{MIN_LONG_STAGE, Settings};
use crate::crs::stamp::Stamp;
use crate::crs::stream::source;

pub(crate) fn set_timestamp_port(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let port = call.member("port", "timestamp port", names::TIMESTAMP_PORT)?;
    call.crs.settings().timestamp_port = port;
    out.null();
    Ok(())
}

pub(crate) fn get_timestamp_port(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    out.str(call.crs.settings().timestamp_port);
    Ok(())
}

/// Returns the time stamp of the board's clock. A simulated board has a time code at each of its
/// ports, so this stamp always says that a time code was received recently. Faults change the
/// stamps of packets only.
pub(crate) fn get_timestamp(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let stamp = Stamp::after(call.crs.board.clock().now_s());
    write_stamp(stamp, source(&call.crs.settings()).name(), out);
    Ok(())
}

/// Writes a stamp as a map, with the source of its time code.
pub(super) fn write_stamp(stamp: Stamp, source: &str, out: Slot<'_>) {
    let mut map = out.map();
    let fields = [
        ("y", stamp.year),
        ("d", stamp.day),
        ("h", stamp.hour),
        ("m", stamp.minute),
        ("s", stamp.second),
        ("ss", stamp.sub_second),
        ("c", 0),
        ("sbs", stamp.second_of_day),
    ];
    for (name, value) in fields {
        map.key(name).u64(u64::from(value));
    }
    map.key("source").str(source);
    map.key("recent").bool(true);
}

pub(crate) fn set_aux_sma_mode(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let mode = call.member_or_none("mode", "auxiliary SMA mode", names::SMA_AUX_MODE)?;
    call.crs.settings().aux_sma_mode = mode;
    out.null();
    Ok(())
}

pub(crate) fn get_aux_sma_mode(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    match call.crs.settings().aux_sma_mode {
        Some(mode) => out.str(mode),
        None => out.null(),
    }
    Ok(())
}

pub(crate) fn set_clock_source(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let source = call.member_or_none("clock_source", "clock source", names::CLOCKSOURCE)?;
    call.crs.settings().clock_source = source.unwrap_or(names::VCXO);
    out.null();
    Ok(())
}

pub(crate) fn get_clock_source(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    out.str(call.crs.settings().clock_source);
    Ok(())
}

pub(crate) fn set_clock_priority(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let wrong = || value_error("Invalid clock source");
    let source = |text: &str| names::member(names::CLOCKSOURCE, text);
    let priority = match call.value("clock_priority")? {
        Value::Null => Vec::new(),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().and_then(source).ok_or_else(wrong))
            .collect::<Outcome<_>>()?,
        _ => return Err(wrong()),
    };
    call.crs.settings().clock_priority = priority;
    out.null();
    Ok(())
}

pub(crate) fn get_clock_priority(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let settings = call.crs.settings();
    let mut seq = out.seq();
    for source in &settings.clock_priority {
        seq.item().str(source);
    }
    Ok(())
}

/// Returns an argument that is an address or a value of a register of the clock distributor, 0 to
/// `last`.
fn register(call: &Call<'_, '_>, name: &str, last: i64) -> Outcome<u16> {
    let value = call.int(name)?;
    u16::try_from(value)
        .ok()
        .filter(|value| i64::from(*value) <= last)
        .ok_or_else(|| value_error(format!("{name} must be between 0 and {last}.")))
}

/// Reads a register. Registers store the values that were written and have no effect.
pub(crate) fn hmc7044_peek(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let address = register(call, "address", 0x1fff)?;
    let value = call.crs.settings().registers.get(&address).copied();
    out.u64(u64::from(value.unwrap_or(0)));
    Ok(())
}

pub(crate) fn hmc7044_poke(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let address = register(call, "address", 0x1fff)?;
    let value = register(call, "value", 0xff)?;
    call.crs.settings().registers.insert(address, value as u8);
    out.null();
    Ok(())
}

pub(crate) fn set_decimation(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let stage = call.int("stage")?;
    let short = call.bool("short")?;
    let derating = call.float("_bandwidth_derating")?;
    // Newer firmware calls this parameter `modules`, older firmware `module`.
    let modules = match call.ints_or_none("module")? {
        None => call.ints_or_none("modules")?,
        modules => modules,
    };
    let stage = u8::try_from(stage)
        .ok()
        .filter(|stage| *stage <= MAX_STAGE)
        .ok_or_else(|| {
            value_error(format!(
                "Decimation stage must be between 0 and {MAX_STAGE}."
            ))
        })?;
    if stage < MIN_LONG_STAGE && !short {
        return Err(value_error(format!(
            "Decimation stage {stage} requires short=True (128 channels). Long packets (1024 \
             channels) are only supported for decimation stages >= {MIN_LONG_STAGE}."
        )));
    }
    let mut settings = call.crs.settings();
    let mut streamed: Vec<usize> = match modules {
        None => (1..=MODULES).filter(|m| settings.reaches(*m)).collect(),
        Some(modules) => modules
            .iter()
            .map(|module| {
                usize::try_from(*module)
                    .ok()
                    .filter(|m| settings.reaches(*m))
            })
            .collect::<Option<Vec<usize>>>()
            .ok_or_else(|| value_error("Invalid 'module' argument to set_decimation!"))?,
    };
    streamed.sort_unstable();
    streamed.dedup();
    let wanted = Settings {
        stage,
        short,
        streamed: streamed.iter().map(|module| *module as u8).collect(),
        ..settings.clone()
    };
    fits_the_link(&wanted, derating)?;
    *settings = wanted;
    drop(settings);
    for index in 0..MODULES {
        if let Some(mut module) = call.crs.module(index) {
            module.set_stage(stage);
        }
    }
    out.null();
    Ok(())
}

/// Older name of [`set_decimation`], with the same parameters.
pub(crate) fn set_fir_stage(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    set_decimation(call, out)
}

/// Older name of [`get_decimation`].
pub(crate) fn get_fir_stage(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    get_decimation(call, out)
}

/// Capacity of the network link of the board, bit/s.
const LINK_BPS: f64 = 1e9;

/// Default share of the link that streams may use.
pub(super) const DERATING: f64 = 0.8;

/// Returns an error if the streams need more than the share `derating` of the link.
fn fits_the_link(settings: &Settings, derating: f64) -> Outcome<()> {
    let (needed, allowed) = (settings.stream_bps(), LINK_BPS * derating);
    if needed <= allowed {
        return Ok(());
    }
    Err(value_error(format!(
        "Bandwidth limit exceeded: the streams would need {:.0} Mbit/s and may have {:.0}. Use a \
         higher decimation stage, short packets, fewer modules or fewer PFB channels.",
        needed / 1e6,
        allowed / 1e6,
    )))
}

pub(crate) fn get_decimation(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let settings = call.crs.settings();
    if settings.streamed.is_empty() {
        out.null();
    } else {
        out.u64(u64::from(settings.stage));
    }
    Ok(())
}

pub(crate) fn set_pfb_streamer(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let number = call.module_number()?;
    let channels = call.ints_or_none("channel")?.unwrap_or_default();
    if !matches!(channels.len(), 0 | 1 | 2 | 4) {
        return Err(value_error(format!(
            "The PFB streamer takes 1, 2 or 4 channels, not {}.",
            channels.len()
        )));
    }
    let mut settings = call.crs.settings();
    let last = settings.channels();
    let channels = channels.iter().map(|channel| {
        u16::try_from(*channel)
            .ok()
            .filter(|channel| (1..=last).contains(&usize::from(*channel)))
            .ok_or_else(|| value_error(format!("Channel must be between 1 and {last}.")))
    });
    let mut wanted = settings.clone();
    wanted.pfb_channels[number - 1] = channels.collect::<Outcome<_>>()?;
    fits_the_link(&wanted, DERATING)?;
    *settings = wanted;
    out.null();
    Ok(())
}

/// Number of channels of which the channel stream takes a multiple.
const CHANNELS_IN_GROUP: u16 = 16;

/// Sets the channel stream of a module. It would leave a real board through its port of 100 Gbit/s,
/// which a simulated board does not have: the setting is only kept.
pub(crate) fn set_channel_streamer(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let number = call.module_number()?;
    let bits = call.member("sample_trunc", "sample truncation", names::SAMPLE_TRUNC)?;
    let asked = call.int_or_none("channels")?.unwrap_or(0);
    let mut settings = call.crs.settings();
    let last = settings.channels();
    let channels = u16::try_from(asked)
        .ok()
        .filter(|channels| channels % CHANNELS_IN_GROUP == 0 && usize::from(*channels) <= last);
    let channels = channels.ok_or_else(|| {
        value_error(format!(
            "The channel streamer takes a multiple of {CHANNELS_IN_GROUP} channels, up to {last}."
        ))
    })?;
    settings.channel_streams[number - 1] = (channels, bits);
    out.null();
    Ok(())
}

pub(crate) fn get_channel_streamer(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let number = call.module_number()?;
    let (channels, bits) = call.crs.settings().channel_streams[number - 1];
    if channels == 0 {
        out.null();
        return Ok(());
    }
    let mut map = out.map();
    map.key("channels").u64(u64::from(channels));
    map.key("sample_trunc").str(bits);
    Ok(())
}

pub(crate) fn get_pfb_streamer(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let number = call.module_number()?;
    let settings = call.crs.settings();
    let channels = &settings.pfb_channels[number - 1];
    if channels.is_empty() {
        out.null();
        return Ok(());
    }
    let mut seq = out.seq();
    for channel in channels {
        seq.item().u64(u64::from(*channel));
    }
    Ok(())
}
