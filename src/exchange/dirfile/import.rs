//! Import of a dirfile as a capture.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use twotone_hal::ModuleId;

use super::fields::{self, BoardFields, ModuleFields};
use super::stored::{Frames, Layout};
use crate::exchange::ExchangeError;
use crate::exchange::calendar::{Calendar, NEW_DAY_S};
use crate::exchange::stamps::{DAY_S, PARTS};
use crate::record::{
    BoardRecord, Failure, Manifest, MissingFile, RecordError, RunDirectory, SAMPLES_FOLDER,
    SampleColumns, SampleWriter, UtcTime,
};

/// Largest difference between the last stamp of a dirfile and the time at which its file was last
/// written, in seconds, for the date of the file to be that of the stamps.
const FRESH_S: i128 = 60;

/// Date of the first stamp of a dirfile. Stamps have the second of the day alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StampDate {
    /// The date of the files, if the last stamp agrees with the time at which its file was last
    /// written, to within a minute.
    #[default]
    OfFiles,
    /// This many days since the start of 1970.
    Day(i64),
    /// Not known. The samples have no times.
    Unknown,
}

/// Settings of an import.
#[derive(Debug, Clone, Default)]
pub struct ImportSettings {
    /// Date of the first stamp.
    pub date: StampDate,
    /// Command line for the manifest, beginning with the program.
    pub command: Vec<String>,
    /// Token that ends the import when it is cancelled. Nothing is then written.
    pub stop: CancellationToken,
}

/// Result of the import of a dirfile.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ImportedCapture {
    /// The run directory.
    pub out: PathBuf,
    /// Boards that were written.
    pub boards: Vec<ImportedBoard>,
    /// Sentences about what the dirfile does not tell, or tells in contradiction.
    pub doubts: Vec<String>,
    /// Parts of the dirfile that are not in the capture.
    pub missing: Vec<MissingFile>,
}

/// A board in an imported capture.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ImportedBoard {
    /// Name of the board in the capture.
    pub name: String,
    /// Serial number of the board.
    pub serial: Option<String>,
    /// Modules that were written.
    pub modules: Vec<ImportedModule>,
}

/// A module in an imported capture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportedModule {
    /// The module.
    pub module: ModuleId,
    /// Number of channels.
    pub channels: usize,
    /// Number of channels with the id of a detector.
    pub detectors: usize,
    /// Number of samples of each channel.
    pub samples: u64,
    /// Number of samples without a time.
    pub timeless: u64,
    /// Number of sampling periods that the stamps leave out. `None` if there are no stamps.
    pub left_out: Option<u64>,
}

/// Reads a dirfile with the fields of the Python client's parser, or of
/// [`export_dirfile`](crate::exchange::export_dirfile), and writes it as a capture into the run
/// directory `out`. What the dirfile does not have is absent from the files of samples. Only some
/// thousand samples are in memory at a time. The run directory appears in one step.
///
/// # Errors
/// [`ExchangeError::Source`] if `dirfile` is no dirfile, has no samples, or if the date of its
/// stamps is needed. [`ExchangeError::Record`] if `out` exists or cannot be written.
/// [`ExchangeError::Cancelled`] if the import was cancelled. A module that cannot be read is no
/// error, but [`ImportedCapture::missing`] names it, unless there is no other one.
pub fn import_dirfile(
    dirfile: &Path,
    out: &Path,
    settings: &ImportSettings,
) -> Result<ImportedCapture, ExchangeError> {
    let mut imported = ImportedCapture::default();
    let mut sources = Vec::new();
    for board in fields::boards(dirfile)? {
        let (modules, missing) = opened(&board);
        imported.missing.extend(missing);
        if !modules.is_empty() {
            sources.push((board, modules));
        }
    }
    if sources.is_empty() {
        let reason = imported
            .missing
            .first()
            .map(|one| format!("{}: {}", one.file, one.reason));
        let nothing = || "it has no field of samples, such as `m01_raw32`".to_owned();
        return Err(ExchangeError::source(
            dirfile,
            reason.unwrap_or_else(nothing),
        ));
    }
    let mut calendars = Vec::new();
    let modules = || sources.iter().flat_map(|(_, modules)| modules);
    let latest = latest_beginning(modules(), dirfile)?;
    for module in modules() {
        let doubts = &mut imported.doubts;
        calendars.push(calendar(module, settings.date, latest, dirfile, doubts)?);
    }
    let directory = RunDirectory::prepare(out)?;
    let mut manifest = manifest(dirfile, settings);
    let mut calendars = calendars.into_iter();
    for (number, (board, modules)) in sources.into_iter().enumerate() {
        let serial = board.serial.clone();
        let name = serial.as_ref().map(|serial| format!("crs{serial}"));
        let name = name.unwrap_or_else(|| format!("board{}", number + 1));
        manifest.boards.push(BoardRecord {
            name: name.clone(),
            serial: serial.clone(),
            status: "ok".to_owned(),
            ..BoardRecord::default()
        });
        let mut written = Vec::new();
        let mut doubts = Vec::new();
        for (module, calendar) in modules.into_iter().zip(&mut calendars) {
            let mut writer = Writer {
                directory: &directory,
                manifest: &manifest,
                board: &name,
                settings,
            };
            written.push(writer.module(module, calendar, &mut doubts)?);
        }
        if let Some(record) = manifest.boards.last_mut() {
            let received: u64 = written.iter().map(|module| module.samples).sum();
            record
                .channels
                .insert("received".to_owned(), received as usize);
            record.warnings.clone_from(&doubts);
        }
        imported
            .doubts
            .extend(doubts.iter().map(|doubt| format!("{name}: {doubt}")));
        imported.boards.push(ImportedBoard {
            name,
            serial,
            modules: written,
        });
    }
    manifest.missing.clone_from(&imported.missing);
    manifest.ended = UtcTime::now();
    directory.write_manifest(&manifest)?;
    imported.out = directory.commit()?;
    Ok(imported)
}

