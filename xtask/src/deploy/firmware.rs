//! `cargo xtask firmware`: replaces the firmware of the boards of a site.
//!
//! Each control host flashes its boards with `twotone firmware flash`, in a unit of systemd that
//! continues if the connection is cut. This program sends the image, and sets the order of the
//! boards: one board of the site first, then a tenth of the others, then the rest. The first
//! failure ends the roll-out. A second call continues with the boards that are not done.

mod image;
mod report;

use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use self::image::{Described, Image};
use self::report::{Told, is_well, not_begun, print, unknown, untouched};
use super::check::Facts;
use super::remote::{Answered, Failure, Remote, Sockets, unique};
use super::site::Site;
use crate::Result;

/// Interval at which a host is asked for its progress.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Description of the image, in TOML, as for `twotone firmware`.
    image: PathBuf,
    /// Site file: the control hosts, whose maps name the boards.
    #[arg(long, value_name = "FILE")]
    site: PathBuf,
    /// Work on this host alone. Can be given more than once.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Print which boards would be flashed in which order, and flash none.
    #[arg(long)]
    dry_run: bool,
    /// Flash boards that run a later release, or one that is not known.
    #[arg(long)]
    allow_older: bool,
    /// Interrupt jobs of the daemons, such as tunes and captures. Without it, boards of a host
    /// whose daemon has jobs are not flashed.
    #[arg(long)]
    now: bool,
    /// Longest time until a board starts and announces itself, in seconds.
    #[arg(long, value_name = "S", default_value_t = 300)]
    wait: u32,
    /// Address on which the hosts listen for the announcements of boards.
    #[arg(long, value_name = "ADDRESS:PORT")]
    beacons: Option<String>,
    /// Print one JSON object on standard output instead of a table.
    #[arg(long)]
    json: bool,
}

/// A board of the site. `host` is the index of its control host.
#[derive(Clone, Debug)]
struct Board {
    host: usize,
    /// Facts about the board, as its host has found them.
    found: Value,
    report: Option<Value>,
}

impl Board {
    fn name(&self) -> &str {
        self.found["name"].as_str().unwrap_or_default()
    }

    /// True if its flash was begun before, and the board has not started since.
    fn is_unfinished(&self) -> bool {
        !self.found["unfinished"].is_null() && self.found["release"].is_null()
    }
}

/// Flashes the boards of a site. Returns false if any of them is not done, except in a dry run.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let site = Site::read(&args.site, &args.hosts)?;
    let image = Image::read(&args.image)?;
    let sockets = Sockets::new()?;
    let mut remotes: Vec<_> = site
        .hosts
        .iter()
        .map(|host| Mutex::new(Remote::new(host, &site.ssh, &sockets)))
        .collect();
    // If any host fails, no board is flashed, because the order of the boards is not known.
    let checked = on_all(&mut remotes, |remote| {
        remote.connect()?;
        send(remote, &image)?;
        check(remote, &image, args)
    });
    if checked.iter().any(|checked| checked.is_err()) && !args.dry_run {
        // An earlier call may have been cut before it started the daemons again.
        start_daemons(&site, &mut remotes, &image);
    }
    let mut told = Told::default();
    for (host, checked) in checked.into_iter().enumerate() {
        let name = &site.hosts[host].name;
        let checked = checked.map_err(|failure| format!("{name}: {}", failure.text()))?;
        let boards = checked.into_iter().map(|board| Board { host, ..board });
        told.boards.extend(boards);
    }
    let boards = &told.boards;
    let open: Vec<usize> = (0..boards.len())
        .filter(|at| boards[*at].report.is_none())
        .collect();
    let groups = groups(&open, boards);
    let mut started = true;
    if args.dry_run {
        for (number, group) in groups.iter().enumerate() {
            let names = group.iter().map(|at| shown(&site, &boards[*at]));
            let names: Vec<_> = names.collect();
            eprintln!("group {}: {}", number + 1, names.join(", "));
        }
    } else {
        let mut failed = false;
        for group in &groups {
            if failed {
                break;
            }
            failed = !flash_group(&site, &mut remotes, &image, args, group, &mut told);
        }
        started = start_daemons(&site, &mut remotes, &image);
    }
    Ok(print(&site, &image, &told, args) && started)
}

