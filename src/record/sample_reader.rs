//! Reading of the Arrow files of captured samples, one record batch (a group of rows) at a time.

use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Int32Type, TimestampNanosecondType, UInt8Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_ipc::reader::FileReader;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use serde::de::DeserializeOwned;
use twotone_hal::{ChannelId, TimeOrigin};

use super::{RecordError, SampleRows};

/// Contents of a file of samples, as its schema describes them.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleHead {
    /// The channels in `i` and `q`, in order.
    pub channels: Vec<ChannelId>,
    /// The channels in `df_hz` and `dqi_inv`, in order. Empty if the file has no such columns.
    pub calibrated: Vec<ChannelId>,
    /// Ids of the detectors of the map, by channel. Some channels may have no detector.
    pub detectors: BTreeMap<ChannelId, String>,
    /// Number of steps of `i` and `q` in one readout count.
    pub steps_per_count: f64,
    /// Rate of the samples of a fast stream, in Hz. `None` for other streams.
    pub rate_hz: Option<f64>,
    /// True if the file has the columns `sequence` and `lost_before`.
    pub is_counted: bool,
    /// True if the file has the column `stage`.
    pub is_staged: bool,
    /// True if the file has the columns `overrange` and `overvoltage`.
    pub is_flagged: bool,
    /// Origin of the data, as names and values.
    pub provenance: BTreeMap<String, String>,
}

/// Reader of a file that a [`SampleWriter`](super::SampleWriter) has written. Only one record batch
/// at a time is in memory.
pub struct SampleReader<R: Read + Seek> {
    file: String,
    reader: FileReader<R>,
    head: SampleHead,
}

impl<R: Read + Seek> SampleReader<R> {
    /// Opens a file. `file` is its name in errors.
    ///
    /// # Errors
    /// [`RecordError::Format`] if the source is no Arrow file, is incomplete or damaged, or has no
    /// columns of samples.
    pub fn new(reader: R, file: &str) -> Result<Self, RecordError> {
        let opened = guarded(|| {
            let reader = FileReader::try_new(reader, None)?;
            let head = head(&reader.schema())?;
            Ok((reader, head))
        });
        let (reader, head) = opened.map_err(RecordError::format("read", file))?;
        let file = file.to_owned();
        Ok(Self { file, reader, head })
    }

    /// Contents of the file.
    pub fn head(&self) -> &SampleHead {
        &self.head
    }

    /// Returns the rows of the next record batch, or `None` at the end of the file. The fields of
    /// absent columns are empty. Values of `df_hz` and `dqi_inv` that are null become NaN.
    ///
    /// # Errors
    /// [`RecordError::Format`] if the file is damaged.
    pub fn next_rows(&mut self) -> Result<Option<SampleRows>, RecordError> {
        let (reader, head) = (&mut self.reader, &self.head);
        guarded(|| {
            let batch = reader.next().transpose()?;
            batch.map(|batch| rows(&batch, head)).transpose()
        })
        .map_err(RecordError::format("read", &self.file))
    }
}

/// Calls a function that uses the Arrow reader. This reader does not detect all damage, and panics
/// on some damaged files.
fn guarded<T>(read: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(ArrowError::IpcError("the file is damaged".to_owned())))
}

fn wrong(what: impl Into<String>) -> ArrowError {
    ArrowError::SchemaError(what.into())
}

fn head(schema: &Schema) -> Result<SampleHead, ArrowError> {
    let has = |name: &str| schema.field_with_name(name).is_ok();
    let (i, q) = (schema.field_with_name("i")?, schema.field_with_name("q")?);
    let channels: Vec<ChannelId> = list_of(i, "channels")?;
    if is_list(i, &DataType::Int32) != Some(channels.len()) || i.data_type() != q.data_type() {
        return Err(wrong("its columns `i` and `q` are not those of samples"));
    }
    let mut calibrated = Vec::new();
    if has("df_hz") {
        let (df, dqi) = (
            schema.field_with_name("df_hz")?,
            schema.field_with_name("dqi_inv")?,
        );
        calibrated = list_of(df, "channels")?;
        let is_same = df.data_type() == dqi.data_type();
        if is_list(df, &DataType::Float32) != Some(calibrated.len()) || !is_same {
            return Err(wrong("its calibrated columns are not those of samples"));
        }
    }
    let mut detectors = BTreeMap::new();
    if i.metadata().contains_key("detectors") {
        let ids: Vec<Option<String>> = list_of(i, "detectors")?;
        let named = channels.iter().copied().zip(ids);
        detectors.extend(named.filter_map(|(channel, id)| Some((channel, id?))));
    }
    let provenance: BTreeMap<_, _> = schema.metadata().clone().into_iter().collect();
    let rate_hz = provenance.get("rate_hz").map(|text| {
        let rate_hz = text.parse().ok().filter(|rate| *rate > 0.0);
        rate_hz.ok_or_else(|| wrong("its `rate_hz` is no rate"))
    });
    Ok(SampleHead {
        steps_per_count: steps_per_count(i)?,
        rate_hz: rate_hz.transpose()?,
        is_counted: has("sequence"),
        is_staged: has("stage"),
        is_flagged: has("overrange"),
        channels,
        calibrated,
        detectors,
        provenance,
    })
}

