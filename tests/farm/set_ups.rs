//! Set-ups of boards that hang, and set-ups that are cancelled. A set-up sets the properties that a
//! map has for its boards, and reads them back.

use std::thread;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use twotone::campaign::{
    Access, BoardStatus, Campaign, Completion, DryRunOf, SetupReport, SetupStatus,
};
use twotone::hal::ErrorKind;
use twotone::map::HardwareMap;
use twotone::record::Manifest;
use twotone::sim::Farm;
use twotone::sim::fault::{Fault, Hang};

/// Starts a farm of two simulated boards, and makes a campaign with these properties of each. The
/// first board never answers calls of `hangs`.
fn campaign(properties: &str, hangs: &str) -> (Farm, Campaign) {
    let farm = Farm::builder().boards(2).detectors(2).seed(5);
    let farm = farm.start_blocking().unwrap();
    let text = farm.map_toml().replace(
        "\n[[board.module]]\n",
        &format!("{properties}\n[[board.module]]\n"),
    );
    let map = HardwareMap::parse(&text, "map.toml").unwrap();
    let hang = Hang {
        method: hangs.to_owned(),
    };
    farm.boards()[0].inject(Fault::from(hang));
    (farm, Campaign::new(map).access(Access::unchecked()))
}

const CLOCKS: &str = "clock_source = \"SMA\"\ntimestamp_port = \"BACKPLANE\"\n";

/// Number of calls of a method of the first board.
fn called(farm: &Farm, method: &str) -> u64 {
    let methods = farm.boards()[0].counters().by_method;
    methods.get(method).copied().unwrap_or(0)
}

/// Waits until a method of the first board is called, and then cancels `tokens`.
fn cancel_at(farm: &Farm, method: &str, tokens: &[&CancellationToken]) {
    while called(farm, method) == 0 {
        thread::yield_now();
    }
    tokens.iter().for_each(|token| token.cancel());
}

/// Status and kind of error of each property of a board.
fn found(report: &SetupReport, board: usize) -> Vec<(SetupStatus, Option<ErrorKind>)> {
    let settings = report.boards[board].setup.settings.iter();
    let kind = settings.map(|one| {
        let error = one.error.as_ref();
        (one.status, error.and_then(|error| error.kind))
    });
    kind.collect()
}

/// Runs a set-up that is cancelled when the first board is asked for `method`. With `abandons`, the
/// requests that set are given up too.
fn cancelled_at(farm: &Farm, campaign: Campaign, method: &str, abandons: bool) -> SetupReport {
    let (cancel, abandon) = (CancellationToken::new(), CancellationToken::new());
    let campaign = campaign.cancel(cancel.clone()).abandon(abandon.clone());
    thread::scope(|scope| {
        let setting_up = scope.spawn(|| campaign.setup(false).wait().unwrap());
        cancel_at(farm, method, &[&cancel]);
        if abandons {
            abandon.cancel();
        }
        setting_up.join().unwrap()
    })
}

#[test]
fn a_cancel_ends_what_reads_and_leaves_the_rest() {
    let (farm, campaign) = campaign(CLOCKS, "get_clock_source");
    let report = cancelled_at(&farm, campaign, "get_clock_source", false);
    let unread = (SetupStatus::NotSet, Some(ErrorKind::Cancelled));
    assert_eq!(found(&report, 0), [unread, unread]);
    assert!(report.interrupted && !report.ok);
    assert_eq!(report.completion(), Completion::Interrupted);
    assert_eq!(called(&farm, "get_timestamp_port"), 0);
}

#[test]
fn nothing_is_set_after_a_cancel() {
    let (farm, campaign) = campaign(CLOCKS, "set_clock_source");
    let report = cancelled_at(&farm, campaign, "set_clock_source", true);
    let unknown = (SetupStatus::NotSet, Some(ErrorKind::Cancelled));
    assert_eq!(found(&report, 0), [unknown, (SetupStatus::Differs, None)]);
    assert!(report.interrupted && !report.ok);
    assert_eq!(report.completion(), Completion::Incomplete);
    assert_eq!(called(&farm, "set_timestamp_port"), 0);
}

#[test]
fn a_set_up_that_was_done_before_a_cancel_is_done() {
    let (farm, campaign) = campaign(CLOCKS, "no_method");
    let one = campaign.map().only(&["crs0001".to_owned()], &[]).unwrap();
    let campaign = Campaign::new(one).access(Access::unchecked());
    let report = cancelled_at(&farm, campaign, "set_timestamp_port", false);
    let set = (SetupStatus::Set, None);
    assert_eq!(found(&report, 0), [set, set]);
    assert!(report.ok && !report.interrupted);
    assert_eq!(report.completion(), Completion::Complete);
}

