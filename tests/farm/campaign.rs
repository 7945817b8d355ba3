//! Tests of campaigns: commands that an application runs over all boards of a hardware map (the
//! list of boards). The tests run campaigns on every kind of runtime, cancel them and drop them. A
//! campaign writes its results to a folder, with an overview in the manifest (`manifest.json`).

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio_util::sync::CancellationToken;
use tworoutine::Wait;
use twotone::Array;
use twotone::algorithms::Step;
use twotone::campaign::{
    Access, BoardStatus, Campaign, Completion, Observer, SweepFormat, TuneRun,
};
use twotone::hal::{ChannelId, ModuleId};
use twotone::map::HardwareMap;
use twotone::record::{MANIFEST_FILE, Manifest, TuneRecord};
use twotone::run::HardwareState;
use twotone::sim::Farm;

const DETECTORS: usize = 8;

/// Starts a farm of two simulated boards, and makes a campaign over them.
fn campaign() -> (Farm, Campaign) {
    let farm = Farm::builder().boards(2).detectors(DETECTORS).seed(3);
    let farm = farm.start_blocking().unwrap();
    let map = HardwareMap::try_from(&farm).unwrap();
    let campaign = Campaign::new(map).access(Access::unchecked());
    (farm, campaign.note("by an application"))
}

/// Tunes with `wait`, which runs the campaign and waits for its end. Each caller waits in a
/// different way. Checks the result.
fn check_tune(wait: impl FnOnce(&Campaign, &Path) -> TuneRun) {
    let (_farm, campaign) = campaign();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let tuned = wait(&campaign, &out);
    let report = &tuned.report;
    assert_eq!(report.completion(), Completion::Complete, "{report:?}");
    assert_eq!(report.boards.len(), 2);
    for board in &report.boards {
        assert_eq!(board.status, BoardStatus::Ok, "{board:?}");
        assert_eq!(board.channels.len(), DETECTORS);
    }
    assert_eq!(report.record.run_directory.as_deref(), out.to_str());
    let manifest = Manifest::read(&out).unwrap();
    assert_eq!(manifest.note.as_deref(), Some("by an application"));
    let record = TuneRecord::read(&out).unwrap();
    for outcome in &tuned.outcomes {
        let tune = outcome.result.as_ref().unwrap();
        let read = record.module(&outcome.board, outcome.module).unwrap();
        assert_eq!(read.channel, tune.channels);
        assert_eq!(read.epoch, Some(tune.epoch));
    }
    let extension = SweepFormat::default().extension();
    assert!(out.join(format!("sweeps/crs0002.{extension}")).exists());
}

#[test]
fn a_plain_thread_waits_for_a_campaign() {
    check_tune(|campaign, out| campaign.tune(out).wait().unwrap());
}

#[test]
fn a_single_threaded_runtime_goes_on_beside_a_campaign() {
    check_tune(|campaign, out| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let turns = AtomicUsize::new(0);
            let beside = async {
                loop {
                    turns.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            };
            let tuned = tokio::select! {
                tuned = campaign.tune(out) => tuned,
                () = beside => unreachable!(),
            };
            assert!(turns.into_inner() > 100, "the thread stood still");
            tuned.unwrap()
        })
    });
}

#[test]
fn a_foreign_multi_thread_runtime_awaits_a_campaign() {
    check_tune(|campaign, out| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        let tune = campaign.tune(out.to_owned());
        runtime.block_on(runtime.spawn(tune)).unwrap().unwrap()
    });
}

/// An executor without tokio: it polls the future on this thread, and parks the thread in between.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn another_executor_awaits_a_campaign() {
    check_tune(|campaign, out| block_on(campaign.tune(out).into_inner()).unwrap());
}

/// Observer that cancels a token at the first step of the fine sweep, and lists the calls of
/// `begin` and `end`.
#[derive(Default)]
struct CancelInTheMiddle {
    token: CancellationToken,
    calls: Mutex<Vec<&'static str>>,
}

impl Observer for CancelInTheMiddle {
    fn begin(&self, modules: &[(String, ModuleId)]) {
        assert_eq!(modules.len(), 2);
        self.calls.lock().unwrap().push("begin");
    }

