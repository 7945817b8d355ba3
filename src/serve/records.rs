//! Records of jobs on disk, from which the daemon reports earlier jobs after a restart. A *job* is
//! a command that the daemon carries out, and its *events* are the messages to clients that follow
//! it.
//!
//! A job has two files. `N.json` contains the facts about the job. It is written when the job is
//! submitted and again when the job is over. `N.events` contains the events of the job. It is
//! written when the job is over.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::api::{Event, JobReport, State};
use crate::input;
use crate::record::replace;

/// Format number of the daemon's state folder, which `twotone --version` prints. The number
/// increases if an older program cannot read the new format.
pub(crate) const STATE_FORMAT: u32 = 1;

/// Largest number of jobs that are kept on record. The records of the jobs with the lowest numbers
/// are removed first.
const MOST_RECORDS: usize = 1000;

/// Largest number of bytes of the facts about one job.
const RECORD_BYTES: u64 = 4 << 20;

/// Largest number of bytes of events that are kept in memory because they could not be written to
/// disk. If there are more, the events of the jobs with the lowest numbers are dropped.
const MOST_UNSAVED: usize = 64 << 20;

/// Events of a job, with one line for each event.
pub(crate) type Events = Box<dyn BufRead + Send>;

/// The folder of the jobs, and the facts about the jobs that are over.
#[derive(Debug)]
pub(crate) struct JobRecords {
    folder: PathBuf,
    over: Mutex<BTreeMap<u64, JobReport>>,
    unsaved: Mutex<Unsaved>,
    /// Largest number of the jobs that were on record when the records were opened.
    highest: u64,
}

/// Jobs that are over and whose files could not be written, as on a full disk.
#[derive(Debug, Default)]
struct Unsaved {
    /// Events of these jobs, by the number of the job. `None` if the events are on disk, or were
    /// dropped because of [`MOST_UNSAVED`].
    events: BTreeMap<u64, Option<Vec<Bytes>>>,
}

impl Unsaved {
    fn keep(&mut self, id: u64, events: Option<Vec<Bytes>>) {
        self.events.insert(id, events);
        let bytes = |events: &Option<Vec<Bytes>>| -> usize {
            let lines = events.iter().flatten();
            lines.map(Bytes::len).sum()
        };
        let mut all: usize = self.events.values().map(bytes).sum();
        for events in self.events.values_mut() {
            if all <= MOST_UNSAVED {
                return;
            }
            all -= bytes(events);
            *events = None;
        }
    }
}

