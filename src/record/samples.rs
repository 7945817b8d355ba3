//! Captured samples as Arrow IPC files, which are written while the samples arrive. A *tune* is an
//! earlier run that has set a tone on each resonance, and from which the calibrations come.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;

use arrow_array::types::TimestampNanosecondType;
use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Int32Array, PrimitiveArray,
    RecordBatch, UInt8Array, UInt32Array, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use twotone_algorithms::calibration::Calibration;
use twotone_hal::{ChannelId, Complex64, StreamBlock, TimeOrigin};

use super::RecordError;
use super::batch_file::BatchFile;

/// Returns the magnitude and the angle, in rad, of a complex factor, rounded to the twelfth
/// decimal. A report and a file convert such values to a complex number and back. Rounding makes
/// the values in both equal.
pub(crate) fn polar(change: Complex64) -> (f64, f64) {
    let to_twelfth = |value: f64| (value * 1e12).round() / 1e12;
    let (gain, turn_rad) = change.to_polar();
    (to_twelfth(gain), to_twelfth(turn_rad))
}

/// Columns of a file of samples.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleColumns {
    /// The channels in `i` and `q`, in order.
    pub channels: Vec<ChannelId>,
    /// The channels in `df_hz` and `dqi_inv`, in order, with their calibrations. If the list is
    /// empty, the file does not have these two columns.
    pub calibrated: Vec<(ChannelId, Calibration)>,
    /// Ids of the detectors of the map, by channel. Some channels may have no detector.
    pub detectors: BTreeMap<ChannelId, String>,
    /// Complex factor by which all samples have changed since the tune, if it was measured. It is
    /// measured on reference tones, which are off resonance. The calibrations in `calibrated`
    /// already include this factor.
    pub reference: Option<Complex64>,
    /// Number of steps of `i` and `q` in one readout count, which is the unit of samples. The
    /// default is 256.
    pub steps_per_count: f64,
    /// Rate of the samples of a fast stream, in Hz. If it is given, the file has it in the
    /// metadata of its schema, and has no columns `stage`, `overrange` and `overvoltage`.
    pub rate_hz: Option<f64>,
    /// True if the file has the columns `sequence` and `lost_before`.
    pub is_counted: bool,
    /// True if the file has the column `stage`. Files of fast streams do not have it.
    pub is_staged: bool,
    /// True if the file has the columns `overrange` and `overvoltage`. Files of fast streams do
    /// not have them.
    pub is_flagged: bool,
}

impl Default for SampleColumns {
    fn default() -> Self {
        Self {
            channels: Vec::new(),
            calibrated: Vec::new(),
            detectors: BTreeMap::new(),
            reference: None,
            steps_per_count: 256.0,
            rate_hz: None,
            is_counted: true,
            is_staged: true,
            is_flagged: true,
        }
    }
}

/// Samples of one module. The fields `i` and `q` hold, row after row, one value for each of
/// [`SampleColumns::channels`]. The fields `df_hz` and `dqi_inv` hold, row after row, one value for
/// each of [`SampleColumns::calibrated`]. Fields whose columns the file does not have may be empty.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SampleRows {
    /// Time of each sample: nanoseconds since 1970 by the board's clock, with the filters' delay
    /// subtracted. `None` if the time is not known.
    pub time_ns: Vec<Option<i64>>,
    /// Origin of each time. `None` if the time is not known.
    pub time_source: Vec<Option<TimeOrigin>>,
    /// Sequence number of each sample.
    pub sequence: Vec<u32>,
    /// Number of samples that were lost just before each row.
    pub lost_before: Vec<u64>,
    /// Decimation stage of each sample, which sets the sample rate.
    pub stage: Vec<u8>,
    /// True for each sample during which a converter was over its range.
    pub overrange: Vec<bool>,
    /// True for each sample during which an input was over its voltage.
    pub overvoltage: Vec<bool>,
    /// In-phase component (I), in steps. A readout count has [`SampleColumns::steps_per_count`]
    /// steps.
    pub i: Vec<i32>,
    /// Quadrature component (Q), in the same steps.
    pub q: Vec<i32>,
    /// Shift of the resonance since the tune, in hertz. NaN if no shift of the resonance can
    /// explain the sample.
    pub df_hz: Vec<f32>,
    /// Change of `1/Qi` (the internal loss) since the tune. NaN where `df_hz` is NaN.
    pub dqi_inv: Vec<f32>,
}

impl SampleRows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.time_ns.len()
    }

    /// True if there is no row.
    pub fn is_empty(&self) -> bool {
        self.time_ns.is_empty()
    }
}