    fn step(&self, board: &str, step: &Step) {
        assert!(board.starts_with("crs000"), "{board}");
        if step.stage == twotone::algorithms::Stage::FineSweep {
            self.token.cancel();
        }
    }

    fn end(&self) {
        self.calls.lock().unwrap().push("end");
    }
}

/// Returns the number of tones that the boards of a map drive.
fn tones_on(map: &HardwareMap) -> usize {
    let array = Array::connect(map).wait();
    let on = array.targets().into_iter().map(|target| {
        let tones = target.board.tones();
        let tones = tones.read(target.module, ChannelId::FIRST, 1024).wait();
        tones.unwrap().iter().filter(|tone| tone.is_on()).count()
    });
    on.sum()
}

#[test]
fn a_cancelled_campaign_restores_the_hardware_and_records_what_it_has() {
    let (_farm, campaign) = campaign();
    let observer = Arc::new(CancelInTheMiddle::default());
    let campaign = campaign
        .cancel(observer.token.clone())
        .observer(observer.clone());
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let tuned = campaign.tune(&out).wait().unwrap();
    assert!(tuned.report.interrupted);
    assert_eq!(tuned.report.completion(), Completion::Interrupted);
    for outcome in &tuned.outcomes {
        let hardware = &outcome.hardware;
        assert!(hardware.is_settled(), "{hardware}");
        assert_ne!(*hardware, HardwareState::Kept);
    }
    assert_eq!(tones_on(campaign.map()), 0);
    assert_eq!(Manifest::read(&out).unwrap().boards.len(), 2);
    assert_eq!(*observer.calls.lock().unwrap(), ["begin", "end"]);
}

#[test]
fn a_campaign_whose_future_is_dropped_cleans_up_all_the_same() {
    let (_farm, campaign) = campaign();
    let observer = Arc::new(CancelInTheMiddle::default());
    let dropped = observer.token.clone();
    let campaign = campaign.observer(observer);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::select! {
            tuned = campaign.tune(&out) => panic!("it ended: {tuned:?}"),
            () = dropped.cancelled() => {}
        }
    });
    // The campaign writes its manifest last.
    while !out.join(MANIFEST_FILE).exists() {
        thread::yield_now();
    }
    assert_eq!(tones_on(campaign.map()), 0);
    let manifest = Manifest::read(&out).unwrap();
    assert_eq!(manifest.boards[0].channels["tuned"], 0);
}

#[test]
fn an_array_is_swept_and_switched_off() {
    let (_farm, campaign) = campaign();
    let folder = tempfile::tempdir().unwrap();
    let tune = folder.path().join("tune");
    campaign.tune(&tune).wait().unwrap();
    assert!(tones_on(campaign.map()) > 0);
    let off = campaign.off().wait();
    assert_eq!(off.completion(), Completion::Complete, "{off:?}");
    assert_eq!(tones_on(campaign.map()), 0);

    let sweep = folder.path().join("sweep");
    let swept = campaign.sweep(&sweep, SweepFormat::Csv).wait().unwrap();
    assert_eq!(swept.report.completion(), Completion::Complete);
    for outcome in &swept.outcomes {
        let swept = outcome.result.as_ref().unwrap();
        assert!(swept.network_analysis.frequency_hz.len() >= 50_000);
    }
    assert!(sweep.join("sweeps/crs0001.csv").exists());
    assert_eq!(tones_on(campaign.map()), 0);
}

#[test]
fn an_impossible_campaign_is_refused_before_any_board_is_contacted() {
    let (_farm, campaign) = campaign();
    let folder = tempfile::tempdir().unwrap();
    let error = campaign.tune(folder.path()).wait().unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    let map = campaign.map().to_toml();
    let lines = map.lines().filter(|line| !line.starts_with("f_m"));
    let bare = lines.collect::<Vec<_>>().join("\n");
    let bare = Campaign::new(HardwareMap::parse(&bare, "bare.toml").unwrap());
    for refused in [
        bare.tune(folder.path().join("run")).wait().map(drop),
        bare.sweep(folder.path().join("run"), SweepFormat::Csv)
            .wait()
            .map(drop),
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("need f_min_hz and f_max_hz"), "{error}");
    }
    assert!(!folder.path().join("run").exists());
}