/// A module of a dirfile whose files are open.
struct Source {
    fields: ModuleFields,
    layout: Layout,
    frames: Frames<File>,
    /// Time at which the file of stamps was last written, in seconds since 1970.
    written_s: Option<i128>,
}

fn opened(board: &BoardFields) -> (Vec<Source>, Vec<MissingFile>) {
    let (mut sources, mut missing) = (Vec::new(), Vec::new());
    for module in board.modules() {
        let mut lacks = |prefix: &str, reason: String| {
            let file = board
                .folder
                .join(format!("{prefix}_raw32"))
                .display()
                .to_string();
            let reason = Failure::of_words(reason);
            missing.push(MissingFile { file, reason });
        };
        let fields = match module {
            Ok(fields) => fields,
            Err((prefix, reason)) => {
                lacks(&prefix, reason);
                continue;
            }
        };
        let layout = Layout::of(board, &fields);
        match Frames::open(board, &fields, &layout) {
            Ok(frames) if frames.count() > 0 => {
                let path = board.folder.join(format!("{}_ts_sbs", fields.prefix));
                let written = path.metadata().and_then(|found| found.modified()).ok();
                let since = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                sources.push(Source {
                    fields,
                    layout,
                    frames,
                    written_s: since.map(|since| i128::from(since.as_secs())),
                });
            }
            Ok(_) => lacks(&fields.prefix, "it has no samples".to_owned()),
            Err(error) => lacks(&fields.prefix, error.to_string()),
        }
    }
    (sources, missing)
}

/// Returns the calendar of the stamps of a module, which knows the date of the first one. `None` if
/// the samples get no times from the stamps.
fn calendar(
    source: &Source,
    date: StampDate,
    latest: i32,
    dirfile: &Path,
    doubts: &mut Vec<String>,
) -> Result<Option<Calendar>, ExchangeError> {
    if source.layout.has_full_times() {
        return Ok(None);
    }
    let prefix = &source.fields.prefix;
    if !source.layout.has_stamps() || !source.layout.is_staged() {
        let doubt = "has no stamps, or not the decimation by which they are late: its samples have no times";
        doubts.push(format!("{prefix}: it {doubt}"));
        return Ok(None);
    }
    match date {
        StampDate::Unknown => Ok(None),
        StampDate::Day(day) => {
            let second = beginning(source, dirfile)?;
            // The date is that of the first module that begins. The others may begin after
            // midnight.
            let is_next = latest - second > NEW_DAY_S;
            let day = i128::from(day) + i128::from(is_next);
            Ok(Some(Calendar::beginning(day, second)))
        }
        StampDate::OfFiles => {
            let days = source.frames.stamped_days();
            let days = days.map_err(|error| ExchangeError::source(dirfile, error.to_string()))?;
            let found = source
                .written_s
                .zip(days)
                .and_then(|(written_s, (days, last))| {
                    let last_s = i128::from(last.second) + i128::from(last.part) / PARTS;
                    // The day on which this second is the nearest one to the time of the file.
                    let day = (written_s - last_s + DAY_S / 2).div_euclid(DAY_S);
                    let apart_s = (written_s - last_s - day * DAY_S).abs();
                    (apart_s <= FRESH_S).then_some(day - days)
                });
            let Some(first) = found else {
                let reason = format!(
                    "the stamps of {prefix} have no date, and the file was not written at the time of the last \
                     one: give the date of the first one with --date YYYY-MM-DD, or --date unknown"
                );
                return Err(ExchangeError::source(dirfile, reason));
            };
            let doubt = "the date of its times is that at which its files were last written";
            doubts.push(format!("{prefix}: {doubt}"));
            Ok(Some(Calendar::beginning(
                first,
                beginning(source, dirfile)?,
            )))
        }
    }
}

