//! The files of numbers of a module in a dirfile that is read.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use twotone_hal::TimeOrigin;

use super::columns::{Column, NO_SOURCE};
use super::fields::{BoardFields, ModuleFields};
use crate::exchange::calendar::Calendar;
use crate::exchange::stamps::DayStamp;
use crate::record::SampleRows;

/// Longest step from the first stamp to the next one, in seconds. A longer step shows that the
/// first stamp is a stray one.
const MOST_STEP_S: i32 = 60;
/// Largest number of values that are read at a time.
const MOST_VALUES: usize = 1 << 18;

/// The fields of a module that a dirfile has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    columns: Vec<Column>,
    rate_hz: Option<f64>,
}

impl Layout {
    pub(super) fn of(board: &BoardFields, module: &ModuleFields) -> Self {
        use Column::*;
        let all = [
            Second,
            Part,
            Samples,
            Stage,
            Time,
            TimeSource,
            Sequence,
            LostBefore,
            Overrange,
            Overvoltage,
        ];
        let is_there = |column: &Column| {
            let (name, of, ..) = column.form();
            let field = board.stored(&format!("{}_{name}", module.prefix), of);
            field.is_some_and(|field| *column == Samples || field.values == 1)
        };
        let rate_hz = board.constant(&format!("{}_rate_hz", module.prefix));
        Self {
            columns: all.into_iter().filter(is_there).collect(),
            rate_hz: rate_hz.filter(|rate_hz| *rate_hz > 0.0),
        }
    }

    fn has(&self, column: Column) -> bool {
        self.columns.contains(&column)
    }

    pub(super) fn has_stamps(&self) -> bool {
        self.has(Column::Second) && self.has(Column::Part)
    }

    /// True if the dirfile has times with dates.
    pub(super) fn has_full_times(&self) -> bool {
        self.has(Column::Time)
    }

    pub(super) fn is_staged(&self) -> bool {
        self.has(Column::Stage) && self.rate_hz.is_none()
    }

    pub(super) fn is_counted(&self) -> bool {
        self.has(Column::Sequence) && self.has(Column::LostBefore)
    }

    pub(super) fn is_flagged(&self) -> bool {
        let has_flags = self.has(Column::Overrange) && self.has(Column::Overvoltage);
        has_flags && self.rate_hz.is_none()
    }

    pub(super) fn rate_hz(&self) -> Option<f64> {
        self.rate_hz
    }
}

/// Reader of the frames of a module. A frame has one sample of each channel.
pub(super) struct Frames<R> {
    files: Vec<(Column, R)>,
    channels: usize,
    count: u64,
    incomplete: u64,
    read: u64,
}

impl Frames<File> {
    /// Opens the files of a module.
    pub(super) fn open(
        board: &BoardFields,
        module: &ModuleFields,
        layout: &Layout,
    ) -> io::Result<Self> {
        let channels = module.channels.len();
        let (mut files, mut least, mut most) = (Vec::new(), u64::MAX, 0);
        for column in &layout.columns {
            let name = column.form().0;
            let path = board.folder.join(format!("{}_{name}", module.prefix));
            let file = open(&path)?;
            let frames = file.metadata()?.len() / frame_bytes(*column, channels) as u64;
            (least, most) = (least.min(frames), most.max(frames));
            files.push((*column, file));
        }
        Ok(Self {
            files,
            channels,
            count: least,
            incomplete: most - least.min(most),
            read: 0,
        })
    }

    /// Returns the stamp at which the stamps begin: the first one that the next one follows within
    /// a minute, or else the first one that a clock shows. `None` if there is none.
    pub(super) fn first_stamp(&self) -> io::Result<Option<DayStamp>> {
        let (mut first, mut before, mut found) = (None, None::<DayStamp>, None);
        self.each_stamp(|stamp| {
            first = first.or(Some(stamp));
            let step = before.map(|before| (stamp.second - before.second).rem_euclid(86_400));
            found = before.filter(|_| step.is_some_and(|step| step <= MOST_STEP_S));
            before = Some(stamp);
            found.is_none()
        })?;
        Ok(found.or(first))
    }

    /// Returns the last stamp that a clock shows, and the number of days from the first stamp to
    /// it. `None` if there is none.
    pub(super) fn stamped_days(&self) -> io::Result<Option<(i128, DayStamp)>> {
        let Some(first) = self.first_stamp()? else {
            return Ok(None);
        };
        let mut calendar = Calendar::beginning(0, first.second);
        let mut last = None;
        self.each_stamp(|stamp| {
            last = Some((calendar.day_of(stamp), stamp));
            true
        })?;
        Ok(last)
    }

