//! Commands that every control host of a site executes as a job, and `twotone follow` for jobs of a
//! site. Each host runs a daemon that controls some of the boards.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use twotone::hal::legible;

use super::job::{Task, Work, carry_out};
use super::outcome::{self, HostOutcome};
use super::{at_each, table};
use crate::cli::ask::Follow;
use crate::cli::output::{complain, say, say_json};
use crate::cli::remote::{self, interrupts};
use crate::cli::{Command, Exit};
use crate::serve::{Site, Submission};

/// Result of a command at all hosts, as `--json` prints it.
#[derive(Serialize)]
struct Printed<'a> {
    /// True if the operator has interrupted this program while it waited.
    interrupted: bool,
    hosts: &'a [HostOutcome],
}

/// Submits a command to every host, and follows the jobs to their ends. If `detach` is true, only
/// prints the numbers of the jobs.
///
/// # Errors
/// The reason, if this kind of command cannot be executed at the hosts of a site.
pub(super) fn give(
    site: Site,
    file: String,
    command: &Command,
    json: bool,
    detach: bool,
) -> Result<Exit, String> {
    if let Command::Setup(_) = command {
        return Err("give setup to each host by itself, with --host".to_owned());
    }
    let mut submission = remote::submission(command)?;
    let (map, boards) = match command {
        Command::Tune(tune) => (tune.map(), tune.part().boards()),
        Command::Sweep(sweep) => (sweep.map(), sweep.part().boards()),
        Command::Capture(capture) => (capture.map(), capture.part().boards()),
        Command::Off(off) => (off.map(), &[][..]),
        Command::Info(info) => (info.map(), &[][..]),
        _ => (None, &[][..]),
    };
    if map.is_some() && site.hosts.len() > 1 {
        return Err("each host has a map of its own: leave the map out".to_owned());
    }
    submission.command = without_boards(submission.command);
    if !submission.command.iter().any(|word| word == "--json") {
        submission.command.push("--json".to_owned());
    }
    let (count, counting) = interrupts();
    let task = Task {
        work: Work::Give(Arc::new(submission)),
        boards: boards.to_vec(),
        detach,
        file: file.clone(),
        interrupts: count.clone(),
    };
    let outcomes = at_each(site, |link| carry_out(link, task.clone()));
    drop(counting);
    let interrupted = *count.borrow() > 0;
    print(&outcomes, interrupted, json);
    if detach && !json {
        say_how_to_follow(&outcomes, &file);
    } else if !json && table::has_tones_on(&outcomes) {
        say(&format!(
            "tones are left on where tuned; `twotone --site {file} off` switches them off"
        ));
    }
    let keeps_tones = matches!(command, Command::Tune(_));
    let exit = outcome::exit(&outcomes, keeps_tones);
    Ok(match complain_of_boards_found_nowhere(&outcomes, boards) {
        true if outcomes.iter().all(|one| one.left_out) => Exit::Usage,
        true if exit == Exit::Well || exit == Exit::Status(0) => Exit::SomeFailed,
        _ => exit,
    })
}

/// Follows jobs of several hosts to their ends. An interrupt ends only this program, and not the
/// jobs.
///
/// # Errors
/// The reason, if two jobs are on the same host, or if the host of a job is not known.
pub(super) fn follow(
    mut site: Site,
    file: String,
    follow: &Follow,
    json: bool,
) -> Result<Exit, String> {
    let ids = super::jobs::by_host(&site, &follow.job)?;
    let mut first = BTreeMap::new();
    for (host, ids) in &ids {
        let [id] = ids[..] else {
            return Err(format!("host {host}: one job at a time can be followed"));
        };
        first.insert(host.clone(), id);
    }
    site.hosts.retain(|host| first.contains_key(&host.name));
    let (count, counting) = interrupts();
    let task = Task {
        work: Work::Follow(Arc::new(first)),
        boards: Vec::new(),
        detach: false,
        file,
        interrupts: count.clone(),
    };
    let outcomes = at_each(site, |link| carry_out(link, task.clone()));
    drop(counting);
    let interrupted = *count.borrow() > 0;
    print(&outcomes, interrupted, json);
    Ok(match interrupted {
        true => Exit::Interrupted,
        false => outcome::exit(&outcomes, true),
    })
}

fn print(outcomes: &[HostOutcome], interrupted: bool, json: bool) {
    if json {
        say_json(&Printed {
            interrupted,
            hosts: outcomes,
        });
    } else {
        say(table::table(outcomes).to_string().trim_end());
    }
}

fn say_how_to_follow(outcomes: &[HostOutcome], file: &str) {
    let jobs = outcomes.iter();
    let jobs = jobs.filter_map(|one| Some(format!(" {}:{}", one.host, one.job?)));
    let jobs: String = jobs.collect();
    if !jobs.is_empty() {
        say(&format!(
            "`twotone --site {file} follow{jobs}` follows them"
        ));
    }
}

/// Returns the arguments without the options `--board`. Each host gets these options again, but
/// only for the boards that it has.
fn without_boards(arguments: Vec<String>) -> Vec<String> {
    let mut arguments = arguments.into_iter();
    let mut others = Vec::new();
    while let Some(word) = arguments.next() {
        if word == "--board" {
            arguments.next();
        } else if !word.starts_with("--board=") {
            others.push(word);
        }
    }
    others
}

/// Returns the command with an option `--board` for each of `boards`.
pub(super) fn with_boards(submission: &Submission, boards: &[String]) -> Submission {
    let mut submission = submission.clone();
    let boards = boards.iter().map(|board| format!("--board={board}"));
    submission.command.extend(boards);
    submission
}

/// Prints those of the selected `boards` that no host has, among the hosts that have answered.
/// Returns true if there are any.
fn complain_of_boards_found_nowhere(outcomes: &[HostOutcome], boards: &[String]) -> bool {
    let is_found = |board: &&String| outcomes.iter().any(|one| one.boards.contains(board));
    let nowhere: Vec<_> = boards.iter().filter(|board| !is_found(board)).collect();
    for board in &nowhere {
        let board = legible(board);
        complain(&format!("no host that answers has a board {board}"));
    }
    !nowhere.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_by_name_are_replaced_by_those_of_a_host() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let given = words("tune --board a --out x --board=b --module 1");
        let submission = Submission {
            command: without_boards(given),
            ..Submission::default()
        };
        assert_eq!(submission.command, words("tune --out x --module 1"));
        let with = with_boards(&submission, &words("a"));
        assert_eq!(with.command, words("tune --out x --module 1 --board=a"));
    }
}
