//! What was counted during a capture, as an Arrow IPC file a board.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, UInt8Array, UInt64Array};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use serde::Serialize;
use twotone_hal::ModuleId;

use super::RecordError;

/// What had been counted of one module's samples up to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CounterRow {
    /// Seconds since the capture began, by this computer.
    #[serde(skip)]
    pub elapsed_s: f64,
    /// The module.
    pub module: ModuleId,
    /// Samples from the first that was received to the last that was settled:
    /// `received + lost`.
    pub expected: u64,
    /// Samples received.
    pub received: u64,
    /// Samples that did not come in time.
    pub lost: u64,
    /// Runs of consecutive lost samples.
    pub gaps: u64,
    /// Packets that came when they had been given up.
    pub late: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Packets from long before, or from far ahead.
    pub stale: u64,
    /// How often the stream began anew.
    pub restarts: u64,
    /// Samples received and not written, because the disk did not keep up or the packet lacked
    /// channels of the file.
    pub unwritten: u64,
    /// Samples received whose packet's stamp has no meaning: they have no time.
    pub timeless: u64,
    /// Packets from the board's address with another serial number.
    pub foreign: u64,
    /// Datagrams from the board's address that are no samples.
    pub malformed: u64,
}

type Column = (&'static str, fn(&CounterRow) -> u64);

const COLUMNS: [Column; 12] = [
    ("expected", |row| row.expected),
    ("received", |row| row.received),
    ("lost", |row| row.lost),
    ("gaps", |row| row.gaps),
    ("late", |row| row.late),
    ("duplicate", |row| row.duplicate),
    ("stale", |row| row.stale),
    ("restarts", |row| row.restarts),
    ("unwritten", |row| row.unwritten),
    ("timeless", |row| row.timeless),
    ("foreign", |row| row.foreign),
    ("malformed", |row| row.malformed),
];

/// Writes counters into an Arrow IPC file, a record batch at a time.
pub struct CounterWriter<W: Write> {
    writer: FileWriter<W>,
    schema: Arc<Schema>,
    file: String,
}

impl<W: Write> CounterWriter<W> {
    /// Begins a file; `file` names it in errors. `provenance` becomes the metadata of its schema.
    ///
    /// # Errors
    /// [`RecordError::Format`] where the writer fails.
    pub fn new(
        writer: W,
        file: &str,
        provenance: &BTreeMap<String, String>,
    ) -> Result<Self, RecordError> {
        let unit = HashMap::from([("unit".to_owned(), "s".to_owned())]);
        let mut fields = vec![
            Field::new("elapsed_s", DataType::Float64, false).with_metadata(unit),
            Field::new("module", DataType::UInt8, false),
        ];
        let counts = COLUMNS.iter();
        fields.extend(counts.map(|(name, _)| Field::new(*name, DataType::UInt64, false)));
        let provenance = provenance.clone().into_iter().collect::<HashMap<_, _>>();
        let schema = Arc::new(Schema::new(fields).with_metadata(provenance));
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

    /// Writes rows, as one record batch, and flushes them.
    ///
    /// # Errors
    /// [`RecordError::Format`] where the writer fails.
    pub fn write(&mut self, rows: &[CounterRow]) -> Result<(), RecordError> {
        self.batch(rows)
            .and_then(|batch| self.writer.write(&batch))
            .and_then(|()| self.writer.flush())
            .map_err(RecordError::format("write", &self.file))
    }

    fn batch(&self, rows: &[CounterRow]) -> Result<RecordBatch, ArrowError> {
        let elapsed_s = rows.iter().map(|row| row.elapsed_s);
        let module = rows.iter().map(|row| row.module.number());
        let mut arrays: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from_iter_values(elapsed_s)),
            Arc::new(UInt8Array::from_iter_values(module)),
        ];
        for (_, count) in COLUMNS {
            arrays.push(Arc::new(UInt64Array::from_iter_values(
                rows.iter().map(count),
            )));
        }
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
    }

    /// What it is written to. After rows that could not be written, the file can go on where these
    /// have been taken back.
    pub fn get_mut(&mut self) -> &mut W {
        self.writer.get_mut()
    }

    /// Ends the file, and gives back what it was written to.
    ///
    /// # Errors
    /// [`RecordError::Format`] where the writer fails.
    pub fn finish(mut self) -> Result<W, RecordError> {
        let ended = self.writer.finish();
        ended
            .and_then(|()| self.writer.into_inner())
            .map_err(RecordError::format("write", &self.file))
    }
}