#[test]
fn a_board_that_hangs_is_asked_once() {
    let (farm, campaign) = campaign(CLOCKS, "get_clock_source");
    let one = campaign.map().only(&["crs0001".to_owned()], &[]).unwrap();
    let campaign = Campaign::new(one).access(Access::unchecked());
    // The board is not waited for longer than this.
    let campaign = campaign.deadline(Duration::from_millis(500));
    let report = campaign.setup(false).wait().unwrap();
    let silent = (SetupStatus::NotSet, Some(ErrorKind::Timeout));
    assert_eq!(found(&report, 0), [silent, silent]);
    let rest = report.boards[0].setup.settings[1].error.as_ref().unwrap();
    assert!(
        rest.message.contains("not asked after `clock_source`"),
        "{rest}"
    );
    assert_eq!(called(&farm, "get_timestamp_port"), 0);

    // A run has the same reason.
    let folder = tempfile::tempdir().unwrap();
    let tuned = campaign.tune(folder.path().join("run")).wait().unwrap();
    let board = &tuned.report.boards[0];
    assert_eq!(board.status, BoardStatus::Unreachable);
    let kind = board.error.as_ref().and_then(|error| error.kind);
    assert_eq!(kind, Some(ErrorKind::Timeout));
}

#[test]
fn a_tune_that_is_cancelled_during_its_set_up_says_what_it_has_changed() {
    let (farm, campaign) = campaign(CLOCKS, "set_timestamp_port");
    let (cancel, abandon) = (CancellationToken::new(), CancellationToken::new());
    let campaign = campaign.cancel(cancel.clone()).abandon(abandon.clone());
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let tuned = thread::scope(|scope| {
        let tuning = scope.spawn(|| campaign.tune(&out).wait().unwrap());
        cancel_at(&farm, "set_timestamp_port", &[&cancel, &abandon]);
        tuning.join().unwrap()
    });
    assert!(tuned.report.interrupted);
    assert_eq!(tuned.report.completion(), Completion::Incomplete);
    // The change is recorded, although no tone was set.
    let manifest = Manifest::read(&out).unwrap();
    let setup = manifest.boards[0].setup.as_ref().unwrap();
    assert_eq!(setup.settings[0].status, SetupStatus::Set);
}

#[test]
fn modules_that_the_board_lacks_keep_no_others_on() {
    let (farm, campaign) = campaign("", "no_method");
    let folder = tempfile::tempdir().unwrap();
    let tuned = campaign.tune(folder.path().join("run")).wait().unwrap();
    assert_eq!(tuned.report.completion(), Completion::Complete);
    let text = farm.map_toml();
    let more = text.replacen(
        "\n[[board.module]]\n",
        "\n[[board.module]]\nnumber = 5\n\n[[board.module]]\n",
        1,
    );
    let map = HardwareMap::parse(&more, "map.toml").unwrap();
    let off = Campaign::new(map).access(Access::unchecked()).off().wait();
    let board = &off.boards[0];
    let error = board.error.as_ref().unwrap();
    assert!(error.message.contains("no module 5"), "{error}");
    assert!(!off.ok && !board.off);
    let modules: Vec<_> = board
        .modules
        .iter()
        .map(|one| (one.module.number(), one.off))
        .collect();
    assert_eq!(modules, [(1, true)]);
}

#[test]
fn a_dry_run_says_what_the_set_up_would_change() {
    let (farm, _) = campaign("", "no_method");
    let text = farm
        .map_toml()
        .replace("number = 1\n", "number = 5\n")
        .replace(
            "\n[[board.module]]\n",
            "\nanalog_bank = \"high\"\n\n[[board.module]]\n",
        );
    let map = HardwareMap::parse(&text, "map.toml").unwrap();
    let campaign = Campaign::new(map).access(Access::unchecked());
    let report = campaign.dry_run(DryRunOf::Sweep).wait().unwrap();
    assert_eq!(report.completion(), Completion::Complete, "{report:?}");
    let board = &report.boards[0];
    let setting = &board.setup.as_ref().unwrap().settings[0];
    assert_eq!(
        (&*setting.property, setting.status),
        ("analog_bank", SetupStatus::Differs)
    );
    assert!(
        board
            .doubts
            .iter()
            .any(|doubt| doubt.contains("before its set-up"))
    );
    assert_eq!(called(&farm, "set_analog_bank"), 0);
}
