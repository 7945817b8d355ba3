//! Counters of a capture, which writes the sample streams of boards to disk. Each board has one
//! Arrow IPC file of counters.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, UInt8Array, UInt64Array};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use serde::Serialize;
use twotone_hal::ModuleId;

use super::RecordError;
use super::batch_file::BatchFile;

/// Counters of one module's samples, from the beginning of the capture to `elapsed_s`. A stamp is
/// the time that a packet bears.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CounterRow {
    /// Seconds since the first packet of the capture, by this computer's clock.
    #[serde(skip)]
    pub elapsed_s: f64,
    /// The module.
    pub module: ModuleId,
    /// Samples from the first one that was received to the last one that counts as received or
    /// lost. The number is `received + lost`.
    pub expected: u64,
    /// Samples that were received before they counted as lost.
    pub received: u64,
    /// Samples that did not come in time.
    pub lost: u64,
    /// Runs of consecutive lost samples.
    pub gaps: u64,
    /// Samples that arrived after they had counted as lost.
    pub late: u64,
    /// Samples that arrived a second time.
    pub duplicate: u64,
    /// Samples whose sequence number is far from the expected one.
    pub stale: u64,
    /// Number of times that the stream started again. The samples between its end and its new
    /// start do not count as expected or lost.
    pub restarts: u64,
    /// Samples that were received but not written: the disk did not keep up, a file could not be
    /// written, or the writing was abandoned.
    pub unwritten: u64,
    /// Samples that were received but not written, because their packet lacked some channels of
    /// the file.
    pub misfit: u64,
    /// Number of times that the form of the packets changed: their number of channels, or their
    /// decimation stage, which sets the sample rate.
    pub form_changes: u64,
    /// Samples that were taken with a converter over its range.
    pub overrange: u64,
    /// Samples that were taken with an input over its voltage.
    pub overvoltage: u64,
    /// Samples whose time is not known.
    pub timeless: u64,
    /// Samples whose time in the file is not their stamp: it follows from sequence numbers, or has
    /// the year of this computer's clock.
    pub reconstructed: u64,
    /// Number of times that the board's clock was set.
    pub clock_steps: u64,
    /// Number of times that the board's clock began to run faster or slower than its samples.
    pub clock_drifts: u64,
    /// Number of times that the stamps named another source of the clock's time.
    pub clock_source_changes: u64,
    /// Number of leap seconds.
    pub leap_seconds: u64,
    /// Stamps that are marked as not recent.
    pub stamps_not_recent: u64,
    /// Stamps that are equal to the one before, as if the clock stood still.
    pub stamps_frozen: u64,
    /// Stamps that contradict those around them.
    pub stamps_stray: u64,
    /// Stamps with a day that their year does not have.
    pub stamps_no_such_day: u64,
    /// Stamps with a field, other than the day, that is out of its range.
    pub stamps_out_of_range: u64,
    /// Stamps whose date is more than half a year from this computer's clock.
    pub stamps_out_of_reach: u64,
    /// Stamps whose second of the day contradicts their hour, minute and second.
    pub stamps_at_odds: u64,
    /// Packets from the board's address with a serial number that no captured board at this
    /// address has. The count is for the address, so all modules there have the same.
    pub foreign: u64,
    /// Datagrams from the board's address without valid samples. This count is for the address,
    /// too.
    pub malformed: u64,
}

impl CounterRow {
    /// Returns the number of samples that were expected and are not in the file.
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

/// Writer of counters into an Arrow IPC file, one record batch at a time.
pub struct CounterWriter<W: Write> {
    file: BatchFile<W>,
}

impl<W: Write> CounterWriter<W> {
    /// Begins a file. `file` is its name in errors. `provenance`, which is the origin of the data
    /// as names and values, becomes the metadata of its schema.
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

    /// Writes rows as one record batch, and flushes them.
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

    /// Output of the file. After a failed write, the caller may remove the incomplete rows from the
    /// output. The file can then be continued.
    pub fn get_mut(&mut self) -> &mut W {
        self.file.get_mut()
    }

    /// Ends the file, and returns its output.
    ///
    /// # Errors
    /// [`RecordError::Format`] if the writer fails.
    pub fn finish(self) -> Result<W, RecordError> {
        self.file.finish()
    }
}
