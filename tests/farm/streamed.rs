//! Samples from the boards' streams in place of their acquisition calls: the same samples, and the
//! same tune.

use std::time::Duration;

use tworoutine::{Wait, tworoutine};
use twotone::Array;
use twotone::algorithms::tune;
use twotone::hal::{
    Acquire, Batch, BoardHandle, ChannelId, Complex64, Hertz, MeanSamples, ModuleId, Result,
    ToneUpdate,
};
use twotone::map::HardwareMap;
use twotone::run::Runner;
use twotone::score::score;
use twotone::sim::fault::{Fault, StaleStamps};
use twotone::sim::{Farm, TimeMode};
use twotone::transport::readout::StreamOptions;
use twotone::transport::{ConnectOptions, SampleSource, TuberClient};

use super::{BAND_HZ, RUN_DEADLINE, params};

const TONES: u16 = 4;
const SAMPLES: u32 = 16;

/// A map that lists no modules: those of the bank in use are there.
fn map(farm: &Farm) -> HardwareMap {
    let board = &farm.boards()[0];
    let (address, serial) = (board.address(), board.serial());
    let text = format!(
        "[[board]]\nname = \"crs0001\"\nkind = \"crs\"\naddress = \"{address}\"\nserial = \"{serial}\"\n"
    );
    HardwareMap::parse(&text, "map").expect("a map")
}

/// Connects with samples from the streams.
fn connect_streamed(map: &HardwareMap) -> Array {
    let options = ConnectOptions::new().samples(SampleSource::Stream(StreamOptions::new()));
    Array::connect_with(map, &options, 16).wait()
}

/// The board without limits, which would read back and count.
fn first(array: &Array) -> BoardHandle {
    array.targets()[0].board.clone()
}

/// Sets the tones to an amplitude and measures them, in one batch.
#[tworoutine(Send)]
async fn set_and_measure(
    board: &BoardHandle,
    module: ModuleId,
    amplitude: f64,
) -> Result<MeanSamples> {
    let mut batch = Batch::new();
    for number in 1..=TONES {
        let tone = ToneUpdate::new(ChannelId::new(number)?)
            .offset(Hertz(1e6 * f64::from(number)))
            .amplitude(amplitude);
        batch.set_tone(module, tone);
    }
    let ticket = batch.acquire_mean(module, Acquire::new(SAMPLES).first_channels(TONES));
    let replies = board.run(&batch).await?;
    let means = replies.get(ticket);
    Ok(MeanSamples {
        mean: means.mean.to_vec(),
        scatter: means.scatter.to_vec(),
        overrange: means.overrange,
        overvoltage: means.overvoltage,
    })
}

/// Whether two measurements of the same settings differ by noise alone.
fn assert_same(streamed: &MeanSamples, called: &MeanSamples, what: &str) {
    assert_eq!(streamed.mean.len(), called.mean.len());
    for channel in 0..called.mean.len() {
        let off = (streamed.mean[channel] - called.mean[channel]).norm();
        // Correlated samples: errors of the two means, and 6 sigma of their difference.
        let sigma = called.scatter[channel].max(streamed.scatter[channel]);
        let most = 6.0 * 2.0 * (2.0 / f64::from(SAMPLES)).sqrt() * sigma;
        assert!(
            off <= most,
            "{what}, channel {channel}: {off} apart, {most} at the most"
        );
        let ratio = streamed.scatter[channel] / called.scatter[channel];
        assert!((0.3..3.0).contains(&ratio), "{what}: scatter {ratio} times");
    }
}

