//! `twotone firmware`: prints the firmware releases of the boards of a map, and replaces the
//! firmware.

mod shown;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;
use twotone::firmware::{self, BoardRelease, BoardReport, Done, Flashes, Image, Rollout, Task};
use twotone::map::HardwareMap;
use twotone::record::Failure;
use twotone::transport::FirmwareOptions;

use super::interrupt::Interrupt;
use super::output::{complain, say, say_json};
use super::tune::parse_seconds;
use super::{Exit, limits, load_map};
use shown::{Narrator, say_report};

/// The arguments of `twotone firmware`.
#[derive(Debug, Args)]
pub(crate) struct Firmware {
    #[command(subcommand)]
    command: FirmwareCommand,
}

#[derive(Debug, Subcommand)]
enum FirmwareCommand {
    /// Print the release that each board of a map reports. Nothing is set.
    List {
        /// The hardware map.
        map: PathBuf,
    },
    /// Verify an image, and print which boards of a map it can be flashed to. Nothing is set.
    Check {
        /// Description of the image, in TOML.
        image: PathBuf,
        /// The hardware map.
        map: Option<PathBuf>,
        /// File of the boards that are done, as for `flash`.
        #[arg(long, value_name = "FILE", requires = "map")]
        done: Option<PathBuf>,
        #[command(flatten)]
        which: Which,
    },
    /// Transfer an image into the memory of all boards and compare its digest there. The flash
    /// stays as it is.
    Stage(Work),
    /// Replace the firmware: on one board first, then on a tenth of the others, then on the rest.
    #[command(after_help = FLASH)]
    Flash(Flash),
    /// Read the flash of all boards back, and compare its digest with that of an image.
    Verify(Work),
    /// Write an image for simulated boards, and its description NAME.toml.
    Example(Example),
}

/// Text of the help about the replacement of firmware.
const FLASH: &str = "\
A board takes commands only while it starts: switch it off and on when the program waits for it. \
The next group of boards begins only when all boards of the group before are back, report the new \
release and acquire samples. The first failure ends the roll-out; boards whose flash is being \
written are finished.

KEEP THE POWER ON while a flash is written, that of the whole crate. A board that loses its power \
then does not start again. If this program or this computer fails at that time, keep the power on \
and give the command again: it begins with the boards whose flash was begun, and takes control of \
them without a restart. `twotone firmware list` names them.

The file of --done has the boards that were flashed and verified. A second call with it goes on \
with the others.";

/// Selected boards of a map, and the releases that may be replaced.
#[derive(Debug, Args)]
struct Which {
    /// Only this board; may be given again.
    #[arg(long, value_name = "NAME")]
    board: Vec<String>,
    /// Allow boards that run a later release, or one that is not known.
    #[arg(long)]
    allow_older: bool,
}

#[derive(Debug, Args)]
struct Work {
    /// The hardware map.
    map: PathBuf,
    /// Description of the image, in TOML.
    image: PathBuf,
    #[command(flatten)]
    which: Which,
    /// Longest time until a board starts and announces itself, in seconds.
    #[arg(long, value_name = "S", default_value_t = 300.0, value_parser = parse_seconds)]
    wait: f64,
    /// Longest time until a board is back after its restart, in seconds.
    #[arg(long, value_name = "S", default_value_t = 300.0, value_parser = parse_seconds)]
    back_within: f64,
    /// Address on which this program listens for the announcements of boards. If it is absent: the
    /// usual port of their kind, on all interfaces.
    #[arg(long, value_name = "ADDRESS:PORT")]
    beacons: Option<SocketAddr>,
}

