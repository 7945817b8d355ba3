//! Tests of algorithms that take samples from the streams of the boards instead of calling the
//! boards for them. The samples and the results of tuning are the same.

use std::thread;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tworoutine::{Wait, tworoutine};
use twotone::Array;
use twotone::algorithms::tune;
use twotone::hal::{
    Acquire, Batch, BoardHandle, Certainty, ChannelId, Complex64, ErrorKind, Hertz, MeanSamples,
    ModuleId, ReceiveOptions, Result, ToneUpdate,
};
use twotone::map::HardwareMap;
use twotone::run::Runner;
use twotone::score::score;
use twotone::sim::fault::{ErrorOnCall, Fault, Reboot, StaleStamps};
use twotone::sim::{Farm, Streaming, TimeMode};
use twotone::transport::wire::tuber::{BatchWriter, Value};
use twotone::transport::{ConnectOptions, SampleSource, TuberClient};

use super::{BAND_HZ, RUN_DEADLINE, params};

const TONES: u16 = 4;
const SAMPLES: u32 = 16;

/// Returns a hardware map (a list of boards) that names no modules. So the board itself says which
/// modules it has. This depends on its analog bank, a group of inputs and outputs that the board
/// can switch between.
fn map(farm: &Farm) -> HardwareMap {
    let board = &farm.boards()[0];
    let (address, serial) = (board.address(), board.serial());
    let text = format!(
        "[[board]]\nname = \"crs0001\"\nkind = \"crs\"\naddress = \"{address}\"\nserial = \"{serial}\"\n"
    );
    HardwareMap::parse(&text, "map").expect("a map")
}

/// Connects to the boards so that samples are taken from their streams.
fn connect_streamed(map: &HardwareMap) -> Array {
    let options = ConnectOptions::new().samples(SampleSource::Stream(ReceiveOptions::new()));
    Array::connect_with(map, &options, 16).wait()
}

/// Returns a handle of the first board without the wrapper that checks limits. The wrapper would
/// read settings back, and these calls would be counted too.
fn first(array: &Array) -> BoardHandle {
    array.targets()[0].board.clone()
}

/// Sets the tones to an amplitude and takes samples of them, in one request.
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