impl From<StreamBlock> for SampleRows {
    /// Converts a block into rows without calibrated values. Does not copy the samples.
    fn from(block: StreamBlock) -> Self {
        Self {
            stage: vec![block.stage; block.samples()],
            time_ns: block.time_ns,
            time_source: block.time_source,
            sequence: block.sequence,
            lost_before: block.lost_before,
            overrange: block.overrange,
            overvoltage: block.overvoltage,
            i: block.i,
            q: block.q,
            df_hz: Vec::new(),
            dqi_inv: Vec::new(),
        }
    }
}

/// Writer of the samples of one module into an Arrow IPC file, one record batch at a time. Written
/// batches are not kept in memory.
pub struct SampleWriter<W: Write> {
    file: BatchFile<W>,
    columns: SampleColumns,
}

impl<W: Write> SampleWriter<W> {
    /// Begins a file. `file` is its name in errors. `provenance`, which is the origin of the data
    /// as names and values, becomes the metadata of its schema.
    ///
    /// # Errors
    /// [`RecordError::Format`] if the writer fails.
    pub fn new(
        writer: W,
        file: &str,
        columns: SampleColumns,
        provenance: &BTreeMap<String, String>,
    ) -> Result<Self, RecordError> {
        let file = BatchFile::new(writer, file, schema(&columns, provenance))?;
        Ok(Self { file, columns })
    }

    /// Columns of the file.
    pub fn columns(&self) -> &SampleColumns {
        &self.columns
    }