#[derive(Debug, Args)]
struct Flash {
    #[command(flatten)]
    work: Work,
    /// Flash all boards at the same time, and not one first.
    #[arg(long)]
    at_once: bool,
    /// File of the boards that are done. If it is absent: firmware-RELEASE.json in the current
    /// folder.
    #[arg(long, value_name = "FILE")]
    done: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Example {
    /// Release that simulated boards report with it.
    #[arg(long, default_value = "1.8.0")]
    release: String,
    /// Size of the image, in bytes.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u32).range(..0x400_0000))]
    size: u32,
    /// File of the image.
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct Listed {
    ok: bool,
    boards: Vec<BoardRelease>,
}

#[derive(Debug, Serialize)]
struct Checked {
    ok: bool,
    /// Reason why no board can be flashed with the image.
    refused: Option<String>,
    release: String,
    sha256: String,
    size: usize,
    boards: Vec<CheckedBoard>,
}

#[derive(Debug, Serialize)]
struct CheckedBoard {
    #[serde(flatten)]
    board: BoardRelease,
    /// True if the file of `--done` has the board, and the board reports the release.
    done: bool,
    refused: Option<Failure>,
}

/// Reads an image. If this fails, prints the reason on standard error.
fn load_image(path: &Path) -> Result<Image, Exit> {
    Image::load(path).map_err(|error| {
        complain(&format!("{error}; nothing was begun"));
        Exit::Usage
    })
}

impl Which {
    /// Returns the selected part of the map.
    fn part_of(&self, map: &HardwareMap) -> Result<HardwareMap, Exit> {
        map.only(&self.board, &[])
            .map_err(|why| Exit::usage(&format!("{}: {why}", map.file())))
    }
}

impl Firmware {
    pub(crate) fn run(self, json: bool) -> Exit {
        let ended = match self.command {
            FirmwareCommand::List { map } => list(&map, json),
            FirmwareCommand::Check {
                image,
                map,
                done,
                which,
            } => check(&image, map, done, &which, json),
            FirmwareCommand::Stage(work) => work.run(Task::Stage, None, false, json),
            FirmwareCommand::Flash(flash) => flash.run(json),
            FirmwareCommand::Verify(work) => work.run(Task::Verify, None, false, json),
            FirmwareCommand::Example(example) => example.run(json),
        };
        ended.unwrap_or_else(|exit| exit)
    }
}

fn map_of(path: &Path) -> Result<HardwareMap, Exit> {
    let map = load_map(Some(path))?;
    limits::enough_for(&map).map_err(|why| Exit::usage(&why))?;
    Ok(map)
}

fn list(path: &Path, json: bool) -> Result<Exit, Exit> {
    let map = map_of(path)?;
    let interrupt = Interrupt::watch("");
    let begun = Flashes::usual().all();
    let boards = interrupt.unless(async { firmware::list(&map, &begun).await });
    let boards = boards.ok_or(Exit::Interrupted)?;
    let reported = boards
        .iter()
        .filter(|board| board.release.is_some())
        .count();
    if json {
        let ok = reported == boards.len();
        say_json(&Listed {
            ok,
            boards: boards.clone(),
        });
    } else {
        shown::say_list(&boards);
    }
    Ok(match reported {
        0 => Exit::NothingReachable,
        reported if reported < boards.len() => Exit::SomeFailed,
        _ => Exit::Well,
    })
}

fn check(
    path: &Path,
    map: Option<PathBuf>,
    done: Option<PathBuf>,
    which: &Which,
    json: bool,
) -> Result<Exit, Exit> {
    let image = load_image(path)?;
    let done = done.map(|path| Done::read(path, &image)).transpose();
    let done = done.map_err(|error| Exit::usage(&error.to_string()))?;
    let form = image.fault();
    let mut checked = Checked {
        ok: true,
        refused: form.clone(),
        release: image.release().to_string(),
        sha256: image.sha256().to_owned(),
        size: image.image().bytes.len(),
        boards: Vec::new(),
    };
    // A wrong image is refused before any board is asked.
    if let Some(map) = map.filter(|_| form.is_none()) {
        let map = which.part_of(&map_of(&map)?)?;
        let interrupt = Interrupt::watch("");
        let begun = Flashes::usual().all();
        let boards = interrupt.unless(async { firmware::list(&map, &begun).await });
        let boards = boards.ok_or(Exit::Interrupted)?;
        let rollout = Rollout::new(map, image).allow_older(which.allow_older);
        let refusals = rollout.refusals(&boards, &begun);
        let boards = boards.into_iter().zip(refusals);
        let boards = boards.map(|(board, refused)| CheckedBoard {
            done: rollout.is_done(&board, done.as_ref()),
            board,
            refused,
        });
        checked.boards = boards.collect();
    }
    checked.ok = form.is_none() && checked.boards.iter().all(|board| board.refused.is_none());
    if let Some(fault) = &form {
        complain(fault);
    }
    if json {
        say_json(&checked);
    } else {
        shown::say_checked(&checked);
    }
    Ok(match (&form, checked.ok) {
        (Some(_), _) => Exit::Usage,
        (None, true) => Exit::Well,
        (None, false) => Exit::SomeFailed,
    })
}

impl Work {
    fn run(self, task: Task, done: Option<Done>, at_once: bool, json: bool) -> Result<Exit, Exit> {
        let image = load_image(&self.image)?;
        let map = self.which.part_of(&map_of(&self.map)?)?;
        if let Some(fault) = image.fault().filter(|_| task != Task::Verify) {
            return Err(Exit::usage(&format!("{fault}; nothing was begun")));
        }
        let interrupt = Interrupt::watch(
            "interrupted: no further board is begun. A board whose flash is being written is \
             finished first: KEEP ITS POWER ON",
        );
        let narrator = Narrator::default();
        let options = FirmwareOptions {
            beacons: self.beacons,
            window: Duration::from_secs_f64(self.wait),
            ..FirmwareOptions::default()
        };
        let report = Rollout::new(map, image)
            .options(options)
            .allow_older(self.which.allow_older)
            .at_once(at_once)
            .back_within(Duration::from_secs_f64(self.back_within))
            .stop(interrupt.first.clone())
            .observe(Arc::new(move |board, event| narrator.print(board, event)))
            .observe_end(Arc::new(|board: &BoardReport| complain(&shown::end(board))))
            .run(task, done)
            .wait();
        for why in &report.not_recorded {
            complain(why);
        }
        if json {
            say_json(&report);
        } else {
            say_report(&report);
        }
        Ok(report.completion().into())
    }
}

impl Flash {
    fn run(self, json: bool) -> Result<Exit, Exit> {
        let image = load_image(&self.work.image)?;
        let usual = || PathBuf::from(format!("firmware-{}.json", image.release()));
        let done = Done::read(self.done.unwrap_or_else(usual), &image);
        let done = done.and_then(|done| done.check_writable().map(|()| done));
        let done = done.map_err(|error| {
            complain(&format!("{error}; nothing was begun"));
            Exit::Usage
        })?;
        self.work.run(Task::Flash, Some(done), self.at_once, json)
    }
}

impl Example {
    fn run(self, json: bool) -> Result<Exit, Exit> {
        let description = firmware::write_example(&self.file, &self.release, self.size as usize);
        let description = description.map_err(|error| Exit::usage(&error.to_string()))?;
        if json {
            say_json(&serde_json::json!({ "image": self.file, "description": description }));
        } else {
            say(&format!("written: {}", description.display()));
        }
        Ok(Exit::Well)
    }
}
