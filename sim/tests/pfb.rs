//! Tests of samples of the filter bank (PFB), which have not passed the decimation filters: by call
//! and as a stream. Also tests of samples of the converter.

mod client;
mod listener;

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use serde_json::{Value, json};
use twotone_sim::Farm;
use twotone_wire::crs::{GROUP, PFB_SAMPLE_RATE_HZ, PfbMode, PfbPacket};

use client::{Client, call};
use listener::Listener;

type Iq = (f64, f64);

fn at(channel: u32) -> Value {
    json!({"channel": channel, "module": 1})
}

fn tone(board: &mut Client, channel: u32, offset_hz: f64, amplitude: f64) {
    let calls = [
        call("set_frequency", json!([offset_hz]), at(channel)),
        call("set_amplitude", json!([amplitude]), at(channel)),
    ];
    let answers = board.json(&json!(calls));
    assert!(answers.to_string().find("error").is_none(), "{answers}");
}

fn samples(answer: &Value) -> Vec<Iq> {
    let part = |axis: &str| -> Vec<f64> {
        let values = answer[axis].as_array().unwrap().iter();
        values.map(|value| value.as_f64().unwrap()).collect()
    };
    part("i").into_iter().zip(part("q")).collect()
}

/// Returns the amplitude of a row of samples at a frequency in cycles per sample.
fn at_frequency(samples: &[Iq], frequency: f64) -> Iq {
    let (mut re, mut im) = (0.0, 0.0);
    for (k, (i, q)) in samples.iter().enumerate() {
        let (sin, cos) = (-TAU * frequency * k as f64).sin_cos();
        re += i * cos - q * sin;
        im += i * sin + q * cos;
    }
    let n = samples.len() as f64;
    (re / n, im / n)
}

fn size((i, q): Iq) -> f64 {
    i.hypot(q)
}

fn start() -> (Farm, Client, Listener) {
    let listener = Listener::new(GROUP);
    let farm = Farm::builder()
        .detectors(0)
        .seed(5)
        .stream_port(listener.port() - 1) // that of the PFB stream is the next
        .start_blocking()
        .unwrap();
    let mut client = Client::connect(farm.boards()[0].address());
    client.ok("set_nco_frequency", json!([1.25e9]), json!({"module": 1}));
    (farm, client, listener)
}

/// Pairs of an offset and a gain. The gain is that of a bin of the filter bank at this offset from
/// its middle. The offset is in thousandths of the output rate of the bin. Another program computed
/// the gains as the transform of the window of the filter bank.
const GAIN: [(u32, f64); 4] = [(100, 0.7756), (123, 0.6795), (246, 0.1964), (350, 0.0274)];

#[test]
fn every_tone_in_the_bin_shows_at_its_distance_as_the_bin_lets_it_through() {
    let n = 2000;
    let step = PFB_SAMPLE_RATE_HZ / f64::from(n);
    // The middle of the bin next to the bin of the NCO.
    let own = 625e6 / 512.0;
    for (thousandths, gain) in GAIN {
        let (_farm, mut board, _) = start();
        let bin = 2 * thousandths;
        tone(&mut board, 1, own, 0.001);
        tone(&mut board, 2, own + f64::from(bin) * step, 0.002);
        tone(&mut board, 3, own - 2.0 * PFB_SAMPLE_RATE_HZ, 0.5);
        let row = samples(&board.ok("get_pfb_samples", json!([n]), at(1)));
        let carrier = size(at_frequency(&row, 0.0));
        let beat = size(at_frequency(&row, f64::from(bin) / f64::from(n)));
        assert!(
            (beat / carrier / (2.0 * gain) - 1.0).abs() < 0.03,
            "{thousandths}: {beat} {carrier}"
        );
        // In the samples of the other channel, the two tones have exchanged roles: its own tone is
        // not attenuated.
        if thousandths < 200 {
            let row = samples(&board.ok("get_pfb_samples", json!([n]), at(2)));
            let (two, one) = (
                size(at_frequency(&row, 0.0)),
                size(at_frequency(&row, -f64::from(bin) / f64::from(n))),
            );
            assert!((two / carrier / 2.0 - 1.0).abs() < 0.02, "{two} {carrier}");
            assert!((one / two * (2.0 * gain) - 1.0).abs() < 0.03, "{one} {two}");
        }
        // The third tone is outside the bin.
        for bin in [-700, -301, 301, 903] {
            let other = size(at_frequency(&row, f64::from(bin) / f64::from(n)));
            assert!(other < 0.01 * carrier, "{bin}: {other} {carrier}");
        }
    }
}