/// Returns the second of the day at which the stamps of a module begin. Zero if it has none.
fn beginning(source: &Source, dirfile: &Path) -> Result<i32, ExchangeError> {
    let first = source.frames.first_stamp();
    let first = first.map_err(|error| ExchangeError::source(dirfile, error.to_string()))?;
    Ok(first.map_or(0, |first| first.second))
}

/// Returns the latest second of the day at which the stamps of a module begin.
fn latest_beginning<'a>(
    mut modules: impl Iterator<Item = &'a Source>,
    dirfile: &Path,
) -> Result<i32, ExchangeError> {
    modules.try_fold(0, |latest, module| {
        Ok(beginning(module, dirfile)?.max(latest))
    })
}

/// Returns the manifest of an imported capture, without its boards. It has no hardware map.
fn manifest(dirfile: &Path, settings: &ImportSettings) -> Manifest {
    let date = match settings.date {
        StampDate::OfFiles => json!(null),
        StampDate::Day(day) => json!(day),
        StampDate::Unknown => json!("unknown"),
    };
    let parameters =
        json!({ "imported_from": dirfile.display().to_string(), "days_since_1970": date });
    Manifest::without_map(settings.command.clone(), parameters, UtcTime::now())
}

/// Writer of the modules of a board.
struct Writer<'a> {
    directory: &'a RunDirectory,
    manifest: &'a Manifest,
    board: &'a str,
    settings: &'a ImportSettings,
}

impl Writer<'_> {
    fn module(
        &mut self,
        source: Source,
        calendar: Option<Calendar>,
        doubts: &mut Vec<String>,
    ) -> Result<ImportedModule, ExchangeError> {
        let Source {
            fields,
            layout,
            mut frames,
            ..
        } = source;
        let (board, module) = (self.board, fields.module);
        let file = format!("{SAMPLES_FOLDER}/{board}/module-{module}.arrow");
        let columns = SampleColumns {
            channels: fields.channels.clone(),
            detectors: fields.detectors.clone(),
            steps_per_count: fields.steps_per_count,
            rate_hz: layout.rate_hz(),
            is_counted: layout.is_counted(),
            is_staged: layout.is_staged(),
            is_flagged: layout.is_flagged(),
            ..SampleColumns::default()
        };
        let mut provenance = self.manifest.provenance(board);
        provenance.insert("module".to_owned(), module.to_string());
        let created = self.directory.create(&file)?;
        let mut writer = SampleWriter::new(created, &file, columns, &provenance)?;
        let mut written = ImportedModule {
            module,
            channels: fields.channels.len(),
            detectors: fields.detectors.len(),
            samples: 0,
            timeless: 0,
            left_out: None,
        };
        let mut calendar = calendar;
        loop {
            if self.settings.stop.is_cancelled() {
                return Err(ExchangeError::Cancelled);
            }
            let rows = frames.next_rows(calendar.as_mut());
            let Some(rows) = rows.map_err(RecordError::format("read", &fields.prefix))? else {
                break;
            };
            written.samples += rows.len() as u64;
            let timeless = rows.time_ns.iter().filter(|time| time.is_none());
            written.timeless += timeless.count() as u64;
            writer.write(rows)?;
        }
        writer.finish()?.finish()?;
        let mut doubt = |text: String| doubts.push(format!("module {module}: {text}"));
        if let Some(calendar) = &calendar {
            written.left_out = Some(calendar.left_out);
            calendar.doubts().into_iter().for_each(&mut doubt);
        }
        if frames.incomplete() > 0 {
            doubt(format!(
                "its fields have different lengths: {} frames are not complete and are left out",
                frames.incomplete()
            ));
        }
        if !layout.is_counted() {
            doubt("the dirfile has no sequence numbers, so that losses are not known".to_owned());
        }
        if !layout.has_full_times() && calendar.is_some() {
            let text = "the dirfile does not tell if the time code of the board was recent";
            doubt(text.to_owned());
        }
        Ok(written)
    }
}