/// Asserts that two measurements of the same settings differ only by noise.
fn assert_same(streamed: &MeanSamples, called: &MeanSamples, what: &str) {
    assert_eq!(streamed.mean.len(), called.mean.len());
    for channel in 0..called.mean.len() {
        let off = (streamed.mean[channel] - called.mean[channel]).norm();
        // The limit is 6 sigma of the difference of two means. The factor 2 is for samples that are
        // correlated.
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

/// Returns the number of acquisition calls that the board has had.
fn asked(farm: &Farm) -> u64 {
    let counters = farm.boards()[0].counters();
    counters.by_method.get("get_samples").copied().unwrap_or(0)
}

/// Calls the board over a connection of its own, as another program would.
fn another_calls(farm: &Farm, write: impl Fn(&mut BatchWriter)) -> Result<Value> {
    let host = farm.boards()[0].address().to_string().parse().unwrap();
    let client = TuberClient::new(host, ConnectOptions::new());
    tworoutine::wait(client.call(write))
}

fn check_switches(farm: &Farm, module: ModuleId, switches: usize, is_stream_used: bool) {
    let [by_stream, by_call] = [
        connect_streamed(&map(farm)),
        Array::connect(&map(farm)).wait(),
    ];
    let (by_stream, by_call) = (first(&by_stream), first(&by_call));
    for switch in 0..switches {
        let amplitude = if switch % 2 == 0 { 0.002 } else { 0.0 };
        let before = asked(farm);
        let streamed = set_and_measure(&by_stream, module, amplitude)
            .wait()
            .unwrap();
        assert_eq!(asked(farm) == before, is_stream_used, "switch {switch}");
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
    check_switches(&farm.start_blocking().unwrap(), ModuleId::FIRST, 10, true);
}

#[test]
fn modules_of_the_high_bank_are_found_in_its_packets() {
    let farm = Farm::builder().boards(1).detectors(4).seed(52);
    let farm = farm.start_blocking().unwrap();
    another_calls(&farm, |calls| {
        calls.call("Dfmux", "set_analog_bank").arg(true);
    })
    .unwrap();
    check_switches(&farm, ModuleId::new(6).unwrap(), 3, true);
}

#[test]
fn stamps_without_a_meaning_are_not_used() {
    let farm = Farm::builder().boards(1).detectors(4).seed(53);
    let farm = farm.start_blocking().unwrap();
    farm.boards()[0].inject(Fault::from(StaleStamps {}));
    check_switches(&farm, ModuleId::FIRST, 4, false);
}

#[test]
fn a_board_that_does_not_say_its_time_is_asked_for_its_samples() {
    let farm = Farm::builder().boards(1).detectors(4).seed(57);
    let farm = farm.start_blocking().unwrap();
    farm.boards()[0].inject(Fault::from(ErrorOnCall::of("get_timestamp", "no clock")));
    check_switches(&farm, ModuleId::FIRST, 4, false);
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

/// Starts a simulated board in real time: samples take as long as on a real board.
fn in_real_time(seed: u64) -> Farm {
    let farm = Farm::builder().boards(1).detectors(4).modules(4).seed(seed);
    let farm = farm.time(TimeMode::RealTime { call_us: 0 });
    farm.start_blocking().unwrap()
}

fn pause(millis: u64) {
    tworoutine::runtime().block_on(async { sleep(Duration::from_millis(millis)).await });
}

/// Acquisition that lasts a third of a second.
fn third() -> Acquire {
    Acquire::new(200).first_channels(TONES)
}

#[test]
fn a_reboot_while_samples_are_taken_is_told() {
    let farm = in_real_time(56);
    let board = first(&connect_streamed(&map(&farm)));
    set_and_measure(&board, ModuleId::FIRST, 0.002)
        .wait()
        .unwrap();
    let taking = thread::spawn({
        let board = board.clone();
        move || board.samples().mean(ModuleId::FIRST, third()).wait()
    });
    pause(100);
    let sim = &farm.boards()[0];
    sim.inject(Fault::from(Reboot { down_ms: 0 }).from_call(sim.counters().calls));
    // The call may fail, because the board restarts and loses its settings before it answers.
    let _ = another_calls(&farm, |calls| {
        calls.call("Dfmux", "get_timestamp");
    });
    let error = taking.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::EpochChanged, "{error}");
    // After the error has reported the restart, the next acquisition works again.
    let silent = board.samples().mean(ModuleId::FIRST, third()).wait();
    let silent = silent.unwrap();
    let loudest = silent.mean.iter().map(|z| z.norm()).fold(0.0, f64::max);
    assert!(loudest < 100.0 * silent.scatter[0], "{loudest}");
}

#[test]
fn samples_of_the_other_bank_are_not_taken_for_a_modules_own() {
    let farm = in_real_time(57);
    let board = first(&connect_streamed(&map(&farm)));
    let measure = || board.samples().mean(ModuleId::FIRST, third()).wait();
    measure().unwrap();
    for wait_ms in [100, 0] {
        // Switches the analog bank, first in the middle of an acquisition and then before one.
        let switch = |high: bool| {
            another_calls(&farm, |calls| {
                calls.call("Dfmux", "set_analog_bank").arg(high);
            })
            .unwrap();
        };
        let measured = thread::scope(|scope| {
            let switching = scope.spawn(|| {
                pause(wait_ms);
                switch(true);
            });
            if wait_ms == 0 {
                switching.join().unwrap();
            }
            measure()
        });
        let error = measured.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
        assert!(error.to_string().contains("analog bank"), "{error}");
        switch(false);
        measure().unwrap();
    }
}

#[test]
fn another_decimation_is_another_epoch() {
    let farm = in_real_time(58);
    let board = first(&connect_streamed(&map(&farm)));
    let measure = || board.samples().mean(ModuleId::FIRST, third()).wait();
    measure().unwrap();
    another_calls(&farm, |calls| {
        calls.call("Dfmux", "set_decimation").arg(4u32);
    })
    .unwrap();
    let error = measure().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::EpochChanged, "{error}");
    let told = error.to_string();
    assert!(told.contains("stage 4") && told.contains("at 6"), "{told}");
    measure().unwrap();
    let described = board.describe().wait().unwrap();
    let rate = described.modules[0].sample_rate.0;
    assert!((rate - 4.0 * 596.046).abs() < 0.1, "{rate}");
}

#[test]
fn modules_that_nothing_comes_from_are_told_at_once_and_together() {
    let farm = Farm::builder().boards(1).detectors(4).modules(4).seed(59);
    let farm = farm.streaming(Streaming::Never).start_blocking().unwrap();
    let within = Duration::from_millis(500);
    let options = ConnectOptions::new()
        .samples(SampleSource::Stream(ReceiveOptions::new()))
        .request_timeout(within);
    let board = first(&Array::connect_with(&map(&farm), &options, 16).wait());
    let began = Instant::now();
    let (board, before) = (&board, farm.boards()[0].counters().calls);
    thread::scope(|scope| {
        for number in 1..=4 {
            scope.spawn(move || {
                let module = ModuleId::new(number).unwrap();
                let error = set_and_measure(board, module, 0.1).wait().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Timeout);
                assert_eq!(error.certainty(), Certainty::NotExecuted);
                assert!(error.to_string().contains("does it stream"), "{error}");
            });
        }
    });
    assert!(began.elapsed() < 2 * within, "{:?}", began.elapsed());
    assert_eq!(farm.boards()[0].counters().calls, before, "it was touched");
}

#[test]
fn a_module_that_falls_silent_is_told_as_such_while_another_is_measured() {
    let farm = in_real_time(60);
    let options = ConnectOptions::new()
        .samples(SampleSource::Stream(ReceiveOptions::new()))
        .request_timeout(Duration::from_millis(300));
    let board = first(&Array::connect_with(&map(&farm), &options, 16).wait());
    let (one, two) = (ModuleId::FIRST, ModuleId::new(2).unwrap());
    for module in [one, two] {
        board.samples().mean(module, third()).wait().unwrap();
    }
    another_calls(&farm, |calls| {
        let call = calls.call("Dfmux", "set_decimation").arg(6u32);
        call.kwarg("module", 1u32);
    })
    .unwrap();
    thread::scope(|scope| {
        // The first acquisition receives the stream for both of them.
        let long = scope.spawn(|| board.samples().mean(one, Acquire::new(900)).wait());
        pause(100);
        let error = board.samples().mean(two, third()).wait().unwrap_err();
        assert!(!long.is_finished());
        assert_eq!(error.kind(), ErrorKind::Timeout);
        let told = error.to_string();
        assert!(told.contains("0 of 200"), "{told}");
        assert!(told.contains("nothing came from it meanwhile"), "{told}");
        long.join().unwrap().unwrap();
    });
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
        .request_life(Duration::from_secs(2))
        .keep_on_success()
        .run(array.targets(), |board, module| async move {
            tune(&board, module, &params()).await
        })
        .wait();
    let sent: u64 = farm.boards()[0]
        .stream_counters("readout")
        .iter()
        .map(|one| one.made)
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
