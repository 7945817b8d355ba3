//! Work on a board whose firmware access answers from a script.

use std::sync::Mutex;

use twotone_hal::{FirmwareAnswer, FirmwareImage, FirmwareProgress, async_trait};

use super::*;
use crate::firmware::write_example;
use crate::map::HardwareMap;

/// Serial number of the crate in the record of the flash.
const CRATE: &str = "c7";

/// Access to firmware. Each step whose error is `None` succeeds, and a transfer never ends.
#[derive(Debug, Default)]
struct Script {
    listen: Option<ErrorKind>,
    identify: Option<ErrorKind>,
    commit: Option<ErrorKind>,
    /// Power loss until the end.
    power_loss: Option<PowerLoss>,
    stage_ends: bool,
    steps: Mutex<Vec<&'static str>>,
}

impl Script {
    fn step<T>(&self, step: &'static str, value: T, error: Option<ErrorKind>) -> FirmwareResult<T> {
        self.steps.lock().unwrap().push(step);
        let power_loss = self.power_loss.unwrap_or(PowerLoss::Harmless);
        match error {
            None => Ok(FirmwareAnswer::new(value, power_loss)),
            Some(kind) => {
                let error = Error::new(kind, step).advise("this is the advice");
                Err(FirmwareError::new(error, power_loss))
            }
        }
    }
}

#[async_trait]
impl Firmware for Script {
    fn name(&self) -> &str {
        "b1"
    }
    fn check(&self, _: &FirmwareImage) -> Result<(), Error> {
        Ok(())
    }
    async fn listen(&self) -> Result<(), Error> {
        let listening = self.step("listen", (), self.listen);
        listening.map(drop).map_err(|failed| failed.error)
    }
    async fn identify(&self) -> FirmwareResult<FirmwareIdentity> {
        self.step("identify", FirmwareIdentity::new("crs"), self.identify)
    }
    async fn stage(&self, _: &FirmwareImage, _: FirmwareProgress<'_>) -> FirmwareResult<()> {
        if !self.stage_ends {
            std::future::pending::<()>().await;
        }
        self.step("stage", (), None)
    }
    async fn commit(&self) -> FirmwareResult<()> {
        self.step("commit", (), self.commit)
    }
    async fn verify(&self, _: &FirmwareImage) -> FirmwareResult<()> {
        self.step("verify", (), Some(ErrorKind::Protocol))
    }
    async fn boot(&self) -> FirmwareResult<()> {
        self.step("boot", (), None)
    }
}

/// Result of the work on a board.
struct Told {
    report: BoardReport,
    steps: Vec<&'static str>,
    events: Vec<Event>,
    /// Records of the board that are left.
    records: usize,
    crates: Arc<Crates>,
    /// True if the power of the crate was held when the result was reported.
    held: bool,
}

/// Works on a board whose flash was begun before if `begun` is true. The work is interrupted once
/// the flash has been compared, if the transfer does not end. `port` is another one for each test.
async fn work(script: Script, begun: bool, port: u16) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("boot.bin");
    let image = write_example(&image, "1.8.0", 3000).unwrap();
    let map = format!(
        "[[board]]\nname = \"b1\"\nkind = \"crs\"\nserial = \"7\"\naddress = \"127.0.0.1:{port}\"\n"
    );
    let map = HardwareMap::parse(&map, "map.toml").unwrap();
    let entry = map.boards()[0].clone();
    let flashes = Flashes::in_folder(folder.path().join("flashes"));
    let record = Unfinished {
        board: entry.name.clone(),
        kind: entry.kind.name().to_owned(),
        serial: "7".to_owned(),
        crate_serial: Some(CRATE.to_owned()),
        ..Unfinished::default()
    };
    let release = BoardRelease {
        name: entry.name.clone(),
        kind: entry.kind,
        serial: entry.serial.clone(),
        crate_serial: None,
        can_be_flashed: true,
        release: (!begun).then(|| "1.7.0".to_owned()),
        is_another: false,
        unfinished: begun.then_some(record),
        power_loss: match begun {
            true => PowerLoss::Unknown.as_str(),
            false => HARMLESS,
        },
        error: None,
    };
    let (script, crates) = (Arc::new(script), Arc::new(Crates::default()));
    let (events, held) = (
        Arc::new(Mutex::new(Vec::new())),
        Arc::new(Mutex::new(false)),
    );
    let (stop, stage_ends) = (CancellationToken::new(), script.stage_ends);
    let one = OneBoard {
        lock: lock(&entry).await.unwrap(),
        entry,
        firmware: Arc::clone(&script) as Arc<dyn Firmware>,
        image: Arc::new(Image::load(image).unwrap()),
        task: Task::Flash,
        release,
        crates: Arc::clone(&crates),
        flashes: flashes.clone(),
        back_within: Duration::ZERO,
        stop: stop.clone(),
        observe: {
            let events = Arc::clone(&events);
            Arc::new(move |_, event| {
                if event == Event::Comparing && !stage_ends {
                    stop.cancel();
                }
                events.lock().unwrap().push(event);
            })
        },
        observe_end: {
            let (crates, held) = (Arc::clone(&crates), Arc::clone(&held));
            Arc::new(move |_| {
                *held.lock().unwrap() = crates.power(Some(CRATE)).try_read().is_err();
            })
        },
    };
    let report = one.run().await;
    let (events, held) = (events.lock().unwrap().clone(), *held.lock().unwrap());
    Told {
        report,
        steps: std::mem::take(&mut script.steps.lock().unwrap()),
        events,
        records: flashes.all().len(),
        crates,
        held,
    }
}

