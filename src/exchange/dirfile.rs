//! Dirfiles, the format of the GetData library: a folder with a text file `format` that describes
//! the fields, and a file of plain numbers for each field that is stored.

mod columns;
mod fields;
mod format;
mod import;
mod stored;

use std::path::Path;

use super::capture::{Captured, SampleFile};
use super::{ExchangeError, ExportSettings, Exported, ExportedBoard, ExportedModule, field_name};
use crate::record::{Failure, MissingFile, RecordError, RunDirectory, SampleHead};
use columns::ModuleColumns;
use format::{BoardFormat, TopFormat};

pub use import::{
    ImportSettings, ImportedBoard, ImportedCapture, ImportedModule, StampDate, import_dirfile,
};

/// Writes the capture in the run directory `run` as a dirfile at `out`, with the fields that the
/// parser of the Python client of CRS boards writes, and further ones for what only a capture has.
/// Only one record batch of a module is in memory at a time. The dirfile appears in one step.
///
/// # Errors
/// [`ExchangeError::Source`] if `run` is no capture, or has none of the selected modules.
/// [`ExchangeError::Record`] if `out` exists, or if the dirfile cannot be written.
/// [`ExchangeError::Cancelled`] if the export was cancelled. A file of the capture that cannot be
/// read is no error, but [`Exported::missing`] names it, unless there is no other file.
pub fn export_dirfile(
    run: &Path,
    out: &Path,
    settings: &ExportSettings,
) -> Result<Exported, ExchangeError> {
    let captured = Captured::find(run, settings)?;
    let directory = RunDirectory::prepare(out)?;
    let mut exported = Exported {
        out: out.to_owned(),
        doubts: captured.doubts,
        missing: captured.missing,
        ..Exported::default()
    };
    let mut top = TopFormat::default();
    for (name, files) in &captured.boards {
        let mut board = BoardWriter {
            directory: &directory,
            settings,
            namespace: String::new(),
            format: BoardFormat::default(),
            written: ExportedBoard {
                name: name.clone(),
                ..ExportedBoard::default()
            },
        };
        for file in files {
            let broken = board.add(file, &mut top)?;
            exported.missing.extend(broken.map(|error| MissingFile {
                file: file.file.clone(),
                reason: Failure::from(&error),
            }));
        }
        if board.written.modules.is_empty() {
            continue;
        }
        let path = format!("{}/format", board.namespace);
        let text = board.format.into_text();
        write_text(&directory, &path, &text)?;
        exported.boards.push(board.written);
    }
    if exported.boards.is_empty() {
        let reason = exported.missing.first().map(|one| one.reason.to_string());
        return Err(ExchangeError::source(run, reason.unwrap_or_default()));
    }
    write_text(&directory, "format", &top.into_text())?;
    exported.out = directory.commit()?;
    Ok(exported)
}

fn write_text(directory: &RunDirectory, file: &str, text: &str) -> Result<(), RecordError> {
    directory.write(file, |writer| {
        std::io::Write::write_all(writer, text.as_bytes())
            .map_err(RecordError::format("write", file))
    })
}

/// Writer of the fields of a board.
struct BoardWriter<'a> {
    directory: &'a RunDirectory,
    settings: &'a ExportSettings,
    /// Folder of the board, which is also the first part of the names of its fields.
    namespace: String,
    format: BoardFormat,
    written: ExportedBoard,
}

impl BoardWriter<'_> {
    /// Writes the samples of a module. If the file is damaged, writes the samples before the damage
    /// and returns the reason.
    fn add(
        &mut self,
        file: &SampleFile,
        top: &mut TopFormat,
    ) -> Result<Option<RecordError>, ExchangeError> {
        let mut reader = match file.open() {
            Ok(reader) => reader,
            Err(error) => return Ok(Some(error)),
        };
        let head = reader.head().clone();
        if self.namespace.is_empty() {
            self.begin(&head, top);
        }
        let prefix = format!("m{:02}", file.module.number());
        let mut columns = ModuleColumns::create(self.directory, &self.namespace, &prefix, &head)?;
        let mut module = ExportedModule {
            module: file.module,
            channels: head.channels.len(),
            calibrated: head.calibrated.len(),
            detectors: head.detectors.len(),
            samples: 0,
            lost: 0,
            timeless: 0,
        };
        let broken = loop {
            if self.settings.stop.is_cancelled() {
                return Err(ExchangeError::Cancelled);
            }
            match reader.next_rows() {
                Ok(Some(rows)) => {
                    module.samples += rows.len() as u64;
                    module.lost += rows.lost_before.iter().sum::<u64>();
                    let timeless = rows.time_ns.iter().filter(|time| time.is_none());
                    module.timeless += timeless.count() as u64;
                    columns.write(&rows)?;
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        columns.finish()?;
        self.format.add_module(&prefix, &head);
        let aliases = head.detectors.iter();
        top.add_module(&self.namespace, &prefix, module.samples);
        for (channel, id) in aliases {
            top.add_detector(
                &self.namespace,
                &prefix,
                *channel,
                id,
                head.calibrated.contains(channel),
            );
        }
        self.written.modules.push(module);
        Ok(broken)
    }

    /// Begins the folder of the board, whose name has the serial number that its files have.
    fn begin(&mut self, head: &SampleHead, top: &mut TopFormat) {
        let serial = head.provenance.get("serial").cloned();
        self.namespace = match &serial {
            Some(serial) => format!("serial_{}", field_name(serial)),
            None => format!("board_{}", field_name(&self.written.name)),
        };
        self.written.serial = serial;
        self.format.add_provenance(&head.provenance);
        top.add_board(&self.namespace);
    }
}
