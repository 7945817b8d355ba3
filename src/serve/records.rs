//! Jobs on disk: what the daemon tells of them after it was started anew.
//!
//! A job has a file `N.json` with its facts from its submission on, written anew when they change,
//! and `N.events` with its events from its end on.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::api::{Event, JobReport, State};
use crate::input;

/// Jobs of which the daemon keeps a record; those that ended first are forgotten first.
const MOST_RECORDS: usize = 1000;

/// Most bytes of the facts about one job.
const RECORD_BYTES: u64 = 4 << 20;

/// The folder of the jobs, and the facts about those that are over.
#[derive(Debug)]
pub(crate) struct JobRecords {
    folder: PathBuf,
    over: Mutex<BTreeMap<u64, JobReport>>,
    /// Largest number of a job that was there when the records were opened.
    highest: u64,
}

impl JobRecords {
    /// Opens the records in `folder`, which is made if it is not there. Jobs that were not over
    /// when the last daemon ended are interrupted, and returned.
    ///
    /// # Errors
    /// If the folder cannot be made or read.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, Vec<JobReport>)> {
        fs::create_dir_all(folder)?;
        let (mut over, mut highest) = (BTreeMap::new(), 0);
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            // A record that cannot be read keeps its number.
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
            highest,
        };
        for report in &interrupted {
            records.save(report)?;
        }
        Ok((records, interrupted))
    }

    fn over(&self) -> MutexGuard<'_, BTreeMap<u64, JobReport>> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of the first job that was not there when the records were opened.
    pub(crate) fn next_id(&self) -> u64 {
        self.highest + 1
    }

    /// Jobs that are over, in the order of their numbers.
    pub(crate) fn reports(&self) -> Vec<JobReport> {
        self.over().values().cloned().collect()
    }

    /// The job of this number, if it is over.
    pub(crate) fn report(&self, id: u64) -> Option<JobReport> {
        self.over().get(&id).cloned()
    }

    /// Writes the facts about a job.
    ///
    /// # Errors
    /// If they cannot be written. The ones that were there are as they were.
    pub(crate) fn save(&self, report: &JobReport) -> io::Result<()> {
        let text = serde_json::to_vec(report)?;
        self.write(&format!("{}.json", report.id), |file| file.write_all(&text))
    }

    /// Writes the events of a job that is over, and its facts after them.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn close(&self, report: JobReport, events: &[Bytes]) -> io::Result<()> {
        let written = self
            .write(&format!("{}.events", report.id), |file| {
                events.iter().try_for_each(|line| file.write_all(line))
            })
            .and_then(|()| self.save(&report));
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
                // One that cannot be removed is read again at the next start.
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

    /// Opens the events of a job that is over, each a line. They do not tell its end if it was
    /// interrupted. Returns `None` if there are none.
    ///
    /// # Errors
    /// If they cannot be opened.
    pub(crate) fn events(&self, id: u64) -> io::Result<Option<BufReader<File>>> {
        match File::open(self.folder.join(format!("{id}.events"))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => Ok(Some(BufReader::new(opened?))),
        }
    }

    /// Writes a file whole or not at all.
    fn write(&self, name: &str, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        fill(file.as_file_mut())?;
        file.as_file().sync_all()?;
        let path = self.folder.join(name);
        file.persist(path).map(drop).map_err(|error| error.error)
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
            // Without a disk that is waited for.
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
