//! Recording of a run (a tune, for instance) whose content is in memory. The most important files
//! are written first. If there is not enough space, the run is written in another place. The
//! *manifest* is the file with the origin of the run and the state of each board.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::directory::{fill_json, parent_of};
use super::publish::beside;
use super::{Failure, MANIFEST_FILE, Manifest, RecordError, RunDirectory};
use crate::input::shown;

/// Importance of a file of a run, from the most important to the least. [`RunDirectory::record`]
/// describes the places to which a run may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// The file is written before the manifest. A place without space for it is used only if no
    /// other place is better.
    First,
    /// The file is written after the manifest. A place without space for it is used only if no
    /// other place is better.
    Needed,
    /// The file is written last, and left out if the place has no space for it.
    Further,
}

/// A file of a run whose content is in memory, so that it can be written more than once.
pub struct Content<'a> {
    file: String,
    weight: Weight,
    fill: Box<Fill<'a>>,
}

type Fill<'a> = dyn Fn(&mut BufWriter<File>) -> Result<(), RecordError> + 'a;

impl<'a> Content<'a> {
    /// Makes the content of `file`, a relative path of plain names. The function `fill` writes this
    /// content.
    pub fn new(
        file: impl Into<String>,
        weight: Weight,
        fill: impl Fn(&mut BufWriter<File>) -> Result<(), RecordError> + 'a,
    ) -> Self {
        Self {
            file: file.into(),
            weight,
            fill: Box::new(fill),
        }
    }

    /// Makes the content of `file` with `value` as TOML.
    ///
    /// # Errors
    /// Writing the file fails with [`RecordError::Format`] if `value` cannot be written as TOML.
    pub fn toml(file: &'a str, weight: Weight, value: &'a impl Serialize) -> Self {
        Self::new(file, weight, move |writer| {
            let text = toml::to_string(value).map_err(RecordError::format("write", file))?;
            writer
                .write_all(text.as_bytes())
                .map_err(RecordError::format("write", file))
        })
    }

    /// Makes the content of `file` with `value` as indented JSON.
    ///
    /// # Errors
    /// Writing the file fails with [`RecordError::Format`] if `value` cannot be written as JSON.
    pub fn json(file: &'a str, weight: Weight, value: &'a impl Serialize) -> Self {
        Self::new(file, weight, move |writer| fill_json(writer, file, value))
    }
}

/// A file of a run that could not be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingFile {
    /// The file, within the run directory.
    pub file: String,
    /// Reason that the file is missing. Run directories of formats before 2 have only a sentence
    /// here.
    pub reason: Failure,
}

/// Result of the recording of a run.
#[derive(Debug, Default)]
pub struct Recorded {
    /// The run directory. `None` if no file could be written anywhere.
    pub path: Option<PathBuf>,
    /// Reason that the run is not at the requested place or is incomplete, with its actual place
    /// if it was written.
    pub error: Option<Failure>,
    /// Files that could not be written.
    pub missing: Vec<MissingFile>,
}

impl Recorded {
    /// Returns the result for a run of which no file could be written, because of `error`.
    pub fn failed(error: &RecordError) -> Self {
        Self {
            error: Some(Failure::from(error)),
            ..Self::default()
        }
    }

    /// True if every file was written, and the run is at the requested place.
    pub fn is_whole(&self) -> bool {
        self.path.is_some() && self.error.is_none() && self.missing.is_empty()
    }
}

