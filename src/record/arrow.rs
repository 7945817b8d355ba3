//! Sweeps as Arrow IPC files, which pandas and polars can open. A sweep is a list of points, and
//! each point is a row of the file.

use std::collections::HashMap;
use std::io::{Read, Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, UInt16Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int8Type, UInt8Type, UInt16Type};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Float64Array, Int8Array, RecordBatch, StringArray, UInt8Array,
};
use arrow_ipc::reader::FileReader;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use twotone_hal::{ChannelId, Complex64, Hertz, ModuleId};

use super::{RecordError, SweepHead, SweepKind, SweepPoint, SweepTable};

/// Rows of one record batch. This number limits the memory for writing.
const BATCH_ROWS: usize = 65_536;

impl SweepTable {
    /// Writes the table as an Arrow IPC file. The metadata of each column has its unit. The
    /// provenance, which is the origin of the data as names and values, becomes the metadata of the
    /// schema.
    ///
    /// # Errors
    /// [`RecordError::Format`] if the writer fails.
    pub fn write_arrow(&self, writer: impl Write) -> Result<(), RecordError> {
        self.to_arrow(writer)
            .map_err(RecordError::format("write", "sweeps"))
    }

    /// Reads a table that [`SweepTable::write_arrow`] has written. `file` names the source in
    /// errors.
    ///
    /// # Errors
    /// [`RecordError::Format`] if the source is no Arrow file, is damaged, or has other columns.
    pub fn read_arrow(reader: impl Read + Seek, file: &str) -> Result<Self, RecordError> {
        // The Arrow reader does not detect all damage, and panics on some damaged files.
        catch_unwind(AssertUnwindSafe(|| from_arrow(reader)))
            .unwrap_or_else(|_| Err(ArrowError::IpcError("the file is damaged".to_owned())))
            .map_err(RecordError::format("read", file))
    }

    fn to_arrow(&self, writer: impl Write) -> Result<(), ArrowError> {
        let schema = Arc::new(schema(&self.provenance));
        let mut writer = FileWriter::try_new(writer, &schema)?;
        let kinds = SweepKind::ALL.map(SweepKind::as_str);
        // All batches share this array of the kinds of sweeps, so that the file has the dictionary
        // only once.
        let kinds: ArrayRef = Arc::new(StringArray::from_iter_values(kinds));
        for points in self.points().chunks(BATCH_ROWS) {
            let columns = columns(points, &kinds)?;
            writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
        }
        writer.finish()
    }
}

/// Returns the columns, each with its unit and meaning.
fn schema(provenance: &std::collections::BTreeMap<String, String>) -> Schema {
    let sweep = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    let field = |name: &str, of: DataType, nullable: bool, unit: &str, meaning: &str| {
        let mut notes = HashMap::from([("description".to_owned(), meaning.to_owned())]);
        if !unit.is_empty() {
            notes.insert("unit".to_owned(), unit.to_owned());
        }
        Field::new(name, of, nullable).with_metadata(notes)
    };
    use DataType::{Float64, UInt8, UInt16};
    Schema::new(vec![
        field("module", UInt8, false, "", "module, from 1"),
        field(
            "channel",
            UInt16,
            true,
            "",
            "channel whose tone was swept, from 1; null in a network analysis",
        ),
        field(
            "sweep",
            sweep,
            false,
            "",
            "network_analysis, fine_up or fine_down",
        ),
        field(
            "frequency_hz",
            Float64,
            false,
            "Hz",
            "absolute frequency of the tone, as really set",
        ),
        field("nco_hz", Float64, false, "Hz", "frequency of the NCO"),
        field("i", Float64, false, "count", "mean sample, in phase"),
        field("q", Float64, false, "count", "mean sample, in quadrature"),
        field(
            "noise",
            Float64,
            true,
            "count",
            "error of the mean sample, both quadratures together; null where not known",
        ),
    ])
    .with_metadata(provenance.clone().into_iter().collect::<HashMap<_, _>>())
}

fn columns(points: &[SweepPoint], kinds: &ArrayRef) -> Result<Vec<ArrayRef>, ArrowError> {
    let rows = points.len();
    let number = |value: fn(&SweepPoint) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(points.iter().map(value)))
    };
    let mut channel = UInt16Builder::with_capacity(rows);
    let mut noise = Float64Builder::with_capacity(rows);
    for point in points {
        channel.append_option(point.head.channel.map(ChannelId::number));
        noise.append_option(point.noise);
    }
    let module = points.iter().map(|point| point.head.module.number());
    let codes = Int8Array::from_iter_values(points.iter().map(|point| point.head.kind as i8));
    Ok(vec![
        Arc::new(UInt8Array::from_iter_values(module)),
        Arc::new(channel.finish()),
        Arc::new(DictionaryArray::try_new(codes, Arc::clone(kinds))?),
        number(|point| point.frequency.0),
        number(|point| point.head.nco.0),
        number(|point| point.mean.re),
        number(|point| point.mean.im),
        Arc::new(noise.finish()),
    ])
}

fn from_arrow(reader: impl Read + Seek) -> Result<SweepTable, ArrowError> {
    let wrong = |what: String| ArrowError::SchemaError(what);
    let reader = FileReader::try_new(reader, None)?;
    let found = reader.schema();
    let expected = schema(&Default::default());
    let shape = |schema: &Schema| -> Vec<(String, DataType)> {
        let fields = schema.fields().iter();
        fields
            .map(|field| (field.name().clone(), field.data_type().clone()))
            .collect()
    };
    if shape(&found) != shape(&expected) {
        return Err(wrong("the columns are not those of sweeps".to_owned()));
    }
    let provenance = found.metadata().iter();
    let mut table = SweepTable::new(provenance.map(|(k, v)| (k.clone(), v.clone())).collect());
    for batch in reader {
        let batch = batch?;
        let number = |column: usize| batch.column(column).as_primitive::<Float64Type>();
        let module = batch.column(0).as_primitive::<UInt8Type>();
        let channel = batch.column(1).as_primitive::<UInt16Type>();
        let sweep = batch.column(2).as_dictionary::<Int8Type>();
        let names = sweep.values().as_string::<i32>();
        for row in 0..batch.num_rows() {
            let name = sweep.key(row).filter(|&key| key < names.len());
            let name = name.map_or("", |key| names.value(key));
            let kind = SweepKind::ALL
                .into_iter()
                .find(|kind| kind.as_str() == name);
            let numbered = |_| wrong(format!("row {row} counts a module or channel from 0"));
            let channel = channel
                .is_valid(row)
                .then(|| ChannelId::new(channel.value(row)));
            table.push(SweepPoint {
                head: SweepHead {
                    module: ModuleId::new(module.value(row)).map_err(numbered)?,
                    channel: channel.transpose().map_err(numbered)?,
                    kind: kind.ok_or_else(|| wrong(format!("row {row} is of no known sweep")))?,
                    nco: Hertz(number(4).value(row)),
                },
                frequency: Hertz(number(3).value(row)),
                mean: Complex64::new(number(5).value(row), number(6).value(row)),
                noise: number(7).is_valid(row).then(|| number(7).value(row)),
            });
        }
    }
    Ok(table)
}