    /// Writes rows as one record batch, and flushes them.
    ///
    /// # Errors
    /// [`RecordError::Format`] if the fields of `rows` have wrong lengths, or if the writer fails.
    pub fn write(&mut self, rows: SampleRows) -> Result<(), RecordError> {
        let batch = batch(self.file.schema(), &self.columns, rows);
        self.file.write(batch)
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

/// Returns the columns, each with its meaning, and with its unit if it has one. The metadata of a
/// column of lists names the channels of its values.
fn schema(columns: &SampleColumns, provenance: &BTreeMap<String, String>) -> Schema {
    let field = |name: &str, of: DataType, nullable: bool, meaning: &str| {
        let notes = HashMap::from([("description".to_owned(), meaning.to_owned())]);
        Field::new(name, of, nullable).with_metadata(notes)
    };
    let list = |name: &str, of: DataType, length: usize, unit: &str, meaning: &str| {
        let item = Field::new("item", of, name == "df_hz" || name == "dqi_inv");
        let of = DataType::FixedSizeList(Arc::new(item), length as i32);
        let mut field = field(name, of, false, meaning);
        let channels: Vec<ChannelId> = if name == "i" || name == "q" {
            columns.channels.clone()
        } else {
            columns
                .calibrated
                .iter()
                .map(|(channel, _)| *channel)
                .collect()
        };
        let mut notes = field.metadata().clone();
        let mut by_channel = |key: &str, values: String| notes.insert(key.to_owned(), values);
        by_channel(
            "channels",
            numbers(channels.iter().map(|channel| channel.number())),
        );
        if !columns.detectors.is_empty() {
            let ids = channels
                .iter()
                .map(|channel| columns.detectors.get(channel));
            by_channel("detectors", numbers(ids));
        }
        if !unit.is_empty() {
            notes.insert("unit".to_owned(), unit.to_owned());
        }
        if name == "df_hz" {
            let of = |value: fn(&Calibration) -> f64| {
                numbers(columns.calibrated.iter().map(|(_, one)| value(one)))
            };
            notes.insert("tone_hz".to_owned(), of(|one| one.tone_hz));
            notes.insert("fr_hz".to_owned(), of(|one| one.fr_hz));
            notes.insert("qr".to_owned(), of(|one| one.qr));
            if let Some(reference) = columns.reference {
                let (gain, turn_rad) = polar(reference);
                notes.insert("reference_gain".to_owned(), gain.to_string());
                notes.insert("reference_turn_rad".to_owned(), turn_rad.to_string());
            }
        }
        field.set_metadata(notes);
        field
    };
    use DataType::{Boolean, Float32, Int32, UInt8, UInt32, UInt64};
    let time = DataType::Timestamp(TimeUnit::Nanosecond, None);
    let channels = columns.channels.len();
    let step = match columns.steps_per_count {
        1.0 => "count".to_owned(),
        steps => format!("count/{steps}"),
    };
    let mut fields = vec![
        field(
            "time",
            time,
            true,
            "when the sample was taken, by the board's clock, the filters' delay taken off; null if it is not known",
        ),
        time_source(),
    ];
    if columns.is_counted {
        let meaning = "sequence number of the sample; it wraps";
        fields.push(field("sequence", UInt32, false, meaning));
        let meaning = "samples lost just before this one";
        fields.push(field("lost_before", UInt64, false, meaning));
    }
    if columns.is_staged && columns.rate_hz.is_none() {
        fields.push(field("stage", UInt8, false, "decimation stage"));
    }
    if columns.is_flagged && columns.rate_hz.is_none() {
        let meaning = "a converter was over its range";
        fields.push(field("overrange", Boolean, false, meaning));
        let meaning = "an input was over its voltage";
        fields.push(field("overvoltage", Boolean, false, meaning));
    }
    fields.push(list("i", Int32, channels, &step, "sample, in phase"));
    fields.push(list("q", Int32, channels, &step, "sample, in quadrature"));
    if !columns.calibrated.is_empty() {
        let tuned = columns.calibrated.len();
        fields.push(list(
            "df_hz",
            Float32,
            tuned,
            "Hz",
            "shift of the resonance since the tune; null where the sample cannot come from it",
        ));
        fields.push(list(
            "dqi_inv",
            Float32,
            tuned,
            "",
            "change of 1/Qi since the tune; null where the sample cannot come from the resonance",
        ));
    }
    let mut notes: HashMap<_, _> = provenance.clone().into_iter().collect();
    if let Some(rate_hz) = columns.rate_hz {
        notes.insert("rate_hz".to_owned(), rate_hz.to_string());
    }
    Schema::new(fields).with_metadata(notes)
}

/// Returns the column with the origin of each time. The origin is a number, and the metadata of the
/// column names the meaning of each number.
fn time_source() -> Field {
    let meaning = "origin of the time: the sample's stamp; sequence numbers, as its stamp has no meaning or \
                   contradicts those around it; its stamp with the year of the computer's clock";
    let names: BTreeMap<u8, &str> = (0..).zip(TimeOrigin::ALL.map(TimeOrigin::name)).collect();
    let notes = HashMap::from([
        ("description".to_owned(), meaning.to_owned()),
        (
            "names".to_owned(),
            serde_json::to_string(&names).unwrap_or_default(),
        ),
    ]);
    Field::new("time_source", DataType::UInt8, true).with_metadata(notes)
}

/// Returns values as a JSON list.
fn numbers<T: serde::Serialize>(values: impl Iterator<Item = T>) -> String {
    let values: Vec<T> = values.collect();
    serde_json::to_string(&values).unwrap_or_default()
}

fn batch(
    schema: &Arc<Schema>,
    columns: &SampleColumns,
    rows: SampleRows,
) -> Result<RecordBatch, ArrowError> {
    let lists = |name: &str, length: usize, values: ArrayRef| -> Result<ArrayRef, ArrowError> {
        let DataType::FixedSizeList(item, _) = schema.field_with_name(name)?.data_type() else {
            return Err(ArrowError::SchemaError("a list is no list".to_owned()));
        };
        let list = FixedSizeListArray::try_new(Arc::clone(item), length as i32, values, None)?;
        Ok(Arc::new(list))
    };
    let channels = columns.channels.len();
    let time = PrimitiveArray::<TimestampNanosecondType>::from_iter(rows.time_ns);
    let time_source = rows.time_source.iter();
    let time_source = time_source.map(|origin| origin.map(|origin| origin as u8));
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(time),
        Arc::new(time_source.collect::<UInt8Array>()),
    ];
    if columns.is_counted {
        arrays.push(Arc::new(UInt32Array::from(rows.sequence)));
        arrays.push(Arc::new(UInt64Array::from(rows.lost_before)));
    }
    if columns.is_staged && columns.rate_hz.is_none() {
        arrays.push(Arc::new(UInt8Array::from(rows.stage)));
    }
    if columns.is_flagged && columns.rate_hz.is_none() {
        arrays.push(Arc::new(BooleanArray::from(rows.overrange)));
        arrays.push(Arc::new(BooleanArray::from(rows.overvoltage)));
    }
    arrays.push(lists("i", channels, Arc::new(Int32Array::from(rows.i)))?);
    arrays.push(lists("q", channels, Arc::new(Int32Array::from(rows.q)))?);
    let tuned = columns.calibrated.len();
    if tuned > 0 {
        arrays.push(lists("df_hz", tuned, known(rows.df_hz))?);
        arrays.push(lists("dqi_inv", tuned, known(rows.dqi_inv))?);
    }
    RecordBatch::try_new(Arc::clone(schema), arrays)
}

/// Returns an array of values, in which NaN becomes null.
fn known(values: Vec<f32>) -> ArrayRef {
    if values.iter().all(|value| !value.is_nan()) {
        return Arc::new(Float32Array::from(values));
    }
    let known = values.into_iter().map(|v| (!v.is_nan()).then_some(v));
    Arc::new(known.collect::<Float32Array>())
}