impl RunDirectory {
    /// Writes the files of a run and puts the run in its place. Files of [`Weight::First`] come
    /// first, then the manifest, then the others by weight. Files that were already made with
    /// [`RunDirectory::create`] stay where they are, even if the other files go to another place.
    ///
    /// A file that cannot be written is left out, and the manifest names it, with the reason. If
    /// this is a file of another weight than [`Weight::Further`], the run is written again, under
    /// the name `NAME-kept`, to the first of these places that has enough space for all such files:
    /// the intended parent folder, the working directory, the folder for temporary files. If none
    /// has enough space, the run goes to the place, the requested one included, where the fewest
    /// such files are missing. But if files were already made, the other files then stay in the
    /// same place as these. Nothing is ever overwritten.
    ///
    /// `broken` is the reason that the files that were already made are incomplete, if they are.
    /// Such a run does not get its final name, but is kept as by [`RunDirectory::keep`].
    pub fn record(
        self,
        mut manifest: Manifest,
        contents: &[Content<'_>],
        broken: Option<RecordError>,
    ) -> Recorded {
        let (wanted, device) = (self.path().to_owned(), self.device());
        let has_data = self.has_created();
        let first = Attempt::at(self, &manifest, contents);
        let Some(why) = first.lacking() else {
            return first.settle(broken);
        };
        manifest
            .remarks
            .push(format!("it was to be `{}`: {why}", shown(&wanted)));
        // Files that were written incrementally are not in memory and cannot be written again, so
        // they stay in this place.
        let (mut best, there) = if has_data {
            let there = first.settle(broken);
            manifest
                .remarks
                .extend(there.error.as_ref().map(ToString::to_string));
            let lies = there.path.as_ref();
            let lies = lies.map(|path| format!("its data lie in `{}`", shown(path)));
            manifest.remarks.extend(lies);
            (None, Some(there))
        } else {
            (Some(first), None)
        };
        for run in next_places(&wanted, device) {
            let attempt = Attempt::at(run, &manifest, contents);
            let is_whole = attempt.lacks == 0;
            let before = best.as_ref().map(|best| best.lacks);
            if is_whole || before.is_some_and(|before| attempt.lacks < before) {
                best = Some(attempt);
            }
            if is_whole {
                break;
            }
        }
        let elsewhere = best.map(|best| best.settle(None));
        match (elsewhere, there) {
            (Some(elsewhere), there) => elsewhere.instead_of(&wanted, &why, there),
            (None, there) => there.unwrap_or_default(),
        }
    }
}

/// Prepares run directories in alternative places for a run that was to be at `wanted`. The parent
/// folder of `wanted` is used only if it is still on the device with the number `device`.
fn next_places(wanted: &Path, device: Option<u64>) -> impl Iterator<Item = RunDirectory> {
    // If the disk was unmounted, its mount point is a folder on another device. This folder is not
    // used, because the next mount would hide the run.
    let is_its = |folder: &&Path| {
        let found = folder.metadata();
        found.is_ok_and(|found| device.is_none_or(|device| found.dev() == device))
    };
    let folders = [
        Some(parent_of(wanted)).filter(is_its).map(Path::to_owned),
        std::env::current_dir().ok(),
        Some(std::env::temp_dir()),
    ];
    let name = wanted.file_name().map(ToOwned::to_owned);
    folders.into_iter().flatten().filter_map(move |folder| {
        // A parent folder that was removed is not made again.
        let path = folder.join(name.as_ref().filter(|_| folder.is_dir())?);
        for free in beside(&path) {
            match RunDirectory::prepare(free) {
                Err(RecordError::Exists { .. }) => {}
                prepared => return prepared.ok(),
            }
        }
        None
    })
}

/// A run that was written to a place, as far as there is space.
struct Attempt {
    run: RunDirectory,
    missing: Vec<MissingFile>,
    /// Number of files in `missing` that are not of [`Weight::Further`].
    lacks: usize,
    /// Number of files that were written.
    written: usize,
}

impl Attempt {
    fn at(run: RunDirectory, manifest: &Manifest, contents: &[Content<'_>]) -> Self {
        let (mut missing, mut lacks, mut written) = (Vec::new(), 0, 0);
        let mut note = |file: &str, weight: Weight, result: Result<(), RecordError>| match result {
            Ok(()) => written += 1,
            Err(error) => {
                lacks += usize::from(weight != Weight::Further);
                missing.push(MissingFile {
                    file: file.to_owned(),
                    reason: Failure::from(&error),
                });
            }
        };
        let of = |weight| contents.iter().filter(move |one| one.weight == weight);
        let write = |one: &Content<'_>| run.write(&one.file, |writer| (one.fill)(writer));
        for one in of(Weight::First) {
            note(&one.file, one.weight, write(one));
        }
        let noted = run.write_manifest(manifest);
        note(MANIFEST_FILE, Weight::Needed, noted);
        for weight in [Weight::Needed, Weight::Further] {
            for one in of(weight) {
                note(&one.file, one.weight, write(one));
            }
        }
        let mut attempt = Self {
            run,
            missing,
            lacks,
            written,
        };
        attempt.name_missing(manifest);
        attempt
    }

    /// Names the missing files in the manifest. If there is no space for the longer manifest, the
    /// existing one stays unchanged, and the reason of each missing file says so.
    fn name_missing(&mut self, manifest: &Manifest) {
        if self.missing.is_empty() || self.written == 0 {
            return;
        }
        let is_manifest = |one: &MissingFile| one.file == MANIFEST_FILE;
        let (none, others): (Vec<_>, _) = self.missing.iter().cloned().partition(is_manifest);
        let complete = Manifest {
            missing: others,
            ..manifest.clone()
        };
        if !none.is_empty() {
            // The manifest itself is missing. There may be space for it now, because the incomplete
            // files were removed.
            if self.run.write_manifest(&complete).is_ok() {
                self.missing = complete.missing;
                (self.lacks, self.written) = (self.lacks - 1, self.written + 1);
            }
            return;
        }
        const NEW: &str = "manifest.json.new";
        let replaced = self.run.write_json(NEW, &complete);
        let replaced = replaced.and_then(|()| self.run.rename(NEW, MANIFEST_FILE));
        if let Err(error) = replaced {
            self.run.remove(NEW);
            let unnamed = format!("the manifest does not name this file: {error}");
            for one in &mut self.missing {
                one.reason = one.reason.clone().and(&unnamed);
            }
        }
    }

    /// Returns the reason that another place is tried, if there is one.
    fn lacking(&self) -> Option<Failure> {
        let first = self.missing.first()?;
        (self.lacks > 0).then(|| first.reason.clone())
    }

    fn settle(self, broken: Option<RecordError>) -> Recorded {
        let Self { run, missing, .. } = self;
        if self.written == 0 && !run.has_created() {
            let error = missing.first().map(|first| first.reason.clone());
            let path = None;
            return Recorded {
                path,
                error,
                missing,
            };
        }
        let settled = match broken {
            Some(cause) => Err(run.keep(cause)),
            None => run.commit(),
        };
        let (path, error) = match settled {
            Ok(path) => (Some(path), None),
            Err(error) => {
                let place = error.kept().map(Path::to_owned);
                (place, Some(Failure::from(&error)))
            }
        };
        Recorded {
            path,
            error,
            missing,
        }
    }
}

impl Recorded {
    /// Adds to the result the reason that the run is not at `wanted`. Also adds the place of the
    /// files that stayed `there`, if there are any.
    fn instead_of(self, wanted: &Path, why: &Failure, there: Option<Self>) -> Self {
        let Some(path) = &self.path else { return self };
        let mut message = format!("`{}` could not be written: {}", shown(wanted), why.message);
        let rest = there.and_then(|there| Some((there.path?, there.error)));
        if let Some((data, its_error)) = rest {
            message += &format!("; its data lie in `{}`", shown(&data));
            message.extend(its_error.map(|error| format!(" ({error})")));
        }
        message += &format!("; the run lies in `{}` instead", shown(path));
        message.extend(self.error.map(|own| format!(" ({own})")));
        let mut error = why.clone();
        error.message = message;
        Self {
            error: Some(error),
            ..self
        }
    }
}

#[cfg(test)]
mod tests;