#[test]
fn noise_has_the_shape_of_the_bin_and_the_density_of_the_slow_samples() {
    let (_farm, mut board, _) = start();
    tone(&mut board, 1, 0.0, 0.001);
    let n = 50_000;
    // Both acquisitions come before the computations, because the time of the board passes during
    // these.
    let row = samples(&board.ok("get_pfb_samples", json!([n]), at(1)));
    let slow = samples(&board.ok("get_samples", json!([20_000]), at(1)));
    // Returns the mean power in a hundred bins of the Fourier transform around a frequency in
    // cycles per sample.
    let power = |middle: f64| {
        let bins = (-50..50).map(|bin| middle + f64::from(bin) / f64::from(n));
        bins.map(|cycles| size(at_frequency(&row, cycles)).powi(2))
            .sum::<f64>()
            / 100.0
    };
    let centre = power(0.004);
    for (thousandths, gain) in GAIN {
        for side in [1.0, -1.0] {
            let ratio = power(side * f64::from(thousandths) / 1000.0) / centre;
            // The mean over a hundred bins determines a power to 10 %, and two means are compared.
            assert!(
                (ratio / gain.powi(2) - 1.0).abs() < 0.6,
                "{thousandths} {side}: {ratio}"
            );
        }
    }
    let mean = at_frequency(&slow, 0.0);
    let squares = slow
        .iter()
        .map(|(i, q)| (i - mean.0).powi(2) + (q - mean.1).powi(2));
    let variance = squares.sum::<f64>() / slow.len() as f64;
    // The integral of sinc^12: the second decimation filter has six moving averages, each as long
    // as a decimated sample. The three averages of the first filter hardly matter.
    let passed = variance / (centre * f64::from(n)) * 64.0 * 64.0;
    assert!((passed / 0.3939 - 1.0).abs() < 0.4, "{passed}");
}

#[test]
fn the_converter_sees_all_tones_and_its_own_noise() {
    let (_farm, mut board, _) = start();
    let rate = 625e6;
    let n = 640;
    for (channel, cycles) in [(1, 10.0), (2, -25.0)] {
        tone(
            &mut board,
            channel,
            rate * cycles / f64::from(n),
            0.05 * f64::from(channel),
        );
    }
    let raw = json!({"module": 1, "units": "raw"});
    let first = samples(&board.ok("get_fast_samples", json!([n]), raw.clone()));
    let one = size(at_frequency(&first, 10.0 / f64::from(n)));
    let two = size(at_frequency(&first, -25.0 / f64::from(n)));
    assert!((two / one - 2.0).abs() < 0.05, "{two} {one}");
    assert!(
        first
            .iter()
            .all(|(i, q)| i.fract() == 0.0 && q.fract() == 0.0)
    );
    let noise = size(at_frequency(&first, 100.0 / f64::from(n)));
    assert!(noise < 0.02 * one && noise > 0.0, "{noise} {one}");
    // The phase of the demodulator acts after the converter.
    let normalized = json!({"module": 1});
    let before = samples(&board.ok("get_fast_samples", json!([n]), normalized.clone()));
    assert!((size(at_frequency(&before, 10.0 / f64::from(n))) * 32768.0 / one - 1.0).abs() < 0.05);
    board.ok("set_phase", json!([90, "degrees", "adc"]), at(1));
    let after = samples(&board.ok("get_fast_samples", json!([n]), normalized));
    let ratio = size(at_frequency(&after, 10.0 / f64::from(n)))
        / size(at_frequency(&before, 10.0 / f64::from(n)));
    assert!((ratio - 1.0).abs() < 0.05, "{ratio}");
}

#[test]
fn a_stream_of_channels_is_whole_and_shows_their_tones() {
    for channels in [vec![2], vec![2, 1], vec![2, 1, 700, 3]] {
        let (farm, mut board, mut listener) = start();
        for (channel, amplitude) in [(1, 0.001), (2, 0.002), (3, 0.003)] {
            tone(&mut board, channel, f64::from(channel) * 10e6, amplitude);
        }
        let mut expected = BTreeMap::new();
        for channel in 1..=3 {
            let row = samples(&board.ok("get_samples", json!([20]), at(channel)));
            expected.insert(channel, size(row[19]));
        }
        board.ok("set_pfb_streamer", json!([channels]), json!({"module": 1}));
        listener.join(farm.boards()[0].ip());
        let slots = channels.len();
        let mut last = None;
        for _ in 0..200 {
            let (_, bytes) = listener.receive();
            let packet = PfbPacket::new(&bytes).unwrap();
            assert_eq!((packet.serial(), packet.module()), (1, 0));
            let mode = [PfbMode::One, PfbMode::Two, PfbMode::Four];
            assert_eq!(packet.mode(), mode[slots.ilog2() as usize]);
            let named = packet.slots().map(|slot| u32::from(slot) + 1);
            assert_eq!(named[..slots], channels);
            assert_eq!(packet.samples().len(), 1000);
            let stamp = packet.stamp();
            assert!(stamp.is_recent());
            // Each sample takes 64 parts of the second.
            let sample =
                (u64::from(stamp.second_of_day) * 156_250_000 + u64::from(stamp.part)) / 64;
            if let Some((number, before)) = last.replace((packet.sequence(), sample)) {
                let step = u64::from(packet.sequence().wrapping_sub(number));
                assert_eq!(
                    sample - before,
                    step * (1000 / slots as u64),
                    "{channels:?}"
                );
            }
            for (slot, channel) in channels.iter().enumerate() {
                let row: Vec<Iq> = packet
                    .slot_samples(slot)
                    .map(|(i, q)| (f64::from(i) / 256.0, f64::from(q) / 256.0))
                    .collect();
                let mean = size(at_frequency(&row, 0.0));
                match expected.get(channel) {
                    Some(tone) => assert!((mean / tone - 1.0).abs() < 0.02, "{mean} {tone}"),
                    None => assert!(mean < 0.01 * expected[&1], "{mean}"),
                }
            }
        }
        board.ok("set_pfb_streamer", json!([null]), json!({"module": 1}));
        let counters = farm.boards()[0].stream_counters("pfb")[0];
        assert!(counters.made >= 200 && counters.lost == 0, "{counters:?}");
    }
}