fn check_switches(farm: &Farm, module: ModuleId, switches: usize) {
    let [by_stream, by_call] = [
        connect_streamed(&map(farm)),
        Array::connect(&map(farm)).wait(),
    ];
    let (by_stream, by_call) = (first(&by_stream), first(&by_call));
    for switch in 0..switches {
        let amplitude = if switch % 2 == 0 { 0.002 } else { 0.0 };
        let streamed = set_and_measure(&by_stream, module, amplitude)
            .wait()
            .unwrap();
        let acquire = Acquire::new(SAMPLES).first_channels(TONES);
        let called = by_call.samples().mean(module, acquire).wait().unwrap();
        assert_same(&streamed, &called, &format!("switch {switch}"));
        let loudest = streamed.mean.iter().map(|z| z.norm()).fold(0.0, f64::max);
        assert_eq!(
            loudest > 100.0 * streamed.scatter[0],
            switch % 2 == 0,
            "{loudest}"
        );
    }
}

#[test]
fn samples_by_stream_are_those_by_call_and_of_the_settings_just_made() {
    let farm = Farm::builder().boards(1).detectors(4).seed(51);
    check_switches(&farm.start_blocking().unwrap(), ModuleId::FIRST, 10);
}

#[test]
fn modules_of_the_high_bank_are_found_in_its_packets() {
    let farm = Farm::builder().boards(1).detectors(4).seed(52);
    let farm = farm.start_blocking().unwrap();
    let host = farm.boards()[0].address().to_string().parse().unwrap();
    let client = TuberClient::new(host, ConnectOptions::new());
    tworoutine::wait(client.call(|calls| {
        calls.call("Dfmux", "set_analog_bank").arg(true);
    }))
    .unwrap();
    check_switches(&farm, ModuleId::new(6).unwrap(), 3);
}

#[test]
fn stamps_without_a_meaning_are_not_used() {
    let farm = Farm::builder().boards(1).detectors(4).seed(53);
    let farm = farm.start_blocking().unwrap();
    farm.boards()[0].inject(Fault::from(StaleStamps {}));
    check_switches(&farm, ModuleId::FIRST, 4);
}

#[test]
fn modules_share_the_stream_of_their_board() {
    let farm = Farm::builder().boards(1).detectors(4).modules(4).seed(54);
    let farm = farm.start_blocking().unwrap();
    let outcomes = Runner::new()
        .run(
            connect_streamed(&HardwareMap::try_from(&farm).unwrap()).targets(),
            |board, module| async move {
                board.nco().set(module, Hertz(1.25e9)).await?;
                let mut means = Vec::new();
                for amplitude in [0.002, 0.0, 0.002] {
                    let measured = set_and_measure(&board, module, amplitude).await?;
                    means.push((measured.mean[0], measured.scatter[0]));
                }
                Result::<_>::Ok(means)
            },
        )
        .wait();
    assert_eq!(outcomes.len(), 4);
    for outcome in outcomes {
        let means: Vec<(Complex64, f64)> = outcome.result.unwrap();
        let loud = means
            .iter()
            .map(|(mean, scatter)| mean.norm() > 100.0 * scatter);
        assert_eq!(loud.collect::<Vec<_>>(), [true, false, true], "{means:?}");
    }
}

#[test]
fn a_tune_through_the_stream_tunes() {
    let farm = Farm::builder()
        .boards(1)
        .detectors(8)
        .seed(55)
        .band(BAND_HZ.0, BAND_HZ.1)
        .time(TimeMode::RealTime { call_us: 20 });
    let farm = farm.start_blocking().unwrap();
    let array = connect_streamed(&HardwareMap::try_from(&farm).unwrap());
    let outcomes = Runner::new()
        .deadline(RUN_DEADLINE)
        .longest_batch(Duration::from_secs(2))
        .keep_on_success()
        .run(array.targets(), |board, module| async move {
            tune(&board, module, &params()).await
        })
        .wait();
    let sent: u64 = farm.boards()[0]
        .stream_counters()
        .iter()
        .map(|one| one.readout.made)
        .sum();
    assert!(sent > 100, "the stream was not used: {sent} packets");
    let tunes = outcomes.iter().map(|outcome| {
        let tune = outcome.result.as_ref().expect("it tunes");
        (outcome.board.as_str(), tune)
    });
    let score = score(&farm.truth(), tunes);
    assert_eq!(
        (score.detectors, score.tuned, score.wrong),
        (8, 8, 0),
        "{score:?}"
    );
}
