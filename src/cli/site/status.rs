//! `twotone status`: the state of the daemon at every control host of a site, with its boards, jobs
//! and free disk space.

use serde::Serialize;
use twotone::record::Failure;

use super::{Hosts, at_each, failure, in_words, of_questions};
use crate::cli::Exit;
use crate::cli::ask::{Found, FoundBoards};
use crate::cli::output::{say, say_json};
use crate::cli::table::Table;
use crate::serve::{BoardReport, Disk, Host, JobReport, Link, Site, State};

/// State of a host.
#[derive(Debug, Serialize)]
struct HostStatus {
    host: String,
    at: String,
    /// True if the daemon works.
    ok: bool,
    /// Reason why some of the fields below are not known.
    error: Option<Failure>,
    version: Option<String>,
    commit: Option<String>,
    boards: Option<FoundBoards>,
    /// Boards that are not connected or not locked.
    down: Vec<Down>,
    /// Jobs that are not over. `None` if the host has not reported its jobs.
    jobs: Option<Vec<JobReport>>,
    /// Number of tones that were on when the boards were last read back. A board is left out if
    /// not all of its tones are known. `None` if the host has not reported its boards.
    tones_on: Option<usize>,
    /// Names of the boards whose tones are not all known.
    tones_unknown: Vec<String>,
    disk: Option<Disk>,
}

/// A board that cannot be used.
#[derive(Debug, Serialize)]
struct Down {
    name: String,
    connected: bool,
    why: String,
}

/// Prints the state of the hosts of a site.
pub(super) fn run(site: Site, json: bool) -> Exit {
    let hosts = at_each(site, |mut link: Link| async move {
        let mut status = HostStatus::unknown(&link);
        if let Err(error) = status.ask(&mut link).await {
            status.error = Some(error);
        }
        status
    });
    if json {
        say_json(&Hosts { hosts: &hosts });
    } else {
        say(table(&hosts).to_string().trim_end());
    }
    match of_questions(hosts.iter().map(|host| host.error.as_ref())) {
        Exit::Well if hosts.iter().any(|host| !host.ok) => Exit::SomeFailed,
        exit => exit,
    }
}

/// Prints the state of one daemon, as for a site with one host.
pub(crate) fn of_one(host: Host, json: bool) -> Exit {
    run(Site::of(host), json)
}

impl HostStatus {
    fn unknown(link: &Link) -> Self {
        Self {
            host: link.host.name.clone(),
            at: link.host.way.to_string(),
            ok: false,
            error: None,
            version: None,
            commit: None,
            boards: None,
            down: Vec::new(),
            jobs: None,
            tones_on: None,
            tones_unknown: Vec::new(),
            disk: None,
        }
    }

    /// Requests all values from a host. Values that were received before a failure are kept.
    async fn ask(&mut self, link: &mut Link) -> Result<(), Failure> {
        let (host, health) = link
            .reach::<Found>()
            .await
            .map_err(|failed| failure("reach the daemon", true, &failed))?;
        if let Some(health) = health {
            self.ok = health.ok;
            self.version = Some(health.version);
            self.commit = health.commit;
            self.boards = Some(health.boards);
        }
        let silence = link.ssh().silence();
        let boards = host
            .get_within::<Vec<BoardReport>>(silence, "/boards")
            .await;
        self.note_boards(boards.map_err(|failed| failure("ask for the boards", true, &failed))?);
        let jobs = host.get_within::<Vec<JobReport>>(silence, "/jobs").await;
        let mut jobs = jobs.map_err(|failed| failure("ask for the jobs", true, &failed))?;
        jobs.retain(|job| !job.state.is_over());
        self.jobs = Some(jobs);
        // A daemon of an earlier version does not know this path, so an error is ignored.
        self.disk = host.get_within(silence, "/disk").await.ok();
        Ok(())
    }

    fn note_boards(&mut self, boards: Vec<BoardReport>) {
        let mut on = 0;
        for board in boards {
            let tones = board.modules.iter().map(|module| module.tones_on);
            let known: Option<usize> = tones.sum();
            // The tones of a board that is not connected any more may have changed since they were
            // read.
            match known.filter(|_| board.connected && !board.modules.is_empty()) {
                Some(known) => on += known,
                None => self.tones_unknown.push(board.name.clone()),
            }
            let held = board.in_use_by.map(|holder| format!("in use by {holder}"));
            let flash = board.unfinished_flash.as_ref().map(|flash| {
                let words = flash.words();
                format!("{words}: KEEP THE POWER ON, since the board may not start again")
            });
            let why: Vec<_> = held.or(board.error).into_iter().chain(flash).collect();
            if !why.is_empty() {
                self.down.push(Down {
                    name: board.name,
                    connected: board.connected,
                    why: why.join("; "),
                });
            }
        }
        self.tones_on = Some(on);
    }

    fn jobs_in(&self, state: State) -> impl Iterator<Item = &JobReport> {
        let jobs = self.jobs.iter().flatten();
        jobs.filter(move |job| job.state == state)
    }

    /// Cells of the row after the name of the host.
    fn cells(&self) -> [String; 6] {
        let count = |state| match &self.jobs {
            Some(_) => self.jobs_in(state).count().to_string(),
            None => String::new(),
        };
        let boards = self.boards.as_ref();
        let boards = boards.map(|FoundBoards { connected, of }| format!("{connected} of {of}"));
        let unknown = !self.tones_unknown.is_empty();
        let tones = self.tones_on.map(|on| match (on, unknown) {
            (0, true) => "unknown".to_owned(),
            (on, true) => format!("{on} and more"),
            (on, false) => on.to_string(),
        });
        let free = self.disk.as_ref().and_then(|disk| disk.free_bytes);
        [
            self.version.clone().unwrap_or_default(),
            boards.unwrap_or_default(),
            count(State::Running),
            count(State::Queued),
            tones.unwrap_or_default(),
            free.map_or_else(String::new, |bytes| format!("{:.1}", bytes as f64 / 1e9)),
        ]
    }

    fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        sentences.extend(self.error.as_ref().map(in_words));
        if !self.ok && self.version.is_some() {
            sentences.push("the daemon hangs or ends: see its log there".to_owned());
        }
        for Down { name, why, .. } in &self.down {
            sentences.push(format!("board {name}: {why}"));
        }
        if !self.tones_unknown.is_empty() {
            let names = self.tones_unknown.join(", ");
            sentences.push(format!("not known if tones are on: {names}"));
        }
        for job in self
            .jobs_in(State::Running)
            .chain(self.jobs_in(State::Queued))
        {
            let by = job
                .by
                .as_ref()
                .map_or_else(String::new, |by| format!(" by {by}"));
            let (id, command) = (job.id, job.command.join(" "));
            let (state, since) = match job.started {
                Some(started) => ("runs", started),
                None => ("waits", job.submitted),
            };
            sentences.push(format!("job {id} {state} since {since}{by}: {command}"));
        }
        sentences
    }
}

fn table(hosts: &[HostStatus]) -> Table {
    let mut table = Table::new([
        "host", "version", "boards", "running", "queued", "tones on", "free/GB",
    ]);
    for host in hosts {
        let name = std::iter::once(host.host.clone());
        table.row(name.chain(host.cells()));
        let sentences = host.sentences().into_iter();
        sentences.for_each(|text| table.note(text));
    }
    table
}