/// Returns the length of the lists of a column of lists, if their values have the type `of`.
fn is_list(field: &Field, of: &DataType) -> Option<usize> {
    match field.data_type() {
        DataType::FixedSizeList(item, length) if item.data_type() == of => {
            usize::try_from(*length).ok()
        }
        _ => None,
    }
}

/// Returns a JSON list in the metadata of a column.
fn list_of<T: DeserializeOwned>(field: &Field, key: &str) -> Result<Vec<T>, ArrowError> {
    let text = field.metadata().get(key).map_or("", String::as_str);
    serde_json::from_str(text).map_err(|_| {
        wrong(format!(
            "the `{key}` of its column `{}` are no list",
            field.name()
        ))
    })
}

/// Returns the number of steps in a count, from the unit of a column, such as `count/256`.
fn steps_per_count(field: &Field) -> Result<f64, ArrowError> {
    let unit = field.metadata().get("unit").map_or("", String::as_str);
    let steps = match unit.strip_prefix("count/") {
        None if unit == "count" => Some(1.0),
        steps => steps.and_then(|steps| steps.parse().ok()),
    };
    steps
        .filter(|steps| *steps > 0.0)
        .ok_or_else(|| wrong(format!("the unit `{unit}` of its samples is not known")))
}

fn rows(batch: &RecordBatch, head: &SampleHead) -> Result<SampleRows, ArrowError> {
    let column = |name: &str| {
        let found = batch.column_by_name(name);
        found.ok_or_else(|| wrong(format!("its column `{name}` is missing")))
    };
    let time = column("time")?.as_primitive_opt::<TimestampNanosecondType>();
    let time = time.ok_or_else(|| wrong("its column `time` has no times"))?;
    let source = column("time_source")?.as_primitive_opt::<UInt8Type>();
    let source = source.ok_or_else(|| wrong("its column `time_source` has no numbers"))?;
    let mut rows = SampleRows {
        time_ns: time.iter().collect(),
        time_source: source.iter().map(origin).collect(),
        i: listed::<Int32Type>(column("i")?)?,
        q: listed::<Int32Type>(column("q")?)?,
        ..SampleRows::default()
    };
    if head.is_counted {
        rows.sequence = plain::<UInt32Type>(column("sequence")?)?;
        rows.lost_before = plain::<UInt64Type>(column("lost_before")?)?;
    }
    if head.is_staged {
        rows.stage = plain::<UInt8Type>(column("stage")?)?;
    }
    if head.is_flagged {
        let flags = |name: &str| {
            let flags = column(name)?.as_boolean_opt();
            let flags = flags.ok_or_else(|| wrong(format!("its column `{name}` has no flags")))?;
            Ok::<_, ArrowError>(flags.iter().map(|flag| flag == Some(true)).collect())
        };
        rows.overrange = flags("overrange")?;
        rows.overvoltage = flags("overvoltage")?;
    }
    if !head.calibrated.is_empty() {
        rows.df_hz = known(column("df_hz")?)?;
        rows.dqi_inv = known(column("dqi_inv")?)?;
    }
    Ok(rows)
}

fn origin(number: Option<u8>) -> Option<TimeOrigin> {
    TimeOrigin::ALL.get(usize::from(number?)).copied()
}

fn plain<T: ArrowPrimitiveType>(column: &ArrayRef) -> Result<Vec<T::Native>, ArrowError> {
    let numbers = column.as_primitive_opt::<T>();
    let numbers = numbers.ok_or_else(|| wrong("a column has values of another type"))?;
    Ok(numbers.values().to_vec())
}

/// Returns the values of a column of lists, row after row.
fn listed<T: ArrowPrimitiveType>(column: &ArrayRef) -> Result<Vec<T::Native>, ArrowError> {
    let lists = column.as_fixed_size_list_opt();
    let lists = lists.ok_or_else(|| wrong("a column of lists is no list"))?;
    plain::<T>(lists.values())
}

/// Returns the values of a column of lists, row after row, with NaN for each null.
fn known(column: &ArrayRef) -> Result<Vec<f32>, ArrowError> {
    let mut values = listed::<Float32Type>(column)?;
    if let Some(nulls) = column
        .as_fixed_size_list_opt()
        .and_then(|list| list.values().nulls())
    {
        let all = values.iter_mut().zip(nulls.iter());
        all.filter(|(_, is_known)| !is_known)
            .for_each(|(value, _)| *value = f32::NAN);
    }
    Ok(values)
}