    /// Calls `take` with each stamp that a clock shows, until it returns false.
    fn each_stamp(&self, mut take: impl FnMut(DayStamp) -> bool) -> io::Result<()> {
        let mut files = Vec::new();
        for (column, file) in &self.files {
            if matches!(column, Column::Second | Column::Part) {
                files.push(BufReader::new(file.try_clone()?));
            }
        }
        let [seconds, parts] = &mut files[..] else {
            return Ok(());
        };
        for _ in 0..self.count {
            let (mut second, mut part) = ([0; 4], [0; 4]);
            seconds.read_exact(&mut second)?;
            parts.read_exact(&mut part)?;
            let (second, part) = (i32::from_le_bytes(second), i32::from_le_bytes(part));
            let stamp = DayStamp { second, part };
            if stamp.is_of_a_clock() && !take(stamp) {
                break;
            }
        }
        // A copy of a file shares its place.
        for (_, file) in &self.files {
            (&*file).rewind()?;
        }
        Ok(())
    }
}

/// Size of a frame of a field, in bytes.
fn frame_bytes(column: Column, channels: usize) -> usize {
    column.form().2 * column.values(channels, 0)
}

/// Opens a regular file, so that no pipe can block the program.
fn open(path: &Path) -> io::Result<File> {
    let name = || {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let explained =
        |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", name()));
    if !path.metadata().map_err(explained)?.is_file() {
        return Err(explained(io::Error::other("it is no file")));
    }
    File::open(path).map_err(explained)
}

impl<R: Read> Frames<R> {
    /// Number of complete frames.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Number of frames that some fields have and others lack.
    pub(super) fn incomplete(&self) -> u64 {
        self.incomplete
    }

    /// Reads the next frames. Returns `None` at the end. Without full times, the calendar gives the
    /// times of the stamps.
    pub(super) fn next_rows(
        &mut self,
        calendar: Option<&mut Calendar>,
    ) -> io::Result<Option<SampleRows>> {
        let left = usize::try_from(self.count - self.read).unwrap_or(usize::MAX);
        let frames = left.min((MOST_VALUES / (2 * self.channels)).max(1));
        if frames == 0 {
            return Ok(None);
        }
        self.read += frames as u64;
        let mut rows = SampleRows::default();
        let (mut seconds, mut parts) = (Vec::new(), Vec::new());
        for (column, file) in &mut self.files {
            let mut bytes = vec![0; frames * frame_bytes(*column, self.channels)];
            file.read_exact(&mut bytes)?;
            match column {
                Column::Second => seconds = values(&bytes, i32::from_le_bytes),
                Column::Part => parts = values(&bytes, i32::from_le_bytes),
                Column::Samples => {
                    let samples = values(&bytes, i32::from_le_bytes);
                    rows.i = samples.iter().step_by(2).copied().collect();
                    rows.q = samples.iter().skip(1).step_by(2).copied().collect();
                }
                Column::Stage => rows.stage = bytes,
                Column::Time => {
                    let times = values(&bytes, i64::from_le_bytes).into_iter();
                    rows.time_ns = times
                        .map(|time| (time != i64::MIN).then_some(time))
                        .collect();
                }
                Column::TimeSource => {
                    let origin = |number: &u8| match *number {
                        NO_SOURCE => None,
                        number => TimeOrigin::ALL.get(usize::from(number)).copied(),
                    };
                    rows.time_source = bytes.iter().map(origin).collect();
                }
                Column::Sequence => rows.sequence = values(&bytes, u32::from_le_bytes),
                Column::LostBefore => rows.lost_before = values(&bytes, u64::from_le_bytes),
                Column::Overrange => rows.overrange = flags(&bytes),
                Column::Overvoltage => rows.overvoltage = flags(&bytes),
                Column::Delay | Column::Shift | Column::Loss => {}
            }
        }
        if rows.time_ns.is_empty() {
            let stamps = seconds.into_iter().zip(parts);
            let stamps = stamps.map(|(second, part)| DayStamp { second, part });
            rows.time_ns = match calendar {
                Some(calendar) => {
                    let staged = stamps.zip(&rows.stage);
                    staged
                        .map(|(stamp, stage)| calendar.time_ns(stamp, *stage))
                        .collect()
                }
                None => vec![None; frames],
            };
        }
        if rows.time_source.is_empty() {
            let origin = |time: &Option<i64>| time.map(|_| TimeOrigin::Stamp);
            rows.time_source = rows.time_ns.iter().map(origin).collect();
        }
        Ok(Some(rows))
    }
}

fn values<T, const N: usize>(bytes: &[u8], of: fn([u8; N]) -> T) -> Vec<T> {
    let (all, _) = bytes.as_chunks::<N>();
    all.iter().map(|one| of(*one)).collect()
}

fn flags(bytes: &[u8]) -> Vec<bool> {
    bytes.iter().map(|byte| *byte != 0).collect()
}
