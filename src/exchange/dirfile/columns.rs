//! The files of numbers of a module in a dirfile.

use std::io::Write;

use super::super::stamps::{DayStamp, PARTS, delay_parts};
use crate::record::{RecordError, RunDirectory, RunFile, SampleHead, SampleRows};

/// A field that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Second,
    Part,
    Delay,
    Samples,
    Stage,
    Time,
    TimeSource,
    Sequence,
    LostBefore,
    Overrange,
    Overvoltage,
    Shift,
    Loss,
}

/// Number in `time_source` for a sample without a time.
pub(super) const NO_SOURCE: u8 = u8::MAX;

impl Column {
    /// Returns the fields of a file, in order.
    pub(super) fn of(head: &SampleHead) -> Vec<Self> {
        use Column::*;
        let all = [
            (true, &[Second, Part, Delay, Samples, Time, TimeSource][..]),
            (head.is_staged, &[Stage]),
            (head.is_counted, &[Sequence, LostBefore]),
            (head.is_flagged, &[Overrange, Overvoltage]),
            (!head.calibrated.is_empty(), &[Shift, Loss]),
        ];
        let present = all.into_iter().filter(|(is_there, _)| *is_there);
        present.flat_map(|(_, columns)| columns).copied().collect()
    }

    /// Name of the field behind the prefix of its module, type of its values, size of a value in
    /// bytes, and true if the field is hidden.
    pub(super) fn form(self) -> (&'static str, &'static str, usize, bool) {
        match self {
            Self::Second => ("ts_sbs", "INT32", 4, false),
            Self::Part => ("ts_ss", "INT32", 4, false),
            Self::Delay => ("ts_delay", "FLOAT64", 8, true),
            Self::Samples => ("raw32", "INT32", 4, true),
            Self::Stage => ("dec_stage", "UINT8", 1, false),
            Self::Time => ("time_ns", "INT64", 8, false),
            Self::TimeSource => ("time_source", "UINT8", 1, false),
            Self::Sequence => ("sequence", "UINT32", 4, false),
            Self::LostBefore => ("lost_before", "UINT64", 8, false),
            Self::Overrange => ("overrange", "UINT8", 1, false),
            Self::Overvoltage => ("overvoltage", "UINT8", 1, false),
            Self::Shift => ("df_hz_raw32", "FLOAT32", 4, true),
            Self::Loss => ("dqi_inv_raw32", "FLOAT32", 4, true),
        }
    }

    /// Number of values in each frame, which is a sample of each channel.
    pub(super) fn values(self, channels: usize, calibrated: usize) -> usize {
        match self {
            Self::Samples => 2 * channels,
            Self::Shift | Self::Loss => calibrated,
            _ => 1,
        }
    }

    /// Appends the values of rows, in little-endian order.
    fn fill(self, rows: &SampleRows, bytes: &mut Vec<u8>) {
        let stage = |at: usize| rows.stage.get(at).copied();
        let stamps = || {
            let times = rows.time_ns.iter().enumerate();
            let nothing = DayStamp { second: 0, part: 0 };
            times.map(move |(at, time)| time.map_or(nothing, |ns| DayStamp::of(ns, stage(at))))
        };
        match self {
            Self::Second => put(bytes, stamps().map(|stamp| stamp.second.to_le_bytes())),
            Self::Part => put(bytes, stamps().map(|stamp| stamp.part.to_le_bytes())),
            Self::Delay => {
                let delay = |at| stage(at).map_or(0.0, |of| delay_parts(of) as f64 / PARTS as f64);
                let times = rows.time_ns.iter().enumerate();
                // A sample without a time has no delay, so that the sum of stamp and delay is NaN.
                let known = times.map(|(at, time)| time.map_or(f64::NAN, |_| delay(at)));
                put(bytes, known.map(f64::to_le_bytes));
            }
            Self::Samples => {
                let pairs = rows.i.iter().zip(&rows.q);
                put(
                    bytes,
                    pairs.flat_map(|(i, q)| [i.to_le_bytes(), q.to_le_bytes()]),
                );
            }
            Self::Stage => bytes.extend(&rows.stage),
            Self::Time => {
                let times = rows.time_ns.iter();
                put(
                    bytes,
                    times.map(|time| time.unwrap_or(i64::MIN).to_le_bytes()),
                );
            }
            Self::TimeSource => {
                let sources = rows.time_source.iter();
                bytes.extend(sources.map(|source| source.map_or(NO_SOURCE, |source| source as u8)));
            }
            Self::Sequence => put(bytes, rows.sequence.iter().map(|one| one.to_le_bytes())),
            Self::LostBefore => put(bytes, rows.lost_before.iter().map(|one| one.to_le_bytes())),
            Self::Overrange => bytes.extend(rows.overrange.iter().map(|flag| u8::from(*flag))),
            Self::Overvoltage => bytes.extend(rows.overvoltage.iter().map(|flag| u8::from(*flag))),
            Self::Shift => put(bytes, rows.df_hz.iter().map(|one| one.to_le_bytes())),
            Self::Loss => put(bytes, rows.dqi_inv.iter().map(|one| one.to_le_bytes())),
        }
    }

    /// Number of values behind the last sample. A field of a channel is its values shifted to the
    /// front, and GetData takes the end of the shifted field for the end of the samples. With these
    /// values every channel has all of its samples. They are one less than a sample has, so that
    /// none has more.
    fn padding(self, head: &SampleHead) -> Vec<u8> {
        let values = self.values(head.channels.len(), head.calibrated.len());
        let value = match self {
            Self::Samples => 0_i32.to_le_bytes(),
            _ => f32::NAN.to_le_bytes(),
        };
        value.repeat(values.saturating_sub(1))
    }
}

fn put<const N: usize>(bytes: &mut Vec<u8>, values: impl Iterator<Item = [u8; N]>) {
    for value in values {
        bytes.extend(value);
    }
}

/// The files of a module that are being written.
pub(super) struct ModuleColumns {
    files: Vec<(Column, String, RunFile)>,
    head: SampleHead,
    bytes: Vec<u8>,
}

impl ModuleColumns {
    /// Creates the files of a module in the folder `namespace`. Each name begins with `prefix`.
    pub(super) fn create(
        directory: &RunDirectory,
        namespace: &str,
        prefix: &str,
        head: &SampleHead,
    ) -> Result<Self, RecordError> {
        let columns = Column::of(head).into_iter();
        let files = columns.map(|column| {
            let file = format!("{namespace}/{prefix}_{}", column.form().0);
            let created = directory.create(&file)?;
            Ok((column, file, created))
        });
        Ok(Self {
            files: files.collect::<Result<_, RecordError>>()?,
            head: head.clone(),
            bytes: Vec::new(),
        })
    }

    /// Writes rows to all files.
    pub(super) fn write(&mut self, rows: &SampleRows) -> Result<(), RecordError> {
        for (column, file, writer) in &mut self.files {
            self.bytes.clear();
            column.fill(rows, &mut self.bytes);
            let written = writer.write_all(&self.bytes);
            written.map_err(RecordError::format("write", file))?;
        }
        Ok(())
    }

    /// Ends all files.
    pub(super) fn finish(self) -> Result<(), RecordError> {
        for (column, file, mut writer) in self.files {
            let end = column.padding(&self.head);
            let written = writer.write_all(&end);
            written.map_err(RecordError::format("write", &file))?;
            writer.finish()?;
        }
        Ok(())
    }
}