/// Starts the daemons that were stopped for the work. Returns false if one of them does not start.
fn start_daemons(site: &Site, remotes: &mut [Mutex<Remote<'_>>], image: &Image) -> bool {
    let ended = on_all(remotes, |remote| {
        let end = include_str!("scripts/firmware_end.sh");
        remote.script(end, &[&image.folder])
    });
    for (host, ended) in ended.iter().enumerate() {
        if let Err(failure) = ended {
            let name = &site.hosts[host].name;
            eprintln!(
                "firmware: {name}: the daemon is not started: {}",
                failure.text()
            );
        }
    }
    ended.iter().all(|ended| ended.is_ok())
}

fn shown(site: &Site, board: &Board) -> String {
    format!("{} {}", site.hosts[board.host].name, board.name())
}

/// Returns the groups of a roll-out of the boards at the indices `open`: those whose flash was
/// begun before, then one board, a tenth of the others, the rest.
fn groups(open: &[usize], boards: &[Board]) -> Vec<Vec<usize>> {
    let (unfinished, others): (Vec<usize>, Vec<usize>) =
        open.iter().partition(|at| boards[**at].is_unfinished());
    let (first, others) = others.split_at(others.len().min(1));
    let (tenth, rest) = others.split_at(others.len().div_ceil(10));
    let groups = [&unfinished, first, tenth, rest];
    let groups = groups.into_iter().filter(|group| !group.is_empty());
    groups.map(<[usize]>::to_vec).collect()
}

/// Does `work` on all hosts at the same time. Returns the answers in the order of the hosts.
fn on_all<T: Send>(
    remotes: &mut [Mutex<Remote<'_>>],
    work: impl Fn(&mut Remote<'_>) -> Answered<T> + Sync,
) -> Vec<Answered<T>> {
    let work = &work;
    thread::scope(|scope| {
        let running: Vec<_> = remotes
            .iter_mut()
            .map(|remote| {
                scope.spawn(move || match remote.get_mut() {
                    Ok(remote) => work(remote),
                    Err(_) => Err(Failure::Refused("a host made us panic".to_owned())),
                })
            })
            .collect();
        let ended = running.into_iter().map(|running| {
            let panicked = || Failure::Refused("a host made us panic".to_owned());
            running.join().unwrap_or_else(|_| Err(panicked()))
        });
        ended.collect()
    })
}

/// Sends the image to a host. An upload that was cut is continued.
fn send(remote: &Remote<'_>, image: &Image) -> Answered<()> {
    let Described {
        kind,
        release,
        sha256,
        size,
        oldest,
        ..
    } = &image.described;
    let folder = image.folder.as_str();
    remote.again(|| {
        let part = include_str!("scripts/firmware_part.sh");
        let there = remote.script_once(part, &[folder, sha256])?;
        let there: u64 = there.trim().parse().unwrap_or(0);
        if there < *size {
            remote.send(&image.path, there, &format!("{folder}/image.part"))?;
        }
        Ok(())
    })?;
    let size = size.to_string();
    let oldest = oldest.as_deref().unwrap_or("none");
    let arguments = [folder, sha256, kind, release, &size, oldest];
    remote.script(include_str!("scripts/firmware_place.sh"), &arguments)?;
    Ok(())
}

/// Asks a host for its boards. A board that is not to be flashed has a report already.
fn check(remote: &Remote<'_>, image: &Image, args: &Args) -> Answered<Vec<Board>> {
    let mut arguments = vec![image.folder.as_str()];
    arguments.extend(args.allow_older.then_some("--allow-older"));
    let facts = loop {
        let told = remote.script(include_str!("scripts/firmware_check.sh"), &arguments)?;
        let facts = Facts::parse(&told);
        if !matches!(
            facts.get("work"),
            Some("active" | "activating" | "deactivating")
        ) {
            break facts;
        }
        eprintln!(
            "firmware: {}: an earlier call is still flashing boards",
            remote.host.name
        );
        thread::sleep(POLL_INTERVAL);
    };
    let parsed = |name| {
        facts
            .get(name)
            .and_then(|text| serde_json::from_str::<Value>(text).ok())
    };
    let checked = parsed("check").unwrap_or_default();
    let Some(boards) = checked["boards"].as_array() else {
        let said = facts.get("said").unwrap_or("it says nothing");
        return Err(Failure::Refused(format!(
            "the program of the host cannot check the image: {said}; if it does not know the \
             command, deploy a newer version"
        )));
    };
    if let Some(why) = checked["refused"].as_str() {
        return Err(Failure::Refused(why.to_owned()));
    }
    if facts.jobs() > 0 && !args.now && !args.dry_run {
        return Err(Failure::Refused(busy(facts.jobs())));
    }
    let boards = boards.iter().map(|found| {
        let status = match found["done"] == true {
            true => Some("already_done"),
            false => (!found["refused"].is_null()).then_some("refused"),
        };
        Board {
            host: 0,
            found: found.clone(),
            report: status.map(|status| untouched(found, status, found["refused"].clone())),
        }
    });
    Ok(boards.collect())
}

/// Returns the message about a daemon that has jobs.
fn busy(jobs: impl std::fmt::Display) -> String {
    format!("the daemon has {jobs} jobs: wait for their end, or interrupt them (--now)")
}

/// Flashes the boards of a group, at all hosts at the same time. Returns true if all are done.
fn flash_group(
    site: &Site,
    remotes: &mut [Mutex<Remote<'_>>],
    image: &Image,
    args: &Args,
    group: &[usize],
    told: &mut Told,
) -> bool {
    let boards = &mut told.boards;
    let names = group.iter().map(|at| shown(site, &boards[*at]));
    eprintln!("firmware: {}", names.collect::<Vec<_>>().join(", "));
    let of_host: Vec<Vec<String>> = (0..site.hosts.len())
        .map(|host| {
            let boards = group.iter().map(|at| &boards[*at]);
            let of_host = boards.filter(|board| board.host == host);
            of_host.map(|board| board.name().to_owned()).collect()
        })
        .collect();
    let host_of = |remote: &Remote<'_>| {
        site.hosts
            .iter()
            .position(|host| host.name == remote.host.name)
    };
    let results = on_all(remotes, |remote| {
        let names = host_of(remote).map(|host| of_host[host].as_slice());
        match names.filter(|names| !names.is_empty()) {
            Some(names) => Ok(flash(remote, image, args, names)),
            None => Ok(Ok(Value::Null)),
        }
    });
    let results = results
        .into_iter()
        .map(|result| result.unwrap_or_else(|failure| Err(NotFlashed::Unknown(failure))));
    let results: Vec<_> = results.collect();
    let mut all = true;
    for at in group {
        let board = &mut boards[*at];
        let report = match &results[board.host] {
            Ok(result) => {
                let mut reports = result["boards"].as_array().into_iter().flatten();
                reports
                    .find(|report| report["name"] == board.found["name"])
                    .cloned()
            }
            Err(NotFlashed::NotBegun(failure)) => Some(not_begun(&board.found, failure.text())),
            Err(NotFlashed::Unknown(failure)) => Some(unknown(&board.found, failure.text())),
        };
        let report = report.unwrap_or_else(|| unknown(&board.found, "the host told no result"));
        all &= is_well(&report);
        board.report = Some(report);
    }
    for (host, result) in site.hosts.iter().zip(&results) {
        let reasons = result.as_ref().ok().map(|result| &result["not_recorded"]);
        let reasons = reasons.and_then(Value::as_array).into_iter().flatten();
        let reasons = reasons.filter_map(Value::as_str);
        let reasons = reasons.map(|reason| format!("{}: {reason}", host.name));
        told.not_recorded.extend(reasons);
    }
    all
}

/// Reason that a host has reported no result.
enum NotFlashed {
    /// The host has not begun.
    NotBegun(Failure),
    /// The host may have begun.
    Unknown(Failure),
}

/// Flashes boards of a host, and waits until the host has finished.
fn flash(
    remote: &Remote<'_>,
    image: &Image,
    args: &Args,
    boards: &[String],
) -> std::result::Result<Value, NotFlashed> {
    let (id, wait) = (unique(), args.wait.to_string());
    let jobs = if args.now { "now" } else { "idle" };
    let mut arguments = vec![image.folder.as_str(), &id, jobs, "--wait", &wait];
    arguments.extend(args.allow_older.then_some("--allow-older"));
    if let Some(beacons) = &args.beacons {
        arguments.extend(["--beacons", beacons]);
    }
    for board in boards {
        arguments.extend(["--board", board]);
    }
    let started = remote.script(include_str!("scripts/firmware_start.sh"), &arguments);
    match started {
        Ok(told) => match Facts::parse(&told).get("refused") {
            None => followed(remote, image).map_err(NotFlashed::Unknown),
            Some("jobs") => Err(NotFlashed::NotBegun(Failure::Refused(busy("new")))),
            Some(_) => {
                let why = "boards are being flashed already".to_owned();
                Err(NotFlashed::Unknown(Failure::Refused(why)))
            }
        },
        // The script fails before it begins anything.
        Err(failure @ Failure::Refused(_)) => Err(NotFlashed::NotBegun(failure)),
        Err(failure) => Err(NotFlashed::Unknown(failure)),
    }
}

/// Waits until a host has finished, prints its log, and returns its result.
fn followed(remote: &Remote<'_>, image: &Image) -> Answered<Value> {
    let mut line = 1;
    loop {
        let from = line.to_string();
        let poll = include_str!("scripts/firmware_poll.sh");
        let told = remote.script(poll, &[&image.folder, &from])?;
        let facts = Facts::parse(&told);
        for text in facts.all("log") {
            eprintln!("firmware: {}: {text}", remote.host.name);
            line += 1;
        }
        match facts.get("status") {
            Some("running") => thread::sleep(POLL_INTERVAL),
            Some("cut") | None => {
                let why = "the work ended without a result, as after a loss of power of the host";
                return Err(Failure::Cut(why.to_owned()));
            }
            Some(_) => {
                let result = facts.get("result").unwrap_or_default();
                let failed = |error: serde_json::Error| {
                    let log = facts.all("log").join("; ");
                    Failure::Refused(format!("no result ({error}): {log}"))
                };
                return serde_json::from_str(result).map_err(failed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_board_of_the_site_comes_first_then_a_tenth_then_the_rest() {
        for (boards, expected) in [
            (0, vec![]),
            (1, vec![1]),
            (3, vec![1, 1, 1]),
            (41, vec![1, 4, 36]),
        ] {
            let open: Vec<usize> = (0..boards).collect();
            let sizes: Vec<_> = groups(&open, &these(boards, &[]))
                .iter()
                .map(Vec::len)
                .collect();
            assert_eq!(sizes, expected);
        }
    }

    /// Boards, some of which are unfinished.
    fn these(number: usize, unfinished: &[usize]) -> Vec<Board> {
        let board = |at: usize| Board {
            host: 0,
            found: json!({
                "name": format!("b{at}"), "release": null, "power_loss": "unknown",
                "unfinished": unfinished.contains(&at).then_some("a record"),
            }),
            report: None,
        };
        (0..number).map(board).collect()
    }

    #[test]
    fn boards_whose_flash_was_begun_come_first() {
        let found = groups(&[0, 2, 3, 4], &these(5, &[1, 3, 4]));
        assert_eq!(found, [vec![3, 4], vec![0], vec![2]]);
    }

    #[test]
    fn only_boards_whose_release_was_proven_count_as_done() {
        for (status, well) in [
            ("already_done", true),
            ("flashed", true),
            ("verified", true),
            ("staged", false),
            ("refused", false),
            ("failed", false),
            ("not_started", false),
        ] {
            assert_eq!(is_well(&json!({ "status": status })), well, "{status}");
        }
        assert!(!is_well(&unknown(&json!({ "name": "b" }), "cut")));
    }

    #[test]
    fn a_board_that_was_not_begun_keeps_what_was_found() {
        let board = &these(1, &[0])[0];
        let report = not_begun(&board.found, "another board failed before");
        assert_eq!(report["name"], "b0");
        assert_eq!(report["power_loss"], "unknown");
    }
}