fn advice(report: &BoardReport) -> &str {
    report.error.as_ref().unwrap().advice.as_deref().unwrap()
}

#[tokio::test]
async fn an_interrupted_board_with_an_incomplete_flash_is_not_restarted() {
    let script = || Script {
        power_loss: Some(PowerLoss::Fatal),
        ..Script::default()
    };
    let told = work(script(), true, 61_001).await;
    assert!(!told.steps.contains(&"boot"), "{:?}", told.steps);
    assert_eq!(told.report.status, BoardStatus::NotStarted);
    assert_eq!(told.report.power_loss, "fatal");
    assert!(advice(&told.report).contains("KEEP THE POWER ON"));
    // Nor is a board of its crate begun, which only the record names.
    assert!(told.held);
    let power = told.crates.power(Some(CRATE));
    assert_eq!(power.read().await.as_deref(), Some("b1"));
    // A board whose flash is complete restarts.
    let told = work(Script::default(), false, 61_001).await;
    assert_eq!(told.steps.last(), Some(&"boot"));
    assert_eq!(told.report.power_loss, HARMLESS);
}

#[tokio::test]
async fn a_write_that_did_not_begin_is_not_counted_and_leaves_no_record() {
    let script = |power_loss| Script {
        commit: Some(ErrorKind::Timeout),
        power_loss: Some(power_loss),
        stage_ends: true,
        ..Script::default()
    };
    let told = work(script(PowerLoss::Harmless), false, 61_002).await;
    let commits = |told: &Told| told.steps.iter().filter(|step| **step == "commit").count();
    assert_eq!(
        (commits(&told), told.report.writes, told.records),
        (2, 0, 0)
    );
    assert_eq!(told.steps.last(), Some(&"boot"));
    let told = work(script(PowerLoss::Unknown), true, 61_002).await;
    assert_eq!(
        (commits(&told), told.report.writes, told.records),
        (2, 2, 1)
    );
    assert_ne!(told.steps.last(), Some(&"boot"));
}

#[tokio::test]
async fn the_advice_of_a_step_stays_beside_that_about_the_power() {
    let script = Script {
        identify: Some(ErrorKind::Timeout),
        power_loss: Some(PowerLoss::Unknown),
        ..Script::default()
    };
    let told = work(script, true, 61_003).await;
    let advice = advice(&told.report);
    assert!(advice.starts_with("KEEP THE POWER ON"), "{advice}");
    assert!(advice.ends_with("this is the advice"), "{advice}");
}

#[tokio::test]
async fn nobody_is_asked_to_restart_a_board_that_cannot_be_heard() {
    let script = Script {
        listen: Some(ErrorKind::Unreachable),
        ..Script::default()
    };
    let told = work(script, false, 61_004).await;
    assert_eq!((told.events, told.steps), (vec![], vec!["listen"]));
    assert_eq!(told.report.status, BoardStatus::Failed);
    assert_eq!(told.report.power_loss, HARMLESS);
}