impl JobRecords {
    /// Opens the records in `folder`, which is created if it does not exist. Jobs that were not
    /// over when the last daemon ended get the state `Interrupted`, even if this cannot be written
    /// to disk. They are returned.
    ///
    /// # Errors
    /// If the folder cannot be created or read.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, Vec<JobReport>)> {
        fs::create_dir_all(folder)?;
        let (mut over, mut highest) = (BTreeMap::new(), 0);
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            // The number of a job is not given to another job, even if its record cannot be read.
            let number = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse().ok());
            highest = highest.max(number.unwrap_or(0));
            let read = input::read(&path, RECORD_BYTES)
                .and_then(|text| Ok(serde_json::from_slice::<JobReport>(&text)?));
            match read {
                Ok(report) => drop(over.insert(report.id, report)),
                Err(error) => {
                    let path = input::shown(&path);
                    tracing::warn!(path, %error, "the record of a job cannot be read");
                }
            }
        }
        let mut interrupted = Vec::new();
        for report in over.values_mut().filter(|report| !report.state.is_over()) {
            report.state = State::Interrupted;
            interrupted.push(report.clone());
        }
        let records = Self {
            folder: folder.to_owned(),
            over: Mutex::new(over),
            unsaved: Mutex::default(),
            highest,
        };
        for report in &interrupted {
            if let Err(error) = records.save_end(report, None) {
                tracing::warn!(job = report.id, %error, "the record of a job cannot be written");
            }
        }
        Ok((records, interrupted))
    }

    fn over(&self) -> MutexGuard<'_, BTreeMap<u64, JobReport>> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of the first new job.
    pub(crate) fn next_id(&self) -> u64 {
        self.highest + 1
    }

    /// Returns the jobs that are over, in the order of their numbers.
    pub(crate) fn reports(&self) -> Vec<JobReport> {
        self.over().values().cloned().collect()
    }

    /// Returns the job with this number, if it is over.
    pub(crate) fn report(&self, id: u64) -> Option<JobReport> {
        self.over().get(&id).cloned()
    }

    /// Writes the facts about a job.
    ///
    /// # Errors
    /// If the facts cannot be written. The old facts are left unchanged.
    pub(crate) fn save(&self, report: &JobReport) -> io::Result<()> {
        let text = serde_json::to_vec(report)?;
        self.write(&format!("{}.json", report.id), |file| file.write_all(&text))
    }

    fn unsaved(&self) -> MutexGuard<'_, Unsaved> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the `events` of a job that is over, if they are given, and then the facts about it.
    /// If this fails, the job becomes one of the unsaved jobs, which are written again after a
    /// later job. If the facts never reached the disk, the next daemon would report the job as
    /// interrupted.
    fn save_end(&self, report: &JobReport, events: Option<&[Bytes]>) -> io::Result<()> {
        let events_saved = events.map_or(Ok(()), |events| {
            self.write(&format!("{}.events", report.id), |file| {
                events.iter().try_for_each(|line| file.write_all(line))
            })
        });
        let kept = events.filter(|_| events_saved.is_err());
        let saved = events_saved.and(self.save(report));
        if saved.is_err() {
            self.unsaved().keep(report.id, kept.map(<[Bytes]>::to_vec));
        }
        saved
    }

    /// Writes the events and facts of jobs that could not be written when the jobs ended.
    fn save_the_unsaved(&self) {
        // This is a copy: the events stay in memory until they are written, because clients may
        // request them in the meantime.
        let unsaved = self.unsaved().events.clone();
        for (id, events) in unsaved {
            // A job that has been removed from the records in the meantime needs no files.
            let report = self.report(id);
            let saved =
                report.is_none_or(|report| self.save_end(&report, events.as_deref()).is_ok());
            if saved {
                self.unsaved().events.remove(&id);
            }
        }
    }

    /// Writes the events of a job that is over, and then its facts. If this succeeds, also writes
    /// the events and facts of earlier jobs that could not be written before.
    ///
    /// # Errors
    /// If the events or the facts of this job cannot be written. They are then kept in
    /// memory, and clients get them as if they were on disk.
    pub(crate) fn close(&self, report: JobReport, events: &[Bytes]) -> io::Result<()> {
        let written = self.save_end(&report, Some(events));
        if written.is_ok() {
            self.save_the_unsaved();
        }
        let forgotten = {
            let mut over = self.over();
            over.insert(report.id, report);
            let too_many = over.len().saturating_sub(MOST_RECORDS);
            let first: Vec<_> = over.keys().take(too_many).copied().collect();
            first.iter().for_each(|id| drop(over.remove(id)));
            first
        };
        for id in forgotten {
            for kind in ["json", "events"] {
                // An error is ignored: a file that was left here is only read again by the next
                // daemon.
                let _ = fs::remove_file(self.folder.join(format!("{id}.{kind}")));
            }
        }
        written
    }

    /// Adds a sentence to the events of a job that was interrupted.
    pub(crate) fn note(&self, id: u64, text: &str) {
        let event = Event::Err {
            text: text.to_owned(),
        };
        let path = self.folder.join(format!("{id}.events"));
        let added = File::options()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| writeln!(file, "{}", serde_json::to_string(&event)?));
        if let Err(error) = added {
            tracing::warn!(job = id, %error, "the record of a job cannot be written");
        }
    }

    /// Opens the events of a job that is over, one event per line. The events of an interrupted job
    /// have no event for its end. Returns `None` if the job has no events on record.
    ///
    /// # Errors
    /// If the file of the events cannot be opened.
    pub(crate) fn events(&self, id: u64) -> io::Result<Option<Events>> {
        let kept = self.unsaved().events.get(&id).cloned().flatten();
        if let Some(kept) = kept {
            return Ok(Some(Box::new(Cursor::new(kept.concat()))));
        }
        match File::open(self.folder.join(format!("{id}.events"))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => Ok(Some(Box::new(BufReader::new(opened?)))),
        }
    }

    fn write(&self, name: &str, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        replace(&self.folder.join(name), fill)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::UtcTime;

    fn report(id: u64, state: State) -> JobReport {
        JobReport {
            id,
            command: vec!["off".to_owned()],
            by: None,
            state,
            cancelled: false,
            boards: Vec::new(),
            waits_for: Vec::new(),
            submitted: UtcTime::now(),
            started: None,
            ended: None,
            status: None,
            steps: Vec::new(),
        }
    }

    /// Checks that records have the form that programs of format 1 write and read. If you change
    /// the records so that these programs can no longer read them, increase `STATE_FORMAT`, and add
    /// a text of the new format here. Programs ignore fields that they do not know, so an
    /// additional field needs no new format.
    #[test]
    fn records_of_this_form_are_read_and_written() {
        assert_eq!(STATE_FORMAT, 1);
        let text = r#"{"id":7,"command":["tune","--out","x"],"by":"person","state":"ended","cancelled":true,"boards":["crs0042"],"waits_for":[5],"submitted":"2026-11-22T21:04:21Z","started":"2026-11-22T21:04:22Z","ended":"2026-11-22T21:04:23Z","status":130,"steps":[]}"#;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("7.json"), text).unwrap();
        let (records, interrupted) = JobRecords::open(folder.path()).unwrap();
        assert!(interrupted.is_empty());
        let read = records.report(7).unwrap();
        let command = ["tune", "--out", "x"].map(str::to_owned).to_vec();
        assert_eq!((&read.command, read.status), (&command, Some(130)));
        let by: (Option<&str>, bool) = (read.by.as_deref(), read.cancelled);
        assert_eq!(by, (Some("person"), true));
        records.save(&read).unwrap();
        let written = fs::read_to_string(folder.path().join("7.json")).unwrap();
        assert_eq!(written, text);
        for (state, name) in [
            (State::Queued, "queued"),
            (State::Running, "running"),
            (State::Ended, "ended"),
            (State::Interrupted, "interrupted"),
        ] {
            assert_eq!(serde_json::to_value(state).unwrap(), name);
        }
        for (event, line) in [
            (
                Event::Ended { status: 3 },
                r#"{"event":"ended","status":3}"#,
            ),
            (
                Event::Out {
                    text: "a".to_owned(),
                },
                r#"{"event":"out","text":"a"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&event).unwrap(), line);
            assert_eq!(serde_json::from_str::<Event>(line).unwrap(), event);
        }
    }

    /// The test renames the folder to simulate a full disk, on which nothing can be written until
    /// there is space again.
    #[test]
    fn ends_that_could_not_be_written_are_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let (jobs, away) = (folder.path().join("jobs"), folder.path().join("away"));
        let (records, _) = JobRecords::open(&jobs).unwrap();
        records.save(&report(1, State::Running)).unwrap();
        fs::rename(&jobs, &away).unwrap();
        let lines = ["{\"event\":\"started\"}\n", "{}\n"].map(Bytes::from);
        records.close(report(1, State::Ended), &lines).unwrap_err();
        assert_eq!(records.report(1).unwrap().state, State::Ended);
        let told = || {
            let mut text = String::new();
            let mut events = records.events(1).unwrap().expect("they are told");
            events.read_to_string(&mut text).unwrap();
            text
        };
        let before = told();
        assert_eq!(before.as_bytes(), lines.concat());
        fs::rename(&away, &jobs).unwrap();
        records.save(&report(2, State::Running)).unwrap();
        records.close(report(2, State::Ended), &[]).unwrap();
        assert_eq!(told(), before);
        let (records, interrupted) = JobRecords::open(&jobs).unwrap();
        assert!(interrupted.is_empty(), "{interrupted:?}");
        let states: Vec<_> = records.reports().iter().map(|one| one.state).collect();
        assert_eq!(states, [State::Ended; 2]);
        assert!(records.events(1).unwrap().is_some());
    }

    #[test]
    fn events_that_cannot_be_written_are_kept_up_to_a_limit() {
        let mut unsaved = Unsaved::default();
        let half = || Some(vec![Bytes::from(vec![0; MOST_UNSAVED / 2])]);
        let mut has = |id: u64| {
            unsaved.keep(id, half());
            let kept = unsaved.events.iter().filter(|(_, events)| events.is_some());
            kept.map(|(id, _)| *id).collect::<Vec<_>>()
        };
        assert_eq!(has(1), [1]);
        assert_eq!(has(2), [1, 2]);
        assert_eq!(has(3), [2, 3]);
        // The facts about all three jobs still have to be written, even if some events were
        // dropped.
        assert_eq!(unsaved.events.len(), 3);
    }

    #[test]
    fn jobs_that_were_not_over_are_interrupted_and_numbers_are_used_once() {
        let folder = tempfile::tempdir().unwrap();
        let (records, interrupted) = JobRecords::open(folder.path()).unwrap();
        assert!(interrupted.is_empty());
        assert_eq!(records.next_id(), 1);
        records
            .close(report(1, State::Ended), &[Bytes::from_static(b"{}\n")])
            .unwrap();
        records.save(&report(2, State::Queued)).unwrap();
        records.save(&report(3, State::Running)).unwrap();
        fs::write(folder.path().join("9.json"), "torn").unwrap();
        for is_first in [true, false] {
            let (records, interrupted) = JobRecords::open(folder.path()).unwrap();
            let ids: Vec<_> = interrupted.iter().map(|report| report.id).collect();
            assert_eq!(ids, if is_first { vec![2, 3] } else { vec![] });
            let states: Vec<_> = records.reports().iter().map(|one| one.state).collect();
            assert_eq!(
                states,
                [State::Ended, State::Interrupted, State::Interrupted]
            );
            assert_eq!(records.next_id(), 10);
        }
    }

    #[test]
    fn the_first_records_are_forgotten_when_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let (records, _) = JobRecords::open(folder.path()).unwrap();
        for id in 1..=MOST_RECORDS as u64 + 2 {
            // The facts are only put into memory, so that the test does not wait for the disk.
            records.over().insert(id, report(id, State::Ended));
        }
        let last = MOST_RECORDS as u64 + 3;
        fs::write(folder.path().join("1.json"), "").unwrap();
        records.close(report(last, State::Ended), &[]).unwrap();
        assert_eq!(records.reports().len(), MOST_RECORDS);
        assert_eq!(records.reports()[0].id, 4);
        assert!(!folder.path().join("1.json").exists());
    }
}
