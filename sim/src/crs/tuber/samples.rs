//! Methods that return samples.

use std::cell::RefCell;

use twotone_physics::Complex64;
use twotone_physics::units;
use twotone_wire::tuber::{Map, Slot};

use super::call::{Call, Outcome, value_error};
use super::names;
use super::timing::write_stamp;
use crate::crs::module::First;
use crate::crs::stamp::Stamp;
use crate::crs::stream::source;

/// Largest number of decimated samples of one channel in a call.
const MAX_SAMPLES: usize = 100_000;

/// Largest number of samples of the filter bank in a call: 0.43 s, and 46 MB in JSON.
const MAX_PFB_SAMPLES: usize = 1 << 20;

/// Largest number of samples of each channel in a call for all channels: 134 MB with 1024 channels.
const MAX_MODULE_SAMPLES: usize = 8192;

/// Number of bits of a full-scale sample of the filter bank, without the sign.
const PFB_BITS: i32 = 23;

/// Number of bits of a full-scale sample of the ADC, without the sign.
const ADC_BITS: i32 = 15;

thread_local! {
    /// Buffers for samples, reused by all acquisitions on a thread.
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Capacity, in elements, to which a buffer is shrunk after use, but not below its length. So the
/// memory of a long acquisition is freed after the next shorter one on the thread.
const KEEP: usize = 1 << 16;

#[derive(Default)]
struct Buffers {
    samples: Vec<Complex64>,
    i: Vec<f64>,
    q: Vec<f64>,
}

impl Buffers {
    fn split(&mut self) {
        self.i.clear();
        self.q.clear();
        self.i.extend(self.samples.iter().map(|sample| sample.re));
        self.q.extend(self.samples.iter().map(|sample| sample.im));
    }

    /// Writes the samples of one channel as `i` and `q` of a map.
    fn write(&mut self, map: &mut Map<'_>) {
        self.split();
        map.key("i").f64_array(&self.i, &[self.i.len()]);
        map.key("q").f64_array(&self.q, &[self.q.len()]);
    }

    fn give_back(&mut self) {
        self.samples.shrink_to(KEEP);
        self.i.shrink_to(KEEP);
        self.q.shrink_to(KEEP);
    }
}

fn with_buffers<T>(work: impl FnOnce(&mut Buffers) -> T) -> T {
    BUFFERS.with_borrow_mut(|buffers| {
        let done = work(buffers);
        buffers.give_back();
        done
    })
}

fn count(call: &Call<'_, '_>, most: usize) -> Outcome<usize> {
    let n = call.int("num_samples")?;
    usize::try_from(n)
        .ok()
        .filter(|n| (1..=most).contains(n))
        .ok_or_else(|| value_error(format!("num_samples must be between 1 and {most}.")))
}

/// Acquires the next samples of a module. All earlier settings have taken effect, but the filters
/// may not have settled yet.
pub(crate) fn get_samples(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let number = call.module_number()?;
    let average = call.bool("average")?;
    let extra = call.bool("_extra_metadata")?;
    let (stage, all) = {
        let settings = call.crs.settings();
        (settings.stage, settings.channels())
    };
    let one = call.channel_or_none()?;
    let n = count(
        call,
        if one.is_some() {
            MAX_SAMPLES
        } else {
            MAX_MODULE_SAMPLES
        },
    )?;
    let channels = one.map_or(0..all, |channel| channel..channel + 1);
    let rate = units::sample_rate_hz(stage);
    with_buffers(|buffers| {
        let acquired = call.acquire(number, n, channels.clone(), &mut buffers.samples)?;
        let Some(First {
            seconds: start,
            sequence,
            flags,
        }) = acquired
        else {
            return Ok(());
        };
        buffers.split();
        let shape = [channels.len(), n];
        let shape = if one.is_some() {
            &shape[1..]
        } else {
            &shape[..]
        };
        let mut map = out.map();
        if average {
            let means = [mean(&buffers.i, n), mean(&buffers.q, n)];
            let stds = [
                deviation(&buffers.i, &means[0], n),
                deviation(&buffers.q, &means[1], n),
            ];
            pair(&mut map, "mean", &means, one.is_some());
            pair(&mut map, "std", &stds, one.is_some());
        }
        map.key("i").f64_array(&buffers.i, shape);
        map.key("q").f64_array(&buffers.q, shape);
        let times: Vec<f64> = (0..n).map(|k| start + k as f64 / rate).collect();
        map.key("ts").f64_array(&times, &[n]);
        if extra {
            // Sequence numbers of the packets that hold the samples in the stream.
            let mut numbers = map.key("seq").seq();
            for k in 0..n as u32 {
                numbers.item().u64(u64::from(sequence.wrapping_add(k)));
            }
        }
        let mut flag = map.key("flags").map();
        flag.key("overrange").bool(flags.overrange);
        // Inputs of simulated boards never exceed their voltage limit.
        flag.key("overvoltage").bool(false);
        Ok(())
    })
}

/// Writes `{name: {i, q}}`. The values are numbers if one channel was requested, else lists.
fn pair(map: &mut Map<'_>, name: &str, values: &[Vec<f64>; 2], one: bool) {
    let mut pair = map.key(name).map();
    for (part, values) in ["i", "q"].into_iter().zip(values) {
        match values.as_slice() {
            [value] if one => pair.key(part).f64(*value),
            values => pair.key(part).f64_array(values, &[values.len()]),
        }
    }
}

fn mean(values: &[f64], n: usize) -> Vec<f64> {
    values
        .chunks_exact(n)
        .map(|channel| channel.iter().sum::<f64>() / n as f64)
        .collect()
}

fn deviation(values: &[f64], means: &[f64], n: usize) -> Vec<f64> {
    let square = |value: f64| value * value;
    values
        .chunks_exact(n)
        .zip(means)
        .map(|(channel, mean)| {
            (channel
                .iter()
                .map(|value| square(value - mean))
                .sum::<f64>()
                / n as f64)
                .sqrt()
        })
        .collect()
}

/// Acquires samples of one channel before the decimation, at 2.44 MS/s, with the time of the first
/// one.
pub(crate) fn get_pfb_samples(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let number = call.module_number()?;
    let n = count(call, MAX_PFB_SAMPLES)?;
    let port = source(&call.crs.settings()).name();
    let scale = scale(call, PFB_BITS)?;
    let channel = call.channel()?;
    with_buffers(|buffers| {
        let mut module = call.module(number)?;
        let tick = module.tick();
        module.acquire_pfb(tick, n, channel, &mut buffers.samples);
        if !call.crs.board.clock().is_running() {
            module.pass_pfb(n);
            call.crs.board.clock().advance_to(module.now_s());
        }
        drop(module);
        call.acquired_s += n as f64 / units::PFB_RATE_HZ;
        for sample in &mut buffers.samples {
            *sample *= scale;
        }
        let mut map = out.map();
        buffers.write(&mut map);
        let stamp = Stamp::after_parts(Stamp::parts_of_tick(tick));
        write_stamp(stamp, port, map.key("ts"));
        Ok(())
    })
}

/// Factor from readout counts to the units of the call.
fn scale(call: &Call<'_, '_>, bits: i32) -> Outcome<f64> {
    let units = call.units(&[names::RAW, names::NORMALIZED])?;
    Ok(if units == Some(names::NORMALIZED) {
        0.5_f64.powi(bits)
    } else {
        1.0
    })
}

/// Acquires samples of the ADC before any filter: all tones that the feedline returns, at 625 MS/s
/// in a band around the NCO.
pub(crate) fn get_fast_samples(call: &mut Call<'_, '_>, out: Slot<'_>) -> Outcome<()> {
    let number = call.module_number()?;
    let n = count(call, MAX_FAST_SAMPLES)?;
    let normalized = call.units(&[names::RAW, names::NORMALIZED])? != Some(names::RAW);
    with_buffers(|buffers| {
        let mut module = call.module(number)?;
        module.acquire_fast(n, &mut buffers.samples);
        let full_scale = module.adc_full_scale();
        if !call.crs.board.clock().is_running() {
            // Time advances in whole ticks. One tick is enough, because a call takes at most 16,384
            // samples of the ADC, which is the length of a tick.
            module.pass_pfb(1);
            call.crs.board.clock().advance_to(module.now_s());
        }
        drop(module);
        call.acquired_s += n as f64 / units::FAST_RATE_HZ;
        // The ADC rounds to whole steps and clips at full scale.
        let steps = f64::from(1_u32 << ADC_BITS);
        let scale = if normalized { 1.0 / steps } else { 1.0 };
        let convert = |part: f64| {
            (part / full_scale * steps)
                .round()
                .clamp(-steps, steps - 1.0)
                * scale
        };
        for sample in &mut buffers.samples {
            *sample = Complex64::new(convert(sample.re), convert(sample.im));
        }
        buffers.write(&mut out.map());
        Ok(())
    })
}

/// Largest number of samples of the ADC in a call.
const MAX_FAST_SAMPLES: usize = 16_384;
