//! Counters of a capture, as an Arrow IPC file a board.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, UInt8Array, UInt64Array};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use serde::Serialize;
use twotone_hal::ModuleId;

use super::RecordError;
use super::batch_file::BatchFile;

/// Counters of one module's samples up to a moment.
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
    /// Number of times that the stream began anew.
    pub restarts: u64,
    /// Samples received and not written, because the disk did not keep up.
    pub unwritten: u64,
    /// Samples received and not written, because their packet lacked channels of the file.
    pub misfit: u64,
    /// Number of times that packets changed their length or decimation stage.
    pub form_changes: u64,
    /// Samples that were taken with a converter over its range.
    pub overrange: u64,
    /// Samples that were taken with an input over its voltage.
    pub overvoltage: u64,
    /// Samples without a time.
    pub timeless: u64,
    /// Samples whose time is not that of their stamp.
    pub reconstructed: u64,
    /// Number of times that the board's clock was set.
    pub clock_steps: u64,
    /// Number of times that the board's clock began to run otherwise than its samples.
    pub clock_drifts: u64,
    /// Number of times that stamps changed the source of their time.
    pub clock_source_changes: u64,
    /// Leap seconds.
    pub leap_seconds: u64,
    /// Stamps that say that they are not recent.
    pub stamps_not_recent: u64,
    /// Stamps that are the same as the one before.
    pub stamps_frozen: u64,
    /// Stamps that are off those around them.
    pub stamps_stray: u64,
    /// Stamps with a day that their year does not have.
    pub stamps_no_such_day: u64,
    /// Stamps that hold a time that no clock shows.
    pub stamps_out_of_range: u64,
    /// Stamps whose date is out of reach of this computer's clock.
    pub stamps_out_of_reach: u64,
    /// Stamps whose seconds of the day are not those of their hour, minute and second.
    pub stamps_at_odds: u64,
    /// Packets from the board's address with another serial number.
    pub foreign: u64,
    /// Datagrams from the board's address that are no samples.
    pub malformed: u64,
}

impl CounterRow {
    /// Samples that were expected and are not in the file.
    pub fn missing(&self) -> u64 {
        self.lost + self.unwritten + self.misfit
    }
}

type Column = (&'static str, fn(&CounterRow) -> u64);

const COLUMNS: [Column; 28] = [
    ("expected", |row| row.expected),
    ("received", |row| row.received),
    ("lost", |row| row.lost),
    ("gaps", |row| row.gaps),
    ("late", |row| row.late),
    ("duplicate", |row| row.duplicate),
    ("stale", |row| row.stale),
    ("restarts", |row| row.restarts),
    ("unwritten", |row| row.unwritten),
    ("misfit", |row| row.misfit),
    ("form_changes", |row| row.form_changes),
    ("overrange", |row| row.overrange),
    ("overvoltage", |row| row.overvoltage),
    ("timeless", |row| row.timeless),
    ("reconstructed", |row| row.reconstructed),
    ("clock_steps", |row| row.clock_steps),
    ("clock_drifts", |row| row.clock_drifts),
    ("clock_source_changes", |row| row.clock_source_changes),
    ("leap_seconds", |row| row.leap_seconds),
    ("stamps_not_recent", |row| row.stamps_not_recent),
    ("stamps_frozen", |row| row.stamps_frozen),
    ("stamps_stray", |row| row.stamps_stray),
    ("stamps_no_such_day", |row| row.stamps_no_such_day),
    ("stamps_out_of_range", |row| row.stamps_out_of_range),
    ("stamps_out_of_reach", |row| row.stamps_out_of_reach),
    ("stamps_at_odds", |row| row.stamps_at_odds),
    ("foreign", |row| row.foreign),
    ("malformed", |row| row.malformed),
];

/// Writes counters into an Arrow IPC file, a record batch at a time.
pub struct CounterWriter<W: Write> {
    file: BatchFile<W>,
}

impl<W: Write> CounterWriter<W> {
    /// Begins a file; `file` names it in errors. `provenance` becomes the metadata of its schema.
    ///
    /// # Errors
    /// [`RecordError::Format`] if the writer fails.
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
        let schema = Schema::new(fields).with_metadata(provenance);
        let file = BatchFile::new(writer, file, schema)?;
        Ok(Self { file })
    }

    /// Writes rows, as one record batch, and flushes them.
    ///
    /// # Errors
    /// [`RecordError::Format`] if the writer fails.
    pub fn write(&mut self, rows: &[CounterRow]) -> Result<(), RecordError> {
        let batch = self.batch(rows);
        self.file.write(batch)
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
        RecordBatch::try_new(Arc::clone(self.file.schema()), arrays)
    }

    /// The output that the file is written to. After rows that could not be written, the file can
    /// go on if these have been taken back.
    pub fn get_mut(&mut self) -> &mut W {
        self.file.get_mut()
    }

    /// Ends the file, and returns the output that it was written to.
    ///
    /// # Errors
    /// [`RecordError::Format`] if the writer fails.
    pub fn finish(self) -> Result<W, RecordError> {
        self.file.finish()
    }
}
