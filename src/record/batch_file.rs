//! An Arrow IPC file that is written while its rows arrive, one record batch (a group of rows) at a
//! time.

use std::io::Write;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, Schema};

use super::RecordError;

/// An Arrow IPC file that is being written.
pub(super) struct BatchFile<W: Write> {
    writer: FileWriter<W>,
    schema: Arc<Schema>,
    file: String,
}

impl<W: Write> BatchFile<W> {
    /// Begins a file. `file` is its name in errors.
    pub(super) fn new(writer: W, file: &str, schema: Schema) -> Result<Self, RecordError> {
        let schema = Arc::new(schema);
        let writer = FileWriter::try_new(writer, &schema).and_then(|mut writer| {
            writer.flush()?;
            Ok(writer)
        });
        Ok(Self {
            writer: writer.map_err(RecordError::format("write", file))?,
            schema,
            file: file.to_owned(),
        })
    }

    pub(super) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Writes a batch and flushes it, so that it stays on disk if the program is killed.
    pub(super) fn write(
        &mut self,
        batch: Result<RecordBatch, ArrowError>,
    ) -> Result<(), RecordError> {
        batch
            .and_then(|batch| self.writer.write(&batch))
            .and_then(|()| self.writer.flush())
            .map_err(RecordError::format("write", &self.file))
    }

    /// Output of the file. After a failed write, the caller may remove the incomplete rows from the
    /// output. The file can then be continued.
    pub(super) fn get_mut(&mut self) -> &mut W {
        self.writer.get_mut()
    }

    /// Ends the file, and returns its output.
    pub(super) fn finish(mut self) -> Result<W, RecordError> {
        let ended = self.writer.finish();
        ended
            .and_then(|()| self.writer.into_inner())
            .map_err(RecordError::format("write", &self.file))
    }
}
